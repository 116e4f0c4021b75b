//! What databases have done, since the start and lately.

use super::inventory::databases;
use super::{Column, Proxy, Row, Table, numeric, row, text};
use crate::session::averages::{Average, micros};
use crate::session::proxy::Database;
use crate::stats::Totals;

/// Of PgBouncer's tables, each with names of its own for the same things.
const TOTAL_NAMES: [&str; 7] = [
    "total_xact_count",
    "total_query_count",
    "total_client_bytes",
    "total_server_bytes",
    "total_xact_time",
    "total_query_time",
    "total_wait_time",
];
const AVERAGE_NAMES: [&str; 7] = [
    "avg_xact_count",
    "avg_query_count",
    "avg_client_bytes",
    "avg_server_bytes",
    "avg_xact_time",
    "avg_query_time",
    "avg_wait_time",
];

/// The columns of [`STATS_TOTALS`] and [`STATS_AVERAGES`].
const ONE_KIND: [Column; 8] = [
    text("database"),
    numeric("xact_count"),
    numeric("query_count"),
    numeric("bytes_received"),
    numeric("bytes_sent"),
    numeric("xact_time"),
    numeric("query_time"),
    numeric("wait_time"),
];

pub(super) const STATS: Table = Table {
    name: "STATS",
    columns: &[
        text("database"),
        numeric("total_xact_count"),
        numeric("total_query_count"),
        numeric("total_received"),
        numeric("total_sent"),
        numeric("total_xact_time"),
        numeric("total_query_time"),
        numeric("total_wait_time"),
        numeric("avg_xact_count"),
        numeric("avg_query_count"),
        numeric("avg_recv"),
        numeric("avg_sent"),
        numeric("avg_xact_time"),
        numeric("avg_query_time"),
        numeric("avg_wait_time"),
        // What PgBouncer called total_query_count before 1.8; the exporter in Debian asks for it.
        numeric("total_requests"),
    ],
    rows: |proxy| {
        of_databases(proxy, |database| {
            let done = database.stats.totals();
            let mut figures = totals(&done).to_vec();
            figures.extend(average(&proxy.averages.of(database)));
            figures.push(done.statements);
            figures
        })
    },
    meaning: "totals since the start, and averages of the last minute",
};

pub(super) const STATS_TOTALS: Table = Table {
    name: "STATS_TOTALS",
    columns: &ONE_KIND,
    rows: |proxy| of_databases(proxy, |database| totals(&database.stats.totals()).to_vec()),
    meaning: "the totals alone",
};

pub(super) const STATS_AVERAGES: Table = Table {
    name: "STATS_AVERAGES",
    columns: &ONE_KIND,
    rows: |proxy| of_databases(proxy, |database| average(&proxy.averages.of(database)).to_vec()),
    meaning: "the averages alone",
};

pub(super) const TOTALS: Table = Table {
    name: "TOTALS",
    columns: &[text("name"), numeric("value")],
    rows: |proxy| {
        let all = databases(proxy);
        let sum = all.iter().fold([0; 7], |sum, database| {
            let more = totals(&database.stats.totals());
            std::array::from_fn(|index| sum[index] + more[index])
        });
        let lately: Vec<_> = all.iter().map(|database| proxy.averages.of(database)).collect();
        let totals = TOTAL_NAMES.into_iter().zip(sum);
        let averages = AVERAGE_NAMES.into_iter().zip(average(&Average::of_all(&lately)));
        totals.chain(averages).map(|(name, value)| row![name, value]).collect()
    },
    meaning: "both for all databases together",
};

fn of_databases(proxy: &Proxy, figures: impl Fn(&Database) -> Vec<u64>) -> Vec<Row> {
    let row = |database: &Database| {
        let mut row = row![database.settings.name.clone()];
        row.extend(figures(database).into_iter().map(super::Cell::from));
        row
    };
    databases(proxy).iter().map(|database| row(database)).collect()
}

fn totals(totals: &Totals) -> [u64; 7] {
    [
        totals.transactions,
        totals.statements,
        totals.received,
        totals.sent,
        micros(totals.transaction_time),
        micros(totals.statement_time),
        micros(totals.wait_time),
    ]
}

fn average(average: &Average) -> [u64; 7] {
    let Average { transactions, statements, received, sent, transaction_time, statement_time, wait_time } =
        *average;
    [transactions, statements, received, sent, transaction_time, statement_time, wait_time]
}
