//! Prometheus itself, with the alert rules and the panels of Grafana's dashboard: what they ask for is there, and the alert that
//! matters most is given.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::dashboard::Load;
use super::support::daemon::Daemon;
use super::support::metrics::get;
use super::support::proxy::{RunningProxy, Tidegate};
use super::support::wait_until;
use super::{own_with_facts, wait_both};

const PROMETHEUS: &str = "prometheus";

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Debian's Prometheus while it runs, with the rules as they are, but that alerts are given at once, and in a hurry.
struct Prometheus {
    daemon: Daemon,
    _folder: TempDir,
}

impl Prometheus {
    fn start(proxy: &RunningProxy) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let rules = read("prometheus/alerts.yml");
        let at_once: Vec<_> = rules.lines().filter(|line| !line.trim_start().starts_with("for: ")).collect();
        fs::write(path("alerts.yml"), at_once.join("\n")).unwrap();
        let config = read("prometheus/prometheus.yml")
            .replace("_interval: 5s", "_interval: 1s")
            .replace("/etc/prometheus/alerts*.yml", &path("alerts.yml"))
            .replace("tidegate:6433", &proxy.admin().to_string());
        fs::write(path("prometheus.yml"), config).unwrap();
        let daemon = Daemon::start(PROMETHEUS, |command, address| {
            command
                .arg(format!("--config.file={}", path("prometheus.yml")))
                .arg(format!("--storage.tsdb.path={}", path("data")))
                .arg(format!("--web.listen-address={address}"));
        });
        Self { daemon, _folder: folder }
    }

    /// What it says at a path of its API; `None` while it is not ready.
    fn says(&self, path: &str) -> Option<Value> {
        let (head, body) = get(self.daemon.address, &format!("/api/v1/{path}"));
        let is_ready = !head.lines().next().unwrap_or_default().contains(" 503 ");
        is_ready.then(|| {
            let mut answer: Value =
                serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
            assert_eq!(answer["status"], "success", "{path}: {body}");
            answer["data"].take()
        })
    }

    /// The series that an expression gives now, each with its labels and its value.
    fn ask(&self, expression: &str) -> Vec<(Value, f64)> {
        let Some(mut data) = self.says(&format!("query?query={}", encoded(expression))) else {
            return Vec::new();
        };
        let series = data["result"].take();
        let series = series.as_array().unwrap_or_else(|| panic!("{expression}: {series}"));
        let value = |series: &Value| series["value"][1].as_str().unwrap().parse().unwrap();
        series.iter().map(|series| (series["metric"].clone(), value(series))).collect()
    }

    /// The names of the alerts that wake somebody. Others may be given on a machine that is busy with other tests.
    fn alerts(&self) -> Vec<String> {
        let given = self.ask("ALERTS{alertstate=\"firing\",severity=\"critical\"}");
        given.iter().map(|(labels, _)| labels["alertname"].as_str().unwrap().to_owned()).collect()
    }
}

/// As it may stand in an address.
fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// What the panels of the dashboard ask for, as Grafana would with everything chosen, each with the panel's title.
fn panels() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&read("grafana/tidegate.json")).unwrap();
    let mut expressions = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap();
            let expression = expression
                .replace("$__rate_interval", "20s")
                .replace("$instance", ".*")
                .replace("$database", ".*");
            expressions.push((panel["title"].as_str().unwrap().to_owned(), expression));
        }
    }
    expressions
}

/// What has series from its first time on only.
const EMPTY_WHILE_ALL_IS_WELL: &[&str] = &[
    "Runs again",
    "Replicas that are out",
    "Clients waiting for a connection",
    "Pinned clients",
    "Errors of servers",
    "Errors of the proxy",
    "Timeouts and interrupted reads",
];

/// The counters of which rules ask whether they have increased.
fn increasing() -> Vec<String> {
    let rules = read("prometheus/alerts.yml");
    let names = rules.split("increase(").skip(1);
    names.map(|rest| rest.split(['[', '{']).next().unwrap().to_owned()).collect()
}

#[test]
fn prometheus_finds_what_the_rules_and_panels_ask_for() {
    let cluster = own_with_facts();
    let proxy = Tidegate::before(&cluster).start();
    wait_both(&proxy);
    let load = Load::start(proxy.address());
    let prometheus = Prometheus::start(&proxy);
    wait_until("there is a rate", || {
        prometheus.ask("sum(rate(tidegate_statements_total[20s]))").iter().any(|(_, rate)| *rate > 1.0)
    });
    let is_empty = |expression: &str| prometheus.ask(expression).iter().all(|(_, value)| value.is_nan());
    for (title, expression) in panels() {
        let may_be_empty = EMPTY_WHILE_ALL_IS_WELL.contains(&&*title);
        assert!(may_be_empty || !is_empty(&expression), "{title}: nothing for {expression}");
    }
    // A counter that appears as 1 has not increased: it must be there before.
    let absent: Vec<_> = increasing().into_iter().filter(|name| prometheus.ask(name).is_empty()).collect();
    assert_eq!(absent, ["tidegate_spans_total"], "the one that is there only where spans are sent");
    assert_eq!(prometheus.alerts(), [""; 0]);

    // It would wait for the next primary.
    drop(load);
    cluster.primary().kill().unwrap();
    wait_until("it is known that there is no primary", || {
        prometheus.alerts().contains(&"TidegateNoPrimary".to_owned())
    });
    let rules = prometheus.says("rules").unwrap();
    let rules: Vec<_> = rules["groups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap())
        .collect();
    assert!(rules.len() > 10, "{rules:?}");
    for rule in &rules {
        assert_eq!((&rule["health"], &rule["lastError"]), (&Value::from("ok"), &Value::Null), "{rule}");
    }
    let given = rules.iter().find(|rule| rule["name"] == "TidegateNoPrimary").unwrap();
    let text = given["alerts"][0]["annotations"]["summary"].as_str().unwrap();
    assert_eq!(text, format!("No primary for app at {}", proxy.admin()));
}
