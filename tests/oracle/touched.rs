//! The second oracle: which tables a statement has touched, by the server's own counters, and whether Tidegate says so.
//!
//! Here is what it knows of the database, what became of each statement, and the report; the sessions are in
//! [`crate::touching`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tidegate::sql::catalog::Tables;
use tidegate::sql::{Cause, Class, Statement, Strings, classify, parse};

use crate::report;
use crate::support::touched::{Counters, Real};
use crate::support::watched::Watched;

/// What all sessions of one run share.
pub struct Places {
    /// What is being run.
    pub corpus: String,
    pub primary: SocketAddr,
    pub watched: Watched,
    /// A table that is left out of every claim, so that something is wrong.
    pub forgotten: Option<&'static str>,
    pub touches: Mutex<Vec<Touch>>,
}

/// One statement that a client sent.
#[derive(Clone, Debug)]
pub struct Touch {
    pub test: String,
    pub text: String,
    pub found: Found,
}

/// What was found out about a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing was to be asked: its class and cause say that it may write to any table, or to none.
    ByNature,
    /// The server refused it.
    Failed,
    /// It could not be asked about, for this reason.
    Skipped(&'static str),
    /// What it touched is within what is said.
    Within(Extent),
    /// It touched what is not said.
    Beyond(Vec<String>),
}

/// How much was said, and how much of it could be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Of what kind it is: `read`, `write` or `unknown`, and its cause.
    pub kind: String,
    /// It may write to any table; or, if it is a read, read any.
    pub any: bool,
    /// Tables that it has changed.
    pub changed: usize,
    /// Tables that it has read, if it is a read.
    pub read: usize,
}

/// What a text says by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Its tables are said, or may be.
    Telling,
    /// It may write to any table.
    Any,
    /// It is about the session or the transaction.
    Silent,
}

impl Nature {
    /// Of a text, whatever the database is.
    pub fn of(text: &str) -> Self {
        let statement = classify(text);
        if statement.count != 1 {
            return if statement.class == Class::Read { Self::Silent } else { Self::Any };
        }
        match (&statement.class, &statement.cause) {
            (Class::Read | Class::Write | Class::Unknown, cause) if tells(cause) => Self::Telling,
            (Class::Read | Class::Write | Class::Unknown, _) if statement.may_write() => Self::Any,
            _ => Self::Silent,
        }
    }
}

/// Whether a statement of this cause can be run in a transaction block, and its tables be known.
fn tells(cause: &Cause) -> bool {
    match cause {
        Cause::Plain
        | Cause::LockingClause
        | Cause::WritableCte
        | Cause::ExplainAnalyze
        | Cause::Function(_)
        | Cause::SystemView(_)
        | Cause::TemporaryRelation
        | Cause::Dml
        | Cause::Copy => true,
        Cause::Utility(words) => matches!(*words, "truncate" | "notify" | "lock" | "declare cursor"),
        _ => false,
    }
}

impl Places {
    /// Waits until the catalog has been read, and says whether it was in time.
    pub fn settle(&self, limit: Duration) -> bool {
        self.watched.settled_within(limit).is_some()
    }

    /// What Tidegate says of a text in a session with these counters.
    pub fn claim(&self, text: &str, counters: &Counters) -> Statement {
        let snapshot = self.watched.keeper().current();
        let mut said = counters.claim(text, &snapshot.catalog);
        if let (Some(name), Some(touched)) = (self.forgotten, said.touched.as_mut()) {
            let keep = |tables: &Tables| match tables {
                Tables::Any => Tables::Any,
                Tables::Known(known) => {
                    let is_kept = |oid: &u32| snapshot.catalog.table_name(*oid) != Some(name);
                    Tables::Known(known.iter().copied().filter(is_kept).collect())
                }
            };
            (touched.reads, touched.writes) = (keep(&touched.reads), keep(&touched.writes));
        }
        said
    }

    pub fn note(&self, touch: Touch) {
        self.touches.lock().unwrap_or_else(PoisonError::into_inner).push(touch);
    }

    pub fn take(&self) -> Vec<Touch> {
        std::mem::take(&mut *self.touches.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Found {
    /// Holds what was touched against what was said.
    pub fn new(text: &str, said: &Statement, real: &Real) -> Self {
        let touched = said.touched.as_ref().unwrap();
        let wrong = real.beyond(&said.class, touched);
        if !wrong.is_empty() {
            return Self::Beyond(wrong);
        }
        let is_read = said.class == Class::Read;
        let any = touched.writes == Tables::Any || is_read && touched.reads == Tables::Any;
        let why = if any { why(text, said) } else { said.cause.label().to_owned() };
        Self::Within(Extent {
            kind: format!("{}: {why}", said.class),
            any,
            changed: real.changed.len(),
            read: if is_read { real.read.len() } else { 0 },
        })
    }
}

/// Why the tables are not known, as far as the statement's cause and its names tell.
fn why(text: &str, said: &Statement) -> String {
    let mut names = BTreeSet::new();
    for (how, name) in parse(text, Strings::Standard).mentions.iter() {
        let schema = name.schema.as_deref().map(|schema| format!("{schema}.")).unwrap_or_default();
        names.insert(format!("{how:?} {schema}{}", name.name));
    }
    let about = names.into_iter().filter(|name| !name.starts_with("Operator") && !name.starts_with("Field"));
    format!("{} [{}]", said.cause.label(), about.collect::<Vec<_>>().join(", "))
}

/// Writes `touched.txt` and `touched.tsv`, and returns the former.
pub fn write(touches: &[Touch]) -> String {
    let mut text = String::new();
    let corpora: BTreeSet<&str> = touches.iter().map(Touch::corpus).collect();
    for corpus in corpora {
        let of: Vec<&Touch> = touches.iter().filter(|touch| touch.corpus() == corpus).collect();
        let count = |is: &dyn Fn(&Found) -> bool| of.iter().filter(|touch| is(&touch.found)).count();
        let _ = writeln!(text, "\nTOUCHED, {corpus}");
        let mut say = |number: usize, what: &str| {
            let _ = writeln!(text, "{number:7}  {what}");
        };
        say(of.len(), "statements");
        say(
            count(&|found| *found == Found::ByNature),
            "that say nothing or anything by themselves, not asked about",
        );
        say(count(&|found| *found == Found::Failed), "refused by the server");
        say(count(&|found| matches!(found, Found::Skipped(_))), "not asked about for other reasons");
        let extent =
            |is: &dyn Fn(&Extent) -> bool| count(&|found| matches!(found, Found::Within(e) if is(e)));
        say(extent(&|_| true), "within what is said");
        say(extent(&|e| !e.any), "  of them known by table");
        say(extent(&|e| !e.any && e.changed > 0), "    that have changed tables");
        say(extent(&|e| !e.any && e.read > 0), "    that have read tables");
        say(count(&|found| matches!(found, Found::Beyond(_))), "BEYOND what is said");
        for touch in of.iter().filter(|touch| matches!(touch.found, Found::Beyond(_))) {
            let _ =
                writeln!(text, "    {}: {}: {:?}", touch.test, touch.text.replace('\n', " "), touch.found);
        }
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for touch in &of {
            match &touch.found {
                Found::Within(extent) if extent.any => *kinds.entry(&extent.kind).or_default() += 1,
                Found::Skipped(why) => *kinds.entry(why).or_default() += 1,
                _ => {}
            }
        }
        let mut kinds: Vec<_> = kinds.into_iter().collect();
        kinds.sort_by_key(|(_, number)| std::cmp::Reverse(*number));
        let _ = writeln!(text, "Any table, or not asked about:");
        for (kind, number) in kinds.into_iter().take(40) {
            let _ = writeln!(text, "{number:7}  {kind}");
        }
    }
    keep("touched.txt", &text);
    let line = |touch: &Touch| format!("{:?}\t{}\t{:?}\n", touch.found, touch.test, touch.text);
    keep("touched.tsv", &touches.iter().map(line).collect::<String>());
    text
}

fn keep(name: &str, text: &str) {
    fs::write(Path::new(&report::folder()).join(name), text).unwrap();
}

impl Touch {
    /// The corpus that the test belongs to.
    pub fn corpus(&self) -> &str {
        self.test.split('/').next().unwrap_or_default()
    }

    /// It has changed or read tables, and all of them were to be known.
    pub fn tells(&self) -> bool {
        matches!(&self.found, Found::Within(extent) if !extent.any && extent.changed + extent.read > 0)
    }

    pub fn is_skipped(&self) -> bool {
        matches!(self.found, Found::Skipped(_))
    }

    pub fn is_beyond(&self) -> bool {
        matches!(self.found, Found::Beyond(_))
    }
}
