//! Who is there: what the console shows of each client.

use std::sync::Arc;
use std::time::SystemTime;

use super::cancel::Registered;
use super::client::Client;
use super::proxy::Database;
use super::replication::Kind;
use super::user::User;
use crate::net::{Ends, Peer};
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
    /// The two ends of its connection, if it comes by TCP.
    pub(super) ends: Option<Ends>,
    /// The number of the proxy's file that its connection is.
    pub(super) file: Option<u32>,
    /// The number of its process, if it comes by a Unix socket and the system says.
    pub(super) process: Option<u32>,
    /// How it replicates, if it does.
    pub(super) replication: Option<Kind>,
    /// Version of TLS and cipher suite, if it is encrypted.
    pub(super) tls: Option<Box<str>>,
}

impl Entry {
    pub(super) fn new(who: Who, client: &Client, parameters: &StartupParameters) -> Self {
        Self {
            who,
            address: client.address(),
            tls: client.tls(),
            application: parameters.get("application_name").unwrap_or_default().into(),
            since: SystemTime::now(),
            ends: client.ends(),
            file: client.file(),
            process: client.process(),
            replication: Kind::asked(parameters).ok().flatten(),
        }
    }

    /// Says in the log that it has logged in.
    pub(super) fn log(&self, registered: &Registered) {
        let (user, database) = self.names();
        let (address, tls) = (&self.address, self.tls.as_deref().unwrap_or("off"));
        let client = registered.key.pid;
        match self.who {
            Who::Client(..) => tracing::info!(user, database, client, %address, tls, "client logged in"),
            Who::Console(_) => tracing::info!(user, client, %address, tls, "console opened"),
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
