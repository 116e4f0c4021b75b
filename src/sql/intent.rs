//! The words an application steers with: intents, consistency levels and scopes. Hints, settings, startup options,
//! rules and routing share these types, so a word means the same everywhere.

use super::words::words;

words! {
    /// Where the application wants a statement to go.
    pub enum Intent {
        /// The primary, whatever the statement is.
        Primary = "primary",
        /// A replica may serve it, unless it certainly writes.
        Replica = "replica",
    }
}

words! {
    /// What a read is promised to see; later is stricter.
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
    /// Who must see a write at level [`Level::Session`]; later is wider.
    #[derive(Default, PartialOrd, Ord)]
    pub enum Scope {
        /// Only the connection that wrote.
        Connection = "connection",
        /// Every client of the same database. The default, because applications pool their connections.
        #[default]
        Database = "database",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        assert!(Intent::WORDS.iter().all(|word| Intent::parse(word).is_some_and(|i| i.as_str() == *word)));
        assert!(
            Level::WORDS
                .iter()
                .all(|word| Level::parse(&word.to_uppercase()).is_some_and(|l| l.as_str() == *word))
        );
        assert!(Scope::WORDS.iter().all(|word| Scope::parse(word).is_some_and(|s| s.as_str() == *word)));
        assert_eq!(Intent::parse("write"), None);
    }
}
