//! Who may come in, and how it proves who it is.
//!
//! Owns verifiers and the exchanges that check a proof against them. Pure: randomness is handed in, and nothing here knows
//! a socket, a file or a clock.

mod equal;
mod scram;

pub use equal::same;
pub use scram::{Binding, Challenge, ClientKey, PLAIN, PLUS, Proof, ScramError, Verifier};
