//! What a segment needs.

use std::collections::VecDeque;
use std::sync::Arc;

use super::exchange::{Exchange, Owed};
use super::known::Known;
use super::need::key;
use super::rules::Defaults;
use crate::freshness::{Group, Position};
use crate::routing::{Doubt, Need, Wants};
use crate::sql::catalog::{Does, Tables};
use crate::sql::{Hints, Intent, Leaves, Level, Logged, OnStale, Scope, Statement, Touched, TraceParent};

/// Most blank summaries a session keeps: one for the segment that is read, one for a server that is leased.
const BLANKS: usize = 2;

/// What a lease begins with.
#[derive(Debug, Default)]
pub(super) struct Blank {
    pub(super) summary: Box<Summary>,
    pub(super) queue: VecDeque<Owed>,
}

/// What a segment needs, the strictest of its parts.
#[derive(Clone, Debug)]
pub(super) struct Summary {
    pub(super) wants: Wants,
    pub(super) intent: Option<Intent>,
    pub(super) level: Option<Level>,
    pub(super) scope: Option<Scope>,
    pub(super) key: Option<Group>,
    pub(super) on_stale: Option<OnStale>,
    /// Positions that must be seen.
    pub(super) after: Vec<Position>,
    /// The tables it reads and writes, by the catalog's generation `generation`.
    pub(super) touched: Touched,
    pub(super) generation: u64,
    /// What its node must have replayed.
    pub(super) need: Need,
    pub(super) doubt: Option<Doubt>,
    pub(super) does: Does,
    pub(super) leaves: Leaves,
    /// The settings it resets, by name, and does not set after that.
    pub(super) resets: Vec<Box<str>>,
    /// Statements run.
    pub(super) count: u64,
    /// The (first) statement, for what is learned and logged of it.
    pub(super) known: Option<Arc<Known>>,
    /// What the log is to say of it, where hints say something.
    pub(super) log: Option<Logged>,
    /// Where it belongs in the application's trace.
    pub(super) trace: Option<TraceParent>,
}

/// What was used, for those to come: a session that is at work asks for no memory.
#[derive(Debug, Default)]
pub(super) struct Blanks {
    #[allow(clippy::vec_box, reason = "they are moved in and out for every statement")]
    summaries: Vec<Box<Summary>>,
    queue: VecDeque<Owed>,
}

impl Blanks {
    /// A summary of nothing.
    pub(super) fn take(&mut self) -> Box<Summary> {
        self.summaries.pop().unwrap_or_default()
    }

    /// What a lease begins with.
    pub(super) fn for_lease(&mut self) -> Blank {
        Blank { summary: self.take(), queue: std::mem::take(&mut self.queue) }
    }

    /// A lease is over.
    pub(super) fn lease_ended(&mut self, summary: Box<Summary>, exchange: Exchange) {
        self.put_back(summary);
        self.queue = exchange.into_queue();
    }

    /// This one is not needed any more.
    pub(super) fn put_back(&mut self, mut summary: Box<Summary>) {
        if self.summaries.len() < BLANKS {
            *summary = Summary::nothing();
            self.summaries.push(summary);
        }
    }
}

impl Default for Summary {
    fn default() -> Self {
        Self::nothing()
    }
}

impl Summary {
    pub(super) fn nothing() -> Self {
        Self {
            wants: Wants::Read,
            intent: None,
            level: None,
            scope: None,
            key: None,
            on_stale: None,
            after: Vec::new(),
            touched: nothing_touched(),
            generation: 0,
            need: Need::default(),
            doubt: None,
            does: Does::NOTHING,
            leaves: Leaves::default(),
            resets: Vec::new(),
            count: 0,
            known: None,
            log: None,
            trace: None,
        }
    }

    /// What one more statement leaves in its session.
    pub(super) fn leave(&mut self, statement: &Statement) {
        let until_end = statement.leaves.contains(Leaves::LOCAL_SETTINGS);
        self.leaves |= statement.leaves;
        self.resets.retain(|reset| until_end || !statement.setting_names.contains(reset));
        self.resets.extend(statement.reset_names().iter().cloned());
    }

    /// Whose writes one more statement must see.
    pub(super) fn see(&mut self, hints: &Hints, defaults: &Defaults) {
        let hinted = hints.key.as_deref().map(key);
        let key = hinted.or(defaults.key);
        let scope = hints.scope.or(defaults.scope_by_key(hinted)).unwrap_or(defaults.scope);
        let scope = match (scope, key, self.key) {
            (Scope::Key, None, _) => Scope::Database,
            (Scope::Key, Some(key), Some(before)) if key != before => Scope::Database,
            _ => scope,
        };
        self.scope = Some(self.scope.map_or(scope, |before| before.and(scope)));
        self.key = self.key.or(key);
    }

    /// A part that may do anything.
    pub(super) fn unknown(&mut self) {
        self.wants = strictest(self.wants, Wants::Unknown);
        self.does |= Does::WRITES;
        self.touched = Touched { reads: Tables::Any, writes: Tables::Any };
    }
}

/// No tables.
pub(super) fn nothing_touched() -> Touched {
    Touched { reads: Tables::none(), writes: Tables::none() }
}

/// Of two needs the one that leaves less choice.
pub(super) fn strictest(a: Wants, b: Wants) -> Wants {
    let rank = |w| match w {
        Wants::Read => 0,
        Wants::ReadOnlyTransaction => 1,
        Wants::SessionState => 2,
        Wants::Transaction => 3,
        Wants::Unknown => 4,
        Wants::Write => 5,
    };
    if rank(a) >= rank(b) { a } else { b }
}
