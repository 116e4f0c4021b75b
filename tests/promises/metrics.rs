//! `/metrics` is as Prometheus reads it, and as the documentation says.

use std::collections::{BTreeMap, BTreeSet};

use super::support::metrics::documented;
use super::support::raw::Raw;
use super::{proxy, wait_open};

/// Name, labels and value of a series.
fn series(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let (name, value) = line.rsplit_once(' ').unwrap();
    let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
    let Some((name, labels)) = name.split_once('{') else {
        return (name.to_owned(), BTreeMap::new(), value);
    };
    let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("no end: {line}"));
    let mut found = BTreeMap::new();
    // No value in here has a quotation mark in it.
    for pair in labels.split_terminator('"').collect::<Vec<_>>().chunks(2) {
        let label = pair[0].trim_start_matches(',').strip_suffix('=').unwrap_or_else(|| panic!("{line}"));
        assert!(found.insert(label.to_owned(), pair[1].to_owned()).is_none(), "a label twice: {line}");
    }
    (name.to_owned(), found, value)
}

#[test]
fn metrics_are_well_formed_and_documented() {
    let proxy = proxy("");
    wait_open(&proxy);
    let mut raw = Raw::app(proxy.address());
    raw.ok("begin; create temporary table t (n int); commit");
    raw.query("select 1 / 0");
    raw.query("set tidegate.intent = 'nowhere'");
    raw.pipeline(["select 1", "select 2"]);
    let text = proxy.metrics();
    assert!(text.ends_with('\n'));
    let documented = documented();
    let (mut families, mut seen) = (Vec::<(String, String)>::new(), BTreeSet::new());
    let mut helped = BTreeSet::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            assert!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
            continue;
        }
        if let Some(family) = line.strip_prefix("# TYPE ") {
            let (name, kind) = family.split_once(' ').unwrap();
            assert!(helped.contains(name), "{name} is not described");
            assert!(!families.iter().any(|(known, _)| known == name), "{name} is there twice, or in parts");
            families.push((name.to_owned(), kind.to_owned()));
            continue;
        }
        let (name, mut labels, value) = series(line);
        assert!(seen.insert((name.clone(), labels.clone())), "twice: {line}");
        let (family, kind) = families.last().unwrap_or_else(|| panic!("of no family: {line}"));
        let row = documented.get(family).unwrap_or_else(|| panic!("{family} is not documented"));
        assert_eq!(row.kind, *kind, "{family}");
        if kind == "histogram" {
            let end =
                name.strip_prefix(family.as_str()).unwrap_or_else(|| panic!("{line} is not of {family}"));
            assert!(["_bucket", "_sum", "_count"].contains(&end), "{line}");
            assert_eq!(labels.remove("le").is_some(), end == "_bucket", "{line}");
        } else {
            assert_eq!(name, *family);
        }
        assert!(kind == "gauge" || value >= 0.0, "{line}");
        assert_eq!(labels.keys().cloned().collect::<BTreeSet<_>>(), row.labels, "{line}");
    }
    assert!(families.len() > 35, "{} families", families.len());
}
