//! Why something cannot be asked of a replica: a chain from what the statement names down to the cause.

use crate::sql::builtins;
use std::fmt;
use std::sync::Arc;

/// An object of the database, and why it cannot be used on a replica.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Blame {
    /// What it is and its full name: `function public.audit(integer)`.
    pub object: Box<str>,
    /// Why.
    pub why: Why,
}

/// Why an object cannot be used on a replica.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Why {
    /// A function that is declared VOLATILE (or not declared at all).
    Volatile,
    /// A function of `PostgreSQL`'s own, or of an extension, that the curated lists know.
    Listed(builtins::Reason),
    /// A function that is declared harmless, but names something in its source that is not.
    Mentions(Box<str>),
    /// A table or sequence that is not replicated.
    Unlogged,
    /// A table of another server, or a file.
    Foreign,
    /// A sequence: its state is logged in steps, so that a replica runs ahead.
    Sequence,
    /// A temporary relation of a session.
    Temporary,
    /// A view that locks the rows it shows.
    Locks,
    /// The operator of the configuration says so.
    Rule,
    /// A comment on it says so.
    Comment,
    /// Rules make something else of what is written to it.
    Rewrites,
    /// The catalog does not have it.
    NotFound,
    /// The catalog has not been read.
    NotRead,
    /// It uses another object that cannot.
    Uses(Arc<Blame>),
}

impl Blame {
    /// A short, stable label for metrics, by the cause at the end of the chain.
    pub fn label(&self) -> &'static str {
        match self.root().why {
            Why::Volatile | Why::Listed(_) | Why::Mentions(_) | Why::Uses(_) => "function",
            Why::Unlogged => "unlogged",
            Why::Foreign => "foreign_table",
            Why::Sequence => "sequence",
            Why::Temporary => "temporary_relation",
            Why::Locks => "locking_clause",
            Why::Rule | Why::Comment => "rule",
            Why::Rewrites => "rewrite_rule",
            Why::NotFound => "not_in_catalog",
            Why::NotRead => "catalog_not_read",
        }
    }

    /// A chain's last link: the object where the cause is.
    pub fn root(&self) -> &Blame {
        match &self.why {
            Why::Uses(next) => next.root(),
            _ => self,
        }
    }
}

/// From the cause outwards: "function public.audit(integer) is VOLATILE, used by view public.v_orders".
impl fmt::Display for Blame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let object = &self.object;
        match &self.why {
            Why::Volatile => write!(f, "{object} is VOLATILE"),
            Why::Listed(reason) => write!(f, "{object}: {reason}"),
            Why::Mentions(what) => write!(f, "{object} uses {what}"),
            Why::Unlogged => write!(f, "{object} is unlogged, so replicas do not have its rows"),
            Why::Foreign => write!(f, "{object} is a foreign table"),
            Why::Sequence => write!(f, "{object} is a sequence, of which replicas run ahead"),
            Why::Temporary => write!(f, "{object} is temporary"),
            Why::Locks => write!(f, "{object} locks rows"),
            Why::Rule => write!(f, "{object} belongs on the primary by a rule of the configuration"),
            Why::Comment => write!(f, "{object} belongs on the primary by its comment"),
            Why::Rewrites => write!(f, "{object} has rules that rewrite what is written"),
            Why::NotFound => write!(f, "{object} is not in the catalog"),
            Why::NotRead => write!(f, "the catalog, which would know {object}, has not been read"),
            Why::Uses(next) => write!(f, "{next}, used by {object}"),
        }
    }
}
