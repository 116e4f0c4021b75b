//! What is noted of a node to judge its health by, and what was judged.

use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Node, State};
use crate::freshness::Tick;
use crate::health::{Cause, Causes, Contact, FULL, Health, Seen};

/// What is noted of a node to judge its health by, and what was judged.
#[derive(Debug)]
pub(super) struct Vitals {
    /// How much of the reads is for it: as configured, times its share.
    weight: AtomicU32,
    /// Its share of that, of [`FULL`].
    share: AtomicU16,
    causes: AtomicU8,
    ejections: [AtomicU64; Cause::ALL.len()],
    /// What has failed there for a fault of the server's.
    failed: AtomicU64,
    /// Counts how often the monitor's connection came and went: odd while it stands.
    links: AtomicU64,
    /// When the question was asked that is not answered yet; [`Tick::NEVER`]: none is.
    asked_at: AtomicU64,
    answers: AtomicU64,
    /// How long the last answer took, in nanoseconds.
    took: AtomicU64,
    judged: Mutex<Judged>,
}

/// How it stands, and what was counted when that was judged.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) health: Health,
    before: Counted,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    begun: u32,
    failed: u64,
    links: u64,
    answers: u64,
}

impl Vitals {
    /// Of a node of this weight that nothing is known of.
    pub(super) fn of(weight: u32) -> Self {
        Self {
            weight: AtomicU32::new(weight * u32::from(FULL)),
            share: AtomicU16::new(FULL),
            causes: AtomicU8::default(),
            ejections: Default::default(),
            failed: AtomicU64::default(),
            links: AtomicU64::default(),
            asked_at: AtomicU64::default(),
            answers: AtomicU64::default(),
            took: AtomicU64::default(),
            judged: Mutex::default(),
        }
    }

    pub(super) fn weight(&self) -> u32 {
        self.weight.load(Ordering::Relaxed)
    }

    pub(super) fn share(&self) -> u16 {
        self.share.load(Ordering::Relaxed)
    }

    pub(super) fn causes(&self) -> Causes {
        Causes::from_bits(self.causes.load(Ordering::Relaxed))
    }

    pub(super) fn ejections(&self, cause: Cause) -> u64 {
        self.ejections[cause as usize].load(Ordering::Relaxed)
    }

    pub(super) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// The monitor has a connection.
    pub(super) fn linked(&self) {
        self.links.fetch_or(1, Ordering::Relaxed);
    }

    /// The monitor has none any more.
    pub(super) fn unlinked(&self) {
        self.asked_at.store(Tick::NEVER.0, Ordering::Relaxed);
        if self.links.load(Ordering::Relaxed) % 2 == 1 {
            self.links.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The monitor asks something.
    pub(super) fn asks(&self, now: Tick) {
        self.asked_at.store(now.0, Ordering::Relaxed);
    }

    /// It was answered.
    pub(super) fn heard(&self) {
        self.asked_at.store(Tick::NEVER.0, Ordering::Relaxed);
    }

    /// The question that is the same for all replicas was answered.
    pub(super) fn answered(&self, asked_at: Tick, now: Tick) {
        self.took.store(now.since(asked_at).max(1), Ordering::Relaxed);
        self.answers.fetch_add(1, Ordering::Relaxed);
        self.heard();
    }

    pub(super) fn judged(&self) -> MutexGuard<'_, Judged> {
        self.judged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is so from now on, of a node of this weight.
    pub(super) fn publish(&self, health: &Health, weight: u32, share: u16) {
        self.weight.store(weight * u32::from(share), Ordering::Relaxed);
        self.share.store(share, Ordering::Relaxed);
        self.causes.store(health.causes().bits(), Ordering::Relaxed);
        for cause in Cause::ALL {
            self.ejections[cause as usize].store(health.ejections(cause), Ordering::Relaxed);
        }
    }

    fn counted(&self, begun: u32) -> Counted {
        Counted {
            begun,
            failed: self.failed.load(Ordering::Relaxed),
            links: self.links.load(Ordering::Relaxed),
            answers: self.answers.load(Ordering::Relaxed),
        }
    }
}

impl Judged {
    /// What was seen of the node since the last time. `lag` says whether its horizon tells anything about it.
    pub(super) fn see(&mut self, node: &Node, has_primary: bool, now: Tick) -> Seen {
        let vitals = &node.vitals;
        let state = node.state();
        let counted = vitals.counted(node.begun());
        let before = std::mem::replace(&mut self.before, counted);
        let asked_at = Tick(vitals.asked_at.load(Ordering::Relaxed));
        Seen {
            contact: contact(state, before.links, counted.links),
            lag: (has_primary && state == State::Replica).then(|| now.since(node.horizon())),
            begun: counted.begun.wrapping_sub(before.begun).into(),
            failed: counted.failed - before.failed,
            answer: (counted.answers > before.answers).then(|| vitals.took.load(Ordering::Relaxed)),
            unanswered: (asked_at > Tick::NEVER).then(|| now.since(asked_at)),
        }
    }
}

/// Whether a node can be used, where the monitor's connections have been counted before and now.
fn contact(state: State, before: u64, now: u64) -> Contact {
    let (stands, stood_all_the_time) = (now % 2 == 1, before == now);
    match state {
        State::Primary => Contact::Primary,
        State::Refused => Contact::Refused,
        State::Replica if stood_all_the_time => Contact::Replica,
        State::Replica => Contact::Returned,
        State::Down if stands && stood_all_the_time => Contact::Suspected,
        State::Down => Contact::Lost,
    }
}
