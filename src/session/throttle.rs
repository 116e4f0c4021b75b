//! A bound on lines of the log.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::freshness::Tick;

/// Most lines of one kind that one database may log in a second.
const MOST: u64 = 20;

/// Lets so many lines of one kind pass in a second, and counts the others.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    /// The second of the lines that were counted last.
    second: AtomicU64,
    passed: AtomicU64,
    left_out: AtomicU64,
}

/// Those of one database.
#[derive(Debug, Default)]
pub(super) struct Throttles {
    /// Of statements that take long.
    pub(super) slow: Throttle,
    /// Of errors that operators must know of.
    pub(super) errors: Throttle,
    /// Of routes that clients want to be logged.
    pub(super) routes: Throttle,
}

impl Throttle {
    /// Whether one more line may be logged now; if so, how many were left out since the last one.
    pub(super) fn pass(&self, now: Tick) -> Option<u64> {
        let second = now.0 / 1_000_000_000;
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.passed.store(0, Ordering::Relaxed);
        }
        if self.passed.fetch_add(1, Ordering::Relaxed) < MOST {
            return Some(self.left_out.swap(0, Ordering::Relaxed));
        }
        self.left_out.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_lines_and_says_how_many_there_were() {
        let throttle = Throttle::default();
        let now = Tick(5_000_000_000);
        let passed: Vec<_> = (0..MOST + 7).filter_map(|_| throttle.pass(now)).collect();
        assert_eq!(passed, vec![0; 20]);
        assert_eq!(throttle.pass(Tick(now.0 + 1_000_000_000)), Some(7));
        assert_eq!(throttle.pass(Tick(now.0 + 1_000_000_001)), Some(0));
    }
}
