//! How fresh a read must be, who must see a write, and what to do when no replica is fresh enough.

pub use crate::sql::UnknownWord;
use crate::sql::words::words;
pub use crate::sql::{Level, Scope};

words! {
    /// Where a read goes when no replica is fresh enough for it.
    #[derive(Default)]
    pub enum OnStale {
        /// To the primary.
        #[default]
        Primary = "primary",
    }
}
