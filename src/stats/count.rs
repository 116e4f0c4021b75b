//! Counters that can be read back: a metric, and a figure for whoever shows what happens.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{Counter, Key};

/// A counter that can be read. Clones count together. Counting is lock-free.
#[derive(Clone, Debug, Default)]
pub struct Count(Arc<AtomicU64>);

impl Count {
    /// So many more.
    pub fn increment(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many there were.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All of them, with the metrics that they are. Whoever asks for the same one again, such as for a node that comes back,
/// counts on.
#[derive(Default)]
pub(super) struct Counts(Mutex<HashMap<Key, (Count, Counter)>>);

impl fmt::Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counts")
    }
}

impl Counts {
    /// The counter of this key. `metric` makes the handle of the metric, the first time.
    pub(super) fn of(&self, key: Key, metric: impl FnOnce(&Key) -> Counter) -> Count {
        let mut counts = self.lock();
        if let Some((count, _)) = counts.get(&key) {
            return count.clone();
        }
        let (count, counter) = (Count::default(), metric(&key));
        counts.insert(key, (count.clone(), counter));
        count
    }

    /// Tells the metrics.
    pub(super) fn publish(&self) {
        for (count, counter) in self.lock().values() {
            counter.absolute(count.get());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, (Count, Counter)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Stats;

    #[test]
    fn counts_are_read_and_rendered_and_go_on() {
        let stats = Stats::default();
        let labels = [("database", "app")];
        let count = stats.count("tidegate_stale_reads_prevented_total", &labels);
        let line = |n: u64| format!("tidegate_stale_reads_prevented_total{{database=\"app\"}} {n}");
        assert!(stats.render().lines().any(|shown| shown == line(0)), "{}", stats.render());
        count.increment(2);
        let again = stats.count("tidegate_stale_reads_prevented_total", &labels);
        again.increment(1);
        assert_eq!((count.get(), again.get()), (3, 3));
        assert!(stats.render().lines().any(|shown| shown == line(3)), "{}", stats.render());
    }
}
