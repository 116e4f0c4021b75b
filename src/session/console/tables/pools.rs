//! Databases, users, and the pools of server connections between them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::inventory::{Share, databases, pools};
use super::{Cell, Proxy, Row, Table, int4, is_client_of, present, row, seconds, text};
use crate::session::cancel::Slot;
use crate::session::gate::Passage;
use crate::session::proxy::Database;
use crate::session::user::User;

pub(super) const DATABASES: Table = Table {
    name: "DATABASES",
    columns: &[
        text("name"),
        text("host"),
        int4("port"),
        text("database"),
        text("force_user"),
        int4("pool_size"),
        int4("min_pool_size"),
        int4("reserve_pool"),
        text("pool_mode"),
        int4("max_connections"),
        int4("current_connections"),
        int4("paused"),
        int4("disabled"),
        int4("max_client_connections"),
        int4("current_client_connections"),
        text("state"),
        int4("nodes"),
    ],
    rows: |proxy| databases(proxy).iter().map(|database| of_database(database)).collect(),
    meaning: "databases, and whether they are paused or disabled",
};

pub(super) const POOLS: Table = Table {
    name: "POOLS",
    columns: &[
        text("database"),
        text("user"),
        int4("cl_active"),
        int4("cl_waiting"),
        int4("cl_active_cancel_req"),
        int4("cl_waiting_cancel_req"),
        int4("sv_active"),
        int4("sv_active_cancel"),
        int4("sv_being_canceled"),
        int4("sv_idle"),
        int4("sv_used"),
        int4("sv_tested"),
        int4("sv_login"),
        int4("maxwait"),
        int4("maxwait_us"),
        text("pool_mode"),
        int4("pool_size"),
        int4("nodes"),
    ],
    rows: |proxy| {
        let present = present(proxy);
        databases(proxy).iter().flat_map(|database| of_users(database, &present)).collect()
    },
    meaning: "clients and server connections of each user of a database, and who waits",
};

pub(super) const NODE_POOLS: Table = Table {
    name: "NODE_POOLS",
    columns: &[
        text("database"),
        text("user"),
        text("node"),
        int4("sv_active"),
        int4("sv_idle"),
        int4("cl_waiting"),
        int4("sv_outdated"),
        int4("pool_size"),
        int4("min_pool_size"),
    ],
    rows: |proxy| {
        let of = |database: &Arc<Database>| {
            pools(database).iter().map(|share| of_share(database, share)).collect::<Vec<_>>()
        };
        databases(proxy).iter().flat_map(of).collect()
    },
    meaning: "the same of each node: server connections, and clients in the pool's queue",
};

pub(super) const USERS: Table = Table {
    name: "USERS",
    columns: &[
        text("name"),
        text("pool_mode"),
        int4("current_connections"),
        int4("max_user_client_connections"),
        int4("current_client_connections"),
        text("databases"),
    ],
    rows: users,
    meaning: "users, their connections and their databases",
};

fn mode(database: &Database) -> &'static str {
    database.settings.pool.mode.as_str()
}

fn of_database(database: &Database) -> Row {
    let settings = &database.settings;
    let primary = database.cluster.primary();
    let open: usize = pools(database).iter().map(|share| share.pool.counts().0).sum();
    let passage = database.gate.passage();
    let state = match passage {
        Passage::Open => "open",
        Passage::Paused => "paused",
        Passage::Killed => "killed",
    };
    row![
        settings.name.clone(),
        primary.as_ref().map(|node| node.settings.host.to_string()),
        primary.as_ref().map(|node| node.settings.port),
        settings.server_name.clone(),
        Cell::Null,
        settings.pool.connection_limit,
        settings.limits.min_connections,
        0_u32,
        mode(database),
        settings.pool.database_connection_limit.unwrap_or(0),
        open,
        passage != Passage::Open,
        database.gate.is_disabled(),
        settings.max_clients,
        database.clients(),
        state,
        database.cluster.nodes().len(),
    ]
}

/// Connections of a user, to one node or to all of them.
#[derive(Default)]
struct Connections {
    active: usize,
    idle: usize,
    nodes: usize,
}

/// A row for each user, in the order of the names.
fn of_users(database: &Database, present: &[(u32, Arc<Slot>)]) -> Vec<Row> {
    let mut by_user: BTreeMap<String, Connections> = BTreeMap::new();
    for share in pools(database) {
        let (open, idle, _) = share.pool.counts();
        let of_user = by_user.entry(share.user.name.clone()).or_default();
        of_user.active += open.saturating_sub(idle);
        of_user.idle += idle;
        of_user.nodes += 1;
    }
    by_user.into_iter().map(|(user, connections)| of_user(database, user, &connections, present)).collect()
}

fn of_user(
    database: &Database,
    user: String,
    connections: &Connections,
    present: &[(u32, Arc<Slot>)],
) -> Row {
    let is_own = |slot: &&Arc<Slot>| {
        slot.entry().is_some_and(|entry| is_client_of(entry, &database.settings.name, &user))
    };
    let own: Vec<_> = present.iter().map(|(_, slot)| slot).filter(is_own).collect();
    // Who waits for something in the middle of a transaction has a server connection.
    let waits: Vec<Duration> =
        own.iter().filter(|slot| slot.link().is_none()).filter_map(|slot| slot.waited()).collect();
    let cancelling = own.iter().filter(|slot| slot.is_cancelling()).count();
    let [wait, wait_us] = seconds(waits.iter().max().copied().unwrap_or_default());
    row![
        database.settings.name.clone(),
        user,
        own.len() - waits.len(),
        waits.len(),
        cancelling,
        0_u32,
        connections.active,
        cancelling,
        cancelling,
        connections.idle,
        0_u32,
        0_u32,
        0_u32,
        wait,
        wait_us,
        mode(database),
        database.settings.pool.connection_limit,
        connections.nodes,
    ]
}

fn of_share(database: &Database, share: &Share) -> Row {
    let (open, idle, waiting) = share.pool.counts();
    let terms = share.pool.terms();
    row![
        database.settings.name.clone(),
        share.user.name.clone(),
        share.node.name.clone(),
        open.saturating_sub(idle),
        idle,
        waiting,
        share.pool.outdated(),
        terms.limit,
        terms.least,
    ]
}

/// What there is of a user in all databases.
#[derive(Default)]
struct Everywhere {
    connections: usize,
    most_clients: Option<usize>,
    clients: usize,
    databases: Vec<String>,
}

fn users(proxy: &Proxy) -> Vec<Row> {
    let mut all: BTreeMap<String, Everywhere> = BTreeMap::new();
    for database in databases(proxy) {
        for user in database.all_users() {
            let everywhere = all.entry(user.name.clone()).or_default();
            everywhere.add(&user);
            everywhere.databases.push(database.settings.name.clone());
        }
    }
    let row = |(name, user): (String, Everywhere)| {
        let most = user.most_clients.unwrap_or(0);
        row![name, Cell::Null, user.connections, most, user.clients, user.databases.join(",")]
    };
    all.into_iter().map(row).collect()
}

impl Everywhere {
    fn add(&mut self, user: &User) {
        self.connections += user.pools.iter().map(|(_, pool)| pool.counts().0).sum::<usize>();
        self.clients += user.clients.load(std::sync::atomic::Ordering::Relaxed);
        // Each database has a limit of its own: the largest is what one of them allows.
        self.most_clients = self.most_clients.max(user.limits.max_client_connections);
    }
}
