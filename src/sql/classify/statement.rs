//! The answer of `classify`, small enough to be kept by the million.

use super::{Cause, Leaves, Touched};
use crate::sql::builtins::{Verdict, verdict};
use crate::sql::catalog::{Does, Why};
use std::fmt;

/// It is not in the encoding that is understood.
const UNREADABLE: Cause = Cause::NotUnderstood("text");

/// What a text of SQL may do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statement {
    /// Its class: the strictest of its parts.
    pub class: Class,
    /// Why it is of that class.
    pub cause: Cause,
    /// What it leaves behind in the session.
    pub leaves: Leaves,
    /// How many statements the text holds. At most 65,535 are counted.
    pub count: u16,
    /// What it may do beside answering. What is not in the set is certain.
    pub does: Does,
    /// The settings it sets or resets by name, in lower case, each once.
    pub setting_names: Box<[Box<str>]>,
    /// How many of these, at the front, it resets, and does not set after that.
    pub resets: u8,
    /// The tables it touches; `None` where no catalog was asked.
    pub touched: Option<Box<Touched>>,
}

/// The classes, from the least to the most strict.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Class {
    /// Reads only, and any node with the data answers alike.
    Read,
    /// About Tidegate itself, alone in its text.
    Own(Box<Own>),
    /// Reads or changes the session's state.
    Session,
    /// SAVEPOINT, RELEASE, ROLLBACK TO.
    Savepoint,
    /// COMMIT, END, ROLLBACK, ABORT, also AND CHAIN.
    End,
    /// BEGIN, START TRANSACTION.
    Begin(Begin),
    /// Changes data or takes locks.
    Write,
    /// May do anything.
    Unknown,
}

/// One or a few words.
impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::Read => "read",
            Class::Own(_) => "own",
            Class::Session => "session",
            Class::Savepoint => "savepoint",
            Class::End => "end of transaction",
            Class::Begin(_) => "begin",
            Class::Write => "write",
            Class::Unknown => "unknown",
        })
    }
}

/// How a transaction begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Begin {
    /// It says READ ONLY, and neither READ WRITE nor SERIALIZABLE (which a standby refuses).
    pub read_only: bool,
}

/// A statement about one of the settings `tidegate.…`. Names are in lower case, without the prefix.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Own {
    /// `SET [LOCAL] tidegate.name = value`
    Set {
        /// The setting.
        name: Box<str>,
        /// Its new value as text; the parts of a list are joined by a comma and a blank.
        value: Box<str>,
        /// Whether it ends with the transaction.
        local: bool,
    },
    /// `RESET tidegate.name`, `SET [LOCAL] tidegate.name TO DEFAULT`
    Reset {
        /// The setting.
        name: Box<str>,
        /// Whether it ends with the transaction.
        local: bool,
    },
    /// `SHOW tidegate.name`
    Show {
        /// The setting.
        name: Box<str>,
    },
    /// `EXPLAIN (ROUTE) …`: where the statement would go, and why.
    ExplainRoute,
}

impl Class {
    /// A higher number is stricter.
    pub(super) fn strictness(&self) -> u8 {
        match self {
            Class::Read => 0,
            Class::Own(_) => 1,
            Class::Session => 2,
            Class::Savepoint => 3,
            Class::End => 4,
            Class::Begin(_) => 5,
            Class::Write => 6,
            Class::Unknown => 7,
        }
    }

    /// Whether it moves the session into, out of or within a transaction.
    pub fn is_transaction_control(&self) -> bool {
        matches!(self, Class::Savepoint | Class::End | Class::Begin(_))
    }
}

impl Statement {
    /// Whether it may change what another session reads.
    pub fn may_write(&self) -> bool {
        self.does.contains(Does::WRITES)
    }

    /// Its class and why it is of that class, in a line for people.
    pub fn in_words(&self) -> String {
        format!("class: {}: the statement {}", self.class, self.cause)
    }

    /// Whether it uses a name that the catalog does not know.
    pub fn is_unresolved(&self) -> bool {
        matches!(&self.cause, Cause::Catalog(blame) if matches!(blame.root().why, Why::NotFound | Why::NotRead))
    }

    /// Whether a standby would run it and answer wrongly: it asks for the state of one node or one session.
    pub fn is_wrong_on_a_replica(&self) -> bool {
        match &self.cause {
            Cause::SystemView(_) | Cause::TemporaryRelation => true,
            Cause::Function(name) => matches!(verdict(name), Verdict::Primary(_)),
            Cause::Catalog(blame) => matches!(
                blame.root().why,
                Why::Listed(_) | Why::Mentions(_) | Why::Sequence | Why::Temporary | Why::Foreign | Why::Rule
            ),
            Cause::Setting => self.setting_names.iter().any(|name| name.starts_with("transaction_")),
            _ => self.leaves.intersects(Leaves::LISTEN),
        }
    }

    /// Whether it runs code that nobody has read, and that may have left anything in the session.
    pub fn is_opaque(&self) -> bool {
        matches!(self.cause, Cause::Do | Cause::Call | Cause::NotUnderstood(_) | Cause::TooLarge)
    }

    /// The settings that it resets, and does not set after that.
    pub fn reset_names(&self) -> &[Box<str>] {
        self.setting_names.get(..usize::from(self.resets)).unwrap_or_default()
    }

    /// The settings that it gives a value.
    pub fn set_names(&self) -> &[Box<str>] {
        self.setting_names.get(usize::from(self.resets)..).unwrap_or_default()
    }

    /// A text that must not be read, or cannot be.
    pub fn unreadable() -> Self {
        Self::unknown(UNREADABLE)
    }

    /// Whether its text was not read by PostgreSQL's grammar, or refused by it.
    pub fn is_unread(&self) -> bool {
        matches!(self.cause, Cause::SyntaxError | Cause::TooLarge) || self.cause == UNREADABLE
    }

    /// A text nothing is known of.
    pub(super) fn unknown(cause: Cause) -> Self {
        Statement {
            class: Class::Unknown,
            cause,
            leaves: Leaves::default(),
            count: 1,
            does: Does::WRITES | Does::CHANGES_CATALOG,
            setting_names: Box::default(),
            resets: 0,
            touched: None,
        }
    }
}
