//! What a client is told when it has logged in: the settings a direct connection would report.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::BytesMut;

use super::ask::{AskError, answered, ask};
use super::failure::Failure;
use super::lock::lock;
use super::proxy::Database;
use super::settings::{SessionSettings, difference, renewal};
use super::told::Told;
use super::user::User;
use crate::cluster::State;
use crate::pool::LeaseError;
use crate::server::Settings;
use crate::wire::encode;

/// What clients of one user are told; found out once, as clients of one app are alike.
#[derive(Debug, Default)]
pub(super) struct Greetings {
    /// By the start-up parameters, as they were given.
    arrivals: Mutex<HashMap<Parameters, Arc<Arrival>>>,
    /// By the settings among these, but for the name of the application.
    reported: Mutex<HashMap<Settings, Greeting>>,
}

/// What clients with the same start-up parameters begin with.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) settings: SessionSettings,
    pub(super) told: Told,
    /// That they have logged in, and what is reported to them.
    pub(super) messages: BytesMut,
}

/// Start-up parameters, names and values in the order given.
type Parameters = Box<[(String, String)]>;
/// Names and values in the server's order.
pub(super) type Greeting = Arc<[(String, String)]>;

/// Start-up settings remembered per user.
const REMEMBERED: usize = 1_000;

/// What a client with these start-up parameters begins with. Asks a server unless that is known; the error is the
/// client's.
pub(super) async fn arrival(
    database: &Database,
    user: &User,
    parameters: &[(String, String)],
) -> Result<Arc<Arrival>, Failure> {
    let known = lock(&user.greetings.arrivals).get(parameters).cloned();
    if let Some(known) = known {
        return Ok(known);
    }
    let mut settings =
        SessionSettings::at_startup(parameters).map_err(|text| Failure::fatal("22023", text))?;
    user.alike.share(&mut settings.current);
    settings.base = Arc::clone(&settings.current);
    let told = Box::pin(greeting(database, user, &settings)).await.map_err(Failure::into_fatal)?;
    settings.reported(told.iter());
    let mut messages = BytesMut::new();
    encode::authentication_ok(&mut messages);
    for (name, value) in told.iter() {
        encode::parameter_status(&mut messages, name, value);
    }
    let arrival = Arc::new(Arrival { settings, told, messages });
    remember(&user.greetings.arrivals, parameters.into(), &arrival);
    Ok(arrival)
}

/// What to report to a client of these settings.
async fn greeting(database: &Database, user: &User, settings: &SessionSettings) -> Result<Told, Failure> {
    // The name of the application is reported as given, and differs between clients more than anything else.
    let mut wanted = (*settings.current).clone();
    let application = wanted.remove("application_name");
    let key = Arc::new(wanted);
    let known = lock(&user.greetings.reported).get(&key).cloned();
    let found = if let Some(found) = known {
        found
    } else {
        let found = ask_server(database, user, &key).await?;
        remember(&user.greetings.reported, key, &found);
        found
    };
    Ok(Told::at_login(found, application))
}

fn remember<K: Eq + std::hash::Hash, V: ?Sized>(known: &Mutex<HashMap<K, Arc<V>>>, key: K, value: &Arc<V>) {
    let mut known = lock(known);
    if known.len() >= REMEMBERED {
        known.clear();
    }
    known.insert(key, Arc::clone(value));
}

/// Applies the settings on a connection, as the session's first statement would, and notes what is reported.
async fn ask_server(database: &Database, user: &User, wanted: &Settings) -> Result<Greeting, Failure> {
    database.gate.passed().await;
    let cluster = &database.cluster;
    let replica = || cluster.nodes().iter().find(|n| n.state() == State::Replica).cloned();
    let node = match cluster.primary().or_else(replica) {
        Some(node) => node,
        // Just started, or between two primaries.
        None => cluster
            .primary_within(database.settings.pool.failover_timeout)
            .await
            .ok_or_else(|| Failure::no_node(&database.settings.name))?,
    };
    let abandonments = node.abandonments();
    let pool = user.pool(node.id).ok_or_else(|| Failure::no_node(&database.settings.name))?;
    let mut lease = pool.lease().await.map_err(|error| {
        if let (LeaseError::Connect { error, .. }, State::Primary) = (&error, node.state()) {
            user.is_refused_by_primary(error);
        }
        Failure::from_lease(error)
    })?;
    let mut reported = lease.parameters.to_vec();
    let sql = if lease.stain.is_some() { renewal(wanted) } else { difference(&lease, wanted) };
    if !sql.is_empty() {
        match answered(&node, abandonments, ask(&mut lease, &sql)).await {
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
