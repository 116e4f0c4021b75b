//! Certificates and keys: read from files, what they say of whom they belong to, what a SCRAM proof is bound to, and
//! what both sides of a handshake go by.
//!
//! It must not know sockets, nor who uses what it reads.

mod accept;
mod end_point;
mod files;
mod peer;
mod validity;

pub use accept::{ALPN, AcceptFiles, Acceptor, Identity, Oldest, PairFiles};
pub use end_point::end_point;
pub use files::{FileError, FileProblem, certificates, private_key, revocation_lists};
pub use peer::{PeerIdentity, peer_identity};
pub use validity::Validity;
