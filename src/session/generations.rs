//! A bounded map that forgets in two generations.

use std::collections::HashMap;
use std::hash::Hash;

use rustc_hash::FxBuildHasher;

/// A bounded map that forgets what was not asked for while its younger half filled. Its keys are hashes that nobody
/// outside can guess: they are not hashed well once more.
#[derive(Debug)]
pub(super) struct Generations<K, V> {
    young: HashMap<K, (V, usize), FxBuildHasher>,
    old: HashMap<K, (V, usize), FxBuildHasher>,
    weight: usize,
    old_weight: usize,
    limit: usize,
}

impl<K: Eq + Hash + Clone, V: Clone> Generations<K, V> {
    pub(super) fn new(limit: usize) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), weight: 0, old_weight: 0, limit }
    }

    pub(super) fn get(&mut self, key: &K) -> Option<V> {
        if let Some((value, _)) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, (value, weight)) = self.old.remove_entry(key)?;
        self.old_weight -= weight;
        self.insert(key, value.clone(), weight);
        Some(value)
    }

    pub(super) fn remove_if(&mut self, key: &K, is_it: impl Fn(&V) -> bool) {
        for (half, weight) in [(&mut self.young, &mut self.weight), (&mut self.old, &mut self.old_weight)] {
            if half.get(key).is_some_and(|(value, _)| is_it(value)) {
                *weight -= half.remove(key).map_or(0, |(_, weight)| weight);
            }
        }
    }

    pub(super) fn insert(&mut self, key: K, value: V, weight: usize) {
        if self.weight + weight > self.limit {
            self.old = std::mem::take(&mut self.young);
            self.old_weight = std::mem::take(&mut self.weight);
        }
        self.weight += weight;
        if let Some((_, before)) = self.young.insert(key, (value, weight)) {
            self.weight -= before;
        }
    }

    /// How many entries there are, and what they weigh.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.young.len() + self.old.len(), self.weight + self.old_weight)
    }

    /// All values.
    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.young.values().chain(self.old.values()).map(|(value, _)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_is_forgotten() {
        let mut cache = Generations::new(2_000);
        cache.insert(0, 'a', 1);
        for i in 1..100_000 {
            cache.insert(i, 'b', 1);
            assert_eq!(cache.get(&0), Some('a'), "after {i}");
            assert!(cache.young.len() + cache.old.len() <= 4_001);
        }
        assert_eq!(cache.get(&1), None);
    }
}
