//! Whether a replica should serve reads at this moment, and how many, by what was seen of it.
//!
//! Owns the reasons to take one out, the thresholds ([`Limits`]), how one replica stands ([`Health`]) and what is weighed
//! among all of a cluster ([`Panel`]). Health only ever takes out: whether a replica is fresh enough for a read is decided
//! without it. It must not know clocks, sockets or nodes: instants and what was seen are handed in.

mod cause;
mod limits;
mod pace;
mod panel;
mod standing;
mod window;

pub use cause::{Cause, Causes};
pub use limits::Limits;
pub use panel::{LOOK, Panel};
pub use standing::{FULL, Health};

/// What was seen of one replica since the last look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Whether it can be used at all.
    pub contact: Contact,
    /// How far back its horizon lies, in nanoseconds; `None` while that says nothing about the replica.
    pub lag: Option<u64>,
    /// Transactions that have begun there.
    pub begun: u64,
    /// How many have failed there for a fault of the server's.
    pub failed: u64,
    /// How long its last answer to the monitor took, in nanoseconds, if one came.
    pub answer: Option<u64>,
    /// For how long the monitor has been waiting for an answer, in nanoseconds, if it is.
    pub unanswered: Option<u64>,
}

/// Whether a node can be used as a replica, by what the monitor knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contact {
    /// It answers as a replica of the primary there is.
    Replica,
    /// The same, but since the last look it was lost in between.
    Returned,
    /// A connection to it broke; the monitor's own still stands, and is being asked.
    Suspected,
    /// It cannot be connected to, or does not say who it is.
    Lost,
    /// It is no replica of this primary.
    Refused,
    /// It is the primary.
    Primary,
}

#[cfg(test)]
mod tests;
