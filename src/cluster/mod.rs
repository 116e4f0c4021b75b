//! What is known of one cluster: its nodes, their roles and health, and how far each replica has replayed.
//!
//! Owns the control connections and publishes what they learn as plain values. It must not know sessions, pools
//! or statements.

mod accounts;
mod admit;
pub mod catalog;
mod chronicle;
mod clock;
mod health;
mod history;
mod identity;
mod members;
mod monitor;
mod node;
mod pace;
mod probe;
mod replica;
mod roles;
mod sampler;
#[cfg(any(test, fuzzing))]
mod staged;
mod survey;
mod under_way;
mod vitals;
mod wait_for;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{Notify, watch};

pub use accounts::{AskError, Inquiry};
pub use chronicle::{Chronicle, Event, KEPT, What};
pub use clock::Clock;
pub use history::Lost;
pub use identity::Identity;
pub use members::Members;
pub use monitor::spawn;
pub use node::{Node, Outstanding, State};
pub use probe::{Control, ProbeError, probe};
pub use survey::{Finding, Survey};
pub use under_way::UnderWay;

use crate::config::DatabaseSettings;
use crate::freshness::{Flights, Footprint, Group, Lsn, Marks, Sample, Tick};
use crate::health::Limits;
use crate::routing::{NodeId, ReplicaView};
use crate::sql::catalog::Tables;

/// One primary and its replicas, as one database of the configuration names them.
#[derive(Debug)]
pub struct Cluster {
    /// The proxy's clock.
    pub clock: Clock,
    /// What is known of the database's functions, views and tables.
    pub catalog: catalog::Keeper,
    members: ArcSwap<Vec<Arc<Node>>>,
    /// Numbers given to nodes.
    numbers: AtomicUsize,
    control: ArcSwapOption<Control>,
    ended: watch::Sender<bool>,
    primary: ArcSwapOption<Node>,
    /// What reads must see.
    pub marks: Marks,
    flights: std::sync::Mutex<Flights>,
    history: history::History,
    /// The newest instant that somebody needs horizons to come to.
    wanted: AtomicU64,
    /// The newest one that somebody waits for at this moment.
    urgent: AtomicU64,
    /// Nobody has asked for anything newer than the last sample: whoever does wakes the sampler.
    is_dozing: AtomicBool,
    /// Samples since a read last asked how fresh the replicas are.
    unread: AtomicU32,
    /// Whether acknowledged commits can lie above the flush position (`synchronous_commit = off` was seen).
    async_commit: AtomicBool,
    /// Whether transactions of some user are serializable unless they say otherwise.
    serializable: AtomicBool,
    office: std::sync::Mutex<admit::Office>,
    failovers: AtomicU64,
    /// What has happened to the nodes of late.
    pub chronicle: Chronicle,
    /// Told when a node becomes the primary: those who wait for one go on in the order in which they came.
    crowned: Notify,
    /// Told when something is heard of a node for the first time.
    heard: watch::Sender<()>,
    /// Told when what is under way on a node is given up.
    abandoned: watch::Sender<()>,
    samples: watch::Sender<Term>,
    /// Told whenever a horizon has moved on.
    progress: watch::Sender<()>,
    demand: Notify,
    hurry: Notify,
    nudge: Notify,
    /// Told when there is no primary any more: whoever names the nodes may know more by now.
    pub orphaned: Notify,
    /// A replica has become usable.
    arrivals: Notify,
    /// When replicas are taken out, and how they come back.
    limits: ArcSwap<Limits>,
    /// The causes that are not followed.
    overruled: AtomicU8,
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
        let nodes: Vec<_> = nodes.map(|(i, n)| Arc::new(Node::new(NodeId(i), n.clone()))).collect();
        Self {
            catalog: catalog::Keeper::new(settings.vouched()),
            numbers: AtomicUsize::new(nodes.len()),
            members: ArcSwap::from_pointee(nodes),
            control: ArcSwapOption::empty(),
            ended: watch::Sender::new(false),
            primary: ArcSwapOption::empty(),
            marks: Marks::new(clock.now()),
            flights: std::sync::Mutex::default(),
            history: history::History::default(),
            wanted: AtomicU64::new(clock.now().0),
            urgent: AtomicU64::new(0),
            is_dozing: AtomicBool::new(false),
            unread: AtomicU32::new(0),
            async_commit: AtomicBool::new(false),
            serializable: AtomicBool::new(false),
            office: std::sync::Mutex::default(),
            failovers: AtomicU64::new(0),
            chronicle: Chronicle::default(),
            crowned: Notify::new(),
            heard: watch::Sender::new(()),
            abandoned: watch::Sender::new(()),
            samples: watch::Sender::new(Term::default()),
            progress: watch::Sender::new(()),
            demand: Notify::new(),
            hurry: Notify::new(),
            nudge: Notify::new(),
            orphaned: Notify::new(),
            arrivals: Notify::new(),
            limits: ArcSwap::from_pointee(settings.health),
            overruled: AtomicU8::new(0),
            system: std::sync::Mutex::new(None),
            clock,
        }
    }

    /// The node that takes writes, if one does and was not taken out by hand.
    pub fn primary(&self) -> Option<Arc<Node>> {
        self.primary.load_full().filter(|primary| primary.state() == State::Primary)
    }

    /// Takes a node out by hand: it gets nothing new until it is enabled. It is watched as before.
    pub fn disable(&self, node: &Node) {
        node.set_disabled(true);
        self.chronicle.note(&node.name, What::Disabled, "");
    }

    /// Takes back a node that was taken out by hand.
    pub fn enable(&self, node: &Node) {
        node.set_disabled(false);
        self.chronicle.note(&node.name, What::Enabled, "");
        // Somebody may wait for just this one.
        self.crowned.notify_waiters();
        self.progressed();
    }

    /// The node that takes writes, waited for a while, in the order of the calls. Cancel safe.
    pub async fn primary_within(&self, wait: Duration) -> Option<Arc<Node>> {
        let found = async {
            loop {
                let mut crowned = std::pin::pin!(self.crowned.notified());
                crowned.as_mut().enable();
                if let Some(primary) = self.primary() {
                    return primary;
                }
                crowned.await;
            }
        };
        tokio::time::timeout(wait, found).await.ok()
    }

    /// The healthy replicas at this moment.
    pub fn replicas(&self, into: &mut Vec<ReplicaView>) {
        into.clear();
        into.extend(self.nodes().iter().filter(|n| n.serves_reads()).map(|n| n.view()));
    }

    /// What wrote to `written`, by members of `groups`, was acknowledged just now, or its outcome became unknown.
    /// Returns the mark it sets.
    pub fn wrote(&self, written: &Tables, groups: impl IntoIterator<Item = Group>) -> Tick {
        let now = self.clock.now();
        self.marks.set(now, footprint(written), groups);
        self.want(now);
        now
    }

    /// Counts changes of the primary or its timeline.
    pub fn term(&self) -> u64 {
        self.samples.borrow().number
    }

    /// Somebody will need horizons that are not before `mark`.
    pub fn want(&self, mark: Tick) {
        if self.wanted.fetch_max(mark.0, Ordering::SeqCst) < mark.0
            && self.is_dozing.load(Ordering::SeqCst)
            && self.is_dozing.swap(false, Ordering::SeqCst)
        {
            self.demand.notify_one();
        }
    }

    /// A read asks how fresh the replicas are: it is worth while to know.
    pub fn reads(&self) {
        if self.unread.load(Ordering::Relaxed) > 0 && self.unread.swap(0, Ordering::Relaxed) >= sampler::QUIET
        {
            self.demand.notify_one();
        }
    }

    /// Somebody waits for horizons that have come to this instant. Returns it.
    pub fn want_now(&self) -> Tick {
        let now = self.clock.now();
        self.urgent.fetch_max(now.0, Ordering::SeqCst);
        self.want(now);
        self.hurry.notify_one();
        now
    }

    /// Waits until `is_so`, which may change whenever a horizon moves on. Cancel safe. False when it was not in time.
    pub async fn progress_within(&self, within: Duration, mut is_so: impl FnMut() -> bool) -> bool {
        if is_so() {
            return true;
        }
        let mut progress = self.progress.subscribe();
        let wait = async {
            while !is_so() {
                // The sender lives as long as the cluster.
                let _ = progress.changed().await;
            }
        };
        tokio::time::timeout(within, wait).await.is_ok()
    }

    /// A session uses `synchronous_commit = off`: from now on samples take the insert position.
    pub fn commits_asynchronously(&self) {
        if !self.async_commit.swap(true, Ordering::Relaxed) {
            tracing::info!(
                "synchronous_commit is changed by a session: freshness now follows the insert position"
            );
        }
    }

    /// Whether any session uses `synchronous_commit = off`, or has.
    pub fn is_asynchronous(&self) -> bool {
        self.async_commit.load(Ordering::Relaxed)
    }

    /// Whether a transaction that does not say otherwise may be serializable, which no standby takes.
    pub fn is_serializable(&self) -> bool {
        self.serializable.load(Ordering::Relaxed)
    }

    /// A connection to the node failed: it serves nothing until the monitor has seen it healthy again.
    pub fn lost(&self, id: NodeId, why: &dyn std::fmt::Display) {
        let Some(node) = self.node(id) else { return };
        node.failed();
        node.is_out(why);
        if node.suspect() {
            self.note_loss(&node, why);
            tracing::warn!(node = %node.name, error = %why, "connection lost, node taken out until it is seen healthy");
        }
    }

    /// A node that was in use is lost, for this reason.
    fn note_loss(&self, node: &Node, why: &dyn std::fmt::Display) {
        let what = if self.holds_office(node) { What::PrimaryLost } else { What::Lost };
        self.chronicle.note(&node.name, what, why.to_string());
    }

    /// The newest position that the primary was seen to have flushed; `None` before the first.
    pub fn flushed(&self) -> Option<Lsn> {
        self.samples.borrow().sample.map(|sample| sample.flushed)
    }

    /// Whether some healthy replica has yet to reach the newest instant that is wanted.
    fn is_gate_closed(&self) -> bool {
        let wanted = Tick(self.wanted.load(Ordering::SeqCst));
        self.nodes().iter().any(|n| n.serves_reads() && n.horizon() < wanted)
    }

    /// A horizon has moved on.
    fn progressed(&self) {
        self.progress.send_replace(());
    }
}

/// The tables as `freshness` knows them.
pub fn footprint(tables: &Tables) -> Footprint<'_> {
    match tables {
        Tables::Known(known) => Footprint::Tables(known),
        Tables::Any => Footprint::Anything,
    }
}
