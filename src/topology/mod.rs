//! Which nodes a database has, followed while the proxy runs.
//!
//! A **source** only says which nodes there are: the hosts of the configuration and what their names lead to (`names`),
//! Patroni (`patroni`), or the servers that stream from a node (`streaming`). What a node is good for is decided by
//! what it says itself, in `cluster`. This module owns the asking and the list; it must not know who uses it. A source that
//! does not answer changes nothing: the last list stays.

mod follow;
mod members;
mod names;
mod patroni;
mod rest;
mod streaming;

pub use follow::{follow, located};
pub use members::{Members, NotMembers};
pub use rest::{RestError, RestHost};

/// Why a source has named no nodes.
#[derive(Debug, thiserror::Error)]
#[error("Patroni has not named the nodes ({0}). Check the addresses of its REST API")]
pub struct Unnamed(String);
