//! How fast a replica answers, beside the others.

use super::limits::nanos;
use crate::freshness::Tick;
use std::time::Duration;

/// No answer is called slow that came within this time: a busy machine is no sick one.
const FLOOR: Duration = Duration::from_millis(50);
/// So many slow answers in a row, and the replica is slow.
const SLOW: u32 = 2;
/// For so long answers must have been fast again.
const RECOVERED: Duration = Duration::from_secs(1);

/// How fast a replica answers the monitor's question, which is the same for all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// A mean of its answers, the newest counting an eighth, in nanoseconds; 0 before the first.
    usual: u64,
    /// Slow answers since the last fast one.
    slow: u32,
    /// Since when answers have been fast, where it was called slow.
    fast_since: Option<Tick>,
    is_slow: bool,
}

impl Pace {
    /// How long it takes by and large, in nanoseconds, if that is known.
    pub(super) fn usual(&self) -> Option<u64> {
        Some(self.usual).filter(|usual| *usual > 0)
    }

    /// An answer came, and took so long.
    pub(super) fn answered(&mut self, took: u64, limit: u64, now: Tick) {
        self.usual = if self.usual == 0 { took } else { self.usual - self.usual / 8 + took / 8 }.max(1);
        if took > limit {
            (self.slow, self.fast_since) = (self.slow.saturating_add(1), None);
        } else {
            self.slow = 0;
            self.fast_since.get_or_insert(now);
        }
    }

    /// Whether the next answer may change what is said of it.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.is_slow || self.slow > 0
    }

    /// Whether it is slow, where the newest question has been unanswered for so long.
    pub(super) fn is_slow(&mut self, unanswered: u64, limit: u64, now: Tick) -> bool {
        let slow = self.slow.saturating_add(u32::from(unanswered > limit));
        if slow >= SLOW {
            self.is_slow = true;
        } else if self.fast_since.is_some_and(|since| now.since(since) >= nanos(RECOVERED)) {
            self.is_slow = false;
        }
        self.is_slow
    }
}

/// How long an answer may take where the others take so long.
pub(super) fn limit(others: u64, factor: u32) -> u64 {
    others.saturating_mul(factor.into()).max(nanos(FLOOR))
}
