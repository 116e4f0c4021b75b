//! How fresh a read must be, who must see a write, and what to do when no replica is fresh enough.

pub use super::words::UnknownWord;
use super::words::words;

words! {
    /// What a read is promised to see.
    #[derive(Default, PartialOrd, Ord)]
    pub enum Level {
        /// Some past state: any healthy replica will do.
        Eventual = "eventual",
        /// Every write acknowledged in its scope before the read began. The default.
        #[default]
        Session = "session",
        /// Whatever the primary sees: reads never leave it.
        Primary = "primary",
    }
}

words! {
    /// Who must see a write at level [`Level::Session`].
    #[derive(Default)]
    pub enum Scope {
        /// Only the connection that wrote.
        Connection = "connection",
        /// Every client of the same database. The default, because applications pool their connections.
        #[default]
        Database = "database",
    }
}

words! {
    /// Where a read goes when no replica is fresh enough for it.
    #[derive(Default)]
    pub enum OnStale {
        /// To the primary.
        #[default]
        Primary = "primary",
    }
}
