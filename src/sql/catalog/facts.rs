//! What a database says of its objects, as rows: what the catalog is built from.
//!
//! Owns the words for these rows and nothing else. Numbers are OIDs.

use super::Tree;
use std::sync::Arc;

/// The OID of the schema `pg_catalog`.
pub const PG_CATALOG: u32 = 11;

/// The first OID of an object that `initdb` did not make.
pub const FIRST_USER_OBJECT: u32 = 16384;

/// Everything that was read of one database in one snapshot. The order of rows says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Facts {
    /// What came with the server.
    pub system: Arc<System>,
    /// The schemas, but for the temporary ones.
    pub schemas: Vec<Schema>,
    /// Functions, procedures and aggregates that are not `pg_catalog`'s own.
    pub functions: Vec<Function>,
    /// Relations that can be named in FROM or are written to, and composite types; none that is temporary.
    pub relations: Vec<Relation>,
    /// Types that did not come with the server; no row types of relations.
    pub types: Vec<Type>,
    /// Operators that did not come with the server.
    pub operators: Vec<Operator>,
    /// Casts by functions that did not come with the server.
    pub casts: Vec<Cast>,
    /// Functions that comparing values of a type calls.
    pub comparisons: Vec<Comparison>,
    /// Partitions and inheritance.
    pub children: Vec<Child>,
    /// Foreign keys that change rows when rows they refer to are changed.
    pub foreign_keys: Vec<ForeignKey>,
    /// Views' queries, rules, policies, defaults, checks, index expressions, triggers.
    pub parts: Vec<Part>,
    /// Which object's definition names which other.
    pub uses: Vec<Use>,
}

/// What came with the server, and is the same for every reading of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct System {
    /// The functions of `pg_catalog`.
    pub functions: Vec<Builtin>,
    /// The relations of `pg_catalog`.
    pub relations: Vec<Relation>,
    /// The names of the types of `pg_catalog`.
    pub types: Vec<(u32, Box<str>)>,
    /// The queries of the views of `pg_catalog` and `information_schema`.
    pub parts: Vec<Part>,
    /// What these name.
    pub uses: Vec<Use>,
}

/// A schema.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Schema {
    /// Its OID.
    pub oid: u32,
    /// Its name.
    pub name: Box<str>,
}

/// A function of `pg_catalog` that came with the server. The curated lists judge it; only what they do not know is
/// judged by its declaration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Builtin {
    /// Its OID.
    pub oid: u32,
    /// Its name.
    pub name: Box<str>,
    /// How it is declared.
    pub volatility: Volatility,
}

/// A function, procedure or aggregate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Function {
    /// Its OID.
    pub oid: u32,
    /// Its schema.
    pub schema: u32,
    /// Its name.
    pub name: Box<str>,
    /// How it can be called.
    pub arguments: Parameters,
    /// How it is declared.
    pub volatility: Volatility,
    /// What it is written in.
    pub language: Language,
    /// The source, of languages that are read.
    pub source: Box<str>,
    /// The parsed body of a function in SQL's own notation, and the defaults of its arguments.
    pub tree: Tree,
    /// Whether there is a parsed body.
    pub body: Body,
    /// The extension it belongs to.
    pub extension: Option<Box<str>>,
    /// What its comment says of it.
    pub comment: Option<Said>,
}

/// How a function can be called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Parameters {
    /// The types, for people, as in `integer, text`.
    pub types: Box<str>,
    /// The fewest arguments.
    pub least: u16,
    /// The most arguments; `None` if it is VARIADIC.
    pub most: Option<u16>,
    /// Whether the first argument can be a row, so that `row.name` may be a call.
    pub of_row: bool,
}

/// Where a function's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Body {
    /// In its source.
    Source,
    /// Parsed, in its tree.
    Parsed,
}

/// How a function is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Volatility {
    /// IMMUTABLE
    Immutable,
    /// STABLE
    Stable,
    /// VOLATILE, or not at all.
    Volatile,
}

/// What a function is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// `sql`
    Sql,
    /// `plpgsql`
    PlPgSql,
    /// `c` and `internal`
    Native,
    /// Nothing: an aggregate is made of other functions.
    Aggregate,
    /// Any other.
    Other,
}

/// What somebody who knows says of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Said {
    /// Any node answers alike.
    Read,
    /// Only the primary will do.
    Primary,
}

/// A relation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Relation {
    /// Its OID.
    pub oid: u32,
    /// Its schema.
    pub schema: u32,
    /// Its name.
    pub name: Box<str>,
    /// What it is.
    pub kind: RelationKind,
    /// Whether its rows reach the replicas.
    pub logged: Logged,
    /// Whether policies say which rows are seen.
    pub row_security: RowSecurity,
}

/// What a relation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RelationKind {
    /// A table, partitioned or not.
    Table,
    /// A view.
    View,
    /// A materialized view.
    Materialized,
    /// A foreign table.
    Foreign,
    /// A sequence.
    Sequence,
    /// A composite type, which cannot be read.
    Composite,
}

/// Whether a relation's rows reach the replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Logged {
    /// They do.
    Logged,
    /// They do not.
    Unlogged,
}

/// Whether policies say which rows of a table are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowSecurity {
    /// They do not count.
    Off,
    /// They do.
    On,
}

/// A type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Type {
    /// Its OID.
    pub oid: u32,
    /// Its schema.
    pub schema: u32,
    /// Its name.
    pub name: Box<str>,
    /// The type of its elements, or 0.
    pub element: u32,
    /// The composite type's relation, or 0.
    pub relation: u32,
}

/// An operator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operator {
    /// Its OID.
    pub oid: u32,
    /// Its schema.
    pub schema: u32,
    /// Its name.
    pub name: Box<str>,
    /// The function behind it.
    pub function: u32,
}

/// A cast by a function.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cast {
    /// The type it makes.
    pub target: u32,
    /// The function.
    pub function: u32,
    /// Whether it happens without being asked for.
    pub implicit: bool,
}

/// A function that comparing, sorting or hashing values of a type calls.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Comparison {
    /// The type.
    pub of: u32,
    /// The function.
    pub function: u32,
}

/// A partition, or a table that inherits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Child {
    /// The child.
    pub child: u32,
    /// Its parent.
    pub parent: u32,
}

/// A foreign key that changes rows when rows they refer to are changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ForeignKey {
    /// The table whose rows are changed then.
    pub from: u32,
    /// The table they refer to.
    pub to: u32,
}

/// A part of a relation (or of a domain) with an expression or a function.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    /// The part, as [`Use::by`] has it.
    pub object: Object,
    /// What it is.
    pub kind: PartKind,
    /// The relation it is of; of a domain's check, the domain.
    pub owner: u32,
    /// Its expression.
    pub tree: Tree,
}

/// What a part of a relation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PartKind {
    /// A view's query.
    View,
    /// Any other rule.
    Rule,
    /// A policy that reads meet.
    Policy,
    /// A policy that only writes meet.
    WritePolicy,
    /// The default of a column, or its generation.
    Default,
    /// A check.
    Check,
    /// The expressions or the predicate of an index.
    Index,
    /// A trigger, with its function.
    Trigger(u32),
    /// A check of a domain.
    DomainCheck,
}

/// One object's definition names another object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Use {
    /// The object that names.
    pub by: Object,
    /// The object that is named.
    pub what: Object,
}

/// An object, by the catalog table it is in and its OID there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Object {
    /// The catalog table.
    pub class: Class,
    /// The OID.
    pub oid: u32,
}

impl Object {
    /// The object `oid` of `class`.
    pub fn new(class: Class, oid: u32) -> Self {
        Object { class, oid }
    }
}

/// The catalog table an object is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// `pg_class`: relations and indexes.
    Relation,
    /// `pg_proc`
    Function,
    /// `pg_type`
    Type,
    /// `pg_operator`
    Operator,
    /// `pg_rewrite`
    Rule,
    /// `pg_policy`
    Policy,
    /// `pg_attrdef`
    Default,
    /// `pg_constraint`
    Constraint,
    /// `pg_trigger`
    Trigger,
}

impl System {
    /// Puts the rows into an order of their own.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.functions.sort_unstable_by_key(|function| function.oid);
        self.relations.sort_unstable_by_key(|relation| relation.oid);
        self.types.sort_unstable_by_key(|(oid, _)| *oid);
        self.parts.sort_unstable_by_key(|part| part.object);
        self.uses.sort_unstable();
        self
    }
}

impl Facts {
    /// Puts the rows into an order of their own, so that two readings of the same database are equal.
    pub(super) fn sort(&mut self) {
        self.schemas.sort_unstable_by_key(|schema| schema.oid);
        self.functions.sort_unstable_by_key(|function| function.oid);
        self.relations.sort_unstable_by_key(|relation| relation.oid);
        self.types.sort_unstable_by_key(|kind| kind.oid);
        self.operators.sort_unstable_by_key(|operator| operator.oid);
        self.casts.sort_unstable_by_key(|cast| (cast.function, cast.target));
        self.comparisons.sort_unstable_by_key(|comparison| (comparison.of, comparison.function));
        self.children.sort_unstable_by_key(|child| (child.parent, child.child));
        self.foreign_keys.sort_unstable_by_key(|key| (key.to, key.from));
        self.parts.sort_unstable_by_key(|part| part.object);
        self.uses.sort_unstable();
        self.uses.dedup();
    }
}
