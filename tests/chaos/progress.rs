//! What each client did and when: how long until it was served again, and the longest it was not.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::client::Way;

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Reads a table that nobody writes.
    Rest,
    /// Reads what was acknowledged to writers a moment ago.
    ReadBack,
    Write,
}

pub const KINDS: [Kind; 3] = [Kind::Rest, Kind::ReadBack, Kind::Write];

/// One thing that a client did.
#[derive(Clone, Debug)]
struct Deed {
    begun: Instant,
    ended: Instant,
    /// Why it failed, if it did: an SQLSTATE, or a word.
    failed: Option<String>,
}

/// What one client did, in its order.
#[derive(Debug)]
pub struct Progress {
    pub kind: Kind,
    /// For people.
    pub way: Way,
    begun: Instant,
    deeds: Mutex<Vec<Deed>>,
}

/// Begins the reason of one who could not connect. This is counted apart: whoever is refused tries again at once.
pub const NO_CONNECTION: &str = "no connection";

impl Progress {
    pub fn new(kind: Kind, way: Way) -> Self {
        Self { kind, way, begun: Instant::now(), deeds: Mutex::default() }
    }

    fn deeds(&self) -> MutexGuard<'_, Vec<Deed>> {
        self.deeds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something that began then has ended now.
    pub fn note(&self, begun: Instant, failed: Option<String>) {
        self.deeds().push(Deed { begun, ended: Instant::now(), failed });
    }

    /// When the first thing ended that began after `since` and succeeded.
    pub fn served_since(&self, since: Instant) -> Option<Instant> {
        let deeds = self.deeds();
        // A client does one thing at a time, so they are in the order in which they began, too.
        let first = deeds.partition_point(|deed| deed.begun <= since);
        deeds[first..].iter().find(|deed| deed.failed.is_none()).map(|deed| deed.ended)
    }

    /// How many succeeded.
    pub fn successes(&self) -> usize {
        self.deeds().iter().filter(|deed| deed.failed.is_none()).count()
    }

    /// The longest time without a success, up to `end`.
    fn longest_gap(&self, end: Instant) -> Duration {
        let deeds = self.deeds();
        let ends = deeds.iter().filter(|deed| deed.failed.is_none()).map(|deed| deed.ended);
        let mut last = self.begun;
        let mut longest = Duration::ZERO;
        for at in ends.chain([end]) {
            longest = longest.max(at.saturating_duration_since(last));
            last = at;
        }
        longest
    }

    /// Errors it was told of, without those to connect.
    pub fn told(&self) -> BTreeMap<String, usize> {
        let mut told = self.failures();
        told.retain(|why, _| !why.starts_with(NO_CONNECTION));
        told
    }

    /// What failed, counted by why.
    fn failures(&self) -> BTreeMap<String, usize> {
        let mut failures = BTreeMap::new();
        for why in self.deeds().iter().filter_map(|deed| deed.failed.clone()) {
            *failures.entry(why).or_default() += 1;
        }
        failures
    }
}

/// What clients of one kind went through.
#[derive(Clone, Debug)]
pub struct Summary {
    pub longest_gap: Duration,
    /// By why, of all clients.
    pub failures: BTreeMap<String, usize>,
}

impl Summary {
    pub fn of<'a>(clients: impl IntoIterator<Item = &'a Progress>, end: Instant) -> Self {
        let mut sum = Self { longest_gap: Duration::ZERO, failures: BTreeMap::new() };
        for client in clients {
            sum.longest_gap = sum.longest_gap.max(client.longest_gap(end));
            for (why, times) in client.failures() {
                *sum.failures.entry(why).or_default() += times;
            }
        }
        sum
    }
}
