//! What SHOW shows: a table each, with PgBouncer's columns first where it has the table, and those of our own behind them.
//!
//! Owns which tables there are and what their columns are called; `docs/console.md` says what each one means. Everything is
//! read off at the moment somebody asks.

mod clients;
mod configuration;
mod freshness;
mod help;
mod pools;
mod process;
mod sockets;
mod statements;
mod stats;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::cell::{Cell, Column, Row, bytea, float8, int4, int8, joined, numeric, row, text};
use super::command::COMMANDS;
use super::inventory;
use crate::config::CONSOLE_NAMES;
use crate::session::cancel::Slot;
use crate::session::proxy::Proxy;
use crate::session::roster::{Entry, Who};

/// The console's other name.
const PGBOUNCER: &str = CONSOLE_NAMES[1];

/// Something to be shown.
pub(super) struct Table {
    /// What stands behind SHOW.
    pub(super) name: &'static str,
    pub(super) columns: &'static [Column],
    pub(super) rows: fn(&Proxy) -> Vec<Row>,
    /// What it shows, for the help.
    pub(super) meaning: &'static str,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// No two have one name.
impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Table {}

/// All there are, in the order of the help.
pub(super) static TABLES: &[Table] = &[
    help::HELP,
    process::VERSION,
    pools::DATABASES,
    pools::POOLS,
    pools::NODE_POOLS,
    pools::USERS,
    clients::CLIENTS,
    clients::SERVERS,
    freshness::NODES,
    freshness::FRESHNESS,
    statements::ROUTES,
    statements::SHAPES,
    statements::LEARNED,
    freshness::PINS,
    stats::STATS,
    stats::STATS_TOTALS,
    stats::STATS_AVERAGES,
    stats::TOTALS,
    process::LISTS,
    configuration::CONFIG,
    process::MEM,
    process::STATE,
    process::PEERS,
    sockets::SOCKETS,
    sockets::ACTIVE_SOCKETS,
    sockets::FDS,
    process::DNS_HOSTS,
    process::DNS_ZONES,
];

/// The table of this name, which is in capitals.
pub(super) fn named(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.name == name)
}

/// What a table shows to whoever has asked for the console by this name.
pub(super) fn rows(table: &Table, proxy: &Proxy, console: &str) -> Vec<Row> {
    if *table == process::VERSION && console == PGBOUNCER {
        return vec![process::version_for_pgbouncers_tools()];
    }
    (table.rows)(proxy)
}

/// Those who are logged in, in the order of their numbers.
fn present(proxy: &Proxy) -> Vec<(u32, Arc<Slot>)> {
    let mut all = proxy.cancels.all();
    all.sort_by_key(|(id, _)| *id);
    all
}

/// Whether somebody is a client of this database as this user.
fn is_client_of(entry: &Entry, database: &str, user: &str) -> bool {
    matches!(&entry.who, Who::Client(own, by) if own.settings.name == database && by.name == user)
}

/// A moment as PgBouncer writes it: `2026-01-31 23:59:59 UTC`.
fn moment(at: SystemTime) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    // As HTTP writes it, the only way there is without one more library: `Sat, 31 Jan 2026 23:59:59 GMT`.
    let text = httpdate::fmt_http_date(at.max(SystemTime::UNIX_EPOCH));
    let parts: Vec<&str> = text.split(' ').collect();
    let [_, day, month, year, time, _] = parts[..] else { return text };
    let number = MONTHS.iter().position(|name| *name == month).map_or(0, |index| index + 1);
    format!("{year}-{number:02}-{day} {time} UTC")
}

/// Whole seconds, and the microseconds beyond them.
fn seconds(time: Duration) -> [Cell; 2] {
    [time.as_secs().into(), time.subsec_micros().into()]
}

fn milliseconds(nanoseconds: u64) -> u64 {
    nanoseconds / 1_000_000
}
