//! What binds a session to one server connection, how it is found out whether it still does, and the list of all pins.
//!
//! A statement says what it *may* leave behind; whether it did, and whether it is still there, the server is asked when
//! the transaction is over: it knows of savepoints, of locks that were not got and of what functions did.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::ask::Answer;
use crate::sql::Leaves;
use crate::stats::Present;

/// Something that lives in one server session and that the server tells of when it is asked.
struct Asked {
    reason: Leaves,
    /// What may bring it about.
    made_by: Leaves,
    /// What may end it.
    ended_by: Leaves,
    /// True while there is some. Fully qualified: the session's `search_path` is its own affair.
    question: &'static str,
}

const ASKED: [Asked; 5] = [
    Asked {
        reason: Leaves::TEMP_TABLE,
        made_by: Leaves::TEMP_TABLE,
        ended_by: Leaves::DISCARD_TEMP,
        // Whatever is in the temporary schema: tables, types, functions.
        question: "exists (select from pg_catalog.pg_depend where refclassid operator(pg_catalog.=) \
                   'pg_catalog.pg_namespace'::pg_catalog.regclass and refobjid operator(pg_catalog.=) \
                   pg_catalog.pg_my_temp_schema())",
    },
    Asked {
        reason: Leaves::ADVISORY_LOCK,
        made_by: Leaves::ADVISORY_LOCK,
        ended_by: Leaves::ADVISORY_UNLOCK,
        question: "exists (select from pg_catalog.pg_locks where locktype operator(pg_catalog.=) 'advisory' \
                   and pid operator(pg_catalog.=) pg_catalog.pg_backend_pid())",
    },
    Asked {
        reason: Leaves::HOLD_CURSOR,
        made_by: Leaves::HOLD_CURSOR,
        ended_by: Leaves::CLOSE,
        question: "exists (select from pg_catalog.pg_cursors where is_holdable)",
    },
    Asked {
        reason: Leaves::LISTEN,
        made_by: Leaves::LISTEN,
        ended_by: Leaves::UNLISTEN,
        question: "exists (select from pg_catalog.pg_listening_channels())",
    },
    Asked {
        reason: Leaves::PREPARE,
        made_by: Leaves::PREPARE,
        ended_by: Leaves::DEALLOCATE,
        question: "exists (select from pg_catalog.pg_prepared_statements where from_sql)",
    },
];

/// What stays in the server's process until that ends, whatever is said.
pub(super) const IN_THE_PROCESS: Leaves = Leaves::LOAD.with(Leaves::SEED).with(Leaves::NATIVE_CODE);

/// What binds a session to its server connection: nothing else has it.
pub(super) const PINNING: Leaves = Leaves::TEMP_TABLE
    .with(Leaves::ADVISORY_LOCK)
    .with(Leaves::HOLD_CURSOR)
    .with(Leaves::LISTEN)
    .with(Leaves::PREPARE)
    .with(Leaves::UNNAMED_SETTING)
    .with(IN_THE_PROCESS);

/// What of `left` the server can be asked about, given what the session is pinned by.
pub(super) fn doubtful(left: Leaves, pinned: Leaves) -> Leaves {
    let mut doubtful = Leaves::default();
    if left.is_empty() {
        return doubtful;
    }
    for asked in &ASKED {
        let ended = pinned.contains(asked.reason) && left.intersects(asked.ended_by);
        if ended || left.intersects(asked.made_by.with(Leaves::ANYTHING)) {
            doubtful |= asked.reason;
        }
    }
    // A pinned connection may be given back now. What was run on it meanwhile may have been run by a name, or a cursor.
    if doubtful.is_empty() || pinned.is_empty() { doubtful } else { everything() }
}

/// All that can be asked for.
fn everything() -> Leaves {
    ASKED.iter().fold(Leaves::default(), |all, asked| all | asked.reason)
}

/// The question which of `doubtful` there is. Its answer has one column.
pub(super) fn question(doubtful: Leaves) -> String {
    let parts = ASKED.iter().filter(|asked| doubtful.contains(asked.reason));
    let parts: Vec<_> =
        parts.map(|asked| format!("select '{}' where {}", asked.reason, asked.question)).collect();
    parts.join(" union all ")
}

/// What an answer to [`question`] says that there is. Rows of other questions have more columns.
pub(super) fn found(answer: &Answer) -> Leaves {
    let is_there = |asked: &&Asked| {
        let label = asked.reason.to_string();
        answer.rows.iter().any(|row| matches!(&row[..], [Some(name)] if *name == label))
    };
    ASKED.iter().filter(is_there).fold(Leaves::default(), |all, asked| all | asked.reason)
}

/// What keeps a session on a connection.
#[derive(Debug, Default)]
pub(super) struct Pins {
    held: Vec<Pin>,
}

#[derive(Debug)]
struct Pin {
    reason: Leaves,
    _listed: Listed,
    _counted: Present,
}

impl Pins {
    /// Whether nothing does.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Why, all reasons together.
    pub(super) fn reasons(&self) -> Leaves {
        self.held.iter().fold(Leaves::default(), |all, pin| all | pin.reason)
    }

    /// One more reason, which is not among them yet.
    pub(super) fn add(&mut self, reason: Leaves, listed: Listed, counted: Present) {
        self.held.push(Pin { reason, _listed: listed, _counted: counted });
    }

    /// The session has discarded everything it can: only what is in the process is left.
    pub(super) fn discard(&mut self) {
        self.held.retain(|pin| IN_THE_PROCESS.contains(pin.reason));
    }

    /// These do not any more.
    pub(super) fn end(&mut self, reasons: Leaves) {
        self.held.retain(|pin| !reasons.contains(pin.reason));
    }
}

/// One pin, for people.
#[derive(Clone, Debug)]
pub struct PinView {
    /// The process number the client was told.
    pub client: u32,
    /// Who is logged in.
    pub user: String,
    /// Where.
    pub database: String,
    /// Where the client comes from.
    pub address: String,
    /// What it calls itself.
    pub application: String,
    /// The node it is bound to.
    pub node: String,
    /// The server process there.
    pub server: u32,
    /// Why: one of the reasons in `docs/routing.md`.
    pub reason: &'static str,
    /// Since when.
    pub since: SystemTime,
    /// When it has lasted for too long, and that was not said yet.
    pub(super) long: Option<Duration>,
}

impl PinView {
    /// What [`PinView::cells`] are.
    pub const COLUMNS: [&str; 10] = [
        "client_pid",
        "user",
        "database",
        "application_name",
        "client_addr",
        "node",
        "server_pid",
        "reason",
        "since",
        "seconds",
    ];

    /// The pin as a row of a table.
    pub fn cells(&self) -> [String; 10] {
        [
            self.client.to_string(),
            self.user.clone(),
            self.database.clone(),
            self.application.clone(),
            self.address.clone(),
            self.node.clone(),
            self.server.to_string(),
            self.reason.to_owned(),
            httpdate::fmt_http_date(self.since),
            self.lasted().as_secs().to_string(),
        ]
    }

    /// How long it has lasted.
    pub fn lasted(&self) -> Duration {
        self.since.elapsed().unwrap_or_default()
    }
}

/// All pins of one proxy, the oldest first.
#[derive(Debug, Default)]
pub struct PinList {
    pins: Mutex<Numbered>,
}

#[derive(Debug, Default)]
struct Numbered {
    next: u64,
    pins: BTreeMap<u64, PinView>,
}

impl PinList {
    /// Takes up a pin for as long as what is returned lives.
    pub(super) fn list(self: &Arc<Self>, view: PinView) -> Listed {
        let mut numbered = self.lock();
        let number = numbered.next;
        numbered.next += 1;
        numbered.pins.insert(number, view);
        Listed { list: Arc::clone(self), number }
    }

    /// The pins there are.
    pub fn all(&self) -> Vec<PinView> {
        self.lock().pins.values().cloned().collect()
    }

    /// Those that have lasted for too long, each only once. Whoever listens is bound for as long as it likes.
    pub(super) fn lasting(&self) -> Vec<PinView> {
        let mut numbered = self.lock();
        let is_new =
            |pin: &&mut PinView| pin.reason != "listen" && pin.long.is_some_and(|long| pin.lasted() >= long);
        let new = numbered.pins.values_mut().filter(is_new);
        new.map(|pin| {
            pin.long = None;
            pin.clone()
        })
        .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Numbered> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A pin's place in the list.
#[derive(Debug)]
pub(super) struct Listed {
    list: Arc<PinList>,
    number: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.list.lock().pins.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_have_changed_is_asked() {
        let none = Leaves::default();
        assert!(doubtful(Leaves::SETTINGS, none).is_empty());
        assert!(doubtful(Leaves::UNLISTEN, Leaves::TEMP_TABLE).is_empty());
        assert_eq!(doubtful(Leaves::UNLISTEN, Leaves::LISTEN), everything());
        assert_eq!(doubtful(Leaves::ADVISORY_LOCK, none), Leaves::ADVISORY_LOCK);
        assert_eq!(doubtful(Leaves::ANYTHING, none).iter().count(), ASKED.len());
        assert!(PINNING.contains(doubtful(Leaves::ANYTHING, none)));
    }

    #[test]
    fn pins_are_listed_while_they_last() {
        let list = Arc::new(PinList::default());
        let view = |client| PinView {
            client,
            user: String::new(),
            database: String::new(),
            address: String::new(),
            application: String::new(),
            node: String::new(),
            server: 1,
            reason: "load",
            since: SystemTime::now(),
            long: Some(Duration::ZERO),
        };
        let (first, second) = (list.list(view(1)), list.list(view(2)));
        assert_eq!(list.lasting().len(), 2);
        assert!(list.lasting().is_empty());
        drop(first);
        let left: Vec<_> = list.all().iter().map(|pin| pin.client).collect();
        assert_eq!(left, [2]);
        drop(second);
        assert!(list.all().is_empty());
    }
}
