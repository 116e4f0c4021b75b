//! What the catalog says of a real database's objects, and when it notices that they change.
#![forbid(unsafe_code)]
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
#[path = "catalog/touched.rs"]
mod touched;
#[path = "catalog/touching.rs"]
mod touching;

use tidegate::cluster::catalog::Snapshot;
use tidegate::sql::catalog::{Arguments, Does, Effect, Name, SearchPath, Tables};

use support::watched::Watched;

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
