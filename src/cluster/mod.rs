//! What is known of one cluster: its nodes, their roles and health, and how far each replica has replayed.
//!
//! Owns the control connections and publishes what they learn as plain values. It must not know sessions, pools
//! or statements.

pub mod catalog;
mod clock;
mod identity;
mod monitor;
mod node;
mod probe;
mod replica;
mod sampler;
mod survey;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use std::time::Duration;

use tokio::sync::{Notify, watch};

pub use clock::Clock;
pub use identity::Identity;
pub use monitor::spawn;
pub use node::{Node, Outstanding, State};
pub use probe::{Control, ProbeError, probe};
pub use survey::{Finding, Survey};

use crate::config::DatabaseSettings;
use crate::freshness::{Sample, Tick};
use crate::routing::{NodeId, ReplicaView};

const NO_PRIMARY: usize = usize::MAX;

/// One primary and its replicas, as one database of the configuration names them.
#[derive(Debug)]
pub struct Cluster {
    /// The proxy's clock.
    pub clock: Clock,
    /// What is known of the database's functions, views and tables.
    pub catalog: catalog::Keeper,
    /// Every node of the configuration, by its [`NodeId`].
    pub nodes: Vec<Arc<Node>>,
    primary: AtomicUsize,
    /// Everything acknowledged before this instant must be visible to a read of scope `database`.
    mark: AtomicU64,
    /// Whether acknowledged commits can lie above the flush position (`synchronous_commit = off` was seen).
    async_commit: AtomicBool,
    /// Whether transactions of some user are serializable unless they say otherwise.
    serializable: AtomicBool,
    samples: watch::Sender<Term>,
    demand: Notify,
    nudge: Notify,
    system: std::sync::Mutex<Option<String>>,
}

/// The newest sample of a primary, and which primary it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Term {
    /// Counts changes of the primary or its timeline; 0 before the first.
    number: u64,
    /// The primary's timeline.
    timeline: u32,
    sample: Option<Sample>,
}

impl Cluster {
    /// A cluster nothing is known of yet. The first mark is now: what other processes wrote before must be seen.
    pub fn new(settings: &DatabaseSettings, clock: Clock) -> Self {
        let nodes = settings.nodes.iter().enumerate();
        Self {
            catalog: catalog::Keeper::default(),
            nodes: nodes.map(|(i, n)| Arc::new(Node::new(NodeId(i), n.clone()))).collect(),
            primary: AtomicUsize::new(NO_PRIMARY),
            mark: AtomicU64::new(clock.now().0),
            async_commit: AtomicBool::new(false),
            serializable: AtomicBool::new(false),
            samples: watch::Sender::new(Term::default()),
            demand: Notify::new(),
            nudge: Notify::new(),
            system: std::sync::Mutex::new(None),
            clock,
        }
    }

    /// The node that takes writes, if one does.
    pub fn primary(&self) -> Option<&Arc<Node>> {
        self.nodes.get(self.primary.load(Ordering::Acquire))
    }

    /// The node that takes writes, waited for a while. Cancel safe.
    pub async fn primary_within(&self, wait: Duration) -> Option<Arc<Node>> {
        let mut terms = self.samples.subscribe();
        let found = async {
            loop {
                if let Some(primary) = self.primary() {
                    return Arc::clone(primary);
                }
                // Whoever becomes the primary samples at once.
                let _ = terms.changed().await;
            }
        };
        tokio::time::timeout(wait, found).await.ok()
    }

    /// The healthy replicas at this moment.
    pub fn replicas(&self, into: &mut Vec<ReplicaView>) {
        into.clear();
        into.extend(self.nodes.iter().filter(|n| n.state() == State::Replica).map(|n| ReplicaView {
            id: n.id,
            horizon: n.horizon(),
            outstanding: n.outstanding(),
        }));
    }

    /// The mark of scope `database`.
    pub fn mark(&self) -> Tick {
        Tick(self.mark.load(Ordering::Acquire))
    }

    /// A transaction that may have written was acknowledged just now, or its outcome became unknown.
    /// Returns the mark it sets.
    pub fn wrote(&self) -> Tick {
        let now = self.clock.now();
        self.mark.fetch_max(now.0, Ordering::AcqRel);
        self.demand.notify_one();
        now
    }

    /// A session uses `synchronous_commit = off`: from now on samples take the insert position.
    pub fn commits_asynchronously(&self) {
        if !self.async_commit.swap(true, Ordering::Relaxed) {
            tracing::info!(
                "synchronous_commit is changed by a session: freshness now follows the insert position"
            );
        }
    }

    /// Whether a transaction that does not say otherwise may be serializable, which no standby takes.
    pub fn is_serializable(&self) -> bool {
        self.serializable.load(Ordering::Relaxed)
    }

    /// A connection to the node failed: it serves nothing until the monitor has seen it healthy again.
    pub fn lost(&self, id: NodeId, why: &dyn std::fmt::Display) {
        let Some(node) = self.nodes.get(id.0) else { return };
        if node.suspect() {
            tracing::warn!(node = %node.name, error = %why, "connection lost, node taken out until it is seen healthy");
        }
    }

    /// Whether some healthy replica has yet to reach the newest mark.
    fn is_gate_closed(&self) -> bool {
        let mark = self.mark();
        self.nodes.iter().any(|n| n.state() == State::Replica && n.horizon() < mark)
    }
}
