//! The document is what `docs/dashboard.md` says, and nobody pays for one who does not take it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::sample::sample;
use super::{NodeState, Status};
use crate::cluster::What;

/// The names of all fields, with those they are in: `databases[].nodes[].name`.
fn fields(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                found.insert(path.clone());
                fields(value, &path, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| fields(item, &format!("{path}[]"), found)),
        _ => {}
    }
}

/// The first cells of the rows below a heading of the page, without their marks.
fn listed(heading: &str) -> BTreeSet<String> {
    let page = include_str!("../../../docs/dashboard.md");
    let (_, section) = page.split_once(heading).expect("the page has this heading");
    let section = section.split("\n## ").next().unwrap_or_default();
    let cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    cells.map(|(cell, _)| cell.to_owned()).collect()
}

#[test]
fn the_page_lists_every_field() {
    let mut found = BTreeSet::new();
    fields(&serde_json::to_value(sample()).expect("a document"), "", &mut found);
    assert_eq!(found, listed("## The document"));
}

#[test]
fn the_page_lists_every_event() {
    let events = What::ALL.map(|what| what.label().to_owned());
    assert_eq!(BTreeSet::from(events), listed("## Events"));
}

#[test]
fn what_is_written_is_read_back() {
    let text = serde_json::to_string(&sample()).expect("a document");
    assert!(!text.contains('\n'), "an event is one line");
    assert_eq!(serde_json::from_str::<Status>(&text).expect("a document"), sample());
    let state = serde_json::to_value(NodeState::Refused).expect("a word");
    assert_eq!(state, NodeState::Refused.label());
    // A field that is not known here is one of a newer proxy.
    let newer = text.replacen('{', "{\"new\":1,", 1);
    assert_eq!(serde_json::from_str::<Status>(&newer).expect("a document"), sample());
}
