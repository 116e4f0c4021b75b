//! Settings that are due on a leased connection, sent ahead of the statement that needs them and in the same round trip.
//!
//! PostgreSQL runs the statement even if the settings ahead of it were refused, so this is done only where they cannot be:
//! each of them has been made on this node before, by itself, and none says who the session is or how long it may take.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::ask::AskError;
use super::exchange::Owed;
use super::leased::Leased;
use crate::routing::NodeId;
use crate::server::{Connection, Settings, Unnamed};
use crate::wire::encode;

/// Names that are remembered of one user; beyond that it is begun anew.
const REMEMBERED: usize = 10_000;

/// Settings whose change can be refused, or fail what is sent with it.
const UNCERTAIN: [&str; 4] = ["role", "session_authorization", "statement_timeout", "transaction_timeout"];

/// Which settings have been made on which nodes.
#[derive(Debug, Default)]
pub(super) struct Proven {
    names: Mutex<HashSet<(usize, Box<str>)>>,
}

impl Proven {
    /// These were made on the node.
    pub(super) fn add(&self, node: NodeId, settings: &Settings) {
        let mut names = self.lock();
        if names.len() > REMEMBERED {
            names.clear();
        }
        names.extend(settings.keys().map(|name| (node.0, name.as_str().into())));
    }

    /// Whether turning the settings of `connection` into `wanted` cannot fail.
    pub(super) fn covers(&self, node: NodeId, connection: &Connection, wanted: &Settings) -> bool {
        let names = self.lock();
        let is_certain = |(name, value): (&String, &String), other: &Settings| {
            other.get(name) == Some(value)
                || !UNCERTAIN.contains(&name.as_str()) && names.contains(&(node.0, name.as_str().into()))
        };
        // A time-out that is in force holds for what is sent, whether it is to be changed or not.
        !connection.settings.contains_key("statement_timeout")
            && wanted.iter().all(|setting| is_certain(setting, &connection.settings))
            && connection.settings.iter().all(|setting| is_certain(setting, wanted))
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<(usize, Box<str>)>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leased {
    /// Sends what is due ahead of what is sent next.
    pub(super) fn send_due(&mut self) {
        if self.due.is_empty() {
            return;
        }
        encode::query(&mut self.lease.outbox, &std::mem::take(&mut self.due));
        self.lease.prepared.set_unnamed(Unnamed::Absent);
        self.exchange.sent(Owed::Settings);
    }

    /// Settles what is due by itself, ahead of a question of the proxy's own.
    pub(super) async fn settle_due(&mut self) -> Result<(), AskError> {
        if !self.due.is_empty() {
            let due = std::mem::take(&mut self.due);
            self.ask(&due).await?;
        }
        Ok(())
    }
}
