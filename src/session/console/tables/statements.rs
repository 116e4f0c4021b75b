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

/// Most shapes of a database that are shown.
const SHAPES_SHOWN: usize = 100;

pub(super) const SHAPES: Table = Table {
    name: "SHAPES",
    columns: &[
        text("database"),
        int8("calls"),
        int8("on_primary"),
        int8("on_replicas"),
        int8("errors"),
        float8("total_ms"),
        float8("mean_ms"),
        float8("longest_ms"),
        text("shape"),
    ],
    rows: |proxy| databases(proxy).iter().flat_map(|database| shapes(database)).collect(),
    meaning: "the shapes of statements that have taken the most time",
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

fn shapes(database: &Database) -> Vec<Row> {
    // Microseconds are enough.
    let ms = |time: std::time::Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
    let row = |shape: crate::stats::ShapeView| {
        let calls = shape.calls();
        let mean = shape.total.checked_div(u32::try_from(calls).unwrap_or(u32::MAX)).unwrap_or_default();
        row![
            database.settings.name.clone(),
            calls,
            shape.on_primary,
            shape.on_replicas,
            shape.errors,
            ms(shape.total),
            ms(mean),
            ms(shape.longest),
            shape.text.to_string(),
        ]
    };
    database.stats.top_shapes(SHAPES_SHOWN).into_iter().map(row).collect()
}
