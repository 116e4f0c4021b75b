//! Who may come in, and how it proves who it is.
//!
//! Owns verifiers and the exchanges that check a proof against them. Pure: randomness is handed in, and nothing here knows
//! a socket, a file or a clock.

mod equal;
mod md5;
mod prove;
mod scram;
mod stored;
mod userlist;

pub use equal::same;
pub use md5::Md5Hash;
pub use prove::{Awaited, ProveError, Prover};
pub use scram::{Binding, Challenge, ClientKey, Keys, PLAIN, PLUS, Proof, ScramError, Verifier};
pub use stored::Stored;
pub use userlist::{Listed, Unreadable, read_userlist};
