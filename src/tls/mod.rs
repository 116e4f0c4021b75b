//! Certificates and keys: read from files, and what a SCRAM proof is bound to.
//!
//! It must not know sockets, nor who uses what it reads.

mod end_point;

pub use end_point::end_point;
