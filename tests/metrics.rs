//! What is said of metrics is true: the list in `docs/metrics.md` is the one in the code, and the dashboard and the alert
//! rules in `deploy/` name nothing else.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/metrics.rs"]
#[allow(dead_code, reason = "nothing is asked over the network here")]
mod metrics;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use metrics::documented;
use tidegate::stats;
use yaml_rust2::{Yaml, YamlLoader};

/// What [`metrics`] goes by.
const PATIENCE: Duration = Duration::from_secs(30);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_documentation_lists_every_metric() {
    let documented: BTreeSet<_> = documented().into_iter().map(|(name, row)| (name, row.kind)).collect();
    let described: BTreeSet<_> =
        stats::metrics().map(|(name, kind, _)| (name.to_owned(), kind.to_owned())).collect();
    assert_eq!(documented, described);
}

/// What the code counts under a name of its own is described, and what is described is there.
#[test]
fn every_metric_in_the_code_is_described() {
    let described: BTreeSet<_> = stats::metrics().map(|(name, ..)| name.to_owned()).collect();
    let mut used = BTreeSet::new();
    for path in sources(&root().join("src")) {
        // Parameters of URLs begin like metrics.
        if path.starts_with(root().join("src/config")) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let quoted = text.split('"').filter(|text| text.strip_prefix("tidegate_").is_some_and(is_name));
        used.extend(quoted.map(str::to_owned));
    }
    assert_eq!(used, described);
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn names_have_their_units_and_kinds() {
    for (name, kind, help) in stats::metrics() {
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
        assert!(help.ends_with('.') && !help.contains('\n'), "{name}: {help}");
    }
}

/// Names of metrics in an expression, each with the labels that it is asked for.
fn mentions(expression: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(at) = rest.find("tidegate_") {
        let end =
            rest[at..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(rest.len(), |n| at + n);
        let name = rest[at..end].to_owned();
        rest = &rest[end..];
        let inside =
            rest.strip_prefix('{').and_then(|inside| inside.split_once('}')).map_or("", |(inside, _)| inside);
        let label = |part: &str| part.split(['=', '!']).next().unwrap_or_default().trim().to_owned();
        found.push((name, inside.split("\",").map(label).filter(|label| !label.is_empty()).collect()));
    }
    found
}

/// Every metric that is mentioned, and every label it is asked for, is documented. Returns how many there were.
fn check(file: &str, expressions: &[String]) -> usize {
    check_by(file, expressions, |kind| kind != "histogram")
}

/// The same, given which kinds of metrics can be named as they are.
fn check_by(file: &str, expressions: &[String], is_named: impl Fn(&str) -> bool) -> usize {
    let documented = documented();
    let mut count = 0;
    for expression in expressions {
        for (name, labels) in mentions(expression) {
            count += 1;
            let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let row =
                of_histogram.and_then(|base| documented.get(base).filter(|row| row.kind == "histogram"));
            let row = row.or_else(|| documented.get(&name).filter(|row| is_named(&row.kind)));
            let row = row.unwrap_or_else(|| panic!("{file}: there is no metric {name} in {expression}"));
            for label in labels.iter().filter(|label| *label != "instance") {
                assert!(row.labels.contains(label), "{file}: {name} has no label {label} in {expression}");
            }
        }
    }
    count
}

#[test]
fn mentions_are_found() {
    let found = mentions("sum(rate(tidegate_a_total{b=\"x\",c=~\"1,2\",d!=\"\"}[5m])) / tidegate_e > 0");
    let labels = ["b", "c", "d"].map(str::to_owned).to_vec();
    assert_eq!(found, [("tidegate_a_total".to_owned(), labels), ("tidegate_e".to_owned(), Vec::new())]);
}

#[test]
fn alert_rules_name_metrics_that_exist() {
    let file = "deploy/prometheus/alerts.yml";
    let rules = YamlLoader::load_from_str(&read(file)).unwrap();
    let groups = rules[0]["groups"].as_vec().unwrap();
    let rules: Vec<&Yaml> = groups.iter().flat_map(|group| group["rules"].as_vec().unwrap()).collect();
    let mut names = BTreeSet::new();
    let mut expressions = Vec::new();
    for rule in rules {
        let name = rule["alert"].as_str().unwrap();
        assert!(names.insert(name), "{name} is there twice");
        for text in ["summary", "description", "runbook"] {
            let text = rule["annotations"][text].as_str().unwrap_or_else(|| panic!("{name} has no {text}"));
            assert!(text.len() > 10, "{name}: {text}");
            // What a runbook sends people to exists, too.
            check_by(file, &[text.to_owned()], |_| true);
        }
        assert!(["info", "warning", "critical"].contains(&rule["labels"]["severity"].as_str().unwrap()));
        expressions.push(rule["expr"].as_str().unwrap().to_owned());
    }
    assert!(check(file, &expressions) >= expressions.len());
}

#[test]
fn the_dashboard_names_metrics_that_exist() {
    let file = "deploy/grafana/tidegate.json";
    let dashboard: serde_json::Value = serde_json::from_str(&read(file)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut expressions = Vec::new();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "a number is there twice: {panel}");
        if panel["type"] == "row" {
            continue;
        }
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty() && panel["description"].as_str().is_some_and(|text| !text.is_empty()));
        expressions.extend(targets.iter().map(|target| target["expr"].as_str().unwrap().to_owned()));
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    expressions.extend(variables.iter().filter_map(|v| v["definition"].as_str().map(str::to_owned)));
    assert!(check(file, &expressions) >= panels.len());
}
