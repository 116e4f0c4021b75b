//! What all actors share: the history and the tally, and the clock that both go by.
//!
//! Whoever reads or writes says so here *before* the statement is sent and *after* its answer is there. So the order in
//! the book is never stricter than the true one, and what it blames has happened.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::args::Path;
use super::link::{Answer, Thing};
use super::plan::Plan;
use super::tally::Tally;
use crate::history::{History, KeyId, ProxyId, Seen, SessionId, Ticket, Verdict};

/// The shared state of a run.
pub(super) struct Book {
    begun: Instant,
    actors: usize,
    kept: Mutex<Kept>,
}

struct Kept {
    history: History,
    tally: Tally,
}

impl Book {
    /// An empty one. Every register has the value 1, as it was set up through the first proxy.
    pub(super) fn new(plan: &Plan) -> Self {
        let actors = plan.actors;
        let sessions: Vec<ProxyId> = (0..actors)
            .flat_map(|actor| (0..plan.links()).map(move |link| ProxyId(plan.proxy_of(actor, link))))
            .collect();
        let mut history = History::new(plan.level.promise, 2 * actors, plan.proxies.len(), &sessions);
        for register in (0..actors).map(KeyId) {
            history.sending(register, 1, SessionId(0));
            history.acknowledged(register, 1, SessionId(0), Duration::ZERO);
        }
        let kept = Mutex::new(Kept { history, tally: Tally::default() });
        Self { begun: Instant::now(), actors, kept }
    }

    /// Time since the beginning.
    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// A copy of what was counted.
    pub(super) fn tally(&self) -> Tally {
        self.with(|kept| kept.tally.clone())
    }

    /// Counts something.
    pub(super) fn count<T>(&self, what: impl FnOnce(&mut Tally) -> T) -> T {
        self.with(|kept| what(&mut kept.tally))
    }

    /// The next value is about to be written on a session.
    pub(super) fn writing(&self, thing: Thing, session: SessionId) -> u64 {
        let key = self.key(thing);
        self.with(|kept| {
            let value = kept.history.next_value(key);
            kept.history.sending(key, value, session);
            value
        })
    }

    /// It was written. For a list, up to which element it can be thrown away now.
    pub(super) fn wrote(&self, thing: Thing, value: u64, session: SessionId, time: Duration) -> Option<u64> {
        let (key, at) = (self.key(thing), self.elapsed());
        self.with(|kept| {
            kept.history.acknowledged(key, value, session, at);
            kept.tally.wrote(time);
            if thing.is_list { kept.history.trim(key) } else { None }
        })
    }

    /// A read is about to be sent, perhaps with a token that covers a value.
    pub(super) fn reading(&self, session: SessionId, thing: Thing, covered: Option<u64>) -> Ticket {
        let (key, at) = (self.key(thing), self.elapsed());
        self.with(|kept| kept.history.reading(session, key, covered, at))
    }

    /// It was answered. Also says whether an example of what is wrong is wanted.
    pub(super) fn read(
        &self,
        ticket: &Ticket,
        answer: &Answer,
        path: Path,
        time: Duration,
    ) -> Option<(Verdict, bool)> {
        let seen = match answer {
            Answer::Value(value) => Seen::Value(*value),
            Answer::Elements(elements) => Seen::Elements(elements),
        };
        self.with(|kept| {
            let Some(verdict) = kept.history.answered(ticket, seen) else {
                kept.tally.unjudged += 1;
                return None;
            };
            kept.tally.read(path, &verdict, time);
            Some((verdict, kept.tally.wants(verdict.kinds)))
        })
    }

    /// A connection takes the place of another.
    pub(super) fn reconnected(&self, session: SessionId) {
        self.with(|kept| kept.history.reconnected(session));
    }

    fn key(&self, thing: Thing) -> KeyId {
        KeyId(thing.actor + if thing.is_list { self.actors } else { 0 })
    }

    /// Nothing is left half done in here, so a panic elsewhere does not matter.
    fn with<T>(&self, what: impl FnOnce(&mut Kept) -> T) -> T {
        what(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
