//! What is known of one database: which of its functions, views and tables any node answers alike, and why not.
//!
//! Owns the rules by which facts about objects (read elsewhere, handed in as [`Facts`]) become an [`Effect`] for each name
//! that a statement can use. Must not know where facts come from, nor what becomes of a statement.
//!
//! The rule behind the rules: a read goes to a replica only if nothing in it needs the primary. What a text does not say
//! (the types of arguments, which of several functions is meant) counts as the strictest it could be.

mod blame;
mod build;
mod effect;
mod extensions;
mod facts;
mod graph;
mod judge;
mod lookup;
mod objects;
mod path;
mod reach;
mod source;
mod tree;
mod vouch;
mod web;

#[cfg(test)]
mod tests;

pub use blame::{Blame, Why};
pub use effect::{Does, Effect, Tables};
pub use facts::{
    Body, Builtin, Cast, Child, Class, Comparison, FIRST_USER_OBJECT, Facts, ForeignKey, Function, Language,
    Logged, Object, Operator, PG_CATALOG, Parameters, Part, PartKind, Relation, RelationKind, RowSecurity,
    Said, Schema, System, Type, Use, Volatility,
};
pub use lookup::Catalog;
pub use path::SearchPath;
pub use tree::Tree;
pub use vouch::{Vouched, comment};

/// A name as a statement uses it, folded by the grammar.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Name {
    /// The schema, where the statement names one.
    pub schema: Option<Box<str>>,
    /// The name itself.
    pub name: Box<str>,
}

/// How many arguments a call has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Arguments {
    /// So many, as written.
    Exactly(u16),
    /// Not known from the text alone: `VARIADIC`, WITHIN GROUP.
    Unclear,
}
