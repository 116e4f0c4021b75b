//! The objects of a database by number, and what to call them.

use super::graph::number;
use super::{Builtin, Class, Facts, Function, Object, Operator, Relation, RelationKind, Type};
use rustc_hash::FxHashMap;

/// One object.
#[derive(Clone, Copy, Debug)]
pub(super) enum Item<'a> {
    Function(&'a Function),
    Relation(&'a Relation),
    Type(&'a Type),
    Operator(&'a Operator),
    Builtin(&'a Builtin),
}

/// Every object that a statement can name, numbered.
#[derive(Debug)]
pub(super) struct Objects<'a> {
    items: Vec<Item<'a>>,
    numbers: FxHashMap<Object, u32>,
    schemas: FxHashMap<u32, &'a str>,
}

impl<'a> Objects<'a> {
    pub(super) fn new(facts: &'a Facts) -> Self {
        let relations = facts.relations.iter().chain(&facts.system.relations);
        let mut items: Vec<Item<'a>> = Vec::new();
        items.extend(facts.functions.iter().map(Item::Function));
        items.extend(relations.map(Item::Relation));
        items.extend(facts.types.iter().map(Item::Type));
        items.extend(facts.operators.iter().map(Item::Operator));
        items.extend(facts.system.functions.iter().map(Item::Builtin));
        let numbers = items.iter().enumerate().map(|(at, item)| (item.object(), number(at))).collect();
        let schemas = facts.schemas.iter().map(|schema| (schema.oid, &*schema.name)).collect();
        Objects { items, numbers, schemas }
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn find(&self, object: Object) -> Option<u32> {
        self.numbers.get(&object).copied()
    }

    pub(super) fn get(&self, at: u32) -> Option<Item<'a>> {
        self.items.get(at as usize).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, Item<'a>)> + '_ {
        self.items.iter().enumerate().map(|(at, item)| (number(at), *item))
    }

    /// The name of a schema. One that is not known is temporary, and none of its objects is.
    pub(super) fn schema(&self, oid: u32) -> &'a str {
        self.schemas.get(&oid).copied().unwrap_or("?")
    }

    /// What to call an object, for people.
    pub(super) fn label(&self, item: Item<'a>) -> Box<str> {
        let named = |kind: &str, schema: u32, name: &str| format!("{kind} {}.{name}", self.schema(schema));
        match item {
            Item::Function(f) => {
                format!("function {}.{}({})", self.schema(f.schema), f.name, f.arguments.types)
            }
            Item::Relation(relation) => named(relation.kind.label(), relation.schema, &relation.name),
            Item::Type(kind) => named("type", kind.schema, &kind.name),
            Item::Operator(operator) => named("operator", operator.schema, &operator.name),
            Item::Builtin(function) => format!("function pg_catalog.{}", function.name),
        }
        .into()
    }
}

impl Item<'_> {
    /// Whether people know it by a name of its own: the relation behind a composite type is the type to them.
    pub(super) fn has_name(self) -> bool {
        !matches!(self, Item::Relation(relation) if relation.kind == RelationKind::Composite)
    }

    fn object(self) -> Object {
        match self {
            Item::Function(function) => Object::new(Class::Function, function.oid),
            Item::Relation(relation) => Object::new(Class::Relation, relation.oid),
            Item::Type(kind) => Object::new(Class::Type, kind.oid),
            Item::Operator(operator) => Object::new(Class::Operator, operator.oid),
            Item::Builtin(function) => Object::new(Class::Function, function.oid),
        }
    }
}

impl RelationKind {
    /// What people call it.
    fn label(self) -> &'static str {
        match self {
            RelationKind::Table => "table",
            RelationKind::View => "view",
            RelationKind::Materialized => "materialized view",
            RelationKind::Foreign => "foreign table",
            RelationKind::Sequence => "sequence",
            RelationKind::Composite => "type",
        }
    }
}
