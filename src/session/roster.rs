//! Who is there: what the console shows of each client.

use std::sync::Arc;
use std::time::SystemTime;

use super::proxy::{Database, User};
use crate::net::Peer;
use crate::wire::StartupParameters;

/// Whose session it is.
#[derive(Debug)]
pub(super) enum Who {
    /// A client of a database.
    Client(Arc<Database>, Arc<User>),
    /// Somebody at the console.
    Console(Box<str>),
}

/// What is known of a client from its login on.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) who: Who,
    pub(super) address: Peer,
    /// What it called itself at login.
    pub(super) application: Box<str>,
    pub(super) since: SystemTime,
    pub(super) replicates: bool,
}

impl Entry {
    pub(super) fn new(who: Who, address: Peer, parameters: &StartupParameters) -> Self {
        Self {
            who,
            address,
            application: parameters.get("application_name").unwrap_or_default().into(),
            since: SystemTime::now(),
            replicates: parameters.get("replication").is_some(),
        }
    }

    /// Whether it is a client of this database.
    pub(super) fn is_of(&self, database: &str) -> bool {
        matches!(&self.who, Who::Client(own, _) if own.settings.name == database)
    }

    /// The user, and the database.
    pub(super) fn names(&self) -> (&str, &str) {
        match &self.who {
            Who::Client(database, user) => (&user.name, &database.settings.name),
            Who::Console(user) => (user, crate::config::CONSOLE_NAMES[0]),
        }
    }
}
