//! What a client is told when it has logged in: the settings a direct connection would report.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use super::ask::{AskError, ask};
use super::failure::Failure;
use super::proxy::{Database, User};
use super::settings::{SessionSettings, difference, renewal};
use super::told::Told;
use crate::cluster::State;
use crate::server::Settings;

/// Reported settings by the settings given at start-up; asked for once, as clients of one app are alike.
pub(super) type Greetings = HashMap<Settings, Greeting>;
/// Names and values in the server's order.
pub(super) type Greeting = Arc<[(String, String)]>;

/// Start-up settings remembered per user.
const REMEMBERED: usize = 1_000;

/// What to report to a client of these settings. Asks a server unless that is known; the error is the client's.
pub(super) async fn greeting(
    database: &Database,
    user: &User,
    settings: &SessionSettings,
) -> Result<Told, Failure> {
    // The name of the application is reported as given, and differs between clients more than anything else.
    let mut wanted = (*settings.current).clone();
    let application = wanted.remove("application_name");
    let key = Arc::new(wanted);
    let known = greetings(user).get(&key).cloned();
    let found = if let Some(found) = known {
        found
    } else {
        let found = ask_server(database, user, &key).await?;
        let mut remembered = greetings(user);
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(key, Arc::clone(&found));
        found
    };
    Ok(Told::at_login(found, application))
}

fn greetings(user: &User) -> std::sync::MutexGuard<'_, Greetings> {
    user.greetings.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Applies the settings on a connection, as the session's first statement would, and notes what is reported.
async fn ask_server(database: &Database, user: &User, wanted: &Settings) -> Result<Greeting, Failure> {
    let cluster = &database.cluster;
    let replica = || cluster.nodes.iter().find(|n| n.state() == State::Replica);
    let node = match cluster.primary().or_else(replica) {
        Some(node) => Arc::clone(node),
        // Just started, or between two primaries.
        None => cluster
            .primary_within(database.settings.pool.connect_timeout)
            .await
            .ok_or_else(|| Failure::no_node(&database.settings.name))?,
    };
    let mut lease = user.pools[node.id.0].lease().await.map_err(Failure::from_lease)?;
    let mut reported = lease.parameters.to_vec();
    let sql = if lease.stain.is_some() { renewal(wanted) } else { difference(&lease, wanted) };
    if !sql.is_empty() {
        match ask(&mut lease, &sql).await {
            Ok(answer) => overlay(&mut reported, answer.reported),
            Err(AskError::Refused { code, message }) => return Err(Failure::fatal(code, message)),
            Err(error) => return Err(Failure::fatal("08006", format!("{}: {error}", node.name))),
        }
        lease.settings = Arc::clone(wanted);
        lease.stain = None;
    }
    lease.give_back();
    // What the primary says of itself holds for every client, whichever node this was.
    let primary_view = [("in_hot_standby", "off"), ("default_transaction_read_only", "off")];
    for (name, value) in primary_view.iter().filter(|_| cluster.primary().is_none()) {
        overlay(&mut reported, vec![((*name).to_owned(), (*value).to_owned())]);
    }
    Ok(reported.into())
}

fn overlay(reported: &mut Vec<(String, String)>, newer: Vec<(String, String)>) {
    for (name, value) in newer {
        match reported.iter_mut().find(|(n, _)| *n == name) {
            Some(entry) => entry.1 = value,
            None => reported.push((name, value)),
        }
    }
}
