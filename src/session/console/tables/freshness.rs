//! Nodes, how far the tide is at each, and who cannot leave one.

use std::sync::Arc;

use super::inventory::databases;
use super::{Cell, Proxy, Row, Table, int4, int8, milliseconds, moment, row, text};
use crate::cluster::{Node, State};
use crate::freshness::{Footprint, Tick};
use crate::health::FULL;
use crate::session::proxy::Database;
use crate::stats::Figures;

pub(super) const NODES: Table = Table {
    name: "NODES",
    columns: &[
        text("database"),
        text("node"),
        text("role"),
        text("state"),
        text("reason"),
        int4("timeline"),
        text("replayed_lsn"),
        int8("staleness_ms"),
        int4("outstanding"),
        int4("weight"),
        int4("share_percent"),
        text("zone"),
    ],
    rows: |proxy| of_nodes(proxy, of_node),
    meaning: "nodes, their roles and how far they are, and why one is not in use",
};

pub(super) const FRESHNESS: Table = Table {
    name: "FRESHNESS",
    columns: &[
        text("database"),
        text("node"),
        text("gate"),
        int8("staleness_ms"),
        int8("behind_ms"),
        int8("catch_up_ms"),
        int4("open_marks"),
        text("horizon_lsn"),
        int8("reads_served"),
        int8("database_reads_prevented"),
        int8("database_reads_waited"),
    ],
    rows: |proxy| {
        let figures = proxy.stats.figures();
        of_nodes(proxy, |database, node| of_tide(database, node, &figures))
    },
    meaning: "how far the tide is at each replica, and what the gate has let through",
};

pub(super) const PINS: Table = Table {
    name: "PINS",
    columns: &[
        int4("client_pid"),
        text("user"),
        text("database"),
        text("application_name"),
        text("client_addr"),
        text("node"),
        int4("server_pid"),
        text("reason"),
        text("since"),
        int8("seconds"),
    ],
    rows: |proxy| {
        let row = |pin: crate::session::PinView| {
            let seconds = pin.lasted().as_secs();
            row![
                pin.client,
                pin.user,
                pin.database,
                pin.application,
                pin.address,
                pin.node,
                pin.server,
                pin.reason,
                moment(pin.since),
                seconds,
            ]
        };
        proxy.pins.all().into_iter().map(row).collect()
    },
    meaning: "clients that are bound to a server connection, why, and since when",
};

/// A row of each node of each database.
fn of_nodes(proxy: &Proxy, row: impl Fn(&Database, &Node) -> Row) -> Vec<Row> {
    let of = |database: &Arc<Database>| {
        database.cluster.nodes().iter().map(|node| row(database, node)).collect::<Vec<_>>()
    };
    databases(proxy).iter().flat_map(of).collect()
}

fn staleness(database: &Database, node: &Node) -> u64 {
    milliseconds(database.cluster.clock.now().since(node.horizon()))
}

fn of_node(database: &Database, node: &Node) -> Row {
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
    let is_replica = seen == State::Replica;
    row![
        database.settings.name.clone(),
        node.name.clone(),
        role,
        state,
        node.trouble().unwrap_or_default(),
        node.identity().map(|identity| identity.timeline),
        is_replica.then(|| node.replayed().to_string()),
        is_replica.then(|| staleness(database, node)),
        node.outstanding(),
        node.settings.weight,
        is_replica.then(|| u32::from(node.share()) * 100 / u32::from(FULL)),
        node.settings.zone.clone().unwrap_or_default(),
    ]
}

/// Whether reads can go to a replica.
fn gate(database: &Database, node: &Node) -> &'static str {
    let (horizon, marks) = (node.horizon(), &database.cluster.marks);
    match node.state() {
        State::Replica if !node.serves_reads() => "out",
        State::Replica if horizon >= marks.newest() => "open",
        // What may have written to any table shuts it for all of them.
        State::Replica if horizon >= marks.of(Footprint::Tables(&[])) => "partly",
        State::Replica => "closed",
        State::Primary => "primary",
        State::Down | State::Refused => "out",
    }
}

fn of_tide(database: &Database, node: &Node, figures: &Figures) -> Row {
    let (name, cluster) = (&database.settings.name, &database.cluster);
    let is_replica = node.state() == State::Replica;
    let of_database = [("database", name.as_str())];
    let of_node = [("database", name.as_str()), ("node", node.name.as_str()), ("target", "replica")];
    let behind = |horizon: Tick| cluster.marks.newest().since(horizon);
    let replica = |value: u64| if is_replica { Cell::from(value) } else { Cell::Null };
    row![
        name.clone(),
        node.name.clone(),
        gate(database, node),
        replica(staleness(database, node)),
        replica(milliseconds(behind(node.horizon()))),
        replica(milliseconds(node.catch_up())),
        is_replica.then(|| cluster.marks.newer_than(node.horizon())),
        is_replica.then(|| node.replayed().to_string()),
        figures.sum("tidegate_statements_total", &of_node),
        figures.sum("tidegate_stale_reads_prevented_total", &of_database),
        figures.sum("tidegate_waits_total", &of_database),
    ]
}
