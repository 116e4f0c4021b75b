//! Why a statement went where it went.

use std::fmt;

/// Why a statement went where it went. The labels are part of the metrics' contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// A read, and the replica has replayed all it must see.
    Fresh,
    /// A read at level `eventual`.
    Eventual,
    /// A read at level `bounded`, and the replica's state is not older than that.
    Bounded,
    /// A read at level `strong`, and the replica has replayed all that was acknowledged before it.
    Strong,
    /// The app asked for a replica.
    IntentReplica,
    /// A transaction block that promised to be READ ONLY.
    ReadOnlyTransaction,
    /// In, or beginning, a transaction block.
    Transaction,
    /// The session is bound to its server connection.
    Pinned,
    /// The app asked for the primary.
    IntentPrimary,
    /// The consistency level is `primary`.
    LevelPrimary,
    /// It writes.
    Write,
    /// It touches the session's state.
    SessionState,
    /// It could not be shown to be a read.
    Unknown,
    /// A replica refused this shape before.
    RefusedBefore,
    /// A read, but its transaction would be serializable.
    Serializable,
    /// A read, but what its names mean is being asked again.
    Catalog,
    /// A read, but no replica had replayed what it must see.
    Stale,
    /// A read, but no replica is healthy.
    NoReplica,
    /// The proxy only observes: everything goes to the primary.
    Observe,
}

impl Reason {
    /// Every reason, in the order of declaration.
    pub const ALL: [Self; 19] = [
        Self::Fresh,
        Self::Eventual,
        Self::Bounded,
        Self::Strong,
        Self::IntentReplica,
        Self::ReadOnlyTransaction,
        Self::Transaction,
        Self::Pinned,
        Self::IntentPrimary,
        Self::LevelPrimary,
        Self::Write,
        Self::SessionState,
        Self::Unknown,
        Self::RefusedBefore,
        Self::Serializable,
        Self::Catalog,
        Self::Stale,
        Self::NoReplica,
        Self::Observe,
    ];

    /// The label in metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Eventual => "eventual",
            Self::Bounded => "bounded",
            Self::Strong => "strong",
            Self::IntentReplica => "intent_replica",
            Self::ReadOnlyTransaction => "read_only_transaction",
            Self::Transaction => "transaction",
            Self::Pinned => "pinned",
            Self::IntentPrimary => "intent_primary",
            Self::LevelPrimary => "level_primary",
            Self::Write => "write",
            Self::SessionState => "session_state",
            Self::Unknown => "unknown",
            Self::RefusedBefore => "refused_before",
            Self::Serializable => "serializable",
            Self::Catalog => "catalog",
            Self::Stale => "stale",
            Self::NoReplica => "no_replica",
            Self::Observe => "observe",
        }
    }
}

impl Reason {
    /// What it means, for people: a sentence without its end.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Fresh => "a read, and the replica has replayed all it must see",
            Self::Eventual => "a read at level eventual: any healthy replica will do",
            Self::Bounded => "a read at level bounded, and the replica is not older than that",
            Self::Strong => "a read at level strong, and the replica has replayed all acknowledged before it",
            Self::IntentReplica => "the application asked for a replica",
            Self::ReadOnlyTransaction => "a transaction that promised to be READ ONLY",
            Self::Transaction => "it begins a transaction block, or runs in one",
            Self::Pinned => "the session is bound to its server connection",
            Self::IntentPrimary => "the application, or a rule, asked for the primary",
            Self::LevelPrimary => "the consistency level is primary",
            Self::Write => "it writes",
            Self::SessionState => "it is about the session's state",
            Self::Unknown => "it could not be shown to be a read",
            Self::RefusedBefore => "a replica has refused this shape before",
            Self::Serializable => "a read, but serializable, which no standby takes",
            Self::Catalog => "the catalog has changed and is being read again",
            Self::Stale => "a read, but no replica had replayed all it must see",
            Self::NoReplica => "a read, but no replica is healthy",
            Self::Observe => "the proxy only observes",
        }
    }
}

impl Reason {
    /// Whether what went somewhere for this reason was a read for certain.
    pub fn is_read(self) -> bool {
        matches!(
            self,
            Self::Fresh
                | Self::Eventual
                | Self::Bounded
                | Self::Strong
                | Self::IntentReplica
                | Self::ReadOnlyTransaction
                | Self::RefusedBefore
                | Self::Serializable
                | Self::LevelPrimary
                | Self::Stale
                | Self::NoReplica
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}
