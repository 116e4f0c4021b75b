//! Every kind of violation is found, what is right is not blamed, and random histories are judged as the slow way does.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::naive::{Answer, Event, judge};
use super::*;

const A: KeyId = KeyId(0);
const ONE: SessionId = SessionId(0);
const OTHER: SessionId = SessionId(1);
/// Connected through the second proxy.
const FAR: SessionId = SessionId(2);

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

fn history(promise: Promise) -> History {
    History::new(promise, 2, 2, &[ProxyId(0), ProxyId(0), ProxyId(1)])
}

/// A history in which values up to `count` were written through the first proxy, each at its own millisecond.
fn written(promise: Promise, count: u64) -> History {
    let mut history = history(promise);
    for value in 1..=count {
        assert_eq!(history.next_value(A), value);
        history.sending(A, value, ONE);
        history.acknowledged(A, value, ONE, ms(value));
    }
    history
}

fn kinds(verdict: Option<Verdict>) -> Vec<Kind> {
    verdict.unwrap().kinds.iter().collect()
}

/// What a read of register A at millisecond 100 is blamed for.
fn read(history: &mut History, session: SessionId, value: i64) -> Vec<Kind> {
    let ticket = history.reading(session, A, None, ms(100));
    kinds(history.answered(&ticket, Seen::Value(value)))
}

#[test]
fn an_acknowledged_write_must_be_seen_by_all_of_the_same_proxy() {
    let mut history = written(Promise::Session, 3);
    assert_eq!(read(&mut history, OTHER, 3), []);
    assert_eq!(read(&mut history, ONE, 2), [Kind::Missed]);
    assert_eq!(read(&mut history, FAR, 0), [], "nothing was promised through the other proxy");
    let token = history.reading(FAR, A, Some(2), ms(100));
    assert_eq!(kinds(history.answered(&token, Seen::Value(1))), [Kind::Missed]);
    assert_eq!(kinds(history.answered(&token, Seen::Value(2))), []);
}

#[test]
fn only_what_was_acknowledged_before_the_read_was_sent_must_be_seen() {
    let mut history = written(Promise::Strong, 1);
    history.sending(A, 2, ONE);
    let early = history.reading(OTHER, A, None, ms(5));
    history.acknowledged(A, 2, ONE, ms(6));
    assert_eq!(kinds(history.answered(&early, Seen::Value(1))), []);
    assert_eq!(read(&mut history, OTHER, 1), [Kind::Missed]);
}

#[test]
fn a_session_never_goes_back() {
    let mut history = written(Promise::Session, 1);
    history.sending(A, 2, ONE);
    assert_eq!(read(&mut history, ONE, 2), [], "sent is enough to be seen");
    assert_eq!(read(&mut history, OTHER, 1), [], "and not enough to be missed");
    assert_eq!(read(&mut history, ONE, 1), [Kind::Backwards]);
    history.reconnected(ONE);
    assert_eq!(read(&mut history, ONE, 1), []);
}

#[test]
fn what_one_read_has_returned_a_later_one_returns_too_at_level_strong() {
    let mut history = written(Promise::Strong, 1);
    history.sending(A, 2, ONE);
    let early = history.reading(FAR, A, None, ms(5));
    assert_eq!(read(&mut history, ONE, 2), []);
    assert_eq!(kinds(history.answered(&early, Seen::Value(1))), [], "it began before");
    assert_eq!(read(&mut history, OTHER, 1), [Kind::Reordered]);
}

#[test]
fn what_was_not_sent_is_invented_and_binds_nobody() {
    let mut history = written(Promise::Strong, 1);
    assert_eq!(read(&mut history, ONE, 2), [Kind::Invented]);
    assert_eq!(read(&mut history, ONE, -1), [Kind::Missed, Kind::Invented]);
    assert_eq!(read(&mut history, ONE, 1), []);
}

#[test]
fn a_list_is_whole_and_in_order() {
    let mut history = written(Promise::Session, 3);
    let table: [(&[i64], &[Kind]); 6] = [
        (&[1, 2, 3], &[]),
        (&[1, 3], &[Kind::Missed, Kind::Broken]),
        (&[1, 2, 2, 3], &[Kind::Missed, Kind::Broken]),
        (&[1, 2, 3, 3], &[Kind::Broken]),
        (&[2, 1, 3], &[Kind::Missed, Kind::Broken]),
        (&[1, 2, 3, 4], &[Kind::Invented]),
    ];
    for (elements, expected) in table {
        history.reconnected(OTHER);
        let ticket = history.reading(OTHER, A, None, ms(9));
        assert_eq!(kinds(history.answered(&ticket, Seen::Elements(elements))), expected, "{elements:?}");
    }
}

#[test]
fn of_a_long_list_the_end_is_read_and_the_beginning_goes() {
    let mut history = written(Promise::Session, WINDOW);
    let early = history.reading(ONE, A, None, ms(100));
    assert_eq!((early.base, history.trim(A)), (0, None));
    for value in WINDOW + 1..=3 * WINDOW {
        history.sending(A, value, ONE);
        history.acknowledged(A, value, ONE, ms(value));
    }
    let late = history.reading(ONE, A, None, ms(100));
    assert_eq!((late.base, late.acknowledged), (2 * WINDOW, 3 * WINDOW));
    assert_eq!((history.trim(A), history.trim(A)), (Some(WINDOW), None));
    assert_eq!(history.answered(&early, Seen::Elements(&[])), None);
    let elements: Vec<i64> = (2 * WINDOW + 1..=3 * WINDOW).map(|n| i64::try_from(n).unwrap()).collect();
    assert_eq!(kinds(history.answered(&late, Seen::Elements(&elements))), []);
}

#[test]
fn old_answers_are_measured_and_blamed_only_beyond_the_bound() {
    let mut eventual = written(Promise::Eventual, 3);
    let ticket = eventual.reading(OTHER, A, None, ms(103));
    let verdict = eventual.answered(&ticket, Seen::Value(1)).unwrap();
    assert!(verdict.kinds.is_empty());
    assert_eq!((verdict.staleness, verdict.since_write), (ms(101), Some(ms(100))));
    let mut bounded = written(Promise::Bounded(ms(98)), 3);
    assert_eq!(read(&mut bounded, ONE, 1), [Kind::Missed]);
    assert_eq!(read(&mut bounded, ONE, 2), []);
}

#[test]
fn instants_long_gone_are_the_oldest_that_are_remembered() {
    let mut history = written(Promise::Eventual, 1000);
    let ticket = history.reading(ONE, A, None, ms(1000));
    let staleness =
        |history: &mut History, value| history.answered(&ticket, Seen::Value(value)).unwrap().staleness;
    assert_eq!(staleness(&mut history, 900), ms(99));
    assert_eq!(staleness(&mut history, 0), ms(key::INSTANTS as u64 - 1));
}

/// What a generator does next; numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    Send(usize),
    /// Sends and acknowledges.
    Write(usize),
    Acknowledge(usize, usize),
    Trim(usize),
    Reconnect(usize),
    Ask {
        session: usize,
        key: usize,
        token: bool,
    },
    Answer {
        read: usize,
        back: u64,
        trick: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..2_usize).prop_map(Step::Send),
        6 => (0..2_usize, 0..3_usize).prop_map(|(key, session)| Step::Acknowledge(key, session)),
        // Mostly the list, so that it is trimmed under a read now and then.
        12 => (0..4_usize).prop_map(|key| Step::Write(key.min(1))),
        3 => (0..2_usize).prop_map(Step::Trim),
        1 => (0..3_usize).prop_map(Step::Reconnect),
        8 => (0..3_usize, 0..2_usize, any::<bool>())
            .prop_map(|(session, key, token)| Step::Ask { session, key, token }),
        5 => (0..4_usize, 0..4_u64, 0..12_u8).prop_map(|(read, back, trick)| Step::Answer { read, back, trick }),
    ]
}

fn promise() -> impl Strategy<Value = Promise> {
    prop_oneof![
        Just(Promise::Eventual),
        (0..30_u64).prop_map(|time| Promise::Bounded(ms(time))),
        Just(Promise::Session),
        Just(Promise::Strong),
    ]
}

/// Plays the steps to the fast check and writes down what happened for the slow one. Key 0 is a register, key 1 a list.
struct Play {
    history: History,
    events: Vec<Event>,
    open: Vec<(usize, Ticket)>,
    reads: usize,
    found: Vec<Option<(Vec<Kind>, Duration)>>,
    clock: Duration,
}

impl Play {
    fn take(&mut self, step: &Step) {
        self.clock += ms(3);
        let at = self.clock;
        match *step {
            Step::Send(key) => {
                let value = self.history.next_value(KeyId(key));
                // By different proxies, so that one knows of it and the other does not.
                let session = key % 3;
                let proxy = self.history.sessions[session].proxy;
                self.history.sending(KeyId(key), value, SessionId(session));
                self.events.push(Event::Sent { key, value, proxy });
            }
            Step::Acknowledge(key, session) => {
                let state = &self.history.keys[key];
                if state.sent() > state.newest() {
                    let value = state.sent();
                    let proxy = self.history.sessions[session].proxy;
                    self.history.acknowledged(KeyId(key), value, SessionId(session), at);
                    self.events.push(Event::Acknowledged { key, value, proxy, at });
                }
            }
            Step::Write(key) => {
                self.take(&Step::Send(key));
                self.take(&Step::Acknowledge(key, key));
            }
            Step::Trim(key) => {
                if let Some(up_to) = self.history.trim(KeyId(key)) {
                    self.events.push(Event::Thrown { key, up_to });
                }
            }
            Step::Reconnect(session) => {
                // A connection that is gone gives no more answers.
                self.open.retain(|(_, ticket)| ticket.session != SessionId(session));
                self.history.reconnected(SessionId(session));
                self.events.push(Event::Connected { session });
            }
            Step::Ask { session, key, token } => self.ask(session, key, token),
            Step::Answer { read, back, trick } if !self.open.is_empty() => {
                let (read, ticket) = self.open.swap_remove(read % self.open.len());
                self.answer(read, &ticket, back, trick);
            }
            Step::Answer { .. } => {}
        }
    }

    fn ask(&mut self, session: usize, key: usize, with_token: bool) {
        // One question at a time on each connection.
        if self.open.iter().any(|(_, ticket)| ticket.session == SessionId(session)) {
            return;
        }
        let token = with_token.then(|| self.history.keys[key].newest());
        let ticket = self.history.reading(SessionId(session), KeyId(key), token, self.clock);
        let (read, base, proxy) = (self.reads, ticket.base, self.history.sessions[session].proxy);
        self.events.push(Event::Asked { read, session, key, base, proxy, token, at: self.clock });
        self.open.push((read, ticket));
        self.reads += 1;
    }

    /// Mostly the truth or something near it, sometimes nonsense.
    fn answer(&mut self, read: usize, ticket: &Ticket, back: u64, trick: u8) {
        let sent = self.history.keys[ticket.key.0].sent();
        let value = if trick == 0 { sent + 1 } else { sent.saturating_sub(back) };
        let answer = if ticket.key.0 == 0 {
            let value = i64::try_from(value).unwrap();
            Answer::Value(if trick == 1 { -value } else { value })
        } else {
            let mut elements: Vec<i64> =
                (ticket.base + 1..=value).map(|n| i64::try_from(n).unwrap()).collect();
            let middle = elements.len() / 2;
            match trick {
                1 if !elements.is_empty() => drop(elements.remove(middle)),
                2 if !elements.is_empty() => elements.insert(middle, elements[middle]),
                3 => elements.reverse(),
                _ => {}
            }
            Answer::Elements(elements)
        };
        let seen = match &answer {
            Answer::Value(value) => Seen::Value(*value),
            Answer::Elements(elements) => Seen::Elements(elements),
        };
        let verdict = self.history.answered(ticket, seen);
        self.found.push(verdict.map(|verdict| (verdict.kinds.iter().collect(), verdict.staleness)));
        self.events.push(Event::Answered { read, answer });
    }
}

fn play(promise: Promise, steps: &[Step]) -> Play {
    let mut play = Play {
        history: history(promise),
        events: Vec::new(),
        open: Vec::new(),
        reads: 0,
        found: Vec::new(),
        clock: Duration::ZERO,
    };
    // A list that is long enough to be trimmed.
    let written = [Step::Send(1), Step::Acknowledge(1, 0)];
    for step in written.iter().cycle().take(2 * 8).chain(steps) {
        play.take(step);
    }
    play
}

proptest! {
    #[test]
    fn the_fast_check_says_what_the_slow_one_says(promise in promise(), steps in vec(step(), 0..90)) {
        let play = play(promise, &steps);
        prop_assert_eq!(&play.found, &judge(promise, &play.events), "{:#?}", play.events);
    }
}

#[test]
fn random_histories_hold_every_kind_of_violation() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut found = BTreeSet::new();
    for _ in 0..200 {
        let steps = vec(step(), 90).new_tree(&mut runner).unwrap().current();
        let kinds = play(Promise::Strong, &steps).found.into_iter().flatten();
        found.extend(kinds.flat_map(|(kinds, _)| kinds));
    }
    assert_eq!(found, Kind::ALL.into_iter().collect(), "a kind is never found in random histories");
}
