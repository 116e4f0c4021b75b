//! A server of very few words that keeps to the protocol as PostgreSQL does: bytes in, bytes out.
//!
//! It is both what the proxy talks to and, one for each client, the measure of what the client must be told.

use std::collections::{BTreeMap, VecDeque};

use bytes::BytesMut;

use super::sql::{Pinning, Sql, read, statements};
use super::state::State;
use crate::wire::encode::{self, stand_in};
use crate::wire::{
    self, Bind, Describe, Frontend, Severity, TransactionStatus, WireError, body, execute_portal,
    frontend_message, parse_message,
};

/// What a server does that PostgreSQL does not: whoever looks on must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A row of the one who was served before.
    ForeignRow,
    /// A row is told twice.
    DoubledRow,
    /// An answer is left out, and nothing more is said.
    Silence,
    /// ReadyForQuery says that a transaction is over which is not.
    FalseStatus,
    /// A setting survives its RESET.
    StickySetting,
    /// A prepared statement is found under another one's name.
    ForeignStatement,
}

/// An error: its SQLSTATE.
type Failed = &'static str;

#[derive(Clone, Debug)]
struct Statement {
    sql: Sql,
    from_sql: bool,
}

/// What there is to be run, and how much of it was.
#[derive(Clone, Debug)]
struct Portal {
    sql: Sql,
    rows: VecDeque<String>,
    begun: bool,
}

/// Who gets back to work when COPY data has ended.
#[derive(Debug)]
enum Copy {
    Extended,
    /// The statements of the text that are still to be run.
    Simple(VecDeque<String>, bool),
}

/// A server session.
#[allow(clippy::struct_excessive_bools, reason = "independent facts of the protocol")]
#[derive(Debug)]
pub(super) struct Server {
    pub(super) state: State,
    statements: BTreeMap<Vec<u8>, Statement>,
    portals: BTreeMap<Vec<u8>, Portal>,
    copy: Option<Copy>,
    skipping: bool,
    /// Something was said that no Sync has ended.
    unsynced: bool,
    /// A portal was run since.
    executed: bool,
    pub(super) is_standby: bool,
    fault: Option<Fault>,
    last_row: String,
    /// Somebody has ended the session, or it was ended.
    pub(super) over: bool,
    /// What was said last was no message: how a server ends then is not compared.
    pub(super) malformed: bool,
    /// After how much that it told the server skipped something that is no message: the proxy may have looked at it.
    pub(super) doubt: Option<usize>,
    /// What the next error is about.
    about: String,
}

impl Server {
    pub(super) fn new(startup: &[(String, String)], fault: Option<Fault>) -> Self {
        Self {
            state: State::new(startup),
            statements: BTreeMap::new(),
            portals: BTreeMap::new(),
            copy: None,
            skipping: false,
            unsynced: false,
            executed: false,
            is_standby: false,
            fault,
            last_row: "nobody's".to_owned(),
            over: false,
            malformed: false,
            doubt: None,
            about: String::new(),
        }
    }

    /// Tells who has logged in what there is to know.
    pub(super) fn greet(&mut self, key: &wire::CancelKey, out: &mut BytesMut) {
        encode::authentication_ok(out);
        self.report(out);
        encode::backend_key(out, key);
        encode::ready(out, TransactionStatus::Idle);
    }

    /// Whether the session can serve anybody: nothing is open, and nothing is left of whoever used it. Prepared statements
    /// may have names that the proxy has given, no others.
    pub(super) fn is_clean(&self) -> bool {
        let is_own = |name: &Vec<u8>| name.is_empty() || name.starts_with(b"__tidegate");
        self.state.is_clean()
            && self.copy.is_none()
            && !self.skipping
            && !self.unsynced
            && self.portals.is_empty()
            && self.statements.iter().all(|(name, statement)| is_own(name) && !statement.from_sql)
    }

    /// Whether it was said something that nothing has ended yet: only that tells a proxy to pass it on.
    pub(super) fn is_unsynced(&self) -> bool {
        self.unsynced || self.skipping
    }

    /// Deals with whole messages at the front of `inbox`.
    pub(super) fn feed(&mut self, inbox: &mut BytesMut, out: &mut BytesMut) {
        while !self.over {
            match frontend_message(inbox) {
                Ok(Some(header)) if header.len <= inbox.len() => {
                    let message = inbox.split_to(header.len);
                    self.message(header.kind, body(&message, header.len), out);
                }
                Ok(_) => return,
                Err(_) => self.protocol_violation(out),
            }
        }
    }

    /// What no client may say ends the session.
    fn protocol_violation(&mut self, out: &mut BytesMut) {
        self.malformed = true;
        self.over = true;
        encode::error(out, Severity::Fatal, "08P01", "protocol violation", "", "");
    }

    fn message(&mut self, kind: Frontend, body: &[u8], out: &mut BytesMut) {
        if kind == Frontend::Terminate {
            self.over = true;
            return;
        }
        if self.copy.is_some() {
            return self.copying(kind, out);
        }
        // Not even where everything is skipped.
        if kind == Frontend::Password {
            return self.protocol_violation(out);
        }
        if self.skipping && kind != Frontend::Sync {
            if is_misread(kind, body) {
                self.doubt.get_or_insert(out.len());
            }
            return;
        }
        if is_misread(kind, body) {
            return self.protocol_violation(out);
        }
        if self.unsynced && matches!(kind, Frontend::Query | Frontend::FunctionCall) {
            // In docs/limits.md: it is a transaction of its own. In PostgreSQL it belongs to that of the pipeline.
            self.end_implicit();
            self.unsynced = false;
            self.executed = false;
        }
        match kind {
            Frontend::Query => self.query(body, out),
            Frontend::FunctionCall => self.function(body, out),
            Frontend::Sync => {
                self.skipping = false;
                self.end_implicit();
                self.ready(out);
            }
            Frontend::CopyData | Frontend::CopyDone | Frontend::CopyFail | Frontend::Flush => {}
            _ => {
                self.unsynced = true;
                let done = match kind {
                    Frontend::Parse => self.parse(body, out),
                    Frontend::Bind => self.bind(body, out),
                    Frontend::Describe => self.describe(body, out),
                    Frontend::Execute => self.execute(body, out),
                    _ => self.close(body, out),
                };
                if let Err(code) = done {
                    self.fail(code, out);
                    self.skipping = true;
                }
            }
        }
    }

    fn fail(&mut self, code: Failed, out: &mut BytesMut) {
        encode::error(out, Severity::Error, code, &std::mem::take(&mut self.about), "", "");
        if self.state.status == TransactionStatus::Idle {
            self.state.roll_back();
            self.portals.clear();
        } else {
            self.state.status = TransactionStatus::Failed;
        }
    }

    /// The end of a transaction that nobody has begun.
    fn end_implicit(&mut self) {
        if self.state.status == TransactionStatus::Idle {
            self.state.commit();
            self.portals.clear();
        }
    }

    fn report(&mut self, out: &mut BytesMut) {
        for (name, value) in self.state.reports() {
            encode::parameter_status(out, name, &value);
        }
    }

    fn ready(&mut self, out: &mut BytesMut) {
        self.unsynced = false;
        self.executed = false;
        if self.fault == Some(Fault::Silence) && self.last_row.ends_with('7') {
            return;
        }
        self.report(out);
        let lies = self.fault == Some(Fault::FalseStatus);
        encode::ready(out, if lies { TransactionStatus::Idle } else { self.state.status });
    }

    fn query(&mut self, body: &[u8], out: &mut BytesMut) {
        self.statements.remove(&b""[..]);
        let text = match wire::query_text(body) {
            Ok(text) if text.len() + 1 == body.len() => String::from_utf8_lossy(text).into_owned(),
            _ => {
                self.fail("08P01", out);
                return self.ready(out);
            }
        };
        let all = statements(&text);
        let several = all.len() > 1;
        if all.iter().any(|one| read(one) == Sql::Malformed) {
            // A text is parsed as a whole before any of it runs.
            self.fail("42601", out);
            self.end_implicit();
            return self.ready(out);
        }
        self.go_on(all.into(), several, out);
    }

    /// Runs statements of a simple query until they have ended, or one of them waits for COPY data.
    fn go_on(&mut self, mut rest: VecDeque<String>, several: bool, out: &mut BytesMut) {
        while let Some(text) = rest.pop_front() {
            let sql = read(&text);
            if sql != Sql::Empty {
                self.portals.remove(&b""[..]);
            }
            match self.run(&sql, several, out) {
                Ok(Ran::Copying) => {
                    self.copy = Some(Copy::Simple(rest, several));
                    return;
                }
                Ok(Ran::Rows(columns, rows, tag)) => {
                    encode::text_columns(out, &columns);
                    for row in &rows {
                        self.row(row, out);
                    }
                    encode::command_complete(out, &tag);
                }
                Ok(Ran::Tag(tag)) => encode::command_complete(out, &tag),
                Ok(Ran::Empty) => encode::empty_query(out),
                Err(code) => {
                    self.fail(code, out);
                    break;
                }
            }
            if rest.is_empty() || self.ends_block(&sql) {
                self.end_implicit();
            }
        }
        self.end_implicit();
        self.ready(out);
    }

    /// Whether the statement has ended a transaction, so that the next one of the text begins another.
    fn ends_block(&self, sql: &Sql) -> bool {
        matches!(sql, Sql::Commit | Sql::Rollback) && self.state.status == TransactionStatus::Idle
    }

    fn row(&mut self, row: &[String], out: &mut BytesMut) {
        let mut columns: Vec<&str> = row.iter().map(String::as_str).collect();
        let before = std::mem::replace(&mut self.last_row, row.last().cloned().unwrap_or_default());
        match self.fault {
            Some(Fault::ForeignRow) if columns.len() == 1 && before.contains('.') => columns = vec![&before],
            Some(Fault::DoubledRow) if row[0].ends_with('3') => encode::text_row(out, &columns),
            _ => {}
        }
        encode::text_row(out, &columns);
    }

    fn function(&mut self, body: &[u8], out: &mut BytesMut) {
        if self.state.status == TransactionStatus::Failed {
            self.fail("25P02", out);
        } else {
            self.state.touch();
            stand_in::function_result(out, body.get(12..).unwrap_or_default());
            self.end_implicit();
        }
        self.ready(out);
    }

    fn copying(&mut self, kind: Frontend, out: &mut BytesMut) {
        match kind {
            Frontend::CopyData | Frontend::Flush | Frontend::Sync => return,
            Frontend::CopyDone => match self.copy.take() {
                Some(Copy::Simple(rest, several)) => {
                    encode::command_complete(out, "COPY 1");
                    return self.go_on(rest, several, out);
                }
                _ => return encode::command_complete(out, "COPY 1"),
            },
            _ => {}
        }
        self.fail(if kind == Frontend::CopyFail { "57014" } else { "08P01" }, out);
        match self.copy.take() {
            Some(Copy::Simple(..)) => {
                self.end_implicit();
                self.ready(out);
            }
            _ => self.skipping = true,
        }
    }
}

/// What came of a statement.
enum Ran {
    Empty,
    Tag(String),
    Rows(Vec<&'static str>, Vec<Vec<String>>, String),
    Copying,
}

mod extended;
mod run;

/// Whether the statement may run in a transaction that has failed.
fn ends_transaction(sql: &Sql) -> bool {
    matches!(sql, Sql::Commit | Sql::Rollback | Sql::RollbackTo(_))
}

/// Whether the proxy, which reads this much of a message, takes it for none.
fn is_misread(kind: Frontend, body: &[u8]) -> bool {
    let read: Result<(), WireError> = match kind {
        Frontend::Query => wire::query_text(body).map(drop),
        Frontend::Parse => parse_message(body).map(drop),
        Frontend::Bind => Bind::read(body).map(drop),
        Frontend::Describe | Frontend::Close => Describe::read(body).map(drop),
        Frontend::Execute => execute_portal(body).map(drop),
        _ => Ok(()),
    };
    read.is_err()
}

/// The parameters of a Bind, from behind its names; `None` if it does not end where it must.
fn parameters(mut rest: &[u8]) -> Option<Vec<String>> {
    let take = |rest: &mut &[u8], len: usize| -> Option<Vec<u8>> {
        let (taken, left) = rest.split_at_checked(len)?;
        *rest = left;
        Some(taken.to_vec())
    };
    let number = |rest: &mut &[u8]| Some(usize::from(u16::from_be_bytes(take(rest, 2)?.try_into().ok()?)));
    let formats = number(&mut rest)?;
    take(&mut rest, formats * 2)?;
    let mut values = Vec::new();
    for _ in 0..number(&mut rest)? {
        let len = i32::from_be_bytes(take(&mut rest, 4)?.try_into().ok()?);
        let value = take(&mut rest, usize::try_from(len).unwrap_or(0))?;
        values.push(String::from_utf8_lossy(&value).into_owned());
    }
    let formats = number(&mut rest)?;
    take(&mut rest, formats * 2)?;
    rest.is_empty().then_some(values)
}
