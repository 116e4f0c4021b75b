//! What is known of the statements of one shape.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::ground::Ground;
use crate::cluster::catalog::Keeper;
use crate::routing::Reason;
use crate::sql::catalog::{Does, Tables};
use crate::sql::{Cause, Class, Parsed, Statement};
use crate::stats::{Blocker, Ran, ShapeStats, Shapes, Tally};

/// Bytes an entry of a map takes beside its value, about.
const ENTRY: usize = 64;

/// What the texts of one shape tell by themselves, whoever sends them.
#[derive(Debug)]
pub(super) struct Told {
    parsed: Parsed,
    /// The text without its literals, for logs; cut where it is long.
    shape: Arc<str>,
    /// Of the whole of it.
    digest: u64,
}

impl Told {
    pub(super) fn new(parsed: Parsed, shape: &str, digest: u64) -> Arc<Self> {
        Arc::new(Self { parsed, shape: shape.into(), digest })
    }

    /// Whether every text of the same shape tells the same.
    pub(super) fn belongs_to_shape(&self) -> bool {
        self.parsed.belongs_to_shape()
    }

    /// Bytes it takes, about.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.parsed.bytes() + self.shape.len() + ENTRY
    }
}

/// What is known of the statements of one shape, in one database, for sessions with the same path.
#[derive(Debug)]
pub(super) struct Known {
    /// What they may do.
    pub(super) statement: Statement,
    /// The text without its literals, for logs; cut where it is long.
    pub(super) shape: Arc<str>,
    /// The numbers of the rules that speak of this shape.
    pub(super) rules: Arc<[usize]>,
    told: Arc<Told>,
    /// Which reading of the catalog this was judged by.
    generation: u64,
    refused: AtomicBool,
    writes: AtomicBool,
    blocker: OnceLock<Arc<Blocker>>,
    stats: OnceLock<Arc<ShapeStats>>,
}

impl Known {
    /// Of what was not read, or is not kept.
    pub(super) fn unread(statement: Statement) -> Arc<Self> {
        let told = Told::new(Parsed::from(statement.clone()), "", 0);
        Self::new(told, Arc::default(), statement, 0)
    }

    fn new(told: Arc<Told>, rules: Arc<[usize]>, statement: Statement, generation: u64) -> Arc<Self> {
        Arc::new(Self {
            statement,
            shape: Arc::clone(&told.shape),
            rules,
            told,
            generation,
            refused: AtomicBool::new(false),
            writes: AtomicBool::new(false),
            blocker: OnceLock::new(),
            stats: OnceLock::new(),
        })
    }

    /// The judgement of the newest catalog on what was told.
    pub(super) fn judged(
        told: Arc<Told>,
        rules: Arc<[usize]>,
        ground: &Ground,
        catalog: &Keeper,
    ) -> Arc<Self> {
        let snapshot = catalog.current();
        let statement = told.parsed.judge(&snapshot.catalog, &ground.path);
        if statement.is_unresolved() {
            catalog.ask();
        }
        Self::new(told, rules, statement, snapshot.generation)
    }

    /// The same, judged by the newest catalog.
    pub(super) fn anew(&self, ground: &Ground, catalog: &Keeper) -> Arc<Self> {
        Self::judged(Arc::clone(&self.told), Arc::clone(&self.rules), ground, catalog)
    }

    /// Whether it was judged by the newest reading of the catalog. What the catalog does not know is asked for again.
    pub(super) fn is_current(&self, catalog: &Keeper) -> bool {
        if self.statement.is_unresolved() {
            catalog.ask();
        }
        !self.depends_on_catalog() || self.generation == catalog.generation()
    }

    /// Whether it uses any name that only the catalog can know.
    pub(super) fn depends_on_catalog(&self) -> bool {
        self.told.parsed.names_something()
    }

    /// A replica has refused this shape.
    pub(super) fn refuse(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }

    /// A replica has refused this shape because it writes: what looked like a read calls something that does.
    pub(super) fn wrote(&self) {
        self.writes.store(true, Ordering::Relaxed);
    }

    /// The tables it reads, as far as that is certain.
    pub(super) fn reads(&self) -> Tables {
        match &self.statement.touched {
            Some(touched) if self.statement.class != Class::Unknown => touched.reads.clone(),
            _ => Tables::Any,
        }
    }

    /// The tables it may write to.
    pub(super) fn writes(&self) -> Tables {
        match &self.statement.touched {
            _ if self.writes.load(Ordering::Relaxed) => Tables::Any,
            Some(touched) => touched.writes.clone(),
            None => Tables::Any,
        }
    }

    /// What it may do beside answering.
    pub(super) fn does(&self) -> Does {
        let learned = if self.writes.load(Ordering::Relaxed) { Does::WRITES } else { Does::NOTHING };
        self.statement.does | learned
    }

    /// Whether a replica has refused this shape.
    pub(super) fn was_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// What keeps it from replicas, if that is something a report should name.
    pub(super) fn blocker(&self, reason: Reason, tally: &Tally) -> Option<&Arc<Blocker>> {
        let cause = &self.statement.cause;
        let refused = reason == Reason::RefusedBefore;
        let named = matches!(reason, Reason::Unknown | Reason::Write)
            && matches!(cause, Cause::Function(_) | Cause::Catalog(_) | Cause::SystemView(_));
        let new = || {
            let name = if refused { "a replica has refused it".to_owned() } else { cause.to_string() };
            tally.blocker(&name, &self.shape)
        };
        (refused || named).then(|| self.blocker.get_or_init(new))
    }

    /// A statement of this shape was run, in the database whose shapes these are.
    pub(super) fn ran(&self, shapes: &Shapes, ran: Ran) {
        if self.shape.is_empty() {
            // Shared by databases.
            return shapes.ran_unshaped(ran);
        }
        let stats = self.stats.get_or_init(|| shapes.of(self.told.digest, &self.shape));
        shapes.ran(stats, ran);
    }

    /// Forgets what was learned.
    pub(super) fn forget(&self) {
        self.refused.store(false, Ordering::Relaxed);
        self.writes.store(false, Ordering::Relaxed);
    }

    /// Bytes it takes, about, beside what was told.
    pub(super) fn bytes(&self) -> usize {
        let names: usize = self.statement.setting_names.iter().map(|name| name.len() + 16).sum();
        let tables = self.statement.touched.as_ref().map_or(0, |touched| touched.bytes());
        size_of::<Self>() + names + tables + ENTRY
    }
}
