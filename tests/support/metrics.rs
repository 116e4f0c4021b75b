//! Metrics as Prometheus reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use super::PATIENCE;

/// The text of `/metrics` at `admin`.
pub fn fetch(admin: SocketAddr) -> String {
    let (head, body) = get(admin, "/metrics");
    assert!(head.lines().next().is_some_and(|status| status.contains(" 200 ")), "{head}\n{body}");
    body
}

/// Asks for `path` and returns the head and the body of the answer. HTTP 1.0, so that the body comes in one piece and
/// the connection ends with it.
pub fn get(admin: SocketAddr, path: &str) -> (String, String) {
    get_with(admin, path, "")
}

/// As [`get`], with more headers, each with its line end.
pub fn get_with(admin: SocketAddr, path: &str, headers: &str) -> (String, String) {
    let mut stream = TcpStream::connect_timeout(&admin, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {admin}\r\n{headers}\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("not HTTP: {answer}"));
    (head.to_owned(), body.to_owned())
}

/// The sum of the series called `name` that carry all of `labels`, each written as `label="value"`. A series that does
/// not exist yet counts as 0.
pub fn sum(text: &str, name: &str, labels: &[&str]) -> f64 {
    text.lines()
        .filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let (series, value) = rest.rsplit_once(' ')?;
            let named_so = series.is_empty() || series.starts_with('{');
            let labelled_so = labels.iter().all(|label| {
                let at = series.find(label);
                at.is_some_and(|at| series[..at].ends_with(['{', ',']))
            });
            (named_so && labelled_so)
                .then(|| value.parse::<f64>().unwrap_or_else(|_| panic!("no value in {line}")))
        })
        // An empty sum() is -0.
        .fold(0.0, |sum, value| sum + value)
}

/// A row of the table in the documentation.
pub struct Row {
    pub kind: String,
    pub labels: BTreeSet<String>,
}

/// Every metric in `docs/metrics.md`, by name.
pub fn documented() -> BTreeMap<String, Row> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `tidegate_"));
    let row = |line: &str| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, unit, labels, meaning, ..] = cells[..] else { panic!("five columns: {line}") };
        assert!(!unit.is_empty() && !meaning.is_empty(), "{line}");
        let labels = labels.split(", ").filter(|label| *label != "–");
        let labels = labels.map(|label| label.trim_matches('`').to_owned()).collect();
        (name.trim_matches('`').to_owned(), Row { kind: kind.to_owned(), labels })
    };
    rows.map(row).collect()
}
