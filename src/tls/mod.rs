//! Certificates and keys: read from files, what they prove, and what a SCRAM proof is bound to.
//!
//! It must not know sockets, nor who uses what it reads.

mod connect;
mod end_point;
mod trust;
mod words;

pub use connect::{ALPN, Identity, Outgoing};
pub use end_point::end_point;
pub use trust::{Authorities, Trust};
pub use words::describe;
