//! How old connections are, and how old they may get.
//!
//! A pool's own clock only moves on when the pool is tended, about once a second. So what is given back is dated, and
//! its age judged, without a look at the system's clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Nobody lives that long.
const NEVER: u64 = u64::MAX;

/// A pool's clock, in milliseconds from its beginning, and the life time of its connections.
#[derive(Debug)]
pub(super) struct Age {
    begun: Instant,
    now: AtomicU64,
    /// In milliseconds.
    lifetime: AtomicU64,
    /// Counts how often all connections there were had to go.
    generation: AtomicU64,
}

impl Age {
    pub(super) fn new(lifetime: Option<Duration>) -> Self {
        let age = Self {
            begun: Instant::now(),
            now: AtomicU64::new(0),
            lifetime: AtomicU64::new(NEVER),
            generation: AtomicU64::new(0),
        };
        age.limit(lifetime);
        age
    }

    /// What begins from now on lives for so long.
    pub(super) fn limit(&self, lifetime: Option<Duration>) {
        self.lifetime.store(lifetime.map_or(NEVER, milliseconds), Ordering::Relaxed);
    }

    /// Connections of earlier generations are not lent again.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// The next generation begins.
    pub(super) fn retire(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// When the pool was last tended.
    pub(super) fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// The clock moves on. Returns the new instant.
    pub(super) fn advance(&self) -> u64 {
        let now = milliseconds(self.begun.elapsed());
        self.now.store(now, Ordering::Relaxed);
        now
    }

    /// Now, and the end of what begins now: up to a tenth later than its life time says, so that what began together
    /// does not end together.
    pub(super) fn begin(&self) -> (u64, u64) {
        let now = milliseconds(self.begun.elapsed());
        let lifetime = self.lifetime.load(Ordering::Relaxed);
        if lifetime == NEVER {
            return (now, NEVER);
        }
        let late = rand::random_range(0..=lifetime / 10);
        (now, now.saturating_add(lifetime + late))
    }
}

/// A time as [`Age`] counts it.
pub(super) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(NEVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_spread_over_a_tenth_of_a_life() {
        let age = Age::new(Some(Duration::from_hours(1)));
        let ends: Vec<u64> = (0..1000).map(|_| age.begin()).map(|(now, end)| end - now).collect();
        let (first, last) = (*ends.iter().min().unwrap(), *ends.iter().max().unwrap());
        assert!(first >= 3_600_000 && last <= 3_960_000, "{first} {last}");
        assert!(last - first > 300_000, "{first} {last}");
        assert_eq!(Age::new(None).begin().1, NEVER);
    }
}
