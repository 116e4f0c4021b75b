//! Where statements went, and what was learned of them.

use super::inventory::databases;
use super::{Row, Table, float8, int8, row, text};
use crate::session::proxy::Database;

pub(super) const ROUTES: Table = Table {
    name: "ROUTES",
    columns: &[
        text("database"),
        text("target"),
        text("reason"),
        int8("decisions"),
        float8("share_percent"),
        text("meaning"),
    ],
    rows: |proxy| databases(proxy).iter().flat_map(|database| routes(database)).collect(),
    meaning: "where statements went, and why",
};

pub(super) const LEARNED: Table = Table {
    name: "LEARNED",
    columns: &[text("shape")],
    rows: |proxy| proxy.learned().iter().map(|shape| row![shape.to_string()]).collect(),
    meaning: "shapes of statements that a replica has refused: they run on the primary",
};

/// Those there were, the most frequent first.
fn routes(database: &Database) -> Vec<Row> {
    let mut decisions: Vec<_> = database.stats.tally.decisions().filter(|(.., count)| *count > 0).collect();
    decisions.sort_by_key(|(.., count)| std::cmp::Reverse(*count));
    let all: u64 = decisions.iter().map(|(.., count)| count).sum();
    let row = |(to_replica, reason, count): (bool, crate::routing::Reason, u64)| {
        // One digit behind the point: nobody reads more.
        let share = (count as f64 * 1000.0 / all as f64).round() / 10.0;
        let target = if to_replica { "replica" } else { "primary" };
        row![database.settings.name.clone(), target, reason.label(), count, share, reason.meaning()]
    };
    decisions.into_iter().map(row).collect()
}
