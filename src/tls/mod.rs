//! Certificates and keys: read from files, what they say of whom they belong to, what they prove, and what a SCRAM proof is
//! bound to.
//!
//! It must not know sockets, nor who uses what it reads.

mod connect;
mod end_point;
mod files;
mod peer;
mod trust;
mod words;

pub use connect::{ALPN, Identity, Outgoing};
pub use end_point::end_point;
pub use files::{FileError, FileProblem, certificates, private_key, revocation_lists};
pub use peer::{PeerIdentity, peer_identity};
pub use trust::{Authorities, Trust};
pub use words::describe;
