//! Why a statement went where it went.

use std::fmt;

/// Why a statement went where it went. The labels are part of the metrics' contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// A read, and the replica has replayed all it must see.
    Fresh,
    /// A read at level `eventual`.
    Eventual,
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
    /// A read, but no replica had replayed what it must see.
    Stale,
    /// A read, but no replica is healthy.
    NoReplica,
}

impl Reason {
    /// Every reason, in the order of declaration.
    pub const ALL: [Self; 14] = [
        Self::Fresh,
        Self::Eventual,
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
        Self::Stale,
        Self::NoReplica,
    ];

    /// The label in metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Eventual => "eventual",
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
            Self::Stale => "stale",
            Self::NoReplica => "no_replica",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}
