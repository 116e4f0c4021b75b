//! From facts to the graph of who uses whom.

use super::graph::{Graph, Settled};
use super::judge::{self, Judgement, NamedBuiltin};
use super::objects::{Item, Objects};
use super::source::{self, Mention};
use super::{
    Blame, Body, Class, Does, Facts, Function, Language, Object, Part, PartKind, RowSecurity, Type, Use,
    Volatility, Vouched, Why,
};
use crate::sql::builtins;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// A part of a relation with the objects it uses.
#[derive(Debug)]
pub(super) struct Limb {
    pub(super) kind: PartKind,
    pub(super) uses: Vec<u32>,
}

/// Everything there is between the objects.
#[derive(Debug)]
pub(super) struct Web {
    pub(super) settled: Settled,
    /// The parts of each relation, by its number.
    pub(super) limbs: FxHashMap<u32, Vec<Limb>>,
    /// The types of each relation's columns, of those that did not come with the server.
    pub(super) columns: FxHashMap<u32, Vec<u32>>,
}

/// Finds out who uses whom.
pub(super) fn weave(facts: &Facts, objects: &Objects<'_>, vouched: &Vouched) -> Web {
    let mut weaver = Weaver {
        facts,
        objects,
        vouched,
        graph: Graph::new(objects.len()),
        names: FxHashMap::default(),
        calls: FxHashMap::default(),
        limbs: FxHashMap::default(),
        columns: FxHashMap::default(),
    };
    weaver.name_objects();
    weaver.attach_parts();
    for (at, item) in objects.iter() {
        weaver.judge(at, item);
    }
    for child in &facts.children {
        let find = |oid| objects.find(Object::new(Class::Relation, oid));
        if let (Some(parent), Some(child)) = (find(child.parent), find(child.child)) {
            weaver.arrow(parent, child);
        }
    }
    // What makes a value of a type without being asked may run wherever the type is used.
    for cast in facts.casts.iter().filter(|cast| cast.implicit) {
        let function = objects.find(Object::new(Class::Function, cast.function));
        if let (Some(target), Some(function)) =
            (objects.find(Object::new(Class::Type, cast.target)), function)
        {
            weaver.arrow(target, function);
        }
    }
    let settled = weaver
        .graph
        .settle(|at| objects.get(at).filter(|item| item.has_name()).map(|item| objects.label(item)));
    Web { settled, limbs: weaver.limbs, columns: weaver.columns }
}

struct Weaver<'a> {
    facts: &'a Facts,
    objects: &'a Objects<'a>,
    vouched: &'a Vouched,
    graph: Graph,
    /// An object for each name, which uses all objects of that name: sources are words, and many words mean many objects.
    names: FxHashMap<(NameOf, &'a str), u32>,
    /// What is said of names as built-in functions, looked up once.
    calls: FxHashMap<Box<str>, NamedBuiltin>,
    limbs: FxHashMap<u32, Vec<Limb>>,
    columns: FxHashMap<u32, Vec<u32>>,
}

/// What a word in a source can be the name of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum NameOf {
    Function,
    FunctionOfRow,
    RelationOrType,
    Operator,
}

impl<'a> Weaver<'a> {
    fn name_objects(&mut self) {
        for (at, item) in self.objects.iter() {
            let (of, name) = match item {
                Item::Function(function) => {
                    if function.arguments.of_row {
                        self.name_object(at, NameOf::FunctionOfRow, &function.name);
                    }
                    (NameOf::Function, &*function.name)
                }
                Item::Relation(relation) => (NameOf::RelationOrType, &*relation.name),
                Item::Type(kind) => (NameOf::RelationOrType, &*kind.name),
                Item::Operator(operator) => (NameOf::Operator, &*operator.name),
                Item::Builtin(_) => continue,
            };
            self.name_object(at, of, name);
        }
    }

    fn name_object(&mut self, at: u32, of: NameOf, name: &'a str) {
        let graph = &mut self.graph;
        let node = *self.names.entry((of, name)).or_insert_with(|| graph.add());
        self.graph.arrow(node, at);
    }

    fn attach_parts(&mut self) {
        for part in self.facts.parts.iter().chain(&self.facts.system.parts) {
            let class = if part.kind == PartKind::DomainCheck { Class::Type } else { Class::Relation };
            let Some(owner) = self.objects.find(Object::new(class, part.owner)) else { continue };
            let mut uses = self.used_by(part.object);
            uses.extend(self.builtins(&part.tree.functions));
            if let PartKind::Trigger(function) = part.kind {
                uses.extend(self.objects.find(Object::new(Class::Function, function)));
            }
            uses.retain(|used| *used != owner);
            if self.meets_reads(owner, part) && !self.is_cleared(owner) {
                for used in &uses {
                    self.graph.arrow(owner, *used);
                }
                if part.tree.locks {
                    self.blame(owner, Why::Locks);
                }
            }
            if matches!(part.kind, PartKind::Check | PartKind::Index) {
                // The planner compares them with a query's conditions, and runs what is declared IMMUTABLE to know its result.
                let run: Vec<u32> = uses.iter().copied().filter(|used| self.is_immutable(*used)).collect();
                self.arrows(owner, &run);
            }
            self.limbs.entry(owner).or_default().push(Limb { kind: part.kind, uses });
        }
    }

    /// Whether who reads the owner runs this part.
    fn meets_reads(&self, owner: u32, part: &Part) -> bool {
        match (part.kind, self.objects.get(owner)) {
            (PartKind::View, Some(Item::Relation(relation))) => relation.kind == super::RelationKind::View,
            (PartKind::Policy, Some(Item::Relation(relation))) => relation.row_security == RowSecurity::On,
            (PartKind::DomainCheck, _) => true,
            _ => false,
        }
    }

    fn is_immutable(&self, at: u32) -> bool {
        let item = self.objects.get(at);
        matches!(item, Some(Item::Function(function)) if function.volatility == Volatility::Immutable)
    }

    fn is_cleared(&self, at: u32) -> bool {
        match self.objects.get(at) {
            Some(Item::Relation(relation)) => {
                let schema = self.objects.schema(relation.schema);
                judge::relation(relation, schema, self.vouched) == Judgement::Cleared
            }
            _ => false,
        }
    }

    fn judge(&mut self, at: u32, item: Item<'a>) {
        match item {
            Item::Function(function) => self.function(at, function),
            Item::Relation(relation) => {
                let schema = self.objects.schema(relation.schema);
                let judgement = judge::relation(relation, schema, self.vouched);
                if let Judgement::Harmful(why) = &judgement {
                    self.blame(at, why.clone());
                }
                let columns = self.used_by(Object::new(Class::Relation, relation.oid));
                if judgement != Judgement::Cleared {
                    self.arrows(at, &columns);
                }
                self.columns.insert(at, columns);
            }
            Item::Type(kind) => self.type_(at, kind),
            Item::Operator(operator) => {
                let mut used = self.used_by(Object::new(Class::Operator, operator.oid));
                used.extend(self.objects.find(Object::new(Class::Function, operator.function)));
                self.arrows(at, &used);
            }
            Item::Builtin(function) => {
                if let Judgement::Harmful(why) = judge::builtin(function, self.vouched) {
                    self.blame(at, why);
                    let knot = self.graph.knot(at);
                    knot.does = judge::builtin_does(&function.name);
                    knot.inner = judge::builtin_inner(&function.name);
                }
            }
        }
    }

    fn function(&mut self, at: u32, function: &'a Function) {
        match judge::function(function, self.objects.schema(function.schema), self.vouched) {
            Judgement::Cleared => return,
            Judgement::Open => {}
            Judgement::Harmful(why) => {
                self.blame(at, why);
                self.graph.knot(at).does |= Does::WRITES | Does::LEAVES_ANYTHING;
            }
        }
        self.graph.knot(at).inner |= judge::unread_body(function);
        let mut used = self.used_by(Object::new(Class::Function, function.oid));
        used.extend(self.builtins(&function.tree.functions));
        self.arrows(at, &used);
        match (function.body, function.language) {
            (Body::Parsed, _) if function.volatility == Volatility::Volatile => {
                self.graph.knot(at).inner |= Does::WRITES;
            }
            (Body::Source, Language::Sql | Language::PlPgSql) => self.source(at, function),
            (Body::Parsed | Body::Source, _) => {}
        }
    }

    /// Follows the words of a source.
    fn source(&mut self, at: u32, function: &'a Function) {
        let does = source::read(&function.source, function.language, |mention| match mention {
            Mention::Call(name) => self.call(at, name),
            Mention::Field(name) => self.mention(at, NameOf::FunctionOfRow, name),
            Mention::Word(name) => {
                self.mention(at, NameOf::RelationOrType, name);
                if builtins::is_node_view(name) {
                    self.blame(at, Why::Mentions((*name).into()));
                }
            }
            Mention::Operator(name) => self.mention(at, NameOf::Operator, name),
            Mention::DynamicSql => self.anything(at, "dynamic SQL"),
            Mention::Unreadable => self.anything(at, "text that cannot be read"),
        });
        self.graph.knot(at).inner |= does;
    }

    fn anything(&mut self, at: u32, because: &str) {
        self.blame(at, Why::Mentions(because.into()));
        self.graph.knot(at).does |= source::EVERYTHING;
    }

    fn call(&mut self, at: u32, name: &str) {
        self.mention(at, NameOf::Function, name);
        if !self.calls.contains_key(name) {
            self.calls.insert(name.into(), judge::named_builtin(name, self.vouched));
        }
        if let Some(NamedBuiltin::Harmful(_)) = self.calls.get(name) {
            self.blame(at, Why::Mentions(format!("{name}()").into()));
            let knot = self.graph.knot(at);
            knot.does |= judge::builtin_does(name);
            knot.inner |= judge::builtin_inner(name);
        }
    }

    fn mention(&mut self, at: u32, of: NameOf, name: &str) {
        if let Some(node) = self.names.get(&(of, name)) {
            self.graph.arrow(at, *node);
        }
    }

    fn type_(&mut self, at: u32, kind: &Type) {
        let mut used = self.used_by(Object::new(Class::Type, kind.oid));
        let element = self.objects.find(Object::new(Class::Type, kind.element));
        let relation = self.objects.find(Object::new(Class::Relation, kind.relation));
        let of = kind.oid;
        let first = self.facts.comparisons.partition_point(|comparison| comparison.of < of);
        let compared = self.facts.comparisons.iter().skip(first).take_while(|comparison| comparison.of == of);
        let compared = compared.filter_map(|c| self.objects.find(Object::new(Class::Function, c.function)));
        used.extend(element.into_iter().chain(relation).chain(compared));
        self.arrows(at, &used);
    }

    fn arrow(&mut self, by: u32, what: u32) {
        if by != what {
            self.graph.arrow(by, what);
        }
    }

    fn arrows(&mut self, by: u32, all: &[u32]) {
        for what in all {
            self.arrow(by, *what);
        }
    }

    /// The objects that the server's table of dependencies has for `by`.
    fn used_by(&self, by: Object) -> Vec<u32> {
        let of = |uses: &'a [Use]| {
            let first = uses.partition_point(|other| other.by < by);
            uses.iter().skip(first).take_while(move |other| other.by == by).map(|other| other.what)
        };
        let uses = of(&self.facts.uses).chain(of(&self.facts.system.uses));
        uses.filter_map(|what| self.objects.find(what)).collect()
    }

    fn builtins(&self, functions: &[u32]) -> Vec<u32> {
        let found = functions.iter().map(|oid| self.objects.find(Object::new(Class::Function, *oid)));
        found.flatten().collect()
    }

    /// The first reason stays.
    fn blame(&mut self, at: u32, why: Why) {
        if self.graph.knot(at).blame.is_none() {
            let object = self.objects.get(at).map(|item| self.objects.label(item)).unwrap_or_default();
            self.graph.knot(at).blame = Some(Arc::new(Blame { object, why }));
        }
    }
}
