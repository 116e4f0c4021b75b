//! How old connections are, and how old they may get.
//!
//! A pool's own clock only moves on when the pool is tended, about once a second. So what is given back is dated, and
//! its age judged, without a look at the system's clock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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
    /// When they had to for the last time, in nanoseconds from its beginning; 0: never.
    retired: AtomicU64,
    /// How many connections there are of each generation.
    members: Mutex<BTreeMap<u64, usize>>,
}

/// A connection is among those of its generation until this is dropped.
#[derive(Debug)]
pub(super) struct Member {
    age: Arc<Age>,
    pub(super) generation: u64,
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut members = self.age.members.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = members.get_mut(&self.generation) {
            *count -= 1;
            if *count == 0 {
                members.remove(&self.generation);
            }
        }
    }
}

impl Age {
    pub(super) fn new(lifetime: Option<Duration>) -> Self {
        let age = Self {
            begun: Instant::now(),
            now: AtomicU64::new(0),
            lifetime: AtomicU64::new(NEVER),
            generation: AtomicU64::new(0),
            retired: AtomicU64::new(0),
            members: Mutex::default(),
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
        self.retired.store(self.nanoseconds(Instant::now()).max(1), Ordering::Relaxed);
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// One more connection of this generation.
    pub(super) fn join(self: &Arc<Self>, generation: u64) -> Member {
        *self.members.lock().unwrap_or_else(PoisonError::into_inner).entry(generation).or_default() += 1;
        Member { age: Arc::clone(self), generation }
    }

    /// How many connections there are of earlier generations: they are in use, and close when they are given back.
    pub(super) fn outdated(&self) -> usize {
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.range(..self.generation()).map(|(_, count)| count).sum()
    }

    /// Whether what was opened then has had to go since.
    pub(super) fn is_outdated(&self, opened: Instant) -> bool {
        self.nanoseconds(opened) < self.retired.load(Ordering::Relaxed)
    }

    fn nanoseconds(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.begun).as_nanos()).unwrap_or(NEVER)
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

    #[test]
    fn connections_of_earlier_generations_are_counted_until_they_are_gone() {
        let age = Arc::new(Age::new(None));
        let (before, opened) = ([age.join(age.generation()), age.join(age.generation())], Instant::now());
        assert_eq!((age.outdated(), age.is_outdated(opened)), (0, false));
        age.retire();
        let after = age.join(age.generation());
        assert_eq!(
            (age.outdated(), age.is_outdated(opened), age.is_outdated(Instant::now())),
            (2, true, false)
        );
        drop(before);
        assert_eq!(age.outdated(), 0);
        age.retire();
        assert_eq!(age.outdated(), 1);
        drop(after);
        assert_eq!(age.outdated(), 0);
    }
}
