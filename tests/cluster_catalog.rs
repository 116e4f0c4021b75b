//! What the catalog says of a real database's objects, and when it notices that they change.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::too_many_lines, reason = "tables are as long as they are")]

mod support;

#[path = "catalog/builtin.rs"]
mod builtin;
#[path = "catalog/cases.rs"]
mod cases;
#[path = "catalog/keeper.rs"]
mod keeper;
#[path = "catalog/large.rs"]
mod large;
#[path = "catalog/table.rs"]
mod table;

use std::sync::Arc;
use std::time::Duration;

use tidegate::cluster::catalog::{Keeper, Snapshot};
use tidegate::cluster::{self, Clock, Cluster, Control};
use tidegate::config::{Given, Secret, Sources, load};
use tidegate::local::{LocalCluster, LocalNode, Login};
use tidegate::sql::catalog::{Arguments, Does, Effect, Name, SearchPath, Tables};

/// A cluster as the proxy sees it, watched from a runtime of its own.
struct Watched {
    cluster: Arc<Cluster>,
    runtime: tokio::runtime::Runtime,
}

impl Watched {
    /// The database `app`, logged in as `login`.
    fn new(local: &LocalCluster, login: Login) -> Self {
        Self::in_database(local, login, "app")
    }

    fn in_database(local: &LocalCluster, login: Login, database: &str) -> Self {
        let url = |node: &LocalNode| {
            let url = node.url(login);
            let (server, _) = url.rsplit_once('/').unwrap();
            Secret::new(format!("{server}/{database}"))
        };
        let given = Given {
            primaries: vec![url(local.primary())],
            replicas: local.replicas().iter().map(url).collect(),
            ..Given::default()
        };
        let settings = load(&Sources { flags: given, ..Sources::default() }).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let cluster = Arc::new(Cluster::new(&settings.databases[0], Clock::start()));
        runtime.block_on(async { cluster::spawn(&cluster, &Control::new(&settings.databases[0])) });
        Self { cluster, runtime }
    }

    fn keeper(&self) -> &Keeper {
        &self.cluster.catalog
    }

    /// What is known after everything that was committed until now has been read.
    fn fresh(&self) -> Arc<Snapshot> {
        self.keeper().changed();
        self.settled()
    }

    /// What is known after everything that was announced until now has been read.
    fn settled(&self) -> Arc<Snapshot> {
        support::wait_until("the catalog has been read", || {
            !self.keeper().is_behind() && self.keeper().generation() > 0
        });
        self.keeper().current()
    }

    fn stop(self) {
        self.runtime.shutdown_timeout(Duration::from_secs(1));
    }
}

/// A question as the tables write it: `read v`, `write t`, `call f/2`, `cast d`, `operator ===`, `field total`, each with a
/// schema before the name or not.
fn ask(snapshot: &Snapshot, path: &SearchPath, question: &str) -> Effect {
    let catalog = &snapshot.catalog;
    let (verb, object) = question.split_once(' ').unwrap();
    let (object, arguments) = match object.rsplit_once('/') {
        Some((object, "?")) => (object, Arguments::Unclear),
        Some((object, count)) if verb == "call" => (object, Arguments::Exactly(count.parse().unwrap())),
        _ => (object, Arguments::Exactly(0)),
    };
    let name = match object.split_once('.') {
        Some((schema, name)) => Name { schema: Some(schema.into()), name: name.into() },
        None => Name { schema: None, name: object.into() },
    };
    match verb {
        "read" => catalog.read(path, &name),
        "write" => catalog.written(path, &name),
        "call" => catalog.call(path, &name, arguments),
        "cast" => catalog.cast(path, &name),
        "operator" => catalog.operator(path, &name),
        "field" => catalog.field(object),
        other => panic!("what is {other}?"),
    }
}

/// An effect in words: the blame or `ok`, the tables by name (`*` for any, `-` for none), what it does. The tables of `schema` are named
/// without it.
fn words(snapshot: &Snapshot, effect: &Effect, schema: &str) -> String {
    let blame = effect.blame.as_ref().map_or_else(|| "ok".to_owned(), ToString::to_string);
    let prefix = format!("{schema}.");
    let tables = match &effect.tables {
        Tables::Any => "*".to_owned(),
        Tables::Known(oids) => {
            let name = |oid: &u32| snapshot.catalog.table_name(*oid).unwrap_or("?").replace(&prefix, "");
            let mut names: Vec<String> = oids.iter().map(name).collect();
            names.sort();
            if names.is_empty() { "-".to_owned() } else { names.join(",") }
        }
    };
    let deeds =
        [(Does::WRITES, "writes"), (Does::LEAVES_ANYTHING, "leaves"), (Does::CHANGES_CATALOG, "changes")];
    let deeds = deeds.iter().filter(|(deed, _)| effect.does.contains(*deed)).map(|(_, word)| *word);
    let deeds = deeds.collect::<Vec<_>>().join("+");
    [blame.replace(&prefix, ""), tables, deeds].join(" | ").trim_end_matches([' ', '|', '-']).to_owned()
}
