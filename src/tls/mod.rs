//! Certificates and keys: read from files, what they say of whom they belong to, what they prove, what a SCRAM proof is
//! bound to, and what both sides of a handshake go by.
//!
//! It must not know sockets, nor who uses what it reads.

mod accept;
mod connect;
mod end_point;
mod files;
mod peer;
mod trust;
mod validity;
mod words;

pub use accept::{AcceptFiles, Acceptor, Oldest, PairFiles, ServerIdentity};
pub use connect::{Identity, Outgoing};
pub use end_point::end_point;
pub use files::{FileError, FileProblem, certificates, private_key, revocation_lists};
pub use peer::{PeerIdentity, peer_identity};
pub use trust::{Authorities, Trust};
pub use validity::Validity;
pub use words::describe;

/// The name of PostgreSQL's protocol within TLS.
/// <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL>
pub const ALPN: &[u8] = b"postgresql";
