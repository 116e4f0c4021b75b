//! What has been found so far, counted. Examples are kept of the first violations of each kind.

use std::collections::BTreeMap;
use std::time::Duration;

use super::args::Path;
use super::histogram::Histogram;
use super::route::Route;
use crate::history::{Kind, Kinds, Limits, Verdict};

/// Examples kept of each kind.
const EXAMPLES: u64 = 3;
/// A read that comes so soon after a write of what it reads is one that lag could have made stale.
const SOON: Duration = Duration::from_secs(1);
/// Codes and nodes that are told apart.
const NAMES: usize = 64;

/// A violation in full.
#[derive(Clone, Debug)]
pub(super) struct Example {
    pub(super) kind: Kind,
    /// `register 7`.
    pub(super) thing: String,
    pub(super) path: Path,
    /// `connection 3 to postgres://…`.
    pub(super) place: String,
    /// What the answer was held against.
    pub(super) limits: Limits,
    pub(super) seen: String,
    /// Since the beginning of the run.
    pub(super) sent_at: Duration,
    pub(super) answered_at: Duration,
    /// What the proxy says about it.
    pub(super) route: Option<Route>,
}

/// Errors of one code.
#[derive(Clone, Debug, Default)]
pub(super) struct Errors {
    pub(super) count: u64,
    /// The first of them in full.
    pub(super) first: String,
}

/// All that is counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Reads judged, by path.
    reads: [u64; 3],
    /// Those of them that came soon after a write of what they read.
    pub(super) soon: u64,
    /// Reads that could not be judged.
    pub(super) unjudged: u64,
    /// Statements that failed for want of the tables, where and when that is no error.
    pub(super) early: u64,
    /// Writes acknowledged.
    pub(super) writes: u64,
    pub(super) read_time: Histogram,
    pub(super) write_time: Histogram,
    pub(super) staleness: Histogram,
    /// Reads with a violation of any kind.
    pub(super) wrong: u64,
    kinds: [u64; Kind::ALL.len()],
    pub(super) examples: Vec<Example>,
    /// By SQLSTATE, or a word.
    pub(super) errors: BTreeMap<String, Errors>,
    /// Sampled reads, by the place that served them.
    pub(super) nodes: BTreeMap<String, u64>,
    pub(super) sampled: u64,
    pub(super) on_replicas: u64,
}

impl Tally {
    /// A read was judged.
    pub(super) fn read(&mut self, path: Path, verdict: &Verdict, time: Duration) {
        self.reads[path as usize] += 1;
        self.soon += u64::from(verdict.since_write.is_some_and(|time| time <= SOON));
        self.read_time.add(time);
        self.staleness.add(verdict.staleness);
        self.wrong += u64::from(!verdict.kinds.is_empty());
        for kind in verdict.kinds.iter() {
            self.kinds[kind as usize] += 1;
        }
    }

    /// Whether examples of any of these kinds, just counted, are still wanted.
    pub(super) fn wants(&self, kinds: Kinds) -> bool {
        kinds.iter().any(|kind| self.violations(kind) <= EXAMPLES)
    }

    /// Keeps an example, unless there are enough of its kind.
    pub(super) fn keep(&mut self, example: Example) {
        let of_kind = self.examples.iter().filter(|kept| kept.kind == example.kind).count();
        if (of_kind as u64) < EXAMPLES {
            self.examples.push(example);
        }
    }

    /// A write was acknowledged.
    pub(super) fn wrote(&mut self, time: Duration) {
        self.writes += 1;
        self.write_time.add(time);
    }

    /// A statement failed.
    pub(super) fn failed(&mut self, code: &str, text: impl FnOnce() -> String) {
        let code = if self.errors.len() < NAMES { code } else { "other" };
        if !self.errors.contains_key(code) {
            self.errors.insert(code.to_owned(), Errors { count: 0, first: text() });
        }
        if let Some(errors) = self.errors.get_mut(code) {
            errors.count += 1;
        }
    }

    /// A read was found to have been served there.
    pub(super) fn sample(&mut self, route: &Route) {
        self.sampled += 1;
        self.on_replicas += u64::from(route.is_replica);
        let place = route.place();
        if self.nodes.len() < NAMES || self.nodes.contains_key(&place) {
            *self.nodes.entry(place).or_default() += 1;
        }
    }

    /// Reads judged.
    pub(super) fn checked(&self) -> u64 {
        self.reads.iter().sum()
    }

    /// Reads judged on this path.
    pub(super) fn reads(&self, path: Path) -> u64 {
        self.reads[path as usize]
    }

    /// Violations of this kind.
    pub(super) fn violations(&self, kind: Kind) -> u64 {
        self.kinds[kind as usize]
    }

    /// Statements that failed.
    pub(super) fn failures(&self) -> u64 {
        self.errors.values().map(|errors| errors.count).sum()
    }

    /// Reads served by replicas, of those that were sampled, in percent.
    pub(super) fn replica_share(&self) -> Option<f64> {
        (self.sampled > 0).then(|| 100.0 * self.on_replicas as f64 / self.sampled as f64)
    }
}
