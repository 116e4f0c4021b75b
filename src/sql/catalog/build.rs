//! From facts to the catalog.

use super::graph::{Knot, number};
use super::judge::{self, Judgement};
use super::lookup::{Candidate, Catalog, Entry, Known, Plain, Suspects};
use super::objects::{Item, Objects};
use super::reach::Reach;
use super::web::{self, Web};
use super::{Class, Does, Effect, Facts, Function, Object, Relation, RelationKind, Tables, Vouched};
use crate::sql::builtins::{self, Verdict};
use rustc_hash::FxHashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

impl Catalog {
    /// Works out what can be said of every name.
    pub fn build(mut facts: Facts, vouched: &Vouched) -> Catalog {
        facts.sort();
        let mut hasher = DefaultHasher::new();
        facts.hash(&mut hasher);
        let objects = Objects::new(&facts, vouched);
        let web = web::weave(&facts, &objects, vouched);
        let schemas = facts.schemas.iter().enumerate().map(|(at, schema)| (schema.oid, number(at))).collect();
        let mut builder = Builder {
            facts: &facts,
            objects: &objects,
            web: &web,
            reach: Reach::new(&facts, &objects, &web),
            schemas,
            known: Known { vouched: vouched.clone(), digest: hasher.finish(), ..Known::default() },
        };
        builder.known.schemas = facts.schemas.iter().map(|schema| schema.name.clone()).collect();
        builder.system();
        builder.functions();
        builder.relations();
        builder.types();
        builder.casts();
        builder.operators();
        let mut known = builder.known;
        known.take_stock();
        Catalog { known: Some(Box::new(known)) }
    }
}

struct Builder<'a> {
    facts: &'a Facts,
    objects: &'a Objects<'a>,
    web: &'a Web,
    reach: Reach<'a>,
    schemas: FxHashMap<u32, u32>,
    known: Known,
}

impl<'a> Builder<'a> {
    fn system(&mut self) {
        self.known.system_types = self.facts.system.types.iter().map(|(_, name)| name.clone()).collect();
        for function in &self.facts.system.functions {
            if builtins::verdict(&function.name) != Verdict::Unlisted {
                continue;
            }
            let verdict = judge::unlisted_builtin(&function.name, function.volatility, &self.known.vouched);
            let entry = self.known.unlisted.entry(function.name.clone()).or_insert(Judgement::Open);
            if *entry == Judgement::Open {
                *entry = verdict;
            }
        }
    }

    fn functions(&mut self) {
        let mut by_name: FxHashMap<&'a str, Vec<Candidate>> = FxHashMap::default();
        for (at, item) in self.objects.iter() {
            let Item::Function(function) = item else { continue };
            let Some(schema) = self.schema(function.schema) else { continue };
            let effect = self.effect(at);
            if function.arguments.of_row && function.arguments.least <= 1 && is_remarkable(&effect) {
                let fields = &mut self.known.fields;
                let before = fields.remove(&function.name).unwrap_or_else(Effect::harmless);
                fields.insert(function.name.clone(), before.and(effect.clone()));
                self.known.suspects = Suspects::Something;
            }
            let candidate = Candidate {
                schema,
                least: function.arguments.least,
                most: function.arguments.most.unwrap_or(u16::MAX),
                types: types_of(function),
                effect,
            };
            by_name.entry(&function.name).or_default().push(candidate);
        }
        self.known.functions = by_name.into_iter().map(|(name, all)| (name.into(), all.into())).collect();
    }

    fn relations(&mut self) {
        let mut by_name: FxHashMap<&'a str, Vec<u32>> = FxHashMap::default();
        for (at, item) in self.objects.iter() {
            let Item::Relation(relation) = item else { continue };
            if relation.kind == RelationKind::Composite {
                continue;
            }
            let Some(schema) = self.schema(relation.schema) else { continue };
            let index = number(self.known.relations.len());
            by_name.entry(&relation.name).or_default().push(index);
            self.known.relation_oids.insert(relation.oid, index);
            let entry = self.relation(at, relation, schema);
            self.known.relations.push(entry);
        }
        self.known.relation_names =
            by_name.into_iter().map(|(name, all)| (name.into(), all.into())).collect();
    }

    fn relation(&mut self, at: u32, relation: &Relation, schema: u32) -> Entry {
        let written = self.reach.written(at);
        Entry {
            schema,
            full: format!("{}.{}", self.objects.schema(relation.schema), relation.name).into(),
            read: self.effect(at),
            written: Effect { blame: written.blame, does: written.does, tables: written.tables },
        }
    }

    fn types(&mut self) {
        for (at, item) in self.objects.iter() {
            let Item::Type(kind) = item else { continue };
            let effect = self.effect(at);
            self.add_type(kind.schema, &kind.name, effect);
        }
    }

    fn casts(&mut self) {
        for cast in &self.facts.casts {
            let Some(at) = self.objects.find(Object::new(Class::Function, cast.function)) else { continue };
            let effect = self.effect(at);
            let target = self.objects.find(Object::new(Class::Type, cast.target));
            if !is_remarkable(&effect) {
                continue;
            }
            // To a type of the server's own, which anything can be about.
            if cast.implicit && target.is_none() {
                let before = self.known.implicit.take().unwrap_or_else(Effect::harmless);
                self.known.implicit = Some(before.and(effect.clone()));
            }
            if let Some(Item::Type(kind)) = target.and_then(|at| self.objects.get(at)) {
                self.add_type(kind.schema, &kind.name, effect);
            } else if let Some((_, name)) =
                self.facts.system.types.iter().find(|(oid, _)| *oid == cast.target)
            {
                self.add_type(super::PG_CATALOG, name, effect);
            }
        }
    }

    fn add_type(&mut self, schema: u32, name: &str, effect: Effect) {
        let Some(schema) = self.schema(schema) else { return };
        if is_remarkable(&effect) {
            self.known.suspects = Suspects::Something;
        }
        self.known.types.entry(name.into()).or_default().push(Plain { schema, effect });
    }

    fn operators(&mut self) {
        for (at, item) in self.objects.iter() {
            let Item::Operator(operator) = item else { continue };
            let effect = self.effect(at);
            let Some(schema) = self.schema(operator.schema).filter(|_| is_remarkable(&effect)) else {
                continue;
            };
            self.known.suspects = Suspects::Something;
            self.known.operators.entry(operator.name.clone()).or_default().push(Plain { schema, effect });
        }
    }

    /// What using an object by its name may do.
    fn effect(&mut self, at: u32) -> Effect {
        let Knot { blame, does, inner } = self.web.settled.knot(at);
        // What is harmless as it is declared is so whatever its definition looks like.
        let mut does = if *does == Does::NOTHING { *does } else { *does | *inner };
        if does != Does::NOTHING && (inner.contains(Does::WRITES) || self.reach.casts_write()) {
            does |= Does::CHANGES_ROWS;
        }
        Effect { blame: blame.clone(), does, tables: self.reach.read(at) }
    }

    /// The number of a schema; temporary ones have none.
    fn schema(&self, oid: u32) -> Option<u32> {
        self.schemas.get(&oid).copied()
    }
}

/// Whether it matters that something is used.
fn is_remarkable(effect: &Effect) -> bool {
    effect.blame.is_some() || effect.tables != Tables::none()
}

fn types_of(function: &Function) -> u64 {
    let mut hasher = rustc_hash::FxHasher::default();
    (&function.arguments.types, function.arguments.most.is_none()).hash(&mut hasher);
    hasher.finish()
}

impl Known {
    /// Estimates the memory it holds.
    fn take_stock(&mut self) {
        // What a table of hashes and an allocation take beside what is in them.
        const SLOT: usize = 16;
        let blame = |effect: &Effect| {
            effect.blame.as_ref().map_or(0, |blame| size_of_val(&**blame) + blame.object.len())
        };
        let tables = |tables: &Tables| match tables {
            Tables::Known(known) if !known.is_empty() => SLOT + size_of_val(&**known),
            Tables::Known(_) | Tables::Any => 0,
        };
        let mut bytes = 0;
        for (name, candidates) in &self.functions {
            bytes +=
                size_of::<(Box<str>, Box<[Candidate]>)>() + name.len() + SLOT + size_of_val(&**candidates);
            bytes += candidates.iter().map(|candidate| blame(&candidate.effect)).sum::<usize>();
        }
        for entry in &self.relations {
            bytes +=
                size_of::<Entry>() + entry.full.len() * 2 + size_of::<(Box<str>, Box<[u32]>)>() + 3 * SLOT;
            bytes += blame(&entry.read) + tables(&entry.read.tables);
            bytes += blame(&entry.written);
            if !shared(&entry.read.tables, &entry.written.tables) {
                bytes += tables(&entry.written.tables);
            }
        }
        let plains = self.types.iter().chain(&self.operators);
        bytes += plains.map(|(name, all)| name.len() + 3 * SLOT + size_of_val(&**all)).sum::<usize>();
        self.bytes = bytes;
    }
}

fn shared(some: &Tables, other: &Tables) -> bool {
    match (some, other) {
        (Tables::Known(some), Tables::Known(other)) => std::sync::Arc::ptr_eq(some, other),
        _ => false,
    }
}
