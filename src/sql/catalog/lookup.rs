//! The catalog as it is asked: an effect for each name a statement can use.

use super::judge::{self, Judgement, NamedBuiltin};
use super::{Arguments, Blame, Does, Effect, Name, SearchPath, Tables, Vouched, Why};
use rustc_hash::{FxHashMap, FxHashSet};
use std::fmt::Write;
use std::sync::Arc;

/// What is known of one database. A value that never changes: a new reading makes a new one.
#[derive(Debug, Default)]
pub struct Catalog {
    /// `None` if nothing was read.
    pub(super) known: Option<Box<Known>>,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) schemas: Vec<Box<str>>,
    pub(super) functions: FxHashMap<Box<str>, Box<[Candidate]>>,
    pub(super) relations: Vec<Entry>,
    pub(super) relation_names: FxHashMap<Box<str>, Box<[u32]>>,
    pub(super) relation_oids: FxHashMap<u32, u32>,
    pub(super) types: FxHashMap<Box<str>, Vec<Plain>>,
    pub(super) system_types: FxHashSet<Box<str>>,
    /// Only those that are not harmless or read tables.
    pub(super) operators: FxHashMap<Box<str>, Vec<Plain>>,
    pub(super) fields: FxHashMap<Box<str>, Effect>,
    /// The verdict on the functions of `pg_catalog` that the lists do not know.
    pub(super) unlisted: FxHashMap<Box<str>, Judgement>,
    pub(super) implicit: Option<Effect>,
    pub(super) suspects: Suspects,
    pub(super) vouched: Vouched,
    pub(super) digest: u64,
    pub(super) bytes: usize,
}

/// Whether any type, operator or field is worth asking about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Suspects {
    #[default]
    Nothing,
    Something,
}

/// A function that a call could mean.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) schema: u32,
    pub(super) least: u16,
    /// `u16::MAX` stands for any number.
    pub(super) most: u16,
    /// The types of its arguments, hashed: of two with the same types, the one in the earlier schema is meant.
    pub(super) types: u64,
    pub(super) effect: Effect,
}

/// An object of a schema, and its effect.
#[derive(Debug)]
pub(super) struct Plain {
    pub(super) schema: u32,
    pub(super) effect: Effect,
}

/// A relation.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) schema: u32,
    /// `public.orders`, for people.
    pub(super) full: Box<str>,
    pub(super) read: Effect,
    pub(super) written: Effect,
}

impl Catalog {
    /// Knows nothing: of every relation, and of every function that the lists do not know, it says so.
    pub fn nothing() -> Catalog {
        Catalog::default()
    }

    /// SELECT from a relation.
    pub fn read(&self, path: &SearchPath, name: &Name) -> Effect {
        self.relation(path, name, |entry| &entry.read)
    }

    /// INSERT, UPDATE, DELETE, MERGE, TRUNCATE or COPY FROM: the tables are all that it may change, and the blame says
    /// why that can be any.
    pub fn written(&self, path: &SearchPath, name: &Name) -> Effect {
        self.relation(path, name, |entry| &entry.written)
    }

    /// A call of a function, procedure or aggregate.
    pub fn call(&self, path: &SearchPath, name: &Name, arguments: Arguments) -> Effect {
        let mut sum = self.builtin(path, name);
        for effect in self.candidates(path, name, arguments) {
            sum = Some(match sum {
                Some(sum) => sum.and(effect),
                None => effect,
            });
        }
        if let Some(sum) = sum {
            return sum;
        }
        let may_cast = matches!(arguments, Arguments::Exactly(1));
        match self.type_(path, name).filter(|_| may_cast) {
            Some(effect) => effect,
            None => self.lacks("function", name),
        }
    }

    /// An explicit cast to a type, or a literal of it. Types that are not known are harmless: what could be worth knowing
    /// of them is read with them.
    pub fn cast(&self, path: &SearchPath, name: &Name) -> Effect {
        self.type_(path, name).unwrap_or_else(Effect::harmless)
    }

    /// An operator.
    pub fn operator(&self, path: &SearchPath, name: &Name) -> Effect {
        let Some(known) = &self.known else { return Effect::harmless() };
        let found = known.operators.get(&name.name);
        known.strictest(path, name, found).unwrap_or_else(Effect::harmless)
    }

    /// A field `row.name`, which may be the call `name(row)`.
    pub fn field(&self, name: &str) -> Effect {
        let found = self.known.as_ref().and_then(|known| known.fields.get(name));
        found.cloned().unwrap_or_else(Effect::harmless)
    }

    /// Whether there is anything that [`Self::cast`], [`Self::operator`] or [`Self::field`] would say. Usually there is not.
    pub fn suspects_anything(&self) -> bool {
        self.known.as_ref().is_some_and(|known| known.suspects == Suspects::Something)
    }

    /// What any statement may do without naming it: the functions behind implicit casts to the server's own types, if any of
    /// them is remarkable. (What makes values of other types counts for whatever uses these types.)
    pub fn implicit(&self) -> Option<&Effect> {
        self.known.as_ref()?.implicit.as_ref()
    }

    /// The name of a table with its schema, for people.
    pub fn table_name(&self, oid: u32) -> Option<&str> {
        let known = self.known.as_ref()?;
        let at = *known.relation_oids.get(&oid)?;
        known.relations.get(at as usize).map(|entry| &*entry.full)
    }

    /// How many functions and relations it knows, but for the server's own.
    pub fn objects(&self) -> usize {
        let Some(known) = &self.known else { return 0 };
        known.relation_oids.len() + known.functions.values().map(|candidates| candidates.len()).sum::<usize>()
    }

    /// Bytes of memory it holds, estimated.
    pub fn bytes(&self) -> usize {
        self.known.as_ref().map_or(0, |known| known.bytes)
    }

    /// A number that is the same for equal facts.
    pub fn digest(&self) -> u64 {
        self.known.as_ref().map_or(0, |known| known.digest)
    }

    fn relation(&self, path: &SearchPath, name: &Name, which: impl Fn(&Entry) -> &Effect) -> Effect {
        if name.schema.as_deref() == Some("pg_temp") {
            return Effect::unknown(Blame { object: described("relation", name), why: Why::Temporary });
        }
        let Some(known) = &self.known else { return self.lacks("relation", name) };
        let entries = known.relation_names.get(&name.name).into_iter().flat_map(|found| found.iter());
        let entries = entries.filter_map(|at| known.relations.get(*at as usize));
        let placed = entries.map(|entry| (entry.schema, which(entry)));
        known.meant(path, name, placed).unwrap_or_else(|| self.lacks("relation", name))
    }

    fn type_(&self, path: &SearchPath, name: &Name) -> Option<Effect> {
        let known = self.known.as_ref()?;
        let of_name = |name: &Name| {
            let found = known.types.get(&name.name);
            let is_system = name.schema.as_deref().is_none_or(|schema| schema == "pg_catalog")
                && known.system_types.contains(&name.name);
            let own = known.strictest(path, name, found);
            own.or_else(|| is_system.then(Effect::harmless)).or_else(|| known.row_type(path, name))
        };
        of_name(name).or_else(|| {
            // An array type is called as its elements are, with an underscore before it.
            let element = name.name.strip_prefix('_')?;
            of_name(&Name { schema: name.schema.clone(), name: element.into() })
        })
    }

    /// What a call would do if it meant the server's own function, if that can be.
    fn builtin(&self, path: &SearchPath, name: &Name) -> Option<Effect> {
        path.place(name, "pg_catalog")?;
        let none = Vouched::default();
        let known = self.known.as_ref();
        let why = match judge::named_builtin(&name.name, known.map_or(&none, |known| &known.vouched)) {
            NamedBuiltin::Harmless => return Some(Effect::harmless()),
            NamedBuiltin::Harmful(why) => why,
            NamedBuiltin::Unlisted => match known?.unlisted.get(&name.name)? {
                Judgement::Harmful(why) => why.clone(),
                Judgement::Open | Judgement::Cleared => return Some(Effect::harmless()),
            },
        };
        let any = judge::builtin_inner(&name.name).contains(Does::WRITES);
        // Which setting a statement sets by its own words is read there: it is no code that nobody has read.
        let does = if &*name.name == "set_config" { Does::NOTHING } else { judge::builtin_does(&name.name) };
        Some(Effect {
            blame: Some(Arc::new(Blame { object: described("function", name), why })),
            does: does | if any { Does::CHANGES_ROWS } else { Does::NOTHING },
            tables: if any { Tables::Any } else { Tables::none() },
        })
    }

    /// What the functions do that a call could mean. Of one that is hidden by another only the tables count: see
    /// [`Known::meant`].
    fn candidates(&self, path: &SearchPath, name: &Name, arguments: Arguments) -> Vec<Effect> {
        let Some(known) = &self.known else { return Vec::new() };
        let all = known.functions.get(&name.name).into_iter().flat_map(|found| found.iter());
        let fitting = all.filter(|candidate| match arguments {
            Arguments::Exactly(count) => {
                candidate.least <= count && (count <= candidate.most || candidate.most == u16::MAX)
            }
            Arguments::Unclear => true,
        });
        let placed = fitting.filter_map(|c| Some((path.place(name, known.schema(c.schema))?, c)));
        let mut placed: Vec<_> = placed.collect();
        let ordered = path.has_order(name);
        if ordered {
            placed.sort_by_key(|(place, _)| *place);
        }
        let mut seen = FxHashSet::default();
        let effect = |(_, candidate): (usize, &Candidate)| {
            let hidden = !seen.insert(candidate.types) && ordered;
            if hidden {
                return Effect { tables: candidate.effect.tables.clone(), ..Effect::harmless() };
            }
            candidate.effect.clone()
        };
        placed.into_iter().map(effect).collect()
    }

    fn lacks(&self, kind: &str, name: &Name) -> Effect {
        let why = if self.known.is_some() { Why::NotFound } else { Why::NotRead };
        let effect = Effect::unknown(Blame { object: described(kind, name), why });
        // Only code leaves something behind or changes the catalog. (A view so new that the catalog lacks it and that calls
        // such code is rare; tables made a moment ago, and temporary ones, which the catalog never has, are not.)
        let does = if kind == "relation" { Does::WRITES | Does::CHANGES_ROWS } else { effect.does };
        Effect { does, ..effect }
    }
}

impl Known {
    pub(super) fn schema(&self, at: u32) -> &str {
        self.schemas.get(at as usize).map_or("", |schema| schema)
    }

    /// Of objects of one name, the one that is meant; all of them if nobody knows which. A role that may not use a schema
    /// passes it over, so the tables of those in later schemas count, too.
    fn meant<'a>(
        &self,
        path: &SearchPath,
        name: &Name,
        found: impl Iterator<Item = (u32, &'a Effect)>,
    ) -> Option<Effect> {
        let placed =
            found.filter_map(|(schema, effect)| Some((path.place(name, self.schema(schema))?, effect)));
        if path.has_order(name) {
            let mut placed: Vec<_> = placed.collect();
            placed.sort_by_key(|(place, _)| *place);
            let ((_, first), later) = placed.split_first()?;
            let tables = later.iter().fold(first.tables.clone(), |all, (_, effect)| all.and(&effect.tables));
            return Some(Effect { tables, ..(*first).clone() });
        }
        placed.map(|(_, effect)| effect.clone()).reduce(Effect::and)
    }

    /// All objects of a name that are in the path.
    fn strictest(&self, path: &SearchPath, name: &Name, found: Option<&Vec<Plain>>) -> Option<Effect> {
        let found = found.into_iter().flatten();
        let placed = found.filter(|plain| path.place(name, self.schema(plain.schema)).is_some());
        placed.map(|plain| plain.effect.clone()).reduce(Effect::and)
    }

    /// The type of a relation's rows: harmful if reading it is, whatever the cause.
    fn row_type(&self, path: &SearchPath, name: &Name) -> Option<Effect> {
        let entries = self.relation_names.get(&name.name)?.iter();
        let entries = entries.filter_map(|at| self.relations.get(*at as usize));
        self.meant(path, name, entries.map(|entry| (entry.schema, &entry.read)))
            .map(|effect| Effect { tables: Tables::none(), ..effect })
    }
}

/// A name for people.
fn described(kind: &str, name: &Name) -> Box<str> {
    let mut text = format!("{kind} ");
    if let Some(schema) = &name.schema {
        let _ = write!(text, "{schema}.");
    }
    text.push_str(&name.name);
    text.into()
}
