//! The catalog of the cluster's database: read from the primary, kept, and read again when it may have changed.
//!
//! Owns the connection for that and the newest [`Snapshot`]. What the facts mean is `sql::catalog`'s knowledge. Must not
//! know sessions or statements.

mod decode;
mod keep;
mod paths;
mod query;
mod read;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Notify;

pub(super) use keep::keep;

use super::Cluster;
use crate::sql::catalog::{Catalog, SearchPath, Vouched};
use paths::Paths;

/// What was known of the database at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Counts the readings that found something new; 0 before the first.
    pub generation: u64,
    /// What is known.
    pub catalog: Catalog,
    paths: Paths,
    vouched: Arc<Vouched>,
}

impl Snapshot {
    /// What `search_path` is for a user who has not set it in the session. Anything, if that cannot be known.
    pub fn default_path(&self, user: &str) -> SearchPath {
        self.paths.of(user)
    }

    /// Whether the transactions of a user who has not set that are serializable, which no standby takes.
    pub fn is_serializable(&self, user: &str) -> bool {
        self.paths.is_serializable(user)
    }

    /// Whether both say the same.
    fn says_what(&self, other: &Snapshot) -> bool {
        self.catalog.digest() == other.catalog.digest()
            && self.paths == other.paths
            && self.vouched == other.vouched
    }
}

/// Figures about the newest reading, for people and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Its generation.
    pub generation: u64,
    /// Functions and relations it knows, but for the server's own.
    pub objects: usize,
    /// Memory it holds, estimated.
    pub bytes: usize,
    /// How long the last reading took, whatever it found.
    pub took: Duration,
}

/// Keeps the newest snapshot. Its task reads it anew; everybody else looks here.
#[derive(Debug, Default)]
pub struct Keeper {
    current: ArcSwap<Snapshot>,
    generation: AtomicU64,
    /// How many changes were announced.
    announced: AtomicU64,
    /// How many of these the newest reading has seen.
    seen: AtomicU64,
    took_micros: AtomicU64,
    /// Statements on their way that may change the catalog.
    changing: AtomicUsize,
    /// There is a change to be read.
    change: Notify,
    /// Somebody did not find a name.
    question: Notify,
    vouched: ArcSwap<Vouched>,
}

impl Keeper {
    /// Knows nothing yet.
    pub fn new(vouched: Vouched) -> Self {
        Self { vouched: ArcSwap::from_pointee(vouched), ..Self::default() }
    }

    /// From now on this is what the operator vouches for.
    pub fn vouch(&self, vouched: Vouched) {
        if **self.vouched.load() != vouched {
            self.vouched.store(Arc::new(vouched));
            self.changed();
        }
    }

    /// What is known now. Generation 0 knows nothing.
    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// The generation of what is known now.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Whether a change was announced that what is known now may not have in it.
    pub fn is_behind(&self) -> bool {
        self.seen.load(Ordering::Acquire) < self.announced.load(Ordering::Acquire)
    }

    /// The catalog has been changed: an acknowledged statement may have done that. From now on until a reading that began
    /// later is done, [`Self::is_behind`].
    pub fn changed(&self) {
        self.announced.fetch_add(1, Ordering::AcqRel);
        self.change.notify_one();
    }

    /// Whether what is known now is what holds: no change was announced that is not read yet, and none is under way.
    pub fn is_certain(&self) -> bool {
        self.changing.load(Ordering::Acquire) == 0 && !self.is_behind()
    }

    /// A name was not found: perhaps it is new. Many questions make one reading a second at most.
    pub fn ask(&self) {
        self.question.notify_one();
    }

    /// Waits for the first reading. Cancel safe. False if there was none in time.
    pub async fn read_within(&self, wait: Duration) -> bool {
        let read = async {
            while self.generation() == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(wait, read).await.is_ok()
    }

    /// Figures about the newest reading.
    pub fn figures(&self) -> Figures {
        let current = self.current.load();
        Figures {
            generation: current.generation,
            objects: current.catalog.objects(),
            bytes: current.catalog.bytes(),
            took: Duration::from_micros(self.took_micros.load(Ordering::Relaxed)),
        }
    }

    /// A reading that began when `announced` changes had been announced has ended. True if it says something new.
    fn publish(&self, mut found: Snapshot, announced: u64, took: Duration) -> bool {
        let before = self.current.load();
        let news = before.generation == 0 || !before.says_what(&found);
        if news {
            found.generation = before.generation + 1;
            let generation = found.generation;
            // In this order: who takes the number for the snapshot's can only think that what it knows is older.
            self.current.store(Arc::new(found));
            self.generation.store(generation, Ordering::Release);
        }
        self.took_micros.store(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.seen.store(announced, Ordering::Release);
        news
    }
}

/// A statement that may change the catalog and is on its way, until this is dropped. Before that, [`Keeper::changed`]
/// must have been called if it has an effect.
#[derive(Debug)]
pub struct Changing(Arc<Cluster>);

impl Changing {
    /// It is about to be sent.
    pub fn begin(cluster: &Arc<Cluster>) -> Self {
        cluster.catalog.changing.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(cluster))
    }
}

impl Drop for Changing {
    fn drop(&mut self) {
        self.0.catalog.changing.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_behind_until_a_reading_that_began_later() {
        let keeper = Keeper::default();
        assert!(!keeper.is_behind() && keeper.generation() == 0);
        keeper.changed();
        let began = keeper.announced.load(Ordering::Relaxed);
        keeper.changed();
        assert!(keeper.publish(Snapshot::default(), began, Duration::ZERO));
        assert!(keeper.is_behind(), "the second change came after the reading began");
        assert!(!keeper.publish(Snapshot::default(), began + 1, Duration::ZERO), "nothing new");
        assert!(!keeper.is_behind() && keeper.generation() == 1);
    }
}
