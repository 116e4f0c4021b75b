//! What a statement may do, given what the catalog says of the names it uses.

use super::{Cause, Class, Leaves, Mentions, Statement, Use};
use crate::sql::builtins;
use crate::sql::catalog::{Blame, Catalog, Does, Effect, SearchPath, Tables, Why};
use std::sync::Arc;

/// What the text of a statement tells by itself, and the names of which only the catalog can tell more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parsed {
    /// What it may do if every name in it is harmless.
    pub(super) outline: Statement,
    /// Whether what it writes are the tables it names, and what the catalog knows to hang on them.
    pub(super) writes_named: bool,
    /// The names it uses.
    pub mentions: Mentions,
}

/// The tables a statement touches.
///
/// What everything depends on is in neither set: every statement reads the catalog, so also one that reads no table must see
/// what a statement has changed that may write any.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Touched {
    /// Those it reads.
    pub reads: Tables,
    /// Those it may change.
    pub writes: Tables,
}

impl Parsed {
    pub(super) fn new(outline: Statement, writes_named: bool, mentions: Mentions) -> Self {
        Self { outline, writes_named, mentions }
    }

    /// Whether the catalog has a say at all.
    pub fn names_something(&self) -> bool {
        !self.mentions.is_empty()
    }

    /// Whether every text of the same shape tells the same, so that the answer can be kept.
    pub fn belongs_to_shape(&self) -> bool {
        !matches!(self.outline.cause, Cause::SyntaxError | Cause::TooLarge)
    }

    /// Bytes on the heap, about.
    pub fn bytes(&self) -> usize {
        self.mentions.bytes() + self.outline.setting_names.iter().map(|name| name.len() + 16).sum::<usize>()
    }

    /// What the statement may do in a database of which nothing is known: its relations are taken for ordinary tables,
    /// and functions that are not built in may do anything. For explanations without a database only.
    pub fn without_catalog(&self) -> Statement {
        let mut judging = Judging::new(self);
        for (how, name) in self.mentions.iter() {
            if let Use::Called(_) = how {
                let known = builtins::verdict(&name.name) != builtins::Verdict::Unlisted;
                if !known || name.schema.is_some() {
                    let name = match &name.schema {
                        Some(schema) => format!("{schema}.{}", name.name).into(),
                        None => name.name,
                    };
                    judging.raise(Cause::Function(name), Class::Unknown);
                    judging.statement.does |= Does::WRITES | Does::LEAVES_ANYTHING;
                }
            }
        }
        judging.statement.touched = None;
        judging.finish()
    }

    /// What the statement may do in a database, for a session with this `search_path`.
    pub fn judge(&self, catalog: &Catalog, path: &SearchPath) -> Statement {
        let mut judging = Judging::new(self);
        let suspicious = catalog.suspects_anything();
        for (how, name) in self.mentions.iter() {
            match how {
                Use::Read => judging.reads(&catalog.read(path, &name)),
                Use::Written => judging.writes(&catalog.written(path, &name)),
                Use::Called(arguments) => judging.reads(&catalog.call(path, &name, arguments)),
                Use::CastTo if suspicious => judging.reads(&catalog.cast(path, &name)),
                Use::Operator if suspicious => judging.reads(&catalog.operator(path, &name)),
                Use::Field if suspicious => judging.reads(&catalog.field(&name.name)),
                Use::CastTo | Use::Operator | Use::Field => {}
            }
        }
        if let Some(effect) = catalog.implicit().filter(|_| self.names_something()) {
            // It may run anywhere, but seldom does: what it would leave in the session is not held against every statement.
            judging.reads(&Effect {
                does: effect.does.only(Does::WRITES | Does::CHANGES_ROWS),
                ..effect.clone()
            });
        }
        judging.finish()
    }
}

impl From<Statement> for Parsed {
    /// A statement that names nothing the catalog is asked for.
    fn from(outline: Statement) -> Self {
        Self::new(outline, false, Mentions::default())
    }
}

impl Touched {
    /// Bytes on the heap, about.
    pub fn bytes(&self) -> usize {
        let of = |tables: &Tables| match tables {
            Tables::Known(known) => size_of_val(&**known),
            Tables::Any => 0,
        };
        size_of::<Self>() + of(&self.reads) + of(&self.writes)
    }
}

struct Judging {
    statement: Statement,
    touched: Touched,
}

impl Judging {
    fn new(parsed: &Parsed) -> Self {
        let statement = parsed.outline.clone();
        let bounded = parsed.writes_named || !statement.may_write();
        let writes = if bounded { Tables::none() } else { Tables::Any };
        Self { statement, touched: Touched { reads: Tables::none(), writes } }
    }

    fn reads(&mut self, effect: &Effect) {
        if effect.does.contains(Does::CHANGES_ROWS) {
            self.touched.writes = Tables::Any;
        }
        self.touched.reads = self.touched.reads.and(&effect.tables);
        self.takes_part(effect.blame.as_ref(), effect.does);
    }

    fn writes(&mut self, effect: &Effect) {
        self.touched.reads = self.touched.reads.and(&effect.tables);
        self.touched.writes = self.touched.writes.and(&effect.tables);
        self.takes_part(effect.blame.as_ref(), effect.does);
    }

    fn takes_part(&mut self, blame: Option<&Arc<Blame>>, does: Does) {
        if let Some(blame) = blame {
            self.blame(blame);
        }
        self.statement.does |= does;
    }

    fn blame(&mut self, blame: &Arc<Blame>) {
        if self.statement.class.strictness() >= Class::Write.strictness() {
            return;
        }
        let class = match blame.root().why {
            Why::Listed(builtins::Reason::Writes) | Why::Locks => Class::Write,
            _ => Class::Unknown,
        };
        self.raise(Cause::Catalog(Arc::clone(blame)), class);
    }

    fn raise(&mut self, cause: Cause, class: Class) {
        if class.strictness() > self.statement.class.strictness() {
            self.statement.class = class;
            self.statement.cause = cause;
        }
    }

    fn finish(self) -> Statement {
        let Self { mut statement, touched } = self;
        if statement.does.contains(Does::LEAVES_ANYTHING) {
            statement.leaves |= Leaves::ANYTHING;
        }
        if statement.does.contains(Does::USES_SEQUENCE) {
            statement.leaves |= Leaves::SEQUENCE;
        }
        if statement.does.contains(Does::RUNS_NATIVE_CODE) {
            statement.leaves |= Leaves::NATIVE_CODE;
        }
        statement.touched = Some(Box::new(touched));
        statement
    }
}
