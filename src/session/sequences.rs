//! `currval` and `lastval`: what a session remembers of sequences lives in one server session.
//!
//! Binding every client that writes, for the few that ask, would be the end of pooling. So a client is bound after a
//! write only if its application has been seen to ask. Whoever asks and was not bound is told what a session is told that
//! has not used the sequence, never another client's value.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::leased::Leased;
use super::serve::Session;
use crate::config::PoolMode;
use crate::pool::Lease;
use crate::sql::Leaves;
use crate::sql::catalog::Does;
use crate::wire::TransactionStatus;

/// Most applications of one user that are told apart; more are all taken for such as ask.
const MOST: usize = 1_000;

/// The applications of one user that use `currval` or `lastval`, by `application_name`.
#[derive(Debug, Default)]
pub(super) struct SequenceUsers {
    any: AtomicBool,
    names: Mutex<HashSet<Box<str>>>,
}

impl SequenceUsers {
    fn contains(&self, application: &str) -> bool {
        if !self.any.load(Ordering::Relaxed) {
            return false;
        }
        let names = self.lock();
        names.len() >= MOST || names.contains(application)
    }

    /// False when it was known already.
    fn add(&self, application: &str) -> bool {
        let mut names = self.lock();
        let new = names.len() < MOST && names.insert(application.into());
        self.any.store(true, Ordering::Relaxed);
        new
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<Box<str>>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Whether its application has been seen to ask what the session remembers of sequences.
    fn asks_for_sequences(&self) -> bool {
        self.database.settings.pool.mode == PoolMode::Transaction
            && self.user.sequences.contains(self.settings.application())
    }

    /// A statement asks, or may have to.
    pub(super) fn asks_for_sequence(&self) {
        let application = self.settings.application();
        if self.database.settings.pool.mode == PoolMode::Transaction && self.user.sequences.add(application) {
            tracing::warn!(user = %self.user.name, database = %self.database.settings.name, application, "currval or lastval is used: from now on sessions of this application keep their server connection once they have written; RETURNING avoids that");
        }
    }

    /// Before the first statement on a connection: whether it remembers sequences that another session, or this one long
    /// ago, has used, and this one may ask.
    pub(super) fn forgets_sequences(&self, lease: &Lease, leaves: Leaves) -> bool {
        if self.database.settings.pool.mode == PoolMode::Session {
            return false;
        }
        let own = lease.wrote == Some(self.number) && self.wrote_on == lease.key.pid;
        lease.wrote.is_some() && !own && (leaves.contains(Leaves::SEQUENCE) || self.asks_for_sequences())
    }

    /// In a transaction that has not written yet, the first question finds out that nobody has made sure of that.
    pub(super) async fn forget_sequences(&mut self, leaves: Leaves) {
        let untouched = |l: &&Leased| {
            l.exchange.status() == TransactionStatus::Open
                && !l.exchange.is_unsynced()
                && !l.did.contains(Does::WRITES)
                && l.pins.is_empty()
        };
        let Some(l) = self.leased.as_ref().filter(untouched) else { return };
        if !self.forgets_sequences(&l.lease, leaves) {
            return;
        }
        let Some(l) = &mut self.leased else { return };
        // If this fails, so does the statement that follows.
        if l.ask("discard sequences").await.is_ok() {
            l.lease.wrote = None;
        }
    }

    /// A transaction that may have written is over.
    pub(super) fn has_written(&mut self) {
        let Some(l) = &mut self.leased else { return };
        l.lease.wrote = Some(self.number);
        self.wrote_on = l.lease.key.pid;
        if self.asks_for_sequences() {
            self.pin(Leaves::SEQUENCE);
        }
    }
}
