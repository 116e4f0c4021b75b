//! What happens when a server is ready for the next command: marks, pins, settings, and giving the connection back.

use std::time::SystemTime;

use super::alone::own_change;
use super::ask::{ask, ask_in_time};
use super::client::Client;
use super::failure::End;
use super::leased::{Answer, Fate, Leased, ServesAs, Turn};
use super::pins::{self, IN_THE_PROCESS, PINNING, PinView};
use super::serve::Session;
use super::touch::Touching;
use crate::config::PoolMode;
use crate::pool::Lease;
use crate::sql::catalog::Does;
use crate::sql::{Class, Leaves};
use crate::stats::Present;
use crate::wire::TransactionStatus;

/// What may have changed the session's settings.
const UNSETTLING: Leaves = Leaves::SETTINGS
    .with(Leaves::RESET_ALL)
    .with(Leaves::ROLE)
    .with(Leaves::DISCARD_ALL)
    .with(Leaves::UNNAMED_SETTING)
    .with(Leaves::ANYTHING);

impl Session {
    /// The server has finished with the segment and said so.
    pub(super) async fn ready(&mut self, client: &mut Client, status: TransactionStatus) -> Result<(), End> {
        self.acknowledge(status == TransactionStatus::Idle);
        self.note_own_change(status);
        let Some(l) = &self.leased else { return Ok(()) };
        let leaves = l.turn.summary.leaves;
        if !leaves.is_empty() {
            self.note_leaves(leaves);
        }
        let Some(l) = &self.leased else { return Ok(()) };
        if !l.exchange.is_settled() {
            return Ok(());
        }
        if !l.left.is_empty() {
            self.take_stock(client).await?;
        }
        let Some(l) = &self.leased else { return Ok(()) };
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
        if done.contains(Does::CHANGES_CATALOG) && l.pins.reasons().contains(Leaves::TEMP_TABLE) {
            // What was dropped may be the last one.
            l.left |= Leaves::TEMP_TABLE;
        }
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
        if leaves.contains(Leaves::ANYTHING) {
            l.lease.stain = Some(self.number);
        }
        let failed = l.turn.answer == Answer::Failed && l.turn.summary.count < 2;
        // Of the others the server is asked. Code can have done anything before it failed.
        let told = if failed { Leaves::NATIVE_CODE } else { IN_THE_PROCESS.with(Leaves::UNNAMED_SETTING) };
        for leaf in leaves.only(told).iter() {
            self.pin(leaf);
        }
        let Some(l) = self.leased.as_mut().filter(|_| !failed) else { return };
        if leaves.intersects(Leaves::DISCARD_ALL) {
            let ended = PINNING.without(IN_THE_PROCESS);
            l.pins.end(ended);
            l.lease.prepared.clear();
            self.names.clear();
        }
        if leaves.intersects(Leaves::DEALLOCATE) {
            // It may have taken statements of the proxy's own with it.
            l.fate = Fate::Closed;
        }
    }

    /// Binds the session to its connection.
    fn pin(&mut self, reason: Leaves) {
        let Some(l) = &mut self.leased else { return };
        if l.pins.reasons().contains(reason) {
            return;
        }
        if IN_THE_PROCESS.contains(reason) {
            l.fate = Fate::Closed;
        }
        let node = l.node.node().name.clone();
        let (client, server) = (self.registered.key.pid, l.lease.key.pid);
        tracing::info!(%reason, client, node, backend = server, "session pinned");
        let listed = self.proxy.pins.list(PinView {
            client,
            user: self.user.name.clone(),
            database: self.database.settings.name.clone(),
            address: self.address.to_string(),
            application: self.settings.current.get("application_name").cloned().unwrap_or_default(),
            node,
            server,
            reason: reason.labels().next().unwrap_or_default(),
            since: SystemTime::now(),
        });
        let counted = Present::new(&self.database.stats.pinned(&reason.to_string()));
        l.pins.add(reason, listed, counted);
    }

    /// The transaction is over: asks the server which settings the session has now, and what there is to bind it.
    async fn take_stock(&mut self, client: &mut Client) -> Result<(), End> {
        let Some(l) = &mut self.leased else { return Ok(()) };
        let left = std::mem::take(&mut l.left);
        let doubtful = pins::doubtful(left, l.pins.reasons());
        let unsettled = left.intersects(UNSETTLING);
        if doubtful.is_empty() && !unsettled {
            return Ok(());
        }
        let mut question = pins::question(doubtful);
        if unsettled {
            question += ";";
            question += &self.settings.question(&self.user.name);
        }
        self.deliver(client).await?;
        let Some(l) = &mut self.leased else { return Ok(()) };
        let answer = match ask_in_time(&mut l.lease, &question).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(node = %l.node.node().name, %error, "could not ask what a session has left on its connection, which is closed after it");
                l.fate = Fate::Closed;
                return Ok(());
            }
        };
        let found = pins::found(&answer);
        l.pins.end(doubtful.without(found));
        if unsettled {
            self.settings.learn(&answer, &mut l.lease);
            if self.settings.steering.async_commit {
                self.database.cluster.commits_asynchronously();
            }
        }
        for reason in found.iter() {
            self.pin(reason);
        }
        Ok(())
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
        // Nobody was told, but it may be committed yet.
        if self.leased.as_ref().is_some_and(|l| l.serves_as == ServesAs::Writer) {
            self.mark();
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
    lease.stain = None;
    ask(lease, "discard all").await.is_ok()
}
