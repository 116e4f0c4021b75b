//! What a session does when no replica is fresh enough: waits, keeps to the primary's budget, or gives up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::failure::Failure;
use super::serve::Session;
use super::summary::Summary;
use crate::cluster::{Cluster, Node};
use crate::config::{DatabaseSettings, Overflow};
use crate::routing::{Decision, NodeId, Reason, Stale, Target};
use crate::stats::Waited;

/// How many reads the primary takes over from replicas that lag, at one time.
#[derive(Debug)]
pub(super) struct Budget {
    /// `None`: any number.
    room: Option<Arc<Semaphore>>,
    limit: usize,
    overflow: Overflow,
    /// Longest wait for room; `None` means for ever.
    patience: Option<Duration>,
}

/// What becomes of a read that wants to go to the primary.
pub(super) enum Room {
    /// It may, and gives this back when it is done.
    Given(Option<OwnedSemaphorePermit>),
    /// There is none at this moment.
    Awaited(Arc<Semaphore>),
}

impl Budget {
    pub(super) fn new(settings: &DatabaseSettings) -> Self {
        Self {
            room: settings.primary_read_limit.map(|limit| Arc::new(Semaphore::new(limit))),
            limit: settings.primary_read_limit.unwrap_or_default(),
            overflow: settings.primary_read_overflow,
            patience: settings.pool.pool_timeout,
        }
    }

    /// The same budget by other settings. Reads that have room keep it.
    pub(super) fn adapted(&self, before: &DatabaseSettings, now: &DatabaseSettings) -> Self {
        let new = Self::new(now);
        match &self.room {
            Some(room) if before.primary_read_limit == now.primary_read_limit => {
                Self { room: Some(Arc::clone(room)), ..new }
            }
            _ => new,
        }
    }

    fn exhausted(&self) -> Failure {
        let text = format!(
            "no replica is fresh enough, and the primary takes over no more than {} reads at one time",
            self.limit
        );
        Failure::error("53400", text).with_hint(
            "Replicas lag: see tidegate_replica_staleness_seconds. The limit is primary_read_limit.",
        )
    }
}

impl Session {
    /// How a read for which no replica is fresh enough is dealt with, `waited` after it arrived. Where one is, that does
    /// not matter, and the clock is not looked at.
    pub(super) fn staleness(&self, summary: &Summary, waited: Duration) -> Stale {
        if self.view.iter().any(|replica| summary.need.is_met_by(replica)) {
            return Stale::default();
        }
        Stale {
            then: summary.on_stale.unwrap_or_else(|| self.defaults(None).on_stale),
            waited: u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX),
            now: self.database.cluster.clock.now(),
        }
    }

    /// Waits until a replica is fresh enough. Cancel safe.
    pub(super) async fn await_replica(&self, summary: &Summary, avoid: Option<NodeId>, nanos: u64) {
        let cluster = &self.database.cluster;
        cluster.want(summary.need.mark);
        if let Some(seen) = summary.need.seen {
            cluster.want(seen.at);
        }
        let begun = Instant::now();
        let within = Duration::from_nanos(nanos);
        let met = cluster.progress_within(within, || is_open(cluster, summary, avoid)).await;
        let outcome = if met { Waited::Replica } else { Waited::InVain };
        self.database.stats.waited(outcome, begun.elapsed());
    }

    /// Room on the primary for a read that no replica is fresh enough for, if there is some.
    pub(super) fn room_at_once(&self, decision: Decision) -> Result<Room, Failure> {
        let budget = &self.database.budget;
        let falls_back = decision.target == Target::Primary
            && matches!(decision.reason, Reason::Stale | Reason::NoReplica);
        let Some(room) = budget.room.as_ref().filter(|_| falls_back) else { return Ok(Room::Given(None)) };
        if let Ok(permit) = Arc::clone(room).try_acquire_owned() {
            return Ok(Room::Given(Some(permit)));
        }
        if budget.overflow == Overflow::Error {
            return Err(budget.exhausted());
        }
        Ok(Room::Awaited(Arc::clone(room)))
    }

    /// Waits for room on the primary; `None` when a replica has become fresh enough meanwhile.
    pub(super) async fn room(
        &self,
        room: Arc<Semaphore>,
        summary: &Summary,
        avoid: Option<NodeId>,
    ) -> Result<Option<OwnedSemaphorePermit>, Failure> {
        let budget = &self.database.budget;
        let begun = Instant::now();
        let cluster = &self.database.cluster;
        let longest = budget.patience.unwrap_or(Duration::MAX);
        let got = tokio::select! {
            permit = room.acquire_owned() => permit.ok(),
            met = cluster.progress_within(longest, || is_open(cluster, summary, avoid)) => {
                if !met {
                    self.database.stats.waited(Waited::InVain, begun.elapsed());
                    return Err(budget.exhausted());
                }
                None
            }
        };
        let outcome = if got.is_none() { Waited::Replica } else { Waited::Primary };
        self.database.stats.waited(outcome, begun.elapsed());
        Ok(got)
    }

    /// No replica is fresh enough, and the client wants no other.
    pub(super) fn none_fresh(reason: Reason) -> Failure {
        let text = match reason {
            Reason::NoReplica => "no replica is healthy, and on_stale is error",
            _ => "no replica has replayed what this read must see, and on_stale is error",
        };
        Failure::error("57T01", text)
            .with_hint("Try again in a moment, or let it wait or go to the primary: tidegate.on_stale.")
    }
}

/// Whether some replica may serve.
pub(super) fn is_open(cluster: &Cluster, summary: &Summary, avoid: Option<NodeId>) -> bool {
    cluster.nodes().iter().any(|node| Some(node.id) != avoid && can_serve(node, summary))
}

/// Whether this node is a healthy replica that is fresh enough.
pub(super) fn can_serve(node: &Node, summary: &Summary) -> bool {
    node.serves_reads() && summary.need.is_met_by(&node.view())
}
