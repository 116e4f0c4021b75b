//! PostgreSQL's side: connecting, logging in, and what a server connection remembers between leases.
//!
//! Owns the bytes in flight to and from one server and what is known of its session (prepared statements,
//! settings). It must not know clients, pools or routing.

mod advice;
mod bind;
mod cancel;
mod connect;
mod connection;
mod credential;
mod driver;
mod error;
#[cfg(any(test, fuzzing))]
mod in_process;
mod open;
mod prepared;

#[cfg(test)]
mod tests;

pub use advice::Attempt;
pub use cancel::{ServerKey, cancel, cancel_at};
pub use connect::Endpoint;
pub use connection::{Connection, Settings};
pub use credential::{Credential, Held, Keyring};
pub use driver::{About, Driver, DriverError, drive};
pub use error::ConnectError;
#[cfg(any(test, fuzzing))]
pub use in_process::InProcess;
pub use open::{Attempts, ServerAddress};
pub use prepared::{PreparedSet, Unnamed};
