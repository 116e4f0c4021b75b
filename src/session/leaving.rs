//! When the client leaves: what it has sent is still done, what it left open is rolled back, and the connections it
//! leaves are cleaned for the next.
//!
//! A direct connection ends as soon as the server has dealt with everything that was sent before the end, and so does
//! a session here.

use std::future::poll_fn;
use std::time::Duration;

use super::ask::ask;
use super::client::Client;
use super::failure::End;
use super::leased::{Fate, Leased, ServesAs};
use super::serve::Session;
use crate::pool::Lease;
use crate::sql::catalog::Does;
use crate::wire::{Frontend, TransactionStatus, frontend_message};

/// How long a server is waited for that works on for a client that is gone.
const HANGS_UP: Duration = Duration::from_secs(1);

impl Session {
    /// The client sends nothing more. What runs for it is cancelled, again and again, if nothing can come of it.
    ///
    /// After a good-bye it is not: then the server finishes what it has, as on a direct connection.
    pub(super) async fn client_left(&mut self, client: &mut Client) {
        let Some(leased) = &self.leased else { return };
        if leased.has_undelivered() || !client.outbox.is_empty() {
            client.lose_patience();
        }
        if !has_said_goodbye(&client.inbox) && is_in_vain(leased, client) {
            tracing::debug!(client = self.registered.key.pid, node = %leased.node.node().name, "a client has left, what it waited for is cancelled");
            self.registered.slot.cancel().await;
        }
    }

    /// Whether it has server connections that it must part with.
    pub(super) fn holds_connections(&self) -> bool {
        self.leased.is_some() || !self.parked.is_empty()
    }

    /// What the client is told in the end comes after everything that is its own; in the middle of a row nothing can be told.
    pub(super) fn last_word(&mut self, client: &mut Client, end: End) -> End {
        let (End::Failure(_), Some(leased)) = (&end, &mut self.leased) else { return end };
        leased.hand_over(client);
        if leased.arriving > 0 { End::Client } else { end }
    }

    /// The session is over. Connections whose server waits for the next command are cleaned and lent again, all others
    /// are closed.
    pub(super) async fn part(&mut self) {
        if self.leased.as_ref().is_some_and(|l| l.exchange.is_unsynced()) {
            // The server may still work on what no Sync has ended, and what is closed now cannot be committed.
            self.registered.slot.cancel().await;
        }
        self.registered.slot.free().await;
        // Nobody was told, but it may be committed yet.
        if self.leased.as_ref().is_some_and(|l| l.serves_as == ServesAs::Writer) {
            self.mark();
        }
        if self.leased.as_ref().is_some_and(|l| l.did.contains(Does::CHANGES_CATALOG)) {
            self.database.cluster.catalog.changed();
        }
        let waiting = |l: &Leased| {
            l.exchange.owes_nothing() && l.fate == Fate::Shared && l.scanned == l.lease.inbox.len()
        };
        if let Some(l) = self.leased.as_mut().filter(|l| !waiting(l)) {
            // While the server works on, its connection counts among those that are allowed. A large result is not
            // waited for: the server learns from its next write that nobody listens.
            let hung_up = poll_fn(|cx| l.lease.poll_hang_up(cx));
            let _ = tokio::time::timeout(HANGS_UP, hung_up).await;
            if l.serves_as == ServesAs::Writer {
                // What it has committed meanwhile.
                self.mark();
            }
        }
        let held = self.leased.take().filter(waiting).map(|mut l| {
            l.drop_scanned();
            (l.exchange.status(), l.lease)
        });
        let parked = std::mem::take(&mut self.parked).into_iter();
        let parked = parked.map(|(_, lease)| (TransactionStatus::Idle, lease));
        let patience = self.database.settings.pool.connect_timeout;
        for (status, mut lease) in held.into_iter().chain(parked) {
            if tokio::time::timeout(patience, clean(&mut lease, status)).await == Ok(true) {
                lease.give_back();
            }
        }
    }
}

/// Ends the transaction that is open, and clears everything a session can leave behind, as PostgreSQL defines it.
async fn clean(lease: &mut Lease, status: TransactionStatus) -> bool {
    if status != TransactionStatus::Idle && ask(lease, "rollback").await.is_err() {
        return false;
    }
    lease.prepared.clear();
    lease.settings = crate::server::Settings::default();
    lease.stain = None;
    ask(lease, "discard all").await.is_ok()
}

/// Whether the server works on something that leaves nothing behind, and nothing was sent after it: a read, or a part
/// of a transaction that will be rolled back.
fn is_in_vain(l: &Leased, client: &Client) -> bool {
    let last = client.inbox.len() <= l.turn.retained;
    let commits = l.serves_as == ServesAs::Writer && l.touching.may_commit();
    last && !commits && !l.exchange.is_ready() && !l.exchange.copies_in()
}

/// Whether a Terminate is among what the client has sent.
fn has_said_goodbye(mut inbox: &[u8]) -> bool {
    while let Ok(Some(header)) = frontend_message(inbox) {
        if header.kind == Frontend::Terminate {
            return true;
        }
        inbox = inbox.get(header.len..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::encode;
    use bytes::BytesMut;

    #[test]
    fn a_goodbye_is_found_behind_anything_whole() {
        let mut inbox = BytesMut::new();
        assert!(!has_said_goodbye(&inbox));
        encode::query(&mut inbox, "select 1");
        encode::sync(&mut inbox);
        assert!(!has_said_goodbye(&inbox));
        let before = inbox.len();
        encode::terminate(&mut inbox);
        for end in before..inbox.len() {
            assert!(!has_said_goodbye(&inbox[..end]));
        }
        assert!(has_said_goodbye(&inbox));
        assert!(!has_said_goodbye(b"\xff\0\0\0\x04X\0\0\0\x04"));
    }
}
