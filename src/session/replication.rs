//! Replication connections: base backups, WAL archives, standbys, logical decoding.
//!
//! They speak a protocol of their own and keep what they have for as long as they last, so nothing of them is
//! pooled: each has a connection to the primary that is opened for it and closed with it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cancel::Registered;
use super::client::Client;
use super::failure::{End, Failure};
use super::halt::{killed, stopped};
use super::proxy::{Admitted, Database, Databases, Proxy};
use super::relay::{Place, finish_message, relay};
use super::user::User;
use crate::cluster::Node;
use crate::pool::LeaseError;
use crate::server::{Connection, Endpoint};
use crate::stats::Present;
use crate::wire::{StartupParameters, TransactionStatus, encode};

/// Time in which a client must take the message that is on its way when the proxy stops.
const LAST_MESSAGE: Duration = Duration::from_secs(1);
/// Start-up parameters that say who connects, and to what.
const ADDRESS: [&str; 2] = ["user", "database"];

/// What kind of replication a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Of the whole cluster: PostgreSQL ignores which database is asked for.
    Physical,
    /// Of one database.
    Logical,
}

impl Kind {
    /// Reads the start-up parameter `replication` as PostgreSQL does; `None` for an ordinary connection.
    pub(super) fn asked(parameters: &StartupParameters) -> Result<Option<Self>, Failure> {
        let Some(value) = parameters.get("replication") else { return Ok(None) };
        match value.to_ascii_lowercase().as_str() {
            "database" => Ok(Some(Self::Logical)),
            "1" | "on" => Ok(Some(Self::Physical)),
            "0" | "of" | "off" => Ok(None),
            word if !word.is_empty() && ("true".starts_with(word) || "yes".starts_with(word)) => {
                Ok(Some(Self::Physical))
            }
            word if !word.is_empty() && ("false".starts_with(word) || "no".starts_with(word)) => Ok(None),
            _ => Err(Failure::fatal(
                "22023",
                format!("invalid value for parameter \"replication\": \"{value}\""),
            )
            .with_hint("Valid values are: \"false\", 0, \"true\", 1, \"database\".")),
        }
    }
}

/// The database of the configuration whose primary replicates to `user`.
///
/// A client of physical replication names none, or `replication`, as PostgreSQL's own programs do. Then it is the
/// one that has the user; several will do if they are on the same servers.
pub(super) fn database(
    databases: &Databases,
    parameters: &StartupParameters,
    user: &str,
) -> Result<Arc<Database>, Failure> {
    let asked = parameters.get("database").filter(|name| !name.is_empty());
    if let Some(database) = asked.and_then(|name| databases.get(name)) {
        return Ok(Arc::clone(database));
    }
    if let Some(name) = asked.filter(|name| *name != "replication") {
        return Err(Failure::no_database(name));
    }
    let mut found: Vec<_> = databases.values().filter(|d| d.users.contains_key(user)).collect();
    if found.is_empty() {
        found = databases.values().filter(|d| d.settings.takes_guest(user)).collect();
    }
    found.sort_by(|a, b| a.settings.name.cmp(&b.settings.name));
    match &found[..] {
        [] => Err(Failure::no_database(asked.unwrap_or(user))),
        [first, others @ ..] if others.iter().all(|other| same_servers(first, other)) => {
            Ok(Arc::clone(first))
        }
        _ => {
            let names: Vec<_> = found.iter().map(|d| d.settings.name.as_str()).collect();
            let text = format!(
                "user \"{user}\" has databases on several clusters: {}. Which one to replicate is not clear",
                names.join(", ")
            );
            Err(Failure::fatal("3D000", text).with_hint(
                "Name one of them as the database to connect to, or use a user that only one has.",
            ))
        }
    }
}

fn same_servers(a: &Database, b: &Database) -> bool {
    let servers = |database: &Database| {
        let mut names: Vec<_> = database.cluster.nodes().iter().map(|node| node.name.clone()).collect();
        names.sort();
        names
    };
    servers(a) == servers(b)
}

/// A replication connection, logged in on both sides.
pub(super) struct Replication {
    proxy: Arc<Proxy>,
    server: Connection,
    registered: Registered,
    node: Arc<Node>,
    begun: Instant,
    _present: Present,
    _admitted: Admitted,
}

impl Replication {
    /// Opens the connection to the primary, and tells the client what its server says.
    pub(super) async fn open(
        proxy: &Arc<Proxy>,
        client: &mut Client,
        parameters: &StartupParameters,
        (database, user): (&Arc<Database>, &User),
        (registered, admitted): (Registered, Admitted),
    ) -> Result<Self, Failure> {
        let name = &database.settings.name;
        let primary = database.cluster.primary_within(database.settings.pool.failover_timeout).await;
        let node = primary.ok_or_else(|| {
            Failure::no_primary(name, database.settings.pool.failover_timeout)
                .into_fatal()
                .with_hint("Only a primary replicates; try again when a node has been promoted or is back.")
        })?;
        let pool = user
            .pool(node.id)
            .ok_or_else(|| Failure::no_primary(name, database.settings.pool.failover_timeout).into_fatal())?;
        let server = endpoint(pool.endpoint(), parameters).connect().await.map_err(|error| {
            user.is_refused_by_primary(&error);
            Failure::from_lease(LeaseError::Connect { pool: pool.name().to_owned(), error }).into_fatal()
        })?;
        registered.slot.runs(pool, &server.key);
        encode::authentication_ok(&mut client.outbox);
        for (name, value) in server.parameters.iter() {
            encode::parameter_status(&mut client.outbox, name, value);
        }
        encode::backend_key(&mut client.outbox, &registered.key);
        encode::ready(&mut client.outbox, TransactionStatus::Idle);
        let application = parameters.get("application_name").unwrap_or_default();
        tracing::info!(user = user.name, database = name, node = %node.name, application, client = registered.key.pid, backend = server.key.pid, "replication connection begins");
        Ok(Self {
            proxy: Arc::clone(proxy),
            server,
            registered,
            node,
            begun: Instant::now(),
            _present: Present::new(&database.stats.replication),
            _admitted: admitted,
        })
    }

    /// Serves the client until either side or the proxy ends.
    pub(super) async fn serve(mut self, client: &mut Client) -> End {
        let mut stopping = self.proxy.stopping.subscribe();
        let mut place = Place::default();
        let ended = tokio::select! {
            ended = relay(client, &mut self.server, &mut place) => Ok(ended),
            _ = stopping.wait_for(|stop| *stop) => Err(stopped()),
            () = self.registered.slot.killed() => Err(killed()),
        };
        let end = match ended {
            Ok(Ok(())) => End::Client,
            Ok(Err(error)) => End::Io(error),
            Err(why) => self.stop(client, &mut place, why).await,
        };
        // A cancel request under way must not arrive when another has the server's process number.
        self.registered.slot.free().await;
        let seconds = self.begun.elapsed().as_secs();
        tracing::info!(node = %self.node.name, client = self.registered.key.pid, backend = self.server.key.pid, seconds, "replication connection ends");
        end
    }

    /// It is to end. Such connections are never idle, so they are not waited for.
    async fn stop(&mut self, client: &mut Client, place: &mut Place, why: Failure) -> End {
        let message = finish_message(client, &mut self.server, place);
        match tokio::time::timeout(LAST_MESSAGE, message).await {
            Ok(Ok(())) => why.into(),
            Ok(Err(error)) => End::Io(error),
            // It is in the middle of a message: nothing can be said to it.
            Err(_) => End::Client,
        }
    }
}

/// Where the user's pool connects to, with the client's own start-up parameters in the place of the configured ones.
fn endpoint(pooled: &Endpoint, given: &StartupParameters) -> Endpoint {
    let configured = pooled.parameters.iter().filter(|(name, _)| given.get(name).is_none());
    let given = given.values.iter().filter(|(name, _)| !ADDRESS.contains(&name.as_str()));
    Endpoint { parameters: configured.chain(given).cloned().collect(), ..pooled.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(value: &str) -> Result<Option<Kind>, Failure> {
        let values = vec![("replication".to_owned(), value.to_owned())];
        Kind::asked(&StartupParameters { values, ..StartupParameters::default() })
    }

    #[test]
    fn the_parameter_is_read_as_postgresql_reads_it() {
        for physical in ["true", "t", "TRUE", "on", "yes", "y", "1"] {
            assert_eq!(asked(physical), Ok(Some(Kind::Physical)), "{physical}");
        }
        for ordinary in ["false", "f", "off", "of", "no", "n", "0"] {
            assert_eq!(asked(ordinary), Ok(None), "{ordinary}");
        }
        assert_eq!(asked("database"), Ok(Some(Kind::Logical)));
        assert_eq!(Kind::asked(&StartupParameters::default()), Ok(None));
        for wrong in ["", "o", "2", "truely", "data"] {
            assert_eq!(asked(wrong).unwrap_err().code, "22023", "{wrong}");
        }
    }
}
