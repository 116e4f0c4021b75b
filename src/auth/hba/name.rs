//! Names of databases and users in `pg_hba.conf`.

use crate::auth::lines::{Word, Wrong};
use crate::auth::regex::Expression;

/// Which databases a rule is about.
#[derive(Clone, Debug)]
pub(super) enum DatabaseName {
    All,
    /// The one that has the user's name.
    SameUser,
    /// Physical replication, which no other of these is about.
    Replication,
    Named(String),
    Like(Expression),
}

impl DatabaseName {
    pub(super) fn read(word: &Word) -> Result<Self, Wrong> {
        if word.is("samerole") || word.is("samegroup") {
            let problem = format!("{} asks who is a member of what, which only the servers know", word.text);
            return Err(Wrong::new(problem, "Name the databases, or say sameuser"));
        }
        Ok(match word {
            word if word.is("all") => Self::All,
            word if word.is("sameuser") => Self::SameUser,
            word if word.is("replication") => Self::Replication,
            word => match like(word)? {
                Some(expression) => Self::Like(expression),
                None => Self::Named(word.text.clone()),
            },
        })
    }

    /// `database`: `None` for physical replication.
    pub(super) fn is_about(&self, database: Option<&str>, user: &str) -> bool {
        let Some(database) = database else { return matches!(self, Self::Replication) };
        match self {
            Self::All => true,
            Self::SameUser => database == user,
            Self::Replication => false,
            Self::Named(name) => database == name,
            Self::Like(expression) => expression.is_in(database),
        }
    }
}

/// Which users a rule is about.
#[derive(Clone, Debug)]
pub(super) enum UserName {
    All,
    Named(String),
    Like(Expression),
}

impl UserName {
    pub(super) fn read(word: &Word) -> Result<Self, Wrong> {
        if let Some(role) = word.text.strip_prefix('+').filter(|_| !word.is_quoted) {
            let problem = format!("+{role} asks who is a member of {role}, which only the servers know");
            return Err(Wrong::new(problem, "Name the users, or keep their names in a file and say @file"));
        }
        if word.is("all") {
            return Ok(Self::All);
        }
        Ok(match like(word)? {
            Some(expression) => Self::Like(expression),
            None => Self::Named(word.text.clone()),
        })
    }

    pub(super) fn is_about(&self, user: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(name) => user == name,
            Self::Like(expression) => expression.is_in(user),
        }
    }
}

/// A word that begins with a slash is an expression, quoted or not.
fn like(word: &Word) -> Result<Option<Expression>, Wrong> {
    word.text.strip_prefix('/').map(Expression::read).transpose()
}
