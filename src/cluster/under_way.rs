//! Commits under way: sent to the primary, and not acknowledged yet.

use std::sync::{Arc, MutexGuard, PoisonError};

use super::{Cluster, footprint};
use crate::freshness::{Flights, Tick};
use crate::sql::catalog::Tables;

/// A commit that is under way until this is dropped. Its mark must be set before that.
#[derive(Debug)]
pub struct UnderWay {
    cluster: Arc<Cluster>,
    written: Tables,
    number: u64,
}

impl UnderWay {
    /// A statement that may commit a write to `written` is about to be sent.
    pub fn begin(cluster: &Arc<Cluster>, written: &Tables) -> Self {
        let number = cluster.flights().begin(cluster.clock.now());
        cluster.marks.under_way(footprint(written));
        Self { cluster: Arc::clone(cluster), written: written.clone(), number }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.cluster.marks.arrived(footprint(&self.written));
        self.cluster.flights().end(self.number);
    }
}

impl Cluster {
    /// A number that stands for the commits under way at this moment: see [`Self::are_over`].
    pub fn under_way(&self) -> u64 {
        self.flights().next()
    }

    /// Whether all commits that `number` stands for are over, but for those that had begun before `since`.
    pub fn are_over(&self, number: u64, since: Tick) -> bool {
        self.flights().are_over(number, since)
    }

    fn flights(&self) -> MutexGuard<'_, Flights> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
