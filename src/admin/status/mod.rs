//! The state of the proxy as one document: for the dashboard, for `tidegate top` and for scripts.
//!
//! Owns the [document](Status), how it is made of what the proxy publishes, and who gets it. `docs/dashboard.md` lists its
//! fields; a test holds the two together.

mod document;
mod feed;
mod recorder;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;

pub use document::{
    Clients, Counted, DatabaseStatus, EventStatus, Gate, Kept, NodeState, NodeStatus, Offloaded, Pinned,
    PoolStatus, Role, ShapeStatus, Statements, Status,
};
pub(super) use feed::{Feed, events, status};
#[cfg(test)]
pub(crate) use sample::sample;
