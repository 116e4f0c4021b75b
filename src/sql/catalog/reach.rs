//! Which tables a read reads and a write writes, with everything behind them.

use super::objects::{Item, Objects};
use super::web::Web;
use super::{
    Blame, Body, Class, Does, Facts, Function, Language, Object, PartKind, RelationKind, RowSecurity, Tables,
    Volatility, Why, extensions, judge,
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// More tables than this are any tables.
const MANY: usize = 20_000;

/// Deeper nested than this is not followed.
const DEEP: usize = 100;

/// What a write to a relation may do.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) tables: Tables,
    pub(super) does: Does,
    /// Why the tables are not known, if they are not.
    pub(super) blame: Option<Arc<Blame>>,
}

/// Answers for one database, each worked out once.
#[derive(Debug)]
pub(super) struct Reach<'a> {
    objects: &'a Objects<'a>,
    web: &'a Web,
    children: FxHashMap<u32, Vec<u32>>,
    /// The tables that are changed when rows of a table are.
    cascades: FxHashMap<u32, Vec<u32>>,
    implied: Implied,
    known: FxHashMap<u32, Tables>,
    depth: usize,
}

/// Functions that run where values of a type are, without being named there.
#[derive(Debug, Default)]
struct Implied {
    /// What compares values of a type, for ORDER BY, DISTINCT and the like, and what makes them of others without being
    /// asked; without what is known to read nothing.
    reads: FxHashMap<u32, Vec<u32>>,
    /// What makes values of a type from others, perhaps when they are assigned to a column; only what may write.
    casts: FxHashMap<u32, Vec<u32>>,
    /// As `casts`, to a type of the server's own.
    casts_to_system: Vec<u32>,
}

impl<'a> Reach<'a> {
    pub(super) fn new(facts: &'a Facts, objects: &'a Objects<'a>, web: &'a Web) -> Self {
        let find = |oid| objects.find(Object::new(Class::Relation, oid));
        let mut children: FxHashMap<u32, Vec<u32>> = FxHashMap::default();
        let mut cascades: FxHashMap<u32, Vec<u32>> = FxHashMap::default();
        for child in &facts.children {
            if let (Some(parent), Some(child)) = (find(child.parent), find(child.child)) {
                children.entry(parent).or_default().push(child);
            }
        }
        for key in &facts.foreign_keys {
            if let (Some(from), Some(to)) = (find(key.from), find(key.to)) {
                cascades.entry(to).or_default().push(from);
            }
        }
        let implied = Implied::new(facts, objects, web);
        Reach { objects, web, children, cascades, implied, known: FxHashMap::default(), depth: 0 }
    }

    /// Whether a value that is made from another may change rows: then any piece of code may.
    pub(super) fn casts_write(&self) -> bool {
        !(self.implied.casts.is_empty() && self.implied.casts_to_system.is_empty())
    }

    /// The tables that using an object reads.
    pub(super) fn read(&mut self, at: u32) -> Tables {
        if let Some(known) = self.known.get(&at) {
            return known.clone();
        }
        if self.depth > DEEP {
            return Tables::Any;
        }
        // Functions can use themselves, through views or not: whoever comes back here finds this.
        self.known.insert(at, Tables::Any);
        self.depth += 1;
        let tables = self.work_out(at);
        self.depth -= 1;
        self.known.insert(at, tables.clone());
        tables
    }

    fn work_out(&mut self, at: u32) -> Tables {
        let web = self.web;
        match self.objects.get(at) {
            Some(Item::Builtin(function)) if judge::builtin_inner(&function.name).contains(Does::WRITES) => {
                Tables::Any
            }
            Some(Item::Builtin(_)) | None => Tables::none(),
            Some(Item::Function(function)) => match reads_of(function) {
                Reads::Nothing => Tables::none(),
                Reads::Anything => Tables::Any,
                Reads::WhatItUses => self.union(web.settled.used_by(at), Vec::new()),
            },
            Some(Item::Type(_) | Item::Operator(_)) => {
                // What brings values in and out and compares them reads no tables, whatever its settings are.
                let used =
                    web.settled.used_by(at).iter().copied().filter(|used| !is_plain(self.objects, *used));
                self.union(&used.collect::<Vec<_>>(), Vec::new())
            }
            Some(Item::Relation(relation)) => {
                let schema = self.objects.schema(relation.schema);
                if matches!(schema, "pg_catalog" | "information_schema") {
                    return Tables::Any;
                }
                match relation.kind {
                    RelationKind::Composite => Tables::none(),
                    RelationKind::View => {
                        let mut used = self.limbs(at, &[PartKind::View]);
                        used.extend(self.implied_of(at, &self.implied.reads));
                        self.union(&used, Vec::new())
                    }
                    // EXPLAIN of a write plans what the rules make of it.
                    _ if self.has_rules(at) => Tables::Any,
                    _ => {
                        let secured = relation.row_security == RowSecurity::On;
                        let kinds: &[PartKind] = if secured { &[PartKind::Policy] } else { &[] };
                        let mut used = self.limbs(at, kinds);
                        used.extend(self.children.get(&at).into_iter().flatten());
                        used.extend(self.implied_of(at, &self.implied.reads));
                        self.union(&used, vec![relation.oid])
                    }
                }
            }
        }
    }

    fn has_rules(&self, at: u32) -> bool {
        self.web.limbs.get(&at).is_some_and(|limbs| limbs.iter().any(|limb| limb.kind == PartKind::Rule))
    }

    /// The functions that a table has for the types of a relation's columns, and for the types that these are made of.
    fn implied_of(&self, at: u32, table: &FxHashMap<u32, Vec<u32>>) -> Vec<u32> {
        let mut found = Vec::new();
        if table.is_empty() {
            return found;
        }
        let columns = |at: u32| self.web.columns.get(&at).into_iter().flatten().copied();
        let mut queue: Vec<u32> = columns(at).collect();
        let mut seen: FxHashSet<u32> = queue.iter().copied().collect();
        while let Some(at) = queue.pop() {
            found.extend(table.get(&at).into_iter().flatten());
            let parts: Vec<u32> = match self.objects.get(at) {
                Some(Item::Type(_)) => self.web.settled.used_by(at).to_vec(),
                Some(Item::Relation(relation)) if relation.kind == RelationKind::Composite => {
                    columns(at).collect()
                }
                _ => Vec::new(),
            };
            queue.extend(parts.into_iter().filter(|part| seen.insert(*part)));
        }
        found
    }

    /// What the parts of these kinds use.
    fn limbs(&self, at: u32, kinds: &[PartKind]) -> Vec<u32> {
        let limbs = self.web.limbs.get(&at).into_iter().flatten();
        limbs.filter(|limb| kinds.contains(&limb.kind)).flat_map(|limb| limb.uses.iter().copied()).collect()
    }

    fn union(&mut self, used: &[u32], mut tables: Vec<u32>) -> Tables {
        let mut only = None;
        for &at in used {
            match self.read(at) {
                Tables::Any => return Tables::Any,
                Tables::Known(more) if more.is_empty() => {}
                Tables::Known(more) => {
                    tables.extend_from_slice(&more);
                    only = Some(more);
                }
            }
            if tables.len() > MANY {
                tables.sort_unstable();
                tables.dedup();
                if tables.len() > MANY {
                    return Tables::Any;
                }
            }
        }
        tables.sort_unstable();
        tables.dedup();
        match only {
            Some(only) if *only == *tables => Tables::Known(only),
            _ => Tables::Known(tables.into()),
        }
    }

    /// The tables that writing to a relation writes.
    pub(super) fn written(&mut self, at: u32) -> Written {
        let mut seen = FxHashSet::from_iter([at]);
        let mut queue = vec![at];
        let mut sum = Written { tables: Tables::none(), does: Does::WRITES, blame: None };
        let mut tables = Vec::new();
        while let Some(at) = queue.pop() {
            let Some(Item::Relation(relation)) = self.objects.get(at) else { continue };
            let found = self.written_here(at);
            sum.does |= found.does;
            sum.blame = sum.blame.or(found.blame);
            if found.tables == Tables::Any || tables.len() > MANY {
                sum.tables = Tables::Any;
            }
            let mut next = Vec::new();
            if relation.kind == RelationKind::View {
                next = self.limbs(at, &[PartKind::View]);
            } else {
                tables.push(relation.oid);
            }
            next.extend(self.children.get(&at).into_iter().flatten());
            next.extend(self.cascades.get(&at).into_iter().flatten());
            queue.extend(next.into_iter().filter(|next| seen.insert(*next)));
        }
        tables.sort_unstable();
        if sum.tables != Tables::Any {
            sum.tables = match self.read(at) {
                Tables::Known(same) if *same == *tables => Tables::Known(same),
                _ => Tables::Known(tables.into()),
            };
        }
        sum
    }

    /// What a write to one relation may do beside the writing itself.
    fn written_here(&self, at: u32) -> Written {
        let mut sum = Written { tables: Tables::none(), does: Does::NOTHING, blame: None };
        let Some(Item::Relation(relation)) = self.objects.get(at) else { return sum };
        if matches!(self.objects.schema(relation.schema), "pg_catalog" | "information_schema") {
            sum.tables = Tables::Any;
            // An UPDATE of pg_settings, which a view may pass on, sets.
            sum.does |= Does::LEAVES_ANYTHING;
        }
        let limbs = self.web.limbs.get(&at).into_iter().flatten();
        let columns = self.web.columns.get(&at).into_iter().flatten();
        if self.has_rules(at) {
            sum.tables = Tables::Any;
            sum.blame = Some(Arc::new(Blame { object: self.label(at), why: Why::Rewrites }));
        }
        if relation.kind == RelationKind::Foreign {
            // The other server can be this one.
            sum.tables = Tables::Any;
            sum.blame = Some(Arc::new(Blame { object: self.label(at), why: Why::Foreign }));
        }
        if self.casts_write() && limbs.clone().any(|limb| matches!(limb.kind, PartKind::Trigger(_))) {
            sum.tables = Tables::Any;
        }
        let casts = self.implied_of(at, &self.implied.casts);
        let casts = casts.iter().chain(&self.implied.casts_to_system);
        let limbs = limbs.filter(|limb| limb.kind != PartKind::View);
        for &used in limbs.flat_map(|limb| &limb.uses).chain(columns).chain(casts) {
            let knot = self.web.settled.knot(used);
            sum.does |= knot.inner.without(Does::WRITES);
            if knot.inner.contains(Does::WRITES) {
                sum.tables = Tables::Any;
                let why = knot.blame.clone().map(Why::Uses);
                let blame = why.map(|why| Arc::new(Blame { object: self.label(at), why }));
                sum.blame = sum.blame.or(blame);
            }
        }
        sum
    }

    fn label(&self, at: u32) -> Box<str> {
        self.objects.get(at).map(|item| self.objects.label(item)).unwrap_or_default()
    }
}

impl Implied {
    fn new(facts: &Facts, objects: &Objects<'_>, web: &Web) -> Self {
        let mut implied = Self::default();
        let function = |oid| objects.find(Object::new(Class::Function, oid));
        for comparison in &facts.comparisons {
            let of = objects.find(Object::new(Class::Type, comparison.of));
            if let (Some(of), Some(function)) = (of, function(comparison.function))
                && !is_plain(objects, function)
            {
                implied.reads.entry(of).or_default().push(function);
            }
        }
        for cast in &facts.casts {
            let Some(function) = function(cast.function) else { continue };
            let target = objects.find(Object::new(Class::Type, cast.target));
            if let Some(target) = target.filter(|_| cast.implicit && !is_plain(objects, function)) {
                implied.reads.entry(target).or_default().push(function);
            }
            if !web.settled.knot(function).inner.contains(Does::WRITES) {
                continue;
            }
            match target {
                Some(target) => implied.casts.entry(target).or_default().push(function),
                None => implied.casts_to_system.push(function),
            }
        }
        implied
    }
}

/// Whether it is a function in C that is not VOLATILE.
fn is_plain(objects: &Objects<'_>, at: u32) -> bool {
    matches!(objects.get(at), Some(Item::Function(function))
        if function.language == Language::Native && function.volatility != Volatility::Volatile)
}

/// What a function reads.
enum Reads {
    Nothing,
    WhatItUses,
    Anything,
}

fn reads_of(function: &Function) -> Reads {
    let extension = function.extension.as_deref();
    let listed = extension.is_some_and(|extension| extensions::is_harmless(extension, &function.name));
    match (function.language, function.volatility, function.body) {
        (Language::Native, Volatility::Immutable, _) => Reads::Nothing,
        (Language::Native, _, _) if listed => Reads::Nothing,
        (Language::Aggregate, _, _)
        | (Language::Sql, Volatility::Immutable | Volatility::Stable, Body::Parsed) => Reads::WhatItUses,
        _ => Reads::Anything,
    }
}
