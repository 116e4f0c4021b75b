//! What is noted while a tree is walked, and how the notes of several statements become one answer.

use super::mentions::Gathered;
use super::select::string;
use super::{Begin, Cause, Class, Leaves, Own, Parsed, Statement, Use};
use crate::sql::builtins::{self, Verdict};
use crate::sql::catalog::Does;
use pg_query::protobuf::Node;

/// Nesting of nodes that is followed. `pg_query` does not hand out a tree this deep (its decoder stops at 100 messages), so
/// this only holds should it ever: a deeper tree must not overflow the stack.
const DEEPEST: u8 = 200;

/// What becomes of the statement that is walked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Run {
    Executed,
    /// EXPLAIN without ANALYZE.
    Planned,
}

/// What is known so far of a statement.
#[allow(clippy::struct_excessive_bools, reason = "independent facts that are gathered")]
pub(super) struct Notes {
    class: Class,
    cause: Cause,
    may_write: bool,
    pub(super) leaves: Leaves,
    setting_names: Vec<Box<str>>,
    reset_names: Vec<Box<str>>,
    changes_catalog: bool,
    /// Whether it writes otherwise than to the tables it names.
    writes_unnamed: bool,
    mentions: Gathered,
    /// Names of WITH queries in force: they hide relations.
    ctes: Vec<Box<str>>,
    run: Run,
    depth: u8,
}

impl Default for Notes {
    fn default() -> Self {
        Notes {
            class: Class::Read,
            cause: Cause::Empty,
            may_write: false,
            leaves: Leaves::default(),
            setting_names: Vec::new(),
            reset_names: Vec::new(),
            changes_catalog: false,
            writes_unnamed: false,
            mentions: Gathered::default(),
            ctes: Vec::new(),
            run: Run::Executed,
            depth: 0,
        }
    }
}

impl Notes {
    /// Raises the class, if `class` is stricter than what is known so far.
    pub(super) fn note(&mut self, class: Class, cause: Cause, may_write: bool) {
        self.may_write |= may_write;
        self.writes_unnamed |= may_write && !writes_by_name(&cause);
        if class.strictness() > self.class.strictness() || self.cause == Cause::Empty {
            self.class = class;
            self.cause = cause;
        }
    }

    /// Notes what happens only when the statement is executed.
    pub(super) fn note_execution(&mut self, class: Class, cause: Cause, may_write: bool) {
        if self.run == Run::Executed {
            self.note(class, cause, may_write);
        }
    }

    pub(super) fn not_understood(&mut self, what: &'static str) {
        self.changes_catalog = true;
        self.note(Class::Unknown, Cause::NotUnderstood(what), true);
    }

    /// Notes the call of a function by its name. A name of which nothing is known may do anything.
    pub(super) fn note_function(&mut self, name: &str) {
        if self.run == Run::Planned {
            return;
        }
        let (class, may_write) = match builtins::verdict(name) {
            // What is not built in, the catalog may know.
            Verdict::Harmless | Verdict::Unlisted => return,
            Verdict::Primary(builtins::Reason::Writes) => (Class::Write, true),
            Verdict::Primary(reason) => (Class::Unknown, reason.may_write()),
        };
        self.leaves |= match name {
            "currval" | "lastval" => Leaves::SEQUENCE,
            "setseed" => Leaves::SEED,
            "pg_advisory_unlock" | "pg_advisory_unlock_shared" | "pg_advisory_unlock_all" => {
                Leaves::ADVISORY_UNLOCK
            }
            "pg_advisory_lock"
            | "pg_advisory_lock_shared"
            | "pg_try_advisory_lock"
            | "pg_try_advisory_lock_shared" => Leaves::ADVISORY_LOCK,
            _ => Leaves::default(),
        };
        self.note(class, Cause::Function(name.into()), may_write);
    }

    /// Notes the use of a name that the catalog may know something of.
    pub(super) fn mention(&mut self, how: Use, schema: &str, name: &str) {
        self.mentions.add(how, schema, name);
    }

    /// Notes a name of several parts, as a list of strings.
    pub(super) fn mention_list(&mut self, how: Use, names: &[Node]) {
        match names {
            [name] => self.mentions.add(how, "", string(name).unwrap_or_default()),
            [.., schema, name] => {
                let schema = string(schema).unwrap_or_default();
                if schema != "pg_catalog" {
                    self.mentions.add(how, schema, string(name).unwrap_or_default());
                }
            }
            [] => {}
        }
    }

    /// Whether a WITH query of this name is in force.
    pub(super) fn is_cte(&self, name: &str) -> bool {
        self.ctes.iter().any(|cte| **cte == *name)
    }

    /// A WITH query is in force from here on.
    pub(super) fn add_cte(&mut self, name: &str) {
        self.ctes.push(name.into());
    }

    /// Walks a statement of its own: what its WITH clause names ends with it.
    pub(super) fn with_scope(&mut self, walk: impl FnOnce(&mut Self)) {
        let outer = self.ctes.len();
        walk(self);
        self.ctes.truncate(outer);
    }

    /// Notes a statement that may write to tables that it does not name.
    pub(super) fn writes_unnamed(&mut self) {
        self.writes_unnamed = true;
    }

    /// Notes a statement that may change the catalog.
    pub(super) fn changes_catalog(&mut self) {
        self.changes_catalog = true;
    }

    /// Notes a setting that is set or reset.
    pub(super) fn note_setting(&mut self, name: &str, leaves: Leaves) {
        let name = name.to_ascii_lowercase();
        self.leaves |= leaves;
        match name.as_str() {
            "synchronous_commit" => self.leaves |= Leaves::ASYNC_COMMIT,
            "role" | "session_authorization" => self.leaves |= Leaves::ROLE,
            _ => {}
        }
        self.add_setting_name(name.into());
    }

    /// Notes a setting that is reset, or set to its default.
    pub(super) fn note_reset(&mut self, name: &str, leaves: Leaves) {
        self.note_setting(name, leaves);
        self.reset_names.push(name.to_ascii_lowercase().into());
    }

    fn add_setting_name(&mut self, name: Box<str>) {
        if !self.setting_names.contains(&name) {
            self.setting_names.push(name);
        }
    }

    pub(super) fn is_read(&self) -> bool {
        self.class == Class::Read
    }

    pub(super) fn is_planned_only(&self) -> bool {
        self.run == Run::Planned
    }

    /// Walks what is planned and not executed.
    pub(super) fn planned(&mut self, walk: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.run, Run::Planned);
        walk(self);
        self.run = outer;
    }

    /// Walks what EXPLAIN ANALYZE executes: its class stands, the cause is that it is executed.
    pub(super) fn executed_by_explain(&mut self, walk: impl FnOnce(&mut Self)) {
        walk(self);
        if self.class != Class::Read {
            self.cause = Cause::ExplainAnalyze;
        }
    }

    /// Walks one level deeper, if that is not too deep.
    pub(super) fn deeper(&mut self, walk: impl FnOnce(&mut Self)) {
        if self.depth >= DEEPEST {
            return self.not_understood("nesting this deep");
        }
        self.depth += 1;
        walk(self);
        self.depth -= 1;
    }

    /// Adds the notes of the next statement of the text. Transaction control among other statements makes it unknown what
    /// state the session is in between them.
    pub(super) fn join(&mut self, next: Notes) {
        let transaction = self.class.is_transaction_control() || next.class.is_transaction_control();
        for own in [self.own_to_session(), next.own_to_session()].into_iter().flatten() {
            self.leaves |= Leaves::SETTINGS;
            self.add_setting_name(own);
        }
        let Notes {
            class,
            cause,
            may_write,
            leaves,
            setting_names,
            reset_names,
            changes_catalog,
            writes_unnamed,
            mentions,
            ctes: _,
            run: _,
            depth: _,
        } = next;
        self.changes_catalog |= changes_catalog;
        self.mentions.join(mentions);
        let class = if matches!(class, Class::Own(_)) { Class::Session } else { class };
        if matches!(self.class, Class::Own(_)) {
            self.class = Class::Session;
        }
        self.note(class, cause, may_write);
        self.writes_unnamed |= writes_unnamed;
        self.leaves |= leaves;
        for name in setting_names {
            // What is set until the end of the transaction does not undo a RESET.
            self.reset_names.retain(|reset| *reset != name || leaves.contains(Leaves::LOCAL_SETTINGS));
            self.add_setting_name(name);
        }
        self.reset_names.extend(reset_names);
        if transaction {
            let cause = if self.class.strictness() < Class::Write.strictness() {
                Cause::TransactionControl
            } else {
                self.cause.clone()
            };
            self.note(Class::Unknown, cause, false);
        }
    }

    /// The full name of the setting, if the statement changes one of Tidegate's own.
    fn own_to_session(&self) -> Option<Box<str>> {
        let Class::Own(own) = &self.class else {
            return None;
        };
        match own.as_ref() {
            Own::Set { name, .. } | Own::Reset { name, .. } => Some(format!("tidegate.{name}").into()),
            Own::Show { .. } | Own::ExplainRoute => None,
        }
    }

    pub(super) fn begin(&mut self, read_only: bool) {
        self.note(Class::Begin(Begin { read_only }), Cause::TransactionControl, false);
    }

    pub(super) fn finish(self, count: usize) -> Parsed {
        let mut does = Does::NOTHING;
        if self.may_write {
            does |= Does::WRITES;
        }
        if self.changes_catalog {
            does |= Does::CHANGES_CATALOG;
        }
        let mut names = self.reset_names.clone();
        names.extend(self.setting_names.into_iter().filter(|name| !self.reset_names.contains(name)));
        let outline = Statement {
            class: self.class,
            cause: self.cause,
            leaves: self.leaves,
            count: u16::try_from(count).unwrap_or(u16::MAX),
            does,
            setting_names: names.into(),
            resets: u8::try_from(self.reset_names.len()).unwrap_or(u8::MAX),
            touched: None,
        };
        Parsed::new(outline, !self.writes_unnamed, self.mentions.finish())
    }
}

/// Whether what a cause writes is named in the statement.
fn writes_by_name(cause: &Cause) -> bool {
    match cause {
        Cause::Dml | Cause::WritableCte | Cause::ExplainAnalyze | Cause::Copy => true,
        Cause::Utility(words) => matches!(*words, "truncate" | "notify"),
        Cause::Function(name) => builtins::changes_no_rows(name),
        _ => false,
    }
}
