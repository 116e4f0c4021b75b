//! The tables that SHOW shows. Columns that PgBouncer has too are called as there.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::command::{COMMANDS, Table};
use super::inventory::{databases, node_of, pools};
use crate::cluster::{Node, State};
use crate::config::PoolMode;
use crate::server::ServerKey;
use crate::session::cancel::Slot;
use crate::session::gate::Passage;
use crate::session::proxy::{Database, Proxy};
use crate::session::roster::{Entry, Who};

/// The columns of a table.
pub(super) fn columns(table: Table) -> &'static [&'static str] {
    match table {
        Table::Help => &["command", "meaning"],
        Table::Version => &["version"],
        Table::Databases => &[
            "name",
            "host",
            "port",
            "database",
            "pool_size",
            "pool_mode",
            "max_connections",
            "current_connections",
            "max_client_connections",
            "current_client_connections",
            "paused",
            "disabled",
            "state",
        ],
        Table::Pools => &[
            "database",
            "user",
            "node",
            "cl_active",
            "cl_waiting",
            "sv_active",
            "sv_idle",
            "pool_size",
            "pool_mode",
        ],
        Table::Clients => &[
            "type",
            "user",
            "database",
            "state",
            "addr",
            "application_name",
            "connect_time",
            "node",
            "remote_pid",
            "id",
            "tls",
        ],
        Table::Servers => &["type", "user", "database", "state", "node", "remote_pid", "link", "tls"],
        Table::Nodes => &[
            "database",
            "node",
            "role",
            "state",
            "reason",
            "timeline",
            "replayed_lsn",
            "staleness_ms",
            "outstanding",
        ],
    }
}

/// The rows of a table.
pub(super) fn rows(proxy: &Proxy, table: Table) -> Vec<Vec<String>> {
    match table {
        Table::Help => COMMANDS.iter().map(|(usage, meaning)| cells([usage, meaning])).collect(),
        Table::Version => vec![cells([concat!("Tidegate ", env!("CARGO_PKG_VERSION"))])],
        Table::Databases => databases(proxy).iter().map(|database| of_database(database)).collect(),
        Table::Pools => databases(proxy).iter().flat_map(|database| of_pools(database)).collect(),
        Table::Clients => present(proxy).iter().map(|(id, slot)| of_client(*id, slot)).collect(),
        Table::Servers => of_servers(proxy),
        Table::Nodes => {
            let of = |database: &Arc<Database>| {
                database.cluster.nodes().iter().map(|node| of_node(database, node)).collect::<Vec<_>>()
            };
            databases(proxy).iter().flat_map(of).collect()
        }
    }
}

fn cells<const N: usize>(cells: [impl ToString; N]) -> Vec<String> {
    cells.map(|cell| cell.to_string()).to_vec()
}

fn switch(is_on: bool) -> String {
    u8::from(is_on).to_string()
}

fn mode(database: &Database) -> String {
    match database.settings.pool.mode {
        PoolMode::Transaction => "transaction",
        PoolMode::Session => "session",
    }
    .to_owned()
}

fn of_database(database: &Database) -> Vec<String> {
    let settings = &database.settings;
    let primary = database.cluster.primary();
    let address = primary.as_ref().and_then(|node| node.name.rsplit_once(':')).unwrap_or_default();
    let open: usize = pools(database).iter().map(|share| share.pool.counts().0).sum();
    let passage = database.gate.passage();
    let state = match passage {
        Passage::Open => "open",
        Passage::Paused => "paused",
        Passage::Killed => "killed",
    };
    vec![
        settings.name.clone(),
        address.0.to_owned(),
        address.1.to_owned(),
        settings.server_name.clone(),
        settings.pool.connection_limit.to_string(),
        mode(database),
        settings.pool.database_connection_limit.unwrap_or(0).to_string(),
        open.to_string(),
        settings.max_clients.to_string(),
        database.clients().to_string(),
        switch(passage != Passage::Open),
        switch(database.gate.is_disabled()),
        state.to_owned(),
    ]
}

fn of_pools(database: &Database) -> Vec<Vec<String>> {
    let row = |share: super::inventory::Share| {
        let (open, idle, waiting) = share.pool.counts();
        let active = open.saturating_sub(idle).to_string();
        vec![
            database.settings.name.clone(),
            share.user.name.clone(),
            share.node.name.clone(),
            active.clone(),
            waiting.to_string(),
            active,
            idle.to_string(),
            database.settings.pool.connection_limit.to_string(),
            mode(database),
        ]
    };
    pools(database).into_iter().map(row).collect()
}

/// Who is logged in, the oldest first.
fn present(proxy: &Proxy) -> Vec<(u32, Arc<Slot>)> {
    let mut all = proxy.cancels.all();
    all.sort_by_key(|(id, slot)| (slot.entry().map(|entry| entry.since), *id));
    all
}

fn of_client(id: u32, slot: &Slot) -> Vec<String> {
    let Some(entry) = slot.entry() else { return Vec::new() };
    let (user, database) = entry.names();
    let link = slot.link();
    let state = if link.is_some() || matches!(entry.who, Who::Console(_)) {
        "active"
    } else if slot.is_waiting() {
        "waiting"
    } else {
        "idle"
    };
    let (node, process) = link.map_or_else(Default::default, |(pool, server)| {
        let node = match &entry.who {
            Who::Client(database, user) => node_of(database, user, &pool),
            Who::Console(_) => String::new(),
        };
        (node, server.pid.to_string())
    });
    let kind = if entry.replicates { "R" } else { "C" };
    vec![
        kind.to_owned(),
        user.to_owned(),
        database.to_owned(),
        state.to_owned(),
        entry.address.to_string(),
        entry.application.to_string(),
        httpdate::fmt_http_date(entry.since.max(SystemTime::UNIX_EPOCH)),
        node,
        process,
        id.to_string(),
        entry.tls.as_deref().unwrap_or_default().to_owned(),
    ]
}

/// Those that work for a client, then those that are idle.
fn of_servers(proxy: &Proxy) -> Vec<Vec<String>> {
    let row = |user: &str, database: &str, state: &str, node: &str, server: &ServerKey, link: String| {
        vec![
            "S".to_owned(),
            user.to_owned(),
            database.to_owned(),
            state.to_owned(),
            node.to_owned(),
            server.pid.to_string(),
            link,
            server.tls.as_deref().unwrap_or_default().to_owned(),
        ]
    };
    let mut rows = Vec::new();
    for (id, slot) in present(proxy) {
        let (Some(Entry { who: Who::Client(database, user), .. }), Some((pool, server))) =
            (slot.entry(), slot.link())
        else {
            continue;
        };
        let node = node_of(database, user, &pool);
        rows.push(row(&user.name, &database.settings.name, "active", &node, &server, id.to_string()));
    }
    for database in databases(proxy) {
        for share in pools(&database) {
            for server in share.pool.idle() {
                let (user, database) = (&share.user.name, &database.settings.name);
                rows.push(row(user, database, "idle", &share.node.name, &server, String::new()));
            }
        }
    }
    rows
}

fn of_node(database: &Database, node: &Node) -> Vec<String> {
    let seen = node.seen();
    let role = match seen {
        State::Primary => "primary",
        State::Replica => "replica",
        State::Down | State::Refused => "",
    };
    let state = match seen {
        _ if node.is_disabled() => "disabled",
        State::Primary | State::Replica => "up",
        State::Down => "down",
        State::Refused => "refused",
    };
    let replica = |text: String| if seen == State::Replica { text } else { String::new() };
    let staleness = Duration::from_nanos(database.cluster.clock.now().since(node.horizon()));
    vec![
        database.settings.name.clone(),
        node.name.clone(),
        role.to_owned(),
        state.to_owned(),
        node.trouble().unwrap_or_default(),
        node.identity().map(|identity| identity.timeline.to_string()).unwrap_or_default(),
        replica(node.replayed().to_string()),
        replica(staleness.as_millis().to_string()),
        node.outstanding().to_string(),
    ]
}
