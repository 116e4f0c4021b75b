//! From a WAL position to an instant: which of the primary's samples lie at or behind it.

use std::collections::VecDeque;

use super::{Lsn, Sample, Tick};

/// Samples kept. When there are as many, every second one of the older half goes: positions that are long past are
/// told less exactly, which is stricter, never weaker.
const LENGTH: usize = 256;

/// The samples of one primary on one timeline, oldest first, both fields rising.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trail(VecDeque<Sample>);

impl Trail {
    /// A sample has come in.
    pub fn sampled(&mut self, sample: Sample) {
        if self.0.back().is_some_and(|last| sample.flushed <= last.flushed || sample.at <= last.at) {
            // Nothing was written since: the earlier instant says more.
            return;
        }
        if self.0.len() == LENGTH {
            let mut number = 0;
            self.0.retain(|_| {
                number += 1;
                number > LENGTH / 2 || number % 2 == 1
            });
        }
        self.0.push_back(sample);
    }

    /// An instant such that a replica whose horizon is not before it has replayed `lsn`. `None` when the primary was not
    /// seen to have come so far yet.
    pub fn reached(&self, lsn: Lsn) -> Option<Tick> {
        let at = self.0.partition_point(|sample| sample.flushed < lsn);
        self.0.get(at).map(|sample| sample.at)
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
    fn finds_the_earliest_sample_that_has_it() {
        let mut trail = Trail::default();
        for (at, lsn) in [(10, 100), (20, 100), (30, 300)] {
            trail.sampled(sample(at, lsn));
        }
        assert_eq!(trail.reached(Lsn(50)), Some(Tick(10)));
        assert_eq!(trail.reached(Lsn(100)), Some(Tick(10)));
        assert_eq!(trail.reached(Lsn(101)), Some(Tick(30)));
        assert_eq!(trail.reached(Lsn(301)), None);
    }

    proptest! {
        /// Whatever was thinned out: the instant is one of a sample that lies at or behind the position.
        #[test]
        fn never_too_early(steps in proptest::collection::vec((1u64..9, 0u64..9), 1..2000), ask in 0u64..9000) {
            let (mut trail, mut all) = (Trail::default(), Vec::new());
            let (mut at, mut flushed) = (0, 0);
            for (later, more) in steps {
                (at, flushed) = (at + later, flushed + more);
                trail.sampled(sample(at, flushed));
                all.push(sample(at, flushed));
            }
            prop_assert!(trail.0.len() <= LENGTH);
            let earliest = all.iter().find(|s| s.flushed >= Lsn(ask)).map(|s| s.at);
            prop_assert_eq!(trail.reached(Lsn(ask)).is_some(), earliest.is_some());
            prop_assert!(trail.reached(Lsn(ask)) >= earliest);
        }
    }
}
