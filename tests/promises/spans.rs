//! Spans of statements, as a collector gets them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::support;
use super::support::otlp::{Collector, Span};
use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::Raw;
use super::{label, shared, wait_open};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn start(collector: SocketAddr, sample: &str) -> RunningProxy {
    let endpoint = format!("http://{collector}");
    Tidegate::before(shared()).args(["--otlp-endpoint", &endpoint, "--trace-sample", sample]).start()
}

fn traced(sql: &str, flags: &str) -> String {
    format!("{sql} /*route='%2Forders',traceparent='00-{TRACE}-{PARENT}-{flags}'*/")
}

/// The spans of the statement that is shown so, as soon as there is one.
fn spans(collector: &Collector, shape: &str) -> Vec<Span> {
    let mut found = Vec::new();
    support::wait_until(&format!("a span of {shape}"), || {
        found = collector.spans();
        found.retain(|span| span.attributes.get("db.query.text").map(String::as_str) == Some(shape));
        !found.is_empty()
    });
    found
}

#[test]
fn a_traced_statement_is_a_child_of_the_applications_span() {
    let collector = Collector::start();
    let proxy = start(collector.address(), "0");
    wait_open(&proxy);
    let mut raw = Raw::app(proxy.address());
    raw.ok(&traced("select pg_sleep(0.05), 'hidden'", "01"));
    raw.ok(&traced("select 1, 2, 3", "00"));
    raw.ok("select 1, 2, 3, 4");
    assert_eq!(raw.extended(&traced("select 1 / 0", "01"), &[]).code(), "22012");
    let failed = spans(&collector, "select ? / ?");
    let found = spans(&collector, "select pg_sleep(?), ?");
    assert_eq!(found.len(), 1);
    let span = &found[0];
    assert_eq!((span.trace.as_str(), span.parent.as_str()), (TRACE, PARENT));
    assert!(span.id.len() == 16 && span.id != PARENT, "{span:?}");
    assert_eq!((span.name.as_str(), span.kind, span.status), ("SELECT app", 3, 0));
    assert!(span.end - span.start >= 50_000_000);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    assert!(now.abs_diff(u128::from(span.start)) < 60_000_000_000, "it began within this test");
    let of = |span: &Span, key: &str| span.attributes.get(key).cloned().unwrap_or_default();
    let expected = BTreeMap::from([
        ("db.system.name", "postgresql"),
        ("db.namespace", "app"),
        ("db.operation.name", "SELECT"),
        ("server.address", "127.0.0.1"),
        ("tidegate.target", "replica"),
        ("tidegate.reason", "fresh"),
    ]);
    expected.iter().for_each(|(key, value)| assert_eq!(of(span, key), *value, "{key}"));
    let ports: Vec<_> = shared().replicas().iter().map(|replica| replica.port().to_string()).collect();
    assert!(ports.contains(&of(span, "server.port")));
    let wait: f64 = of(span, "tidegate.wait").parse().unwrap();
    assert!(wait >= 0.0 && wait * 1e9 + 5e7 <= (span.end - span.start) as f64, "{span:?}");
    assert_eq!((failed[0].status, of(&failed[0], "db.response.status_code").as_str()), (2, "22012"));
    assert_eq!(collector.resource("service.name"), "tidegate");
    // What is not sampled, or belongs to no trace, has none.
    assert_eq!(collector.spans().len(), 2);
    assert!(!collector.received("hidden"));
    support::wait_until("they are counted", || {
        proxy.metric("tidegate_spans_total", &["outcome=\"sent\""]) > 1.5
    });
}

#[test]
fn statements_without_a_trace_are_sampled() {
    let collector = Collector::start();
    let proxy = start(collector.address(), "1");
    wait_open(&proxy);
    let mut raw = Raw::app(proxy.address());
    raw.pipeline(["select 1, 2, 3", "select 4"]).ok();
    let span = &spans(&collector, "select ?, ?, ?")[0];
    assert_eq!((span.trace.len(), span.parent.as_str()), (32, ""));
    assert_ne!(span.trace, "0".repeat(32));
    assert_eq!(span.attributes["db.operation.batch.size"], "2");
    raw.ok(&traced("select 1, 2, 3, 4, 5", "00"));
    raw.ok("select 1, 2, 3, 4, 5, 6");
    spans(&collector, "select ?, ?, ?, ?, ?, ?");
    assert!(!collector.spans().iter().any(|span| span.trace == TRACE), "the app does not want to see it");
}

#[test]
fn a_collector_that_is_not_there_holds_up_nobody() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = start(nobody, "1");
    wait_open(&proxy);
    let mut raw = Raw::app(proxy.address());
    let begun = std::time::Instant::now();
    for _ in 0..30 {
        let pipeline = vec!["select 1"; 100];
        raw.pipeline(pipeline).ok();
        raw.ok("select 1");
    }
    assert!(begun.elapsed() < std::time::Duration::from_secs(10));
    let outcome = |outcome: &str| proxy.metric("tidegate_spans_total", &[&format!("outcome=\"{outcome}\"")]);
    support::wait_until("they are given up", || outcome("failed") >= 1.0);
    assert!(outcome("sent") < 0.5);
    assert!(proxy.stderr().contains("the collector takes no spans"));
    assert!(proxy.metric("tidegate_node_up", &[&label(shared().primary()), "role=\"primary\""]) > 0.5);
}

#[test]
fn the_last_spans_are_sent_at_a_stop() {
    let collector = Collector::start();
    let mut proxy = start(collector.address(), "0");
    let mut raw = Raw::app(proxy.address());
    raw.ok(&traced("select 'last'", "01"));
    raw.terminate();
    proxy.signal("TERM");
    assert!(proxy.wait_exit().success());
    assert_eq!(spans(&collector, "select ?").len(), 1);
}
