//! The same questions, answered the slow way: everything that happened is kept, and each read is held against all of it,
//! by the words of the promises. What is right here is easy to see; the fast check must say the same.

use std::time::Duration;

use super::{Kind, Promise, ProxyId};

/// Something that happened, in the order of the list it stands in.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Sent {
        key: usize,
        value: u64,
        proxy: ProxyId,
    },
    Acknowledged {
        key: usize,
        value: u64,
        proxy: ProxyId,
        at: Duration,
    },
    Thrown {
        key: usize,
        up_to: u64,
    },
    Connected {
        session: usize,
    },
    Asked {
        read: usize,
        session: usize,
        key: usize,
        base: u64,
        proxy: ProxyId,
        token: Option<u64>,
        at: Duration,
    },
    Answered {
        read: usize,
        answer: Answer,
    },
}

/// What a read has answered.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Value(i64),
    Elements(Vec<i64>),
}

/// What is found about one read; `None` where it cannot be judged.
pub(super) type Found = Option<(Vec<Kind>, Duration)>;

/// Judges every read, in the order of their answers.
pub(super) fn judge(promise: Promise, history: &[Event]) -> Vec<Found> {
    let answers = history.iter().enumerate().filter_map(|(i, event)| match event {
        Event::Answered { read, .. } => Some((i, *read)),
        _ => None,
    });
    answers.map(|(i, read)| one(promise, history, i, read)).collect()
}

/// The question that read number `read` asked, and where it stands.
fn question(history: &[Event], read: usize) -> (usize, &Event) {
    let asked = |event: &&Event| matches!(event, Event::Asked { read: number, .. } if *number == read);
    let position = history.iter().position(|event| asked(&event)).unwrap();
    (position, &history[position])
}

/// What an answer shows: the greatest value, if it is one that could ever be true.
fn shown(answer: &Answer, base: u64) -> (u64, Option<Kind>) {
    match answer {
        Answer::Value(value) if *value < 0 => (0, Some(Kind::Invented)),
        Answer::Value(value) => (value.unsigned_abs(), None),
        Answer::Elements(elements) => {
            let first = i64::try_from(base).unwrap() + 1;
            let whole =
                |count: usize| (first..).zip(&elements[..count]).all(|(due, element)| due == *element);
            let count = (0..=elements.len()).rev().find(|count| whole(*count)).unwrap();
            (base + count as u64, (count < elements.len()).then_some(Kind::Broken))
        }
    }
}

#[allow(clippy::too_many_lines, reason = "one promise after the other")]
fn one(promise: Promise, history: &[Event], answered: usize, read: usize) -> Found {
    let (asked, question_) = question(history, read);
    let Event::Asked { session, key, base, proxy, token, at, .. } = question_ else { unreachable!() };
    let Event::Answered { answer, .. } = &history[answered] else { unreachable!() };
    let before_question = &history[..asked];
    let before_answer = &history[..answered];
    let gone = |event: &Event| matches!(event, Event::Thrown { key: k, up_to } if k == key && up_to > base);
    if matches!(answer, Answer::Elements(_)) && before_answer.iter().any(gone) {
        return None;
    }
    let (value, wrong) = shown(answer, *base);
    let mut kinds: Vec<Kind> = wrong.into_iter().collect();

    let was_sent =
        |event: &Event| matches!(event, Event::Sent { key: k, value: v, .. } if k == key && *v >= value);
    if value > 0 && !before_answer.iter().any(was_sent) {
        kinds.push(Kind::Invented);
    }

    let acknowledged = before_question.iter().filter_map(|event| match event {
        Event::Acknowledged { key: k, value, proxy, at } if k == key => Some((*value, *proxy, *at)),
        _ => None,
    });
    let promised = acknowledged.clone().filter(|(_, through, then)| match promise {
        Promise::Eventual => false,
        Promise::Bounded(time) => *then + time <= *at,
        Promise::Session => through == proxy,
        Promise::Strong => true,
    });
    if promised.map(|(v, ..)| v).chain(*token).any(|v| v > value) {
        kinds.push(Kind::Missed);
    }

    // Reads answered before, with their question, what they showed and where they stand.
    let others = |until: usize| {
        history[..until].iter().enumerate().filter_map(|(position, event)| {
            let Event::Answered { read, answer } = event else { return None };
            let Event::Asked { session, key: k, base, .. } = question(history, *read).1 else {
                unreachable!()
            };
            let found = one(promise, history, position, *read)?;
            let trusted = k == key && !found.0.contains(&Kind::Invented);
            trusted.then(|| (position, *session, shown(answer, *base).0))
        })
    };
    let connected = before_question
        .iter()
        .rposition(|event| matches!(event, Event::Connected { session: s } if s == session))
        .unwrap_or(0);
    let earlier_here = others(answered).filter(|(position, s, _)| *position >= connected && s == session);
    let through_own = |event: &Event| matches!(event, Event::Sent { key: k, value: v, proxy: p } if (k, p) == (key, proxy) && *v > value);
    let due = match promise {
        Promise::Eventual | Promise::Bounded(_) => false,
        // Only what was written through the session's own proxy.
        Promise::Session => before_answer.iter().any(through_own),
        Promise::Strong => true,
    };
    if due && earlier_here.into_iter().any(|(.., v)| v > value) {
        kinds.push(Kind::Backwards);
    }
    if promise == Promise::Strong && others(asked).any(|(.., v)| v > value) {
        kinds.push(Kind::Reordered);
    }
    kinds.sort_unstable();
    kinds.dedup();
    let missed = acknowledged.filter(|(v, ..)| *v > value).map(|(.., then)| then).min();
    Some((kinds, missed.map_or(Duration::ZERO, |then| at.saturating_sub(then))))
}
