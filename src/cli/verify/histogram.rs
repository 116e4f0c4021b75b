//! Times, counted by size: percentiles of any number of them in a few kilobytes.

use std::time::Duration;

/// Buckets for each doubling: the error is at most a sixteenth.
const FINE: u64 = 16;
/// Doublings from 16 µs to about two hours; longer counts as that.
const DOUBLINGS: u64 = 29;

/// Times in microseconds.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    buckets: Box<[u64]>,
    count: u64,
    max: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        let buckets = usize::try_from(FINE * (DOUBLINGS + 1)).unwrap_or(0);
        Self { buckets: vec![0; buckets].into(), count: 0, max: Duration::ZERO }
    }
}

impl Histogram {
    /// Counts a time.
    pub(super) fn add(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = usize::try_from(bucket(micros)).unwrap_or(usize::MAX).min(self.buckets.len() - 1);
        self.buckets[bucket] += 1;
        self.count += 1;
        self.max = self.max.max(time);
    }

    /// The longest.
    pub(super) fn max(&self) -> Duration {
        self.max
    }

    /// The time that so many percent of all do not exceed; 0 where there is none.
    pub(super) fn percentile(&self, percent: f64) -> Duration {
        let mut left = (self.count as f64 * percent / 100.0).ceil();
        for (bucket, count) in (0..).zip(&self.buckets) {
            left -= *count as f64;
            if left <= 0.0 && self.count > 0 {
                return Duration::from_micros(upper(bucket)).min(self.max);
            }
        }
        self.max
    }
}

/// Up to 15 by themselves, then 16 for each doubling.
fn bucket(micros: u64) -> u64 {
    let Some(doubling) = micros.checked_ilog2().and_then(|log| log.checked_sub(FINE.ilog2())) else {
        return micros;
    };
    FINE * u64::from(doubling) + (micros >> doubling)
}

/// The greatest time that falls into the bucket, in microseconds.
fn upper(bucket: u64) -> u64 {
    let Some(doubling) = (bucket / FINE).checked_sub(1) else { return bucket };
    ((FINE + bucket % FINE + 1) << doubling) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_in_order_and_hold_what_they_say() {
        for micros in (0..5_000).chain([1 << 20, 1 << 34, (1 << 34) + 1]) {
            let upper_bound = upper(bucket(micros));
            assert!(upper_bound >= micros, "{micros}");
            assert!(upper_bound - micros <= micros / FINE, "{micros}: {upper_bound}");
            assert!(bucket(micros + 1) >= bucket(micros), "{micros}");
        }
    }

    #[test]
    fn percentiles_of_known_times() {
        let mut times = Histogram::default();
        assert_eq!(times.percentile(99.0), Duration::ZERO);
        (1..=1000).for_each(|n| times.add(Duration::from_micros(n * 100)));
        let near = |percent: f64, micros: f64| {
            let found = times.percentile(percent).as_secs_f64() * 1e6;
            assert!((found - micros).abs() <= micros / 15.0, "{percent}: {found}");
        };
        near(50.0, 50_000.0);
        near(99.0, 99_000.0);
        assert_eq!(
            (times.percentile(100.0), times.max()),
            (Duration::from_millis(100), Duration::from_millis(100))
        );
        times.add(Duration::MAX);
        assert_eq!(times.max(), Duration::MAX);
    }
}
