//! The words an application steers with: intents, consistency levels and scopes. Hints, settings, startup options,
//! rules and routing share these types, so a word means the same everywhere.

use std::fmt;

/// Where the application wants a statement to go.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Intent {
    /// The primary, whatever the statement is.
    Primary,
    /// A replica may serve it, whatever the statement looks like.
    Replica,
}

/// How fresh a read must be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Level {
    /// Some past state.
    Eventual,
    /// The writes of its own scope, never going back in time.
    Session,
    /// What the primary has: only the primary will do.
    Primary,
}

/// Who must see a write.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scope {
    /// The connection that wrote.
    Connection,
    /// Every connection to the database.
    Database,
}

impl Intent {
    /// Every intent, for messages and completion.
    pub const ALL: &'static [Intent] = &[Intent::Primary, Intent::Replica];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Intent::Primary => "primary",
            Intent::Replica => "replica",
        }
    }

    /// The intent a word stands for, in any case of letters.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|intent| intent.word().eq_ignore_ascii_case(word))
    }
}

impl Level {
    /// Every level, for messages and completion.
    pub const ALL: &'static [Level] = &[Level::Eventual, Level::Session, Level::Primary];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Level::Eventual => "eventual",
            Level::Session => "session",
            Level::Primary => "primary",
        }
    }

    /// The level a word stands for, in any case of letters.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|level| level.word().eq_ignore_ascii_case(word))
    }
}

impl Scope {
    /// Every scope, for messages and completion.
    pub const ALL: &'static [Scope] = &[Scope::Connection, Scope::Database];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Scope::Connection => "connection",
            Scope::Database => "database",
        }
    }

    /// The scope a word stands for, in any case of letters.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|scope| scope.word().eq_ignore_ascii_case(word))
    }
}

impl fmt::Display for Intent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        assert!(Intent::ALL.iter().all(|intent| Intent::parse(&intent.to_string()) == Some(*intent)));
        assert!(
            Level::ALL.iter().all(|level| Level::parse(&level.to_string().to_uppercase()) == Some(*level))
        );
        assert!(Scope::ALL.iter().all(|scope| Scope::parse(&scope.to_string()) == Some(*scope)));
        assert_eq!(Intent::parse("write"), None);
    }
}
