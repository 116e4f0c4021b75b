//! Where a statement goes: one pure function over immutable values.
//!
//! Owns the order of the rules and the names of the reasons. It must not know sockets, pools or clocks: what was
//! known of the cluster at one moment, and one random number, are handed in.

mod need;
mod reason;
mod select;
mod stale;

pub use need::{Need, Promise, Seen, Shown};
pub use reason::Reason;

use crate::freshness::Tick;
use crate::sql::{Intent, Level, OnStale};

/// Number of a node within its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub usize);

/// What a run of statements needs, the strictest of its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// Only reads.
    Read,
    /// Begins a transaction block that promised to be READ ONLY.
    ReadOnlyTransaction,
    /// Begins any other transaction block.
    Transaction,
    /// May write.
    Write,
    /// Touches the session's state.
    SessionState,
    /// Could not be shown to be a read.
    Unknown,
}

/// One statement (or pipeline), its session, and the settings in force for it.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// What it needs.
    pub wants: Wants,
    /// Why the session's server connection is held, if one is.
    pub held: Option<Held>,
    /// What the app said itself.
    pub intent: Option<Intent>,
    /// What it is promised.
    pub level: Level,
    /// What that comes down to.
    pub need: Need,
    /// What happens when no replica meets the need.
    pub stale: Stale,
    /// Why a replica should not be tried, though it looks like a read.
    pub doubt: Option<Doubt>,
    /// The replica not to take again: it just failed this very read.
    pub avoid: Option<NodeId>,
}

/// What happens to a read that no replica is fresh enough for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stale {
    /// What was asked for.
    pub then: OnStale,
    /// For how long it has waited already, in nanoseconds.
    pub waited: u64,
    /// The instant it is.
    pub now: Tick,
}

/// Why what looks like a read is not tried on a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// A replica has refused this shape before.
    RefusedBefore,
    /// Transactions are serializable unless they say otherwise, and no standby takes those.
    Serializable,
    /// The catalog is being read again, so that what the statement names may have become something else.
    Catalog,
}

/// Why a server connection stays with a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// A transaction block is open, or a pipeline has not been synced.
    Transaction,
    /// The session's state cannot move.
    Pin,
}

/// What was known of one replica at one moment.
#[derive(Clone, Copy, Debug)]
pub struct ReplicaView {
    /// Which node.
    pub id: NodeId,
    /// Everything acknowledged before this instant is visible there; [`Tick::NEVER`] when nothing is known.
    pub horizon: Tick,
    /// Statements it works on for this proxy.
    pub outstanding: usize,
    /// How long its horizon takes to come to an instant, in nanoseconds, by what was measured lately; 0 when unknown.
    pub catch_up: u64,
    /// The instant it is working its way to; [`Tick::NEVER`] when it has come to all it was asked for.
    pub working_on: Tick,
    /// Counts its restarts and absences, as far as they were seen.
    pub life: u64,
    /// How much of the reads is for it, beside the weights of the others. Its share is in it.
    pub weight: u32,
    /// How much of its weight counts at this moment, of [`ReplicaView::WHOLE`]: less in slow start.
    pub share: u16,
    /// Whether it is where the proxy is.
    pub is_near: bool,
}

impl ReplicaView {
    /// The whole of a share.
    pub const WHOLE: u16 = 1000;
}

/// Where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The server connection the session holds.
    Held,
    /// The primary, whichever node that is.
    Primary,
    /// This replica.
    Replica(NodeId),
    /// Nowhere yet: a replica will be fresh enough soon. For so many nanoseconds at most.
    Wait(u64),
    /// Nowhere: the client is told that no replica is fresh enough.
    Nowhere,
}

/// A target and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Where to.
    pub target: Target,
    /// Why.
    pub reason: Reason,
}

/// Decides where `request` goes, given the healthy replicas and a random number.
///
/// In order: a held connection; the app's own word; what must be on the primary; a read on a replica that is
/// fresh enough; else what was asked for when none is.
pub fn route(request: &Request, replicas: &[ReplicaView], random: u64) -> Decision {
    let primary = |reason| Decision { target: Target::Primary, reason };
    match request.held {
        Some(Held::Transaction) => return Decision { target: Target::Held, reason: Reason::Transaction },
        Some(Held::Pin) => return Decision { target: Target::Held, reason: Reason::Pinned },
        None => {}
    }
    if request.intent == Some(Intent::Primary) {
        return primary(Reason::IntentPrimary);
    }
    match request.wants {
        Wants::Read | Wants::ReadOnlyTransaction => {}
        Wants::Unknown if request.intent == Some(Intent::Replica) => {}
        Wants::Transaction => return primary(Reason::Transaction),
        Wants::Write => return primary(Reason::Write),
        Wants::SessionState => return primary(Reason::SessionState),
        Wants::Unknown => return primary(Reason::Unknown),
    }
    match request.doubt {
        Some(Doubt::RefusedBefore) => return primary(Reason::RefusedBefore),
        Some(Doubt::Catalog) => return primary(Reason::Catalog),
        Some(Doubt::Serializable) => return primary(Reason::Serializable),
        None => {}
    }
    match request.level {
        Level::Primary => return primary(Reason::LevelPrimary),
        Level::Eventual | Level::Bounded(_) | Level::Session | Level::Strong => {}
    }
    match select::replica(request, replicas, random) {
        Ok(id) => Decision { target: Target::Replica(id), reason: select::reason(request) },
        Err(reason) => Decision { target: stale::target(request, replicas), reason },
    }
}

#[cfg(test)]
mod tests;
