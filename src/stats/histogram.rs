//! A histogram of times: a fixed number of counters, and no memory that grows until somebody asks.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds of the buckets, in nanoseconds; above the last one there is one more.
const BOUNDS: [u64; 16] = [
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    10_000_000_000,
    60_000_000_000,
];

/// How often something took how long. Counting is lock-free.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum: AtomicU64,
}

impl Histogram {
    /// It took so many nanoseconds, `count` times.
    pub fn add(&self, nanos: u64, count: u64) {
        let bucket = BOUNDS.partition_point(|bound| *bound < nanos);
        self.buckets[bucket].fetch_add(count, Ordering::Relaxed);
        self.sum.fetch_add(nanos.saturating_mul(count), Ordering::Relaxed);
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.buckets.iter().all(|bucket| bucket.load(Ordering::Relaxed) == 0)
    }

    /// Its series in Prometheus' text format, without the lines that describe it. `labels` is like `database="app"`.
    /// <https://prometheus.io/docs/instrumenting/exposition_formats/>
    pub fn write(&self, out: &mut String, name: &str, labels: &str) {
        let mut count = 0;
        for (bucket, bound) in self.buckets.iter().zip(BOUNDS.iter().map(Some).chain([None])) {
            count += bucket.load(Ordering::Relaxed);
            let le = bound.map_or("+Inf".to_owned(), |nanos| (*nanos as f64 / 1e9).to_string());
            let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{le}\"}} {count}");
        }
        let sum = self.sum.load(Ordering::Relaxed) as f64 / 1e9;
        let _ = writeln!(out, "{name}_sum{{{labels}}} {sum}\n{name}_count{{{labels}}} {count}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_up_to_each_bound() {
        let histogram = Histogram::default();
        for nanos in [1, 500_000, 500_001, u64::MAX / 4] {
            histogram.add(nanos, 1);
        }
        let mut text = String::new();
        histogram.write(&mut text, "t_seconds", "database=\"app\"");
        for line in [
            "t_seconds_bucket{database=\"app\",le=\"0.0005\"} 2",
            "t_seconds_bucket{database=\"app\",le=\"0.001\"} 3",
            "t_seconds_bucket{database=\"app\",le=\"60\"} 3",
            "t_seconds_bucket{database=\"app\",le=\"+Inf\"} 4",
            "t_seconds_count{database=\"app\"} 4",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }
}
