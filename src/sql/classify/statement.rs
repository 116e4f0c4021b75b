//! The answer of `classify`, small enough to be kept by the million.

use super::{Cause, Leaves};
use crate::sql::builtins::{Verdict, verdict};

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
    /// Whether it may change what another session reads. `false` is certain, as far as the catalog does not know better.
    pub may_write: bool,
    /// The settings it sets or resets by name, in lower case, each once.
    pub setting_names: Box<[Box<str>]>,
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
    /// Whether a standby would run it and answer wrongly: it asks for the state of one node or one session.
    pub fn is_wrong_on_a_replica(&self) -> bool {
        match &self.cause {
            Cause::SystemView(_) | Cause::TemporaryRelation => true,
            Cause::Function(name) => matches!(verdict(name), Verdict::Primary(_)),
            Cause::Setting => self.setting_names.iter().any(|name| name.starts_with("transaction_")),
            _ => self.leaves.intersects(Leaves::LISTEN),
        }
    }

    /// Whether it runs code that nobody has read, and that may have left anything in the session.
    pub fn is_opaque(&self) -> bool {
        match &self.cause {
            Cause::Function(name) => verdict(name) == Verdict::Unlisted,
            Cause::Do | Cause::Call | Cause::NotUnderstood(_) | Cause::TooLarge => true,
            _ => false,
        }
    }

    /// A text that must not be read, or cannot be.
    pub fn unreadable() -> Self {
        Self::unknown(Cause::NotUnderstood("text"))
    }

    /// Whether every text of the same shape would be classified alike, so that the answer can be kept.
    pub fn belongs_to_shape(&self) -> bool {
        !matches!(self.cause, Cause::SyntaxError | Cause::TooLarge)
    }

    /// A text nothing is known of.
    pub(super) fn unknown(cause: Cause) -> Self {
        let (leaves, setting_names) = (Leaves::default(), Box::default());
        Statement { class: Class::Unknown, cause, leaves, count: 1, may_write: true, setting_names }
    }
}
