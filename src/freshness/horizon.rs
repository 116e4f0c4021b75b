//! How a replica's horizon advances.

use std::collections::VecDeque;

use super::{Lsn, Tick};

/// Samples in flight per replica. When more are waiting the newest gives way, so that the oldest can be reached.
const IN_FLIGHT: usize = 32;

/// The primary's flush position, asked for at (or after) an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Noted *before* the question was sent: what was acknowledged before it lies at or below `flushed`.
    pub at: Tick,
    /// The answer.
    pub flushed: Lsn,
}

/// What is known of one replica: "everything the primary acknowledged before `get()` has been replayed here".
///
/// The horizon moves forward only, until [`Horizon::forget`].
#[derive(Clone, Debug, Default)]
pub struct Horizon {
    passed: Tick,
    replayed: Lsn,
    waiting: VecDeque<Sample>,
    catch_up: u64,
}

/// How much a longer catch-up time counts against those before: an eighth, as in TCP's round-trip estimate (RFC 6298). A
/// shorter one counts for half, so that one long pause is soon forgotten.
const WEIGHT: u64 = 8;

impl Horizon {
    /// The horizon.
    pub fn get(&self) -> Tick {
        self.passed
    }

    /// The replay position last heard of.
    pub fn replayed_lsn(&self) -> Lsn {
        self.replayed
    }

    /// The sample the replica has to reach next, if any waits.
    pub fn next(&self) -> Option<Sample> {
        self.waiting.front().copied()
    }

    /// A sample of the primary has come in. A replica that had replayed that far already is fresh at once.
    pub fn sampled(&mut self, sample: Sample) {
        if sample.flushed <= self.replayed {
            self.advance(sample.at);
            return;
        }
        if self.waiting.back() == Some(&sample) {
            return;
        }
        if self.waiting.len() == IN_FLIGHT {
            self.waiting.pop_back();
        }
        self.waiting.push_back(sample);
    }

    /// The replica has said at `now` how far it has replayed. A position that went back means a restart: all is
    /// forgotten.
    pub fn replayed(&mut self, lsn: Lsn, now: Tick) {
        if lsn < self.replayed {
            self.forget();
        }
        self.replayed = lsn;
        while let Some(sample) = self.waiting.front().copied().filter(|s| s.flushed <= lsn) {
            self.advance(sample.at);
            self.took(now.since(sample.at));
            self.waiting.pop_front();
        }
    }

    /// How long it typically takes from an instant to when the horizon has come there, in nanoseconds; 0 when that is
    /// not known. It tells how long waiting may be worth while, and nothing about what is visible.
    pub fn catch_up(&self) -> u64 {
        self.catch_up
    }

    /// The replica was lost, restarted or changed its timeline: nothing known of it holds any more.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    fn took(&mut self, nanos: u64) {
        self.catch_up = match self.catch_up {
            0 => nanos,
            before if nanos < before => before / 2 + nanos / 2,
            before => before - before / WEIGHT + nanos / WEIGHT,
        };
    }

    fn advance(&mut self, to: Tick) {
        self.passed = self.passed.max(to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(at: u64, flushed: u64) -> Sample {
        Sample { at: Tick(at), flushed: Lsn(flushed) }
    }

    #[test]
    fn newest_reached_sample_wins() {
        let mut h = Horizon::default();
        for (at, lsn) in [(10, 100), (20, 200), (30, 300)] {
            h.sampled(sample(at, lsn));
        }
        assert_eq!(h.get(), Tick::NEVER);
        h.replayed(Lsn(250), Tick(1000));
        assert_eq!(h.get(), Tick(20));
        h.replayed(Lsn(300), Tick(1000));
        assert_eq!(h.get(), Tick(30));
    }

    #[test]
    fn catch_up_time_is_learned() {
        let mut h = Horizon::default();
        for i in 1..100 {
            h.sampled(sample(i * 10, i));
            h.replayed(Lsn(i), Tick(i * 10 + 4));
        }
        assert_eq!(h.catch_up(), 4);
    }

    #[test]
    fn an_idle_primary_keeps_a_caught_up_replica_fresh_for_free() {
        let mut h = Horizon::default();
        h.replayed(Lsn(100), Tick(1000));
        h.sampled(sample(10, 100));
        h.sampled(sample(20, 100));
        assert_eq!(h.get(), Tick(20));
    }

    #[test]
    fn a_restart_that_replays_from_further_back_closes_the_gate() {
        let mut h = Horizon::default();
        h.replayed(Lsn(100), Tick(1000));
        h.sampled(sample(10, 100));
        h.replayed(Lsn(90), Tick(1000));
        assert_eq!(h.get(), Tick::NEVER);
    }

    #[test]
    fn a_replica_far_behind_is_still_seen_to_make_progress() {
        let mut h = Horizon::default();
        (1..1000).for_each(|i| h.sampled(sample(i, i)));
        h.replayed(Lsn(20), Tick(1000));
        assert_eq!(h.get(), Tick(20));
    }

    proptest! {
        /// A primary whose flush position grows, sampled and replayed in any interleaving: the horizon never
        /// claims an instant before which something was acknowledged that is not replayed.
        #[test]
        fn never_claims_what_is_not_replayed(steps in proptest::collection::vec((0u8..4, 1u64..50), 1..400)) {
            let (mut now, mut flushed, mut replayed) = (1u64, 0u64, 0u64);
            let mut acknowledged: Vec<(u64, u64)> = Vec::new(); // (instant, position)
            let mut pending: VecDeque<Sample> = VecDeque::new();
            let mut h = Horizon::default();
            for (what, by) in steps {
                now += by;
                match what {
                    0 => { flushed += by; acknowledged.push((now, flushed)); }
                    1 => pending.push_back(sample(now, flushed)),
                    2 => if let Some(s) = pending.pop_front() { h.sampled(s) },
                    _ => { replayed = (replayed + by).min(flushed); h.replayed(Lsn(replayed), Tick(1000)); }
                }
                for &(at, lsn) in &acknowledged {
                    prop_assert!(at >= h.get().0 || lsn <= replayed, "claims {:?}, missing {lsn} of {at}", h.get());
                }
            }
            h.sampled(sample(now + 1, flushed));
            h.replayed(Lsn(flushed), Tick(1000));
            prop_assert!(h.next().is_none() && h.get() > Tick::NEVER);
        }
    }
}
