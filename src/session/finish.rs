//! What happens when a server is ready for the next command: marks, pins, settings, and giving the connection back.

use std::future::poll_fn;
use std::ops::BitOr;
use std::time::Duration;

use super::alone::own_change;
use super::ask::ask;
use super::client::Client;
use super::failure::End;
use super::leased::{Answer, Fate, Leased, ServesAs, Turn};
use super::serve::Session;
use super::touch::Touching;
use crate::config::PoolMode;
use crate::pool::Lease;
use crate::sql::catalog::Does;
use crate::sql::{Class, Leaves};
use crate::stats::Present;
use crate::wire::TransactionStatus;

/// How long a server is waited for that works on for a client that is gone.
const HANGS_UP: Duration = Duration::from_secs(1);

/// What binds a session to its server connection: nothing else has it.
pub(super) fn pinning() -> Leaves {
    Leaves::TEMP_TABLE
        | Leaves::ADVISORY_LOCK
        | Leaves::HOLD_CURSOR
        | Leaves::LISTEN
        | Leaves::PREPARE
        | Leaves::LOAD
        | Leaves::SEED
        | Leaves::UNNAMED_SETTING
}

/// What may have changed the session's settings.
fn unsettling() -> Leaves {
    Leaves::SETTINGS | Leaves::RESET_ALL | Leaves::ROLE | Leaves::DISCARD_ALL | Leaves::UNNAMED_SETTING
}

impl Session {
    /// The server has finished with the segment and said so; `told`: the client hears of it.
    pub(super) async fn ready(
        &mut self,
        client: &mut Client,
        status: TransactionStatus,
        told: bool,
    ) -> Result<(), End> {
        self.acknowledge(status == TransactionStatus::Idle);
        self.note_own_change(status);
        let Some(l) = &self.leased else { return Ok(()) };
        let leaves = l.turn.summary.leaves;
        if !leaves.is_empty() {
            self.note_leaves(leaves);
        }
        if told && self.leased.as_ref().is_some_and(|l| self.settings.may_be_reset(l)) {
            self.restore(status).await?;
        }
        let Some(l) = &self.leased else { return Ok(()) };
        if !l.exchange.is_settled() {
            return Ok(());
        }
        if !l.unsettled.is_empty() {
            self.deliver(client).await?;
            self.learn_settings().await;
        }
        let Some(l) = &mut self.leased else { return Ok(()) };
        l.left = Leaves::default();
        if l.pins.is_empty() { self.release(client).await } else { Ok(()) }
    }

    /// Before the client is told: whoever hears of it must see it. `idle`: no transaction is open any more.
    fn acknowledge(&mut self, idle: bool) {
        let commits = |l: &Leased| l.serves_as == ServesAs::Writer && (idle || l.touching.may_commit());
        if self.leased.as_ref().is_some_and(commits) {
            self.mark();
        }
        if let Some(l) = &mut self.leased {
            l.touching.arrived();
        }
        if !idle {
            return;
        }
        self.was_shown();
        let Some(l) = &mut self.leased else { return };
        if l.serves_as == ServesAs::Writer {
            l.serves_as = ServesAs::Primary;
        }
        let done = std::mem::take(&mut l.did);
        let failed = l.turn.answer == Answer::Failed && l.turn.summary.count < 2;
        if done.contains(Does::CHANGES_CATALOG) && !failed {
            self.database.cluster.catalog.changed();
        }
        // From here on, what was changed is known to have been changed.
        l.touching = Touching::default();
    }

    /// What an open transaction makes of the settings `tidegate.…` holds at once; afterwards the server is asked.
    fn note_own_change(&mut self, status: TransactionStatus) {
        let Some(l) = &self.leased else { return };
        let Turn { summary, answer, .. } = &l.turn;
        match (status, &summary.known) {
            (TransactionStatus::Idle, _) => self.settings.end_transaction(),
            (TransactionStatus::Open, Some(known)) if *answer != Answer::Failed => {
                if let Some((name, value)) = own_change(summary) {
                    self.settings.set_in_transaction(name, value);
                } else if known.statement.class == Class::Savepoint
                    || summary.leaves.contains(Leaves::RESET_ALL)
                {
                    self.settings.savepoint();
                }
            }
            _ => {}
        }
    }

    /// Notes what the segment has left behind in the session.
    fn note_leaves(&mut self, leaves: Leaves) {
        let Some(l) = &mut self.leased else { return };
        if leaves.contains(Leaves::ASYNC_COMMIT) {
            self.database.cluster.commits_asynchronously();
        }
        l.left |= leaves;
        l.unsettled |=
            leaves.iter().filter(|leaf| unsettling().contains(*leaf)).fold(Leaves::default(), BitOr::bitor);
        l.lease.unsure |= leaves.contains(Leaves::ANYTHING);
        // A lock outlives the error of the statement that took it, and so does what an earlier statement of the same
        // string or pipeline has left.
        if l.turn.answer == Answer::Failed
            && l.turn.summary.count < 2
            && !leaves.contains(Leaves::ADVISORY_LOCK)
        {
            return;
        }
        let pins = leaves.iter().filter(|leaf| pinning().contains(*leaf));
        for leaf in pins.filter(|leaf| !l.pins.contains(*leaf)).collect::<Vec<_>>() {
            l.pins |= leaf;
            tracing::info!(reason = %leaf, client = self.registered.key.pid, node = %l.node.node().name, "session pinned");
            l.pin_gauges.push(Present::new(&self.database.stats.pinned(&leaf.to_string())));
        }
        if leaves.intersects(Leaves::DISCARD_ALL) {
            l.pins = Leaves::default();
            l.pin_gauges.clear();
            l.lease.prepared.clear();
            self.names.clear();
        }
        if leaves.intersects(Leaves::DEALLOCATE) {
            // It may have taken statements of the proxy's own with it.
            l.fate = Fate::Closed;
        }
    }

    /// Asks the server which settings the session has now.
    pub(super) async fn learn_settings(&mut self) {
        let question = self.settings.question(&self.user.name);
        let Some(l) = &mut self.leased else { return };
        let changed = std::mem::take(&mut l.unsettled);
        match l.ask(&question).await {
            Ok(answer) => {
                let all = changed.intersects(Leaves::RESET_ALL | Leaves::DISCARD_ALL);
                self.settings.learn(&answer, &mut l.lease, &l.turn.summary.resets, all);
                if self.settings.steering.async_commit {
                    self.database.cluster.commits_asynchronously();
                }
            }
            Err(error) => {
                tracing::warn!(node = %l.node.node().name, %error, "could not ask for the session's settings, its connection is closed");
                l.fate = Fate::Closed;
            }
        }
    }

    /// Lets go of the connection, or parks it where a session keeps its own.
    async fn release(&mut self, client: &mut Client) -> Result<(), End> {
        // The usual case: all of it is sent here, straight from the server's inbox.
        self.deliver(client).await?;
        let Some(mut leased) = self.leased.take() else { return Ok(()) };
        leased.hand_over(client);
        self.registered.slot.free().await;
        match self.database.settings.pool.mode {
            _ if leased.fate != Fate::Shared => drop(leased),
            PoolMode::Session => self.parked.push((leased.node.node().id, leased.lease)),
            PoolMode::Transaction => leased.lease.give_back(),
        }
        Ok(())
    }

    /// The client is gone: connections in a known idle state are cleaned and kept, all others are closed.
    pub(super) async fn part(&mut self) {
        self.registered.slot.free().await;
        let writes = self.leased.as_ref().is_some_and(|l| l.serves_as == ServesAs::Writer);
        // Nobody was told, but it may be committed.
        if writes {
            self.mark();
        }
        if let Some(l) = self.leased.as_mut().filter(|l| !l.exchange.is_settled()) {
            // While the server works on, its connection counts among those that are allowed. A large result is not
            // waited for: the server learns from its next write that nobody listens.
            let hung_up = poll_fn(|cx| l.lease.poll_hang_up(cx));
            let _ = tokio::time::timeout(HANGS_UP, hung_up).await;
            if writes {
                // What it has committed meanwhile.
                self.mark();
            }
        }
        if self.leased.as_ref().is_some_and(|l| l.did.contains(Does::CHANGES_CATALOG)) {
            self.database.cluster.catalog.changed();
        }
        let settled = |l: &Leased| {
            l.exchange.is_settled() && l.fate == Fate::Shared && l.scanned == l.lease.inbox.len()
        };
        let pinned = self.leased.take().filter(settled).map(|mut l| {
            l.drop_scanned();
            l.lease
        });
        let parked = std::mem::take(&mut self.parked).into_iter().map(|(_, lease)| lease);
        for mut lease in pinned.into_iter().chain(parked) {
            if discard(&mut lease).await {
                lease.give_back();
            }
        }
    }
}

/// Clears everything a session can leave behind, as PostgreSQL defines it.
async fn discard(lease: &mut Lease) -> bool {
    lease.prepared.clear();
    lease.settings = crate::server::Settings::default();
    lease.unsure = false;
    ask(lease, "discard all").await.is_ok()
}
