//! Which of the proxy's prepared statements one server connection has.

use rustc_hash::FxHashMap;

/// What is known of a server's unnamed statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unnamed {
    /// There is none.
    #[default]
    Absent,
    /// It is this one of the proxy's statements.
    Is(u64),
    /// Nobody knows: an error has come in between.
    Unknown,
}

/// The prepared statements of one server connection, by the proxy-wide number of the statement; bounded.
#[derive(Debug)]
pub struct PreparedSet {
    used: FxHashMap<u64, u64>,
    uses: u64,
    limit: usize,
    unnamed: Unnamed,
}

impl PreparedSet {
    /// An empty set that holds at most `limit` named statements (at least one).
    pub fn new(limit: usize) -> Self {
        Self { used: FxHashMap::default(), uses: 0, limit: limit.max(1), unnamed: Unnamed::Absent }
    }

    /// Whether the statement is there; counts as a use.
    pub fn touch(&mut self, id: u64) -> bool {
        self.uses += 1;
        self.used.get_mut(&id).map(|at| *at = self.uses).is_some()
    }

    /// The statement is about to be prepared. When the set is full this names the one to close first: the one
    /// whose last use is longest ago. It counts as gone from now on.
    pub fn insert(&mut self, id: u64) -> Option<u64> {
        let oldest = self.used.iter().min_by_key(|(_, at)| **at).map(|(id, _)| *id);
        let evicted = oldest.filter(|_| self.used.len() >= self.limit);
        if let Some(evicted) = evicted {
            self.used.remove(&evicted);
        }
        self.uses += 1;
        self.used.insert(id, self.uses);
        evicted
    }

    /// Preparing the statement did not succeed, or it was closed.
    pub fn remove(&mut self, id: u64) {
        self.used.remove(&id);
    }

    /// Everything was deallocated.
    pub fn clear(&mut self) {
        self.used.clear();
        self.unnamed = Unnamed::Unknown;
    }

    /// What is known of the server's unnamed statement.
    pub fn unnamed(&self) -> Unnamed {
        self.unnamed
    }

    /// What the server's unnamed statement is from now on.
    pub fn set_unnamed(&mut self, unnamed: Unnamed) {
        self.unnamed = unnamed;
    }

    /// Named statements held.
    pub fn len(&self) -> usize {
        self.used.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.used.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_gives_way() {
        let mut set = PreparedSet::new(2);
        assert_eq!(set.insert(1), None);
        assert_eq!(set.insert(2), None);
        assert!(set.touch(1));
        assert_eq!(set.insert(3), Some(2));
        assert!(!set.touch(2));
        assert_eq!(set.len(), 2);
    }
}
