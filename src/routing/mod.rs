//! Where a statement goes: one pure function over immutable values.
//!
//! Owns the order of the rules and the names of the reasons. It must not know sockets, pools or clocks: what was
//! known of the cluster at one moment, and one random number, are handed in.

mod reason;
mod select;

pub use reason::Reason;

use crate::freshness::Tick;
use crate::sql::{Intent, Level};

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
    /// How fresh a replica must be.
    pub level: Level,
    /// What the read must see, at level `session`.
    pub mark: Tick,
    /// Why a replica should not be tried, though it looks like a read.
    pub doubt: Option<Doubt>,
    /// The replica not to take again: it just failed this very read.
    pub avoid: Option<NodeId>,
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
/// fresh enough; else the primary.
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
        Level::Eventual | Level::Session => {}
    }
    match select::replica(request, replicas, random) {
        Ok(id) => Decision { target: Target::Replica(id), reason: select::reason(request) },
        Err(reason) => primary(reason),
    }
}

#[cfg(test)]
mod tests;
