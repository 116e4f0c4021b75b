//! What happens when a server is ready for the next command: marks, pins, settings, and giving the connection back.

use super::alone::own_change;
use super::client::Client;
use super::failure::End;
use super::leased::{Answer, Fate, Leased, ServesAs, Turn};
use super::serve::Session;
use super::touch::Touching;
use crate::config::PoolMode;
use crate::sql::catalog::Does;
use crate::sql::{Class, Leaves};
use crate::wire::TransactionStatus;

impl Session {
    /// The server has finished with the segment and said so; `told`: the client hears of it.
    pub(super) async fn ready(
        &mut self,
        client: &mut Client,
        status: TransactionStatus,
        told: bool,
    ) -> Result<(), End> {
        self.answered(client, status, told);
        self.acknowledge(status == TransactionStatus::Idle);
        self.note_own_change(status);
        let Some(l) = &self.leased else { return Ok(()) };
        let leaves = l.turn.summary.leaves;
        if !leaves.is_empty() {
            self.note_leaves(leaves);
        }
        if told && self.leased.as_ref().is_some_and(|l| self.settings.may_be_reset(l)) {
            Box::pin(self.restore(status)).await?;
        }
        let Some(l) = &self.leased else { return Ok(()) };
        if !l.exchange.is_settled() {
            return Ok(());
        }
        if !l.left.is_empty() {
            self.deliver(client).await?;
            Box::pin(self.take_stock()).await;
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
        if done.contains(Does::CHANGES_CATALOG) {
            // ALTER TABLE runs defaults and checks, what came after the change was judged without knowing of it, and of
            // what is run by a name (EXECUTE) the text tells nothing. Who has such names is asked when they go.
            l.lease.stain = Some(self.number);
            if !l.pins.reasons().contains(Leaves::PREPARE) {
                l.left |= Leaves::ANYTHING;
            }
        }
        // From here on, what was changed is known to have been changed.
        l.touching = Touching::default();
        if done.contains(Does::WRITES) {
            self.has_written();
        }
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

    /// Lets go of the connection, or parks it where a session keeps its own.
    pub(super) async fn release(&mut self, client: &mut Client) -> Result<(), End> {
        // The usual case: all of it is sent here, straight from the server's inbox.
        self.deliver(client).await?;
        let Some(leased) = &mut self.leased else { return Ok(()) };
        leased.hand_over(client);
        self.registered.slot.free().await;
        let Some(leased) = self.leased.take() else { return Ok(()) };
        self.blanks.lease_ended(leased.turn.summary, leased.exchange);
        match self.database.settings.pool.mode {
            _ if leased.fate != Fate::Shared || !leased.due.is_empty() => drop(leased.lease),
            PoolMode::Session => self.parked.push((leased.node.node().id, leased.lease)),
            PoolMode::Transaction => leased.lease.give_back(),
        }
        Ok(())
    }
}
