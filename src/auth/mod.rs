//! Who may come in, and how it proves who it is.
//!
//! Owns verifiers, the exchanges that check a proof against them, and the rules that say which proof is asked for. Pure: randomness is handed in, and nothing here knows
//! a socket, a file or a clock.

mod equal;
pub mod hba;
mod ident;
mod lines;
mod md5;
mod prove;
mod regex;
mod salts;
mod scram;
mod stored;
mod userlist;

pub use equal::same;
pub use ident::IdentMaps;
pub use lines::{Fault, Files, Text, Wanted};
pub use md5::Md5Hash;
pub use prove::{Awaited, ProveError, Prover};
pub use salts::{Salts, md5};
pub use scram::{Binding, Challenge, ClientKey, Keys, PLAIN, PLUS, Proof, ScramError, Verifier};
pub use stored::Stored;
pub use userlist::{Listed, Unreadable, read_userlist};
