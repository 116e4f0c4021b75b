//! What is counted of statements: how long they take, by target and reason, and by shape.
#![allow(clippy::float_cmp, reason = "counts are whole numbers")]

use std::collections::BTreeMap;
use std::time::Duration;

use super::support::metrics;
use super::support::proxy::RunningProxy;
use super::support::raw::{self, Raw};
use super::{proxy, schema, shared, wait_open};

/// Columns of `/shapes`.
type Row = BTreeMap<String, String>;

/// The row of the statement that is shown so.
fn row(proxy: &RunningProxy, shape: &str) -> Option<Row> {
    let (_, body) = metrics::get(proxy.admin(), "/shapes");
    let mut lines = body.lines().map(|line| line.split('\t').map(str::to_owned).collect::<Vec<_>>());
    let names = lines.next().unwrap();
    let rows = lines.map(|cells| names.iter().cloned().zip(cells).collect::<Row>());
    rows.into_iter().find(|row| row["shape"] == shape)
}

fn number(row: &Row, column: &str) -> f64 {
    row[column].parse().unwrap()
}

fn figures(proxy: &RunningProxy, shape: &str) -> [f64; 4] {
    let row = row(proxy, shape).unwrap_or_else(|| panic!("{shape} is not shown"));
    ["calls", "on_primary", "on_replicas", "errors"].map(|column| number(&row, column))
}

#[test]
fn statements_are_timed_once_by_target_and_reason() {
    let proxy = proxy("");
    wait_open(&proxy);
    let mut raw = Raw::app(proxy.address());
    let count = |labels: &[&str]| proxy.metric("tidegate_statement_seconds_count", labels);
    let took = |labels: &[&str]| proxy.metric("tidegate_statement_seconds_sum", labels);
    let (fresh, write) = (["target=\"replica\"", "reason=\"fresh\""], ["reason=\"transaction\""]);
    let before = count(&fresh);
    raw.ok("select 1, pg_sleep(0.1)");
    assert_eq!(raw.extended("select 2", &[]).value(), "2");
    assert_eq!(count(&fresh) - before, 2.0);
    assert!(took(&fresh) >= 0.1);
    // A pipeline's statements count one by one, and its time once.
    let (before, began) = (count(&fresh), std::time::Instant::now());
    let took_before = took(&fresh);
    raw.pipeline(["select 1", "select pg_sleep(0.05)", "select 2"]).ok();
    assert_eq!(count(&fresh) - before, 3.0);
    let longest = began.elapsed().as_secs_f64();
    assert!((0.05..=longest).contains(&(took(&fresh) - took_before)));
    // A transaction's time is that of all its statements, and of the client between them.
    let transactions = proxy.metric("tidegate_transaction_seconds_total", &[]);
    assert_eq!(count(&write), 0.0);
    let mut answered = 0.0;
    for sql in ["begin", "commit"] {
        std::thread::sleep(Duration::from_millis(60));
        let began = std::time::Instant::now();
        raw.ok(sql);
        answered += began.elapsed().as_secs_f64();
    }
    assert_eq!(count(&write), 2.0);
    assert!((0.0..=answered).contains(&took(&write)), "{} s of {answered}", took(&write));
    assert!(proxy.metric("tidegate_transaction_seconds_total", &[]) - transactions >= 0.06);
}

#[test]
fn a_pipeline_that_is_flushed_is_timed_when_it_is_answered() {
    let proxy = proxy("");
    wait_open(&proxy);
    let mut raw = Raw::app(proxy.address());
    let labels = ["target=\"replica\""];
    let before = proxy.metric("tidegate_statement_seconds_sum", &labels);
    let began = std::time::Instant::now();
    let messages = [raw::parse("", "select 1"), raw::bind("", "", &[]), raw::execute(""), raw::flush()];
    raw.send(&messages.concat());
    raw.until(b"C");
    let answered = began.elapsed().as_secs_f64();
    std::thread::sleep(Duration::from_millis(80));
    raw.send(&raw::sync());
    raw.until(b"Z");
    let took = proxy.metric("tidegate_statement_seconds_sum", &labels) - before;
    assert!((0.0..=answered).contains(&took), "{took} s of {answered}");
    assert!(proxy.metric("tidegate_transaction_seconds_total", &[]) >= 0.08);
}

#[test]
fn waiting_for_a_connection_is_told_apart() {
    let proxy = proxy("connection_limit=1&pool_timeout=10");
    let mut holder = Raw::app(proxy.address());
    let mut raw = Raw::app(proxy.address());
    holder.ok("begin");
    raw.send(&raw::query("update no_such_table set n = 1"));
    super::support::wait_until("it waits", || proxy.metric("tidegate_pool_waiting", &[]) > 0.5);
    let before = proxy.metric("tidegate_unsent_seconds_total", &[]);
    std::thread::sleep(Duration::from_millis(100));
    holder.ok("commit");
    assert_eq!(raw.answer().code(), "42P01");
    assert!(proxy.metric("tidegate_unsent_seconds_total", &[]) - before >= 0.1);
}

#[test]
fn bytes_are_counted() {
    let proxy = proxy("");
    wait_open(&proxy);
    let mut raw = Raw::app(proxy.address());
    let bytes = || ["sent", "received"].map(|way| proxy.metric(&format!("tidegate_{way}_bytes_total"), &[]));
    raw.ok("select 1");
    let before = bytes();
    raw.ok(&format!("select repeat('x', 100000) -- {}", "y".repeat(50_000)));
    raw.ok("select 1");
    let after = bytes();
    let (sent, received) = (after[0] - before[0], after[1] - before[1]);
    assert!((100_000.0..110_000.0).contains(&sent), "{sent}");
    assert!((50_000.0..60_000.0).contains(&received), "{received}");
}

#[test]
fn shapes_have_no_literals_and_count_calls_errors_and_targets() {
    let schema = schema();
    let proxy = proxy("");
    wait_open(&proxy);
    let mut raw = Raw::app(proxy.address());
    raw.ok(&format!("create table {schema}.t (n int, s text)"));
    raw.ok(&format!("insert into {schema}.t values (1, 'secret') /* a comment */"));
    raw.ok(&format!("insert into {schema}.t values (2, 'hidden')"));
    let insert = format!("insert into {schema}.t values (?, ?)");
    assert_eq!(figures(&proxy, &insert), [2.0, 2.0, 0.0, 0.0]);
    shared().wait_caught_up().unwrap();
    for n in 1..=3 {
        raw.ok(&format!("select 'x', 10 / {n}"));
    }
    assert_eq!(raw.query("select 'x', 10 / 0").code(), "22012");
    assert_eq!(figures(&proxy, "select ?, ? / ?"), [4.0, 0.0, 4.0, 1.0]);
    // Prepared, and in a pipeline: what stands behind the one that fails is not run.
    let statements = ["select 1, 'one'", "select 1 / 0 + 1", "select 1, 2, 3"];
    assert_eq!(raw.pipeline(statements).code(), "22012");
    assert_eq!(figures(&proxy, "select ?, ?"), [1.0, 0.0, 1.0, 0.0]);
    assert_eq!(figures(&proxy, "select ? / ? + ?"), [1.0, 0.0, 1.0, 1.0]);
    assert_eq!(row(&proxy, "select ?, ?, ?"), None);
    // What is no SQL has no shape, and nothing of it is shown.
    raw.query("selekt 'secret'");
    let (_, body) = metrics::get(proxy.admin(), "/shapes");
    assert!(
        body.contains("without a shape") && !body.contains("secret") && !body.contains("hidden"),
        "{body}"
    );
    // The dearest is shown first.
    raw.ok("select pg_sleep(0.3)");
    let (_, body) = metrics::get(proxy.admin(), "/shapes");
    assert!(body.lines().nth(1).unwrap().ends_with("\tselect pg_sleep(?)"), "{body}");
    assert!(number(&row(&proxy, "select pg_sleep(?)").unwrap(), "longest_ms") >= 300.0);
}
