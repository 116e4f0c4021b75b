//! What a text of SQL is and may do: its shape, its hints, its class.
//!
//! Owns: the lexer, the cache key of a statement's shape, hints in comments, the classification and the curated
//! lists of built-in functions and views. Must not know: connections, nodes, freshness, policy, the clock. Nothing
//! here says where a statement goes.
//!
//! Everything assumes a client encoding in which no byte of a multi-byte character is an ASCII byte (UTF8, LATIN1,
//! EUC ..., not SJIS, BIG5, GBK, GB18030, UHC, JOHAB). For a session in which it is otherwise, the caller sends every
//! statement to the primary and asks nothing here. How strings are read ([`Strings`]) is handed in.

pub mod builtins;
pub mod catalog;
pub mod classify;
pub mod duration;
mod explained;
pub mod hint;
pub mod intent;
mod lexer;
mod locked;
mod prepared;
pub mod shape;
mod trace_parent;
pub(crate) mod words;

pub use classify::{
    Begin, Cause, Class, LONGEST_TEXT, Leaves, Mentions, Own, Parsed, Statement, Touched, Use, classify,
    parse,
};
pub use explained::explained;
pub use hint::{HintError, Hints};
pub use intent::{Intent, Level, Logged, OnStale, Scope};
pub use lexer::Strings;
pub use locked::{Lockable, Locked};
pub use prepared::{Deallocated, deallocated, executed};
pub use shape::{HintComments, Scan, ShapeKey, Shaper, redact, redact_with};
pub use trace_parent::TraceParent;
pub use words::UnknownWord;
