//! One client whose statements are held against the counters of the server that runs them.
//!
//! A statement outside a transaction gets one around it, so that the counters are of nothing else. In a transaction of the
//! client's, the counters are read before and after it.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use tidegate::sql::catalog::{Does, Tables};
use tidegate::sql::{Class, Statement, classify};
use tidegate::wire::{self, Backend, Frontend, TransactionStatus};

use crate::answer::Answer;
use crate::peer::Message;
use crate::relay::{self, Passed, Relay};
use crate::support::touched::{Counters, QUESTION, Real, SETTLE, outside};
use crate::touched::{Found, Nature, Places, Touch};

/// How long the catalog is waited for; in a transaction of the client's, which may be what it waits for, less.
const PATIENCE: Duration = Duration::from_secs(10);
const BEHIND: &str = "the catalog was not read in time";
const SILENT: &str = "the session told nothing";

/// Serves one client until it leaves.
pub fn serve(client: TcpStream, places: &Arc<Places>) -> io::Result<()> {
    let Some((relay, parameters)) = Relay::open(client, places.primary, Clone::clone)? else { return Ok(()) };
    let test = relay::test_of(&places.corpus, &parameters);
    let mut session = Session {
        places: Arc::clone(places),
        relay,
        test,
        status: TransactionStatus::Idle,
        open: Open::default(),
    };
    session.pass_answer()?;
    session.serve()
}

struct Session {
    places: Arc<Places>,
    relay: Relay,
    test: String,
    status: TransactionStatus,
    open: Open,
}

/// What the client's open transaction has done so far.
#[derive(Default)]
struct Open {
    /// It may have changed the catalog, which nobody else sees yet.
    changes_catalog: bool,
    /// What its statements may write, each.
    writes: Vec<Tables>,
}

impl Session {
    fn serve(&mut self) -> io::Result<()> {
        loop {
            let message = self.relay.client.read_frontend()?;
            match message.kind {
                Frontend::Query => self.query(&message)?,
                Frontend::Sync | Frontend::FunctionCall => {
                    self.relay.server.write(&message.bytes)?;
                    self.pass_answer()?;
                }
                kind => {
                    self.relay.server.write(&message.bytes)?;
                    if kind == Frontend::Terminate {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn query(&mut self, message: &Message<Frontend>) -> io::Result<()> {
        let text = wire::query_text(message.body()).ok().and_then(|text| std::str::from_utf8(text).ok());
        let Some(text) = text else { return self.unheld(message, "", Found::Skipped("not UTF-8")) };
        match (Nature::of(text), self.status) {
            (Nature::Telling, TransactionStatus::Idle) => self.alone(message, text),
            (Nature::Telling, TransactionStatus::Open) if !self.open.changes_catalog => {
                self.within(message, text)
            }
            (Nature::Telling, TransactionStatus::Open) => {
                self.unheld(message, text, Found::Skipped("the transaction changes the catalog"))
            }
            (Nature::Silent, TransactionStatus::Open) if classify(text).class == Class::End => {
                self.settle_deferred(text)?;
                self.unheld(message, text, Found::ByNature)
            }
            _ => self.unheld(message, text, Found::ByNature),
        }
    }

    /// Passes on a statement about which nothing is asked.
    fn unheld(&mut self, message: &Message<Frontend>, text: &str, found: Found) -> io::Result<()> {
        self.relay.server.write(&message.bytes)?;
        let passed = self.relay.pass()?;
        let failed = passed.answer.error.is_some();
        let does = classify(text).does;
        if !failed && does.contains(Does::WRITES) {
            self.open.writes.push(Tables::Any);
        }
        self.ran(does, passed.answer.status);
        self.note(text, if failed { Found::Failed } else { found });
        self.relay.client.write(&passed.ready)
    }

    /// A statement in a transaction of its own.
    fn alone(&mut self, message: &Message<Frontend>, text: &str) -> io::Result<()> {
        // Before it begins: the reading of the catalog may wait for somebody who waits for our locks.
        if !self.places.settle(PATIENCE) {
            return self.unheld(message, text, Found::Skipped(BEHIND));
        }
        self.ask("begin")?;
        let Some(before) = self.counters()? else {
            self.ask("rollback")?;
            return self.unheld(message, text, Found::Skipped(SILENT));
        };
        let said = self.places.claim(text, &before);
        self.relay.server.write(&message.bytes)?;
        let passed = self.relay.pass()?;
        let failed = passed.answer.error.is_some() || passed.answer.status != TransactionStatus::Open;
        if failed {
            self.note(text, Found::Failed);
            return self.end("rollback");
        }
        let real = self.deferred(&before, text)?;
        self.note(text, real.map_or(Found::Skipped(SILENT), |real| Found::new(text, &said, &real)));
        self.end("commit")?;
        self.ran(said.does, TransactionStatus::Idle);
        Ok(())
    }

    /// Ends our transaction, and lets the client know how.
    fn end(&mut self, how: &str) -> io::Result<()> {
        self.relay.server.send(|out| wire::encode::query(out, how))?;
        loop {
            let message = self.relay.server.read_backend()?;
            match message.kind {
                Backend::ErrorResponse => self.relay.client.write(&message.bytes)?,
                Backend::ReadyForQuery => return self.relay.client.write(&message.bytes),
                _ => {}
            }
        }
    }

    /// A statement in the client's transaction.
    fn within(&mut self, message: &Message<Frontend>, text: &str) -> io::Result<()> {
        if !self.places.settle(PATIENCE / 10) {
            return self.unheld(message, text, Found::Skipped(BEHIND));
        }
        let Some(before) = self.counters()? else {
            return self.unheld(message, text, Found::Skipped(SILENT));
        };
        let said = self.places.claim(text, &before);
        self.relay.server.write(&message.bytes)?;
        let Passed { answer, ready } = self.relay.pass()?;
        let found = match answer.status {
            TransactionStatus::Open => {
                let real = self.counters()?.map(|after| before.until(&after, text));
                real.map_or(Found::Skipped(SILENT), |real| Found::new(text, &said, &real))
            }
            _ => Found::Failed,
        };
        self.add(&said);
        self.ran(said.does, answer.status);
        self.note(text, found);
        self.relay.client.write(&ready)
    }

    fn add(&mut self, said: &Statement) {
        self.open.writes.extend(said.touched.as_ref().map(|touched| touched.writes.clone()));
    }

    /// Before the client's COMMIT: what waits for it happens now, and must be within what any of its statements may write.
    fn settle_deferred(&mut self, text: &str) -> io::Result<()> {
        // Not before ROLLBACK or ABORT, which undo it all.
        if !text.trim_start().to_ascii_lowercase().starts_with(['c', 'e']) {
            return Ok(());
        }
        let Some(before) = self.counters()? else { return Ok(()) };
        let Some(real) = self.deferred(&before, text)? else { return Ok(()) };
        let sets: Vec<&Tables> = self.open.writes.iter().collect();
        let wrong = outside(&real.changed, &sets, "changes when it is settled");
        if !wrong.is_empty() {
            self.note(text, Found::Beyond(wrong));
        }
        Ok(())
    }

    /// What has been touched since `before`, with what waits for COMMIT. If that fails, COMMIT will say so itself.
    fn deferred(&mut self, before: &Counters, text: &str) -> io::Result<Option<Real>> {
        self.ask("savepoint oracle")?;
        if self.ask(SETTLE)?.error.is_some() {
            self.ask("rollback to oracle")?;
        }
        let after = self.counters()?;
        self.ask("release oracle")?;
        Ok(after.map(|after| before.until(&after, text)))
    }

    /// A statement has been run; `status` is the session's after it.
    fn ran(&mut self, does: Does, status: TransactionStatus) {
        self.open.changes_catalog |= does.contains(Does::CHANGES_CATALOG);
        self.status = status;
        if status == TransactionStatus::Idle {
            let open = std::mem::take(&mut self.open);
            if open.changes_catalog {
                self.places.watched.keeper().changed();
            }
        }
    }

    /// What the session tells; `None` if it cannot.
    fn counters(&mut self) -> io::Result<Option<Counters>> {
        let answer = self.ask(QUESTION)?;
        Ok(answer.error.is_none().then(|| Counters::read(&answer.rows())))
    }

    fn ask(&mut self, text: &str) -> io::Result<Answer> {
        self.relay.server.query(text)
    }

    fn note(&self, text: &str, found: Found) {
        self.places.note(Touch { test: self.test.clone(), text: text.to_owned(), found });
    }

    /// Passes on everything up to and including `ReadyForQuery`.
    fn pass_answer(&mut self) -> io::Result<()> {
        let passed = self.relay.pass()?;
        self.status = passed.answer.status;
        self.relay.client.write(&passed.ready)
    }
}
