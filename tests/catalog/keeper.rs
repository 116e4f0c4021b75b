//! When the catalog is read again, and what it says meanwhile.

use std::time::{Duration, Instant};

use tidegate::local::{LocalCluster, Login, StopMode};
use tidegate::sql::catalog::SearchPath;

use super::{Watched, ask, support, words};

/// A database of one's own in the shared cluster.
fn database(name: &str) -> &'static LocalCluster {
    let cluster = support::cluster();
    cluster.primary().psql(&format!("create database {name}")).unwrap();
    cluster
}

fn run(cluster: &LocalCluster, database: &str, sql: &str) {
    cluster.primary().psql(&format!("\\c {database}\n{sql}")).unwrap();
}

fn answer(watched: &Watched, question: &str) -> String {
    let snapshot = watched.keeper().current();
    words(&snapshot, &ask(&snapshot, &SearchPath::parse("public", "app"), question), "public")
}

const NEW_FUNCTION: &str = "create function news() returns int language sql as 'select 1'";
const IS_VOLATILE: &str = "function news() is VOLATILE | * | writes+leaves";

#[test]
fn a_generation_lasts_until_something_changes() {
    let cluster = database("generations");
    let watched = Watched::in_database(cluster, Login::App, "generations");
    assert!(watched.settled().catalog.bytes() > 0);
    let first = watched.keeper().generation();
    run(cluster, "generations", "create role nobody_knows; analyze");
    assert_eq!(watched.fresh().generation, first, "nothing that matters has changed");
    run(cluster, "generations", NEW_FUNCTION);
    assert_eq!(watched.fresh().generation, first + 1);
    assert_eq!(answer(&watched, "call news/0"), IS_VOLATILE);
    assert_eq!(watched.keeper().figures().generation, first + 1);
    run(cluster, "generations", "drop function news; alter role app set search_path = x");
    assert_eq!(watched.fresh().generation, first + 2);
    run(cluster, "generations", "alter role app reset search_path");
    watched.stop();
}

#[test]
fn a_question_makes_it_look() {
    let cluster = database("questions");
    let watched = Watched::in_database(cluster, Login::App, "questions");
    watched.settled();
    run(cluster, "questions", NEW_FUNCTION);
    let asked = Instant::now();
    watched.keeper().ask();
    support::wait_until("the new function is known", || answer(&watched, "call news/0") == IS_VOLATILE);
    assert!(asked.elapsed() < Duration::from_secs(15), "before the regular look");
    assert!(!watched.keeper().is_behind(), "a question announces no change");
    watched.stop();
}

/// The text of `docs/catalog.md` between `sql` fences that makes the event triggers.
fn event_triggers() -> String {
    let docs = include_str!("../../docs/catalog.md");
    let mut blocks = docs.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.find(|block| block.contains("event trigger")).unwrap().to_owned()
}

#[test]
fn changes_made_elsewhere_are_announced_by_event_triggers() {
    let cluster = database("announced");
    run(cluster, "announced", &event_triggers());
    let watched = Watched::in_database(cluster, Login::App, "announced");
    watched.settled();
    let changed = Instant::now();
    run(cluster, "announced", NEW_FUNCTION);
    support::wait_until("the new function is known", || answer(&watched, "call news/0") == IS_VOLATILE);
    assert!(changed.elapsed() < Duration::from_secs(15), "before the regular look");
    run(cluster, "announced", "drop function news");
    support::wait_until("the function is gone", || {
        answer(&watched, "call news/0").contains("is not in the catalog")
    });
    watched.stop();
}

#[test]
fn without_the_right_to_read_it_knows_nothing() {
    let cluster = database("denied");
    run(cluster, "denied", "revoke select on pg_catalog.pg_rewrite from public");
    let watched = Watched::in_database(cluster, Login::App, "denied");
    watched.settled();
    let expected = "the catalog, which would know relation pg_class, has not been read | * | writes";
    assert_eq!(answer(&watched, "read pg_class"), expected);
    assert_eq!(answer(&watched, "call lower/1"), "ok", "the lists are built in");
    assert!(!watched.keeper().is_behind());
    watched.stop();
}

#[test]
fn search_paths_of_roles_and_databases() {
    let cluster = database("paths");
    run(
        cluster,
        "paths",
        "create role path_role; create role path_both; create role path_other;
         alter role path_role set search_path = role, \"$user\";
         alter role path_both set search_path = role;
         alter role path_both in database paths set search_path = here;
         alter role path_other in database app set search_path = other;
         alter database paths set search_path = \"Data Base\", public",
    );
    let watched = Watched::in_database(cluster, Login::App, "paths");
    let snapshot = watched.fresh();
    let path = |user: &str| snapshot.default_path(user);
    assert_eq!(path("app"), SearchPath::parse("\"Data Base\", public", "app"));
    assert_eq!(path("path_role"), SearchPath::parse("role, path_role", ""));
    assert_eq!(path("path_both"), SearchPath::parse("here", ""));
    assert_eq!(path("path_other"), SearchPath::parse("\"Data Base\", public", ""));
    watched.stop();
    let watched = Watched::new(cluster, Login::App);
    assert_eq!(watched.fresh().default_path("ann"), SearchPath::parse("ann, public", ""));
    watched.stop();
}

#[test]
fn follows_the_primary() {
    let cluster = support::exclusive_cluster(&support::options());
    let watched = Watched::new(&cluster, Login::App);
    watched.settled();
    cluster.wait_caught_up().unwrap();
    cluster.primary().stop(StopMode::Fast).unwrap();
    let generation = watched.keeper().generation();
    watched.keeper().changed();
    assert!(watched.keeper().is_behind(), "nobody can be asked");
    assert_eq!(watched.keeper().current().generation, generation, "what is known stays");
    let heir = cluster.replica(0);
    heir.promote().unwrap();
    heir.psql(NEW_FUNCTION).unwrap();
    support::wait_until("the new function is known", || answer(&watched, "call news/0") == IS_VOLATILE);
    support::wait_until("nothing is announced that is not read", || !watched.keeper().is_behind());
    watched.stop();
}
