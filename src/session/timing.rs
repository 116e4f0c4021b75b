//! How long statements take: from the arrival of their message to the last byte of the answer.
//!
//! The clock is looked at three times for a segment: when it has arrived, when it is sent to a server, and when that has
//! answered.

use std::time::{Duration, Instant};

use super::client::Client;
use super::leased::{Answer, Leased, ServesAs};
use super::serve::Session;
use crate::routing::Reason;
use crate::stats::{Ran, Took};
use crate::wire::{Frontend, TransactionStatus};

/// What a server has been sent and has not answered in full yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) arrived: Instant,
    pub(super) sent: Instant,
    /// Why it went where it is.
    pub(super) reason: Reason,
    /// Statements in it.
    pub(super) statements: u64,
    /// Those of them whose end the server has told.
    pub(super) ended: u64,
    /// The SQLSTATE of the error that has ended it.
    pub(super) error: Option<[u8; 5]>,
}

impl Run {
    /// So many statements that have arrived and were sent.
    pub(super) fn new(arrived: Instant, sent: Instant, reason: Reason, statements: u64) -> Self {
        Self { arrived, sent, reason, statements, ended: 0, error: None }
    }

    /// With what was sent before it in the same pipeline, and is not answered yet either.
    #[must_use]
    pub(super) fn after(self, before: Option<Self>) -> Self {
        match before {
            Some(before) if before.statements > 0 => {
                Self { statements: before.statements + self.statements, ..before }
            }
            _ => self,
        }
    }
}

impl Session {
    /// The server is ready for the next command: whatever it was sent is answered.
    pub(super) fn answered(&mut self, client: &mut Client, status: TransactionStatus, told: bool) {
        let now = Instant::now();
        self.timed(now);
        let Some(l) = &self.leased else { return };
        let timing = &self.database.stats.timing;
        if told && status == TransactionStatus::Idle {
            timing.transacted(now - l.since);
        }
        self.moved(client);
    }

    /// Counts the bytes that have come from the client and gone to it.
    pub(super) fn moved(&self, client: &mut Client) {
        let (received, sent) = client.take_traffic();
        self.database.stats.timing.moved(received, sent);
    }

    /// The server has told the end of a statement. Where it says no more until the client goes on with its pipeline,
    /// that was the end of the answer.
    pub(super) fn statement_ended(&mut self) {
        let Some(l) = &mut self.leased else { return };
        if let Some(run) = &mut l.turn.run {
            run.ended += 1;
        }
        if l.exchange.has_told_all() {
            self.timed(Instant::now());
        }
    }

    /// Everything that was sent has been answered. Counts it once.
    pub(super) fn timed(&mut self, now: Instant) {
        let Some(l) = &mut self.leased else { return };
        let Some(run) = l.turn.run.take().filter(|run| run.statements > 0) else { return };
        let stats = &self.database.stats;
        let on_replica = l.serves_as == ServesAs::Replica;
        let (reason, statements) = (run.reason, run.statements);
        let (total, unsent) = (now - run.arrived, run.sent - run.arrived);
        stats.timing.took(Took { on_replica, reason, statements, total, unsent });
        let failed = l.turn.answer == Answer::Failed;
        let is_pipeline = statements > 1
            && statements == l.turn.summary.count
            && !l.exchange.is_unsynced()
            && self.items.first().is_some_and(|item| item.kind != Frontend::Query);
        let Some(l) = &self.leased else { return };
        if self.user.limits.slow_statement.is_some_and(|slow| total >= slow) {
            self.log_slow(l, &run);
        }
        if let Some(spans) = self.proxy.spans.get() {
            self.trace(spans, l, &run, total, failed);
        }
        if is_pipeline {
            self.count_parts(l, run, total, failed);
        } else if let Some(known) = &l.turn.summary.known {
            known.ran(&stats.shapes, Ran { on_replica, time: total, failed });
        }
    }

    /// Counts the statements of a pipeline by their shapes. What stands behind one that has failed was not run.
    fn count_parts(&self, l: &Leased, run: Run, total: Duration, failed: bool) {
        let shapes = &self.database.stats.shapes;
        let on_replica = l.serves_as == ServesAs::Replica;
        let time = total / u32::try_from(run.statements).unwrap_or(u32::MAX);
        let mut bound = l.turn.summary.known.clone();
        let mut number = 0;
        for (item, about) in self.items.iter().zip(&self.plan) {
            match (item.kind, about) {
                (Frontend::Bind, Some(prepared)) => bound = Some(prepared.known()),
                (Frontend::Execute, _) => {
                    let fails = failed && number == run.ended;
                    if let Some(known) = bound.as_ref().filter(|_| number < run.ended || fails) {
                        known.ran(shapes, Ran { on_replica, time, failed: fails });
                    }
                    number += 1;
                }
                _ => {}
            }
        }
    }
}
