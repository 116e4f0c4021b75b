//! The server's own views and functions: what is worked out from their definitions agrees with the curated lists.

use tidegate::local::Login;
use tidegate::sql::builtins;
use tidegate::sql::catalog::{Blame, SearchPath, Why};

use super::{Watched, ask, support};

/// Ordinary, replicated data. (`is_node_view` decides by name, so what is worked out matters for all others.)
const HARMLESS: [&str; 16] = [
    "pg_class",
    "pg_stats",
    "pg_roles",
    "pg_tables",
    "pg_views",
    "pg_indexes",
    "pg_matviews",
    "pg_policies",
    "pg_database",
    "pg_statistic",
    "pg_user",
    "information_schema.tables",
    "information_schema.columns",
    "information_schema.table_constraints",
    "information_schema.key_column_usage",
    "information_schema.views",
];

#[test]
fn views_of_the_server_are_known_by_what_they_call() {
    let cluster = support::cluster();
    let watched = Watched::new(cluster, Login::App);
    let snapshot = watched.fresh();
    let path = SearchPath::parse("public", "app");
    let read = |view: &str| ask(&snapshot, &path, &format!("read {view}"));
    let views = cluster.primary().psql(
        "select case when relnamespace = 11 then relname else 'information_schema.' || relname end \
         from pg_class where relkind in ('r', 'v') and oid < 16384 and relname not like 'sql_%' order by 1",
    );
    let views = views.unwrap();
    let mut wrong = Vec::new();
    for view in HARMLESS {
        wrong.extend(read(view).blame.map(|blame| format!("{view}: {blame}")));
    }
    for view in views.lines() {
        let effect = read(view);
        let blamed = match effect.blame.as_deref() {
            Some(Blame { why: Why::NotFound | Why::NotRead, .. }) => panic!("{view} is not known"),
            blame => blame.map(ToString::to_string),
        };
        // Its functions are others in each version, so the lists leave them out.
        if view == "pg_timezone_abbrevs" {
            continue;
        }
        // A name on the list is blamed as such, so anything else that is blamed is missing on the list.
        if builtins::is_node_view(view) != blamed.is_some() {
            wrong.push(format!("{view}: {blamed:?}"));
        }
    }
    watched.stop();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
