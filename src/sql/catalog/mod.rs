//! What is known of one database: which of its functions, views and tables any node answers alike, and why not.
//!
//! Owns the rules by which facts about objects (read elsewhere, handed in as [`Facts`]) become an [`Effect`] for each name
//! that a statement can use. Must not know where facts come from, nor what becomes of a statement.

mod blame;
mod effect;
mod path;

pub use blame::{Blame, Why};
pub use effect::{Does, Effect, Tables};
pub use path::SearchPath;

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

/// A stand-in.
#[derive(Debug, Default)]
pub struct Catalog;

#[allow(missing_docs)]
impl Catalog {
    pub fn nothing() -> Self {
        Self
    }
    pub fn read(&self, _: &SearchPath, _: &Name) -> Effect {
        Effect { blame: None, does: Does::NOTHING, tables: Tables::Any }
    }
    pub fn written(&self, _: &SearchPath, _: &Name) -> Effect {
        Effect { blame: None, does: Does::NOTHING, tables: Tables::Any }
    }
    pub fn call(&self, _: &SearchPath, _: &Name, _: Arguments) -> Effect {
        Effect { blame: None, does: Does::NOTHING, tables: Tables::Any }
    }
    pub fn cast(&self, _: &SearchPath, _: &Name) -> Effect {
        Effect { blame: None, does: Does::NOTHING, tables: Tables::Any }
    }
    pub fn operator(&self, _: &SearchPath, _: &Name) -> Effect {
        Effect { blame: None, does: Does::NOTHING, tables: Tables::Any }
    }
    pub fn field(&self, _: &str) -> Effect {
        Effect { blame: None, does: Does::NOTHING, tables: Tables::Any }
    }
    pub fn table_name(&self, _: u32) -> Option<&str> {
        None
    }
    pub fn suspects_anything(&self) -> bool {
        false
    }
    pub fn implicit(&self) -> Option<&std::sync::Arc<Blame>> {
        None
    }
}
