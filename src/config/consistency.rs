//! How fresh a read must be, who must see a write, and what to do when no replica is fresh enough.

pub use crate::sql::UnknownWord;
use crate::sql::words::words;
pub use crate::sql::{Level, Lockable, Locked, OnStale, Scope};

words! {
    /// What becomes of a read for which the primary's budget (`primary_read_limit`) has no room.
    #[derive(Default)]
    pub enum Overflow {
        /// It waits, for a replica or for room.
        #[default]
        Wait = "wait",
        /// The client gets an error.
        Error = "error",
    }
}
