//! Sessions under arbitrary clients, against servers that are scripted and in the same process.
//!
//! Any bytes make a case: a few clients that say what they like, in any order and in any pieces, and share one or two server
//! connections. Each must be told what a [server of its own](server) would have told it, and nothing of the others. Time
//! passes only when nothing else can happen, so whoever hangs is found at once. Used by the fuzz target
//! `session` and by the tests here.

mod judge;
mod script;
mod server;
mod sql;
mod stage;
mod state;
#[cfg(test)]
mod tests;

pub use server::Fault;
pub use stage::{Seen, play};
