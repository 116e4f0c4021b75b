//! What a session does when something has taken longer than it may.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;

use super::client::Client;
use super::failure::{End, Failure};
use super::leased::{Leased, ServesAs};
use super::serve::Session;
use super::timer::{Doing, Overdue};
use crate::sql::catalog::Does;
use crate::stats::Timeout;

impl Session {
    /// What the session is doing. A server that waits for the client is not working.
    pub(super) fn doing(&self) -> Doing {
        match &self.leased {
            Some(l) if l.exchange.is_working() && !self.is_passing_on() => Doing::Segment(l.turn.begun),
            Some(l) if !l.exchange.is_settled() => Doing::Transaction,
            _ => Doing::Nothing,
        }
    }

    /// Time is up.
    pub(super) async fn overdue(&mut self, client: &mut Client, what: Overdue) -> Result<(), End> {
        let stats = &self.database.stats;
        match what {
            Overdue::Query(limit) => self.cancel_segment(limit),
            Overdue::Cancel(limit) => return self.give_up(client, limit).await,
            Overdue::Transaction(limit) => {
                stats.timed_out(Timeout::IdleInTransaction);
                return Err(terminated("25P03", "idle-in-transaction", "idle_in_transaction_timeout", limit));
            }
            Overdue::Client(limit) => {
                stats.timed_out(Timeout::ClientIdle);
                return Err(terminated("57P05", "idle-session", "client_idle_timeout", limit));
            }
        }
        Ok(())
    }

    /// Asks the server to stop working on the segment.
    fn cancel_segment(&mut self, limit: Duration) {
        let (Some(l), Some(timer)) = (&self.leased, &mut self.timer) else { return };
        if timer.prolong() {
            return;
        }
        timer.cancelled();
        self.database.stats.timed_out(Timeout::Query);
        let shape = l.turn.summary.known.as_ref().map(|k| k.shape.as_ref()).unwrap_or_default();
        tracing::warn!(
            node = %l.node.node().name, user = %self.user.name, database = %self.database.settings.name,
            backend = l.lease.key.pid, client = self.registered.key.pid, statement = shape,
            "a statement runs longer than query_timeout ({limit:?}), it is cancelled"
        );
        Arc::clone(&self.registered.slot).cancel_meanwhile();
    }

    /// The server has ended a segment: a cancel request for it that is still under way must not meet the next one.
    pub(super) async fn await_cancel(&mut self) {
        let Some(timer) = self.timer.as_mut().filter(|timer| timer.cancels().is_some()) else { return };
        timer.stopped();
        self.registered.slot.quiet().await;
    }

    /// What the client is told instead of the error that the proxy's own cancel request has caused.
    pub(super) fn told_for_cancel(&self, code: &str) -> Option<BytesMut> {
        let limit = self.timer.as_ref().filter(|_| code == "57014")?.cancels()?;
        self.database.stats.proxy_error("57014");
        let mut error = BytesMut::new();
        query_timeout(limit).write(&mut error);
        Some(error)
    }

    /// The server has not answered the cancel request: its connection is closed.
    async fn give_up(&mut self, client: &mut Client, limit: Duration) -> Result<(), End> {
        let wrote = self.leased.as_ref().is_some_and(|l| l.serves_as == ServesAs::Writer);
        if wrote {
            // It may be committed yet.
            self.mark();
        }
        let Some(mut l) = self.leased.take() else { return Ok(()) };
        if l.did.contains(Does::CHANGES_CATALOG) {
            self.database.cluster.catalog.changed();
        }
        tracing::warn!(
            node = %l.node.node().name, user = %self.user.name, database = %self.database.settings.name,
            backend = l.lease.key.pid, client = self.registered.key.pid,
            "a server has not answered a cancel request, its connection is closed"
        );
        l.commit(client);
        l.hand_over(client);
        let Leased { lease, exchange, arriving, .. } = l;
        drop(lease);
        self.registered.slot.free().await;
        self.timer.iter_mut().for_each(|timer| timer.stopped());
        if exchange.is_leaving() {
            return Ok(());
        }
        if arriving > 0 {
            // The client has half of a row: nothing more can be said to it.
            client.flush().await;
            return Err(End::Client);
        }
        let failure = if wrote { outcome_unknown(limit) } else { query_timeout(limit) };
        self.database.stats.proxy_error(&failure.code);
        failure.write(&mut client.outbox);
        if exchange.is_ready() {
            self.skipping = exchange.is_unsynced();
        } else {
            Self::say_ready(client);
        }
        Ok(())
    }
}

/// PostgreSQL's words for a session that it ends, and ours for why.
fn terminated(code: &'static str, what: &str, setting: &str, limit: Duration) -> End {
    let text = format!("terminating connection due to {what} timeout ({setting}={limit:?} of the proxy)");
    Failure::fatal(code, text).into()
}

fn query_timeout(limit: Duration) -> Failure {
    let text = format!("canceling statement due to query timeout (query_timeout={limit:?} of the proxy)");
    Failure::error("57014", text)
        .with_routine("ProcessInterrupts")
        .with_hint("Make the statement faster, or raise query_timeout for the database or this user.")
}

fn outcome_unknown(limit: Duration) -> Failure {
    let text = format!(
        "the server has not ended a statement that ran longer than query_timeout={limit:?} of the proxy, \
         transaction resolution unknown"
    );
    Failure::error("08007", text).with_hint("Look whether it was committed before running it again.")
}
