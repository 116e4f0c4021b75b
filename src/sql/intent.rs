//! The words an application steers with: intents, consistency levels, scopes, and what to do when replicas lag. Hints, settings, startup options,
//! rules and routing share these types, so a word means the same everywhere.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::duration;
use super::words::{UnknownWord, words};

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
    /// What the log says of a statement, beside what it says anyway.
    #[derive(Default)]
    pub enum Logged {
        /// Where it goes, and why.
        Route = "route",
        /// Nothing.
        #[default]
        Off = "off",
    }
}

/// What a read is promised to see. Written `bounded(5s)` where there is a duration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Level {
    /// Some past state: any healthy replica will do.
    Eventual,
    /// Nothing older than this.
    Bounded(Duration),
    /// Every write acknowledged in its scope before the read began. The default.
    #[default]
    Session,
    /// Every write acknowledged by anyone, through this proxy or not, before the read began.
    Strong,
    /// Whatever the primary sees: reads never leave it.
    Primary,
}

impl Level {
    /// How each level is written, in the order in which the documentation lists them.
    pub const WORDS: &'static [&'static str] = &["eventual", "bounded(5s)", "session", "strong", "primary"];

    /// The level a word stands for, in any case of letters.
    pub fn parse(text: &str) -> Option<Self> {
        let word = text.trim();
        let plain = [Self::Eventual, Self::Session, Self::Strong, Self::Primary];
        plain
            .into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(word))
            .or_else(|| duration::in_brackets(word, "bounded").map(Self::Bounded))
    }

    /// A level that promises what both promise.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Bounded(a), Self::Bounded(b)) => Self::Bounded(a.min(b)),
            // Neither of them promises what the other does.
            (Self::Bounded(_), Self::Session) | (Self::Session, Self::Bounded(_)) => Self::Strong,
            (a, b) if a.strictness() >= b.strictness() => a,
            (_, b) => b,
        }
    }

    /// The level without its duration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eventual => "eventual",
            Self::Bounded(_) => "bounded",
            Self::Session => "session",
            Self::Strong => "strong",
            Self::Primary => "primary",
        }
    }

    fn strictness(self) -> u8 {
        match self {
            Self::Eventual => 0,
            Self::Bounded(_) => 1,
            Self::Session => 2,
            Self::Strong => 3,
            Self::Primary => 4,
        }
    }
}

impl FromStr for Level {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::parse(text).ok_or(UnknownWord { expected: Self::WORDS })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        if let Self::Bounded(age) = self {
            f.write_str("(")?;
            duration::write(f, *age)?;
            f.write_str(")")?;
        }
        Ok(())
    }
}

words! {
    /// Who must see a write at level [`Level::Session`].
    #[derive(Default)]
    pub enum Scope {
        /// Only the connection that wrote.
        Connection = "connection",
        /// Connections of the same user from the same address with the same `application_name`: one process with its
        /// pool.
        Client = "client",
        /// Whoever gives the same key.
        Key = "key",
        /// Every client of the same database. The default, because applications pool their connections.
        #[default]
        Database = "database",
    }
}

impl Scope {
    /// A scope that is as wide as both. Two keys need not be the same, so that is for the caller to say.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::Connection, wider) | (wider, Self::Connection) => wider,
            _ => Self::Database,
        }
    }
}

/// Where a read goes when no replica is fresh enough for it. Written `wait(5ms)` where there is a duration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnStale {
    /// To the primary.
    #[default]
    Primary,
    /// To the first replica that is fresh enough within this time, then to the primary.
    Wait(Duration),
    /// Nowhere: the client gets an error.
    Error,
}

impl OnStale {
    /// How each is written, in the order in which the documentation lists them.
    pub const WORDS: &'static [&'static str] = &["primary", "wait(5ms)", "error"];

    /// What a word stands for, in any case of letters.
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            word if word.eq_ignore_ascii_case("primary") => Some(Self::Primary),
            word if word.eq_ignore_ascii_case("error") => Some(Self::Error),
            word => duration::in_brackets(word, "wait").map(Self::Wait),
        }
    }

    /// Of several statements in one string the first that is not satisfied with the primary counts.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Error, _) | (_, Self::Error) => Self::Error,
            (Self::Wait(a), Self::Wait(b)) => Self::Wait(a.min(b)),
            _ => Self::Primary,
        }
    }
}

impl FromStr for OnStale {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::parse(text).ok_or(UnknownWord { expected: Self::WORDS })
    }
}

impl fmt::Display for OnStale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primary => f.write_str("primary"),
            Self::Error => f.write_str("error"),
            Self::Wait(patience) => {
                f.write_str("wait(")?;
                duration::write(f, *patience)?;
                f.write_str(")")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        assert!(Intent::WORDS.iter().all(|word| Intent::parse(word).is_some_and(|i| i.as_str() == *word)));
        assert!(Scope::WORDS.iter().all(|word| Scope::parse(word).is_some_and(|s| s.as_str() == *word)));
        assert_eq!(Intent::parse("write"), None);
        for word in Level::WORDS {
            assert_eq!(Level::parse(&word.to_uppercase()).map(|l| l.to_string()).as_deref(), Some(*word));
        }
        for word in OnStale::WORDS {
            assert_eq!(OnStale::parse(&word.to_uppercase()).map(|o| o.to_string()).as_deref(), Some(*word));
        }
        assert_eq!(
            Level::parse("bounded(1500ms)").map(|l| l.to_string()).as_deref(),
            Some("bounded(1500ms)")
        );
        assert_eq!((Level::parse("bounded"), OnStale::parse("wait")), (None, None));
    }

    #[test]
    fn together_they_promise_what_each_does() {
        use Level::{Bounded, Eventual, Primary, Session, Strong};
        let (second, minute) = (Duration::from_secs(1), Duration::from_mins(1));
        for (a, b, both) in [
            (Eventual, Bounded(second), Bounded(second)),
            (Bounded(minute), Bounded(second), Bounded(second)),
            (Bounded(minute), Session, Strong),
            (Session, Strong, Strong),
            (Strong, Primary, Primary),
        ] {
            assert_eq!((a.and(b), b.and(a)), (both, both));
        }
        for (a, b, both) in [
            (Scope::Connection, Scope::Client, Scope::Client),
            (Scope::Connection, Scope::Key, Scope::Key),
            (Scope::Client, Scope::Key, Scope::Database),
            (Scope::Client, Scope::Database, Scope::Database),
        ] {
            assert_eq!((a.and(b), b.and(a)), (both, both));
        }
    }
}
