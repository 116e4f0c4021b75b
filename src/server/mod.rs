//! PostgreSQL's side: connecting, logging in, and what a server connection remembers between leases.
//!
//! Owns the bytes in flight to and from one server and what is known of its session (prepared statements,
//! settings). It must not know clients, pools or routing.

mod cancel;
mod connect;
mod connection;
mod error;
#[cfg(any(test, fuzzing))]
mod in_process;
mod prepared;

#[cfg(test)]
mod tests;

pub use cancel::{cancel, cancel_at};
pub use connect::Endpoint;
pub use connection::{Connection, Settings};
pub use error::ConnectError;
#[cfg(any(test, fuzzing))]
pub use in_process::InProcess;
pub use prepared::{PreparedSet, Unnamed};
