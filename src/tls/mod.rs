//! Certificates and keys: read from files, what they say of whom they belong to, and what a SCRAM proof is bound to.
//!
//! It must not know sockets, nor who uses what it reads.

mod end_point;
mod files;
mod peer;

pub use end_point::end_point;
pub use files::{FileError, FileProblem, certificates, private_key, revocation_lists};
pub use peer::{PeerIdentity, peer_identity};
