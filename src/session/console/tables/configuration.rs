//! What the proxy goes by.

use super::{Row, Table, row, text};
use crate::config::{DatabaseSettings, Listed, ListenAddress, Settings, listing};

/// PgBouncer's tools expect four columns, and no more.
pub(super) const CONFIG: Table = Table {
    name: "CONFIG",
    columns: &[text("key"), text("value"), text("default"), text("changeable")],
    rows: |proxy| {
        let settings = proxy.settings.load();
        let row = |item: Listed| {
            row![item.key, item.value, item.default, if item.is_changeable { "yes" } else { "no" }]
        };
        let ours = listing(&settings).into_iter().map(row);
        ours.chain(of_pgbouncer(&settings)).collect()
    },
    meaning: "every setting as it is in force, and its default; secrets are not shown",
};

/// What tools look for under PgBouncer's names, where all databases agree on it.
fn of_pgbouncer(settings: &Settings) -> Vec<Row> {
    let agreed = |of: fn(&DatabaseSettings) -> String| {
        let mut values = settings.databases.iter().map(of);
        let first = values.next()?;
        values.all(|other| other == first).then_some(first)
    };
    let address = settings.listen.iter().find_map(ListenAddress::tcp);
    let clients: usize = settings.databases.iter().map(|database| database.max_clients).sum();
    let all = [
        ("default_pool_size", agreed(|database| database.pool.connection_limit.to_string()), "20", "yes"),
        ("listen_addr", address.map(|address| address.ip().to_string()), "127.0.0.1", "no"),
        ("listen_port", address.map(|address| address.port().to_string()), "6432", "no"),
        ("max_client_conn", Some(clients.to_string()), "10000", "yes"),
        ("pool_mode", agreed(|database| database.pool.mode.to_string()), "transaction", "yes"),
    ];
    let row = |(key, value, default, changeable)| {
        Some(row![key, Option::<String>::Some(value?), default, changeable])
    };
    all.into_iter().filter_map(row).collect()
}
