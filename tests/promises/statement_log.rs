//! What the log says of statements: slow ones, deadlocks, and where they go.

use serde_json::Value;

use super::support::proxy::RunningProxy;
use super::support::raw::{self, Raw};
use super::support::{self, proxy::Tidegate};
use super::{schema, shared, wait_open};

/// The lines of the log that are there in full.
fn written(proxy: &RunningProxy) -> String {
    let log = proxy.stderr();
    log.rsplit_once('\n').map(|(whole, _)| whole.to_owned()).unwrap_or_default()
}

/// The lines that contain all of `parts`, as soon as there is one.
fn lines(proxy: &RunningProxy, parts: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    support::wait_until(&format!("{parts:?} is logged"), || {
        let log = written(proxy);
        found = log
            .lines()
            .filter(|line| parts.iter().all(|part| line.contains(part)))
            .map(str::to_owned)
            .collect();
        !found.is_empty()
    });
    found
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// The server's process that works for the client's transaction.
fn backend(raw: &mut Raw) -> u64 {
    raw.ok("select pg_backend_pid()").value().parse().unwrap()
}

#[test]
fn a_slow_statement_is_logged_without_its_literals() {
    let proxy =
        Tidegate::tuned(shared(), "tidegate_slow_statement=80ms").args(["--log-format", "json"]).start();
    wait_open(&proxy);
    let mut raw = Raw::app_with(proxy.address(), &[("application_name", "web shop")]);
    raw.ok("select 'quick'");
    raw.ok("select pg_sleep(0.1), 'hidden' /* a comment */");
    raw.ok("begin");
    let server = backend(&mut raw);
    assert_eq!(raw.extended("select pg_sleep(0.09) is null", &[]).value(), "f");
    raw.ok("commit");
    let found = lines(&proxy, &["pg_sleep(?) is null"]);
    let line = json(&found[0]);
    assert_eq!(line["level"], "WARN");
    let fields = &line["fields"];
    for (field, expected) in [
        ("message", "slow statement"),
        ("target", "primary"),
        ("reason", "transaction"),
        ("user", "app"),
        ("database", "app"),
        ("address", "127.0.0.1"),
        ("application", "web shop"),
        ("statement", "select pg_sleep(?) is null"),
    ] {
        assert_eq!(fields[field], expected, "{field} in {line}");
    }
    assert_eq!((fields["client"].as_u64(), fields["backend"].as_u64()), (Some(raw.pid.into()), Some(server)));
    assert!(fields["ms"].as_f64().unwrap() - fields["wait_ms"].as_f64().unwrap() >= 90.0, "{line}");
    assert_eq!(fields["node"], format!("127.0.0.1:{}", shared().primary().port()));
    let found = lines(&proxy, &["select pg_sleep(?), ?"]);
    assert_eq!(found.len(), 1);
    assert_eq!(json(&found[0])["fields"]["target"], "replica");
    let log = written(&proxy);
    assert!(!log.contains("hidden") && !log.contains("quick"), "{log}");
    log.lines().for_each(|line| drop(json(line)));
}

#[test]
fn many_slow_statements_do_not_fill_the_log() {
    let proxy = Tidegate::tuned(shared(), "tidegate_slow_statement=1ms").start();
    wait_open(&proxy);
    let mut raw = Raw::app(proxy.address());
    let begun = std::time::Instant::now();
    for _ in 0..100 {
        raw.ok("select pg_sleep(0.002)");
    }
    let seconds = begun.elapsed().as_secs() + 2;
    // Lines are written at once, before the client has its answer.
    let slow = || proxy.stderr().lines().filter(|line| line.contains("slow statement")).count() as u64;
    assert!((1..=20 * seconds).contains(&slow()), "{} lines in {seconds} s", slow());
    support::wait_until("a line says how many were left out", || {
        for _ in 0..40 {
            raw.ok("select pg_sleep(0.002)");
        }
        proxy.stderr().lines().any(|line| line.contains("slow statement") && !line.contains("left_out=0"))
    });
}

#[test]
fn a_deadlock_is_logged_with_both_sides() {
    let schema = schema();
    let proxy = Tidegate::before(shared()).args(["--log-format", "json"]).start();
    let [mut one, mut other] = [(); 2].map(|()| Raw::app(proxy.address()));
    one.ok(&format!("create table {schema}.t (n int primary key, s text)"));
    one.ok(&format!("insert into {schema}.t values (1, 'a'), (2, 'b')"));
    let update = |n: u8| format!("update {schema}.t set s = 'secret' where n = {n}");
    let processes = [(&mut one, 1), (&mut other, 2)].map(|(raw, n)| {
        raw.ok("begin");
        raw.ok(&update(n));
        backend(raw)
    });
    one.send(&raw::query(&update(2)));
    let other_answer = other.query(&update(1));
    let answers = [one.answer(), other_answer];
    let victim = answers.iter().position(|answer| answer.error().is_some()).unwrap();
    assert_eq!(answers[victim].code(), "40P01");
    let found = lines(&proxy, &["40P01"]);
    let fields = &json(&found[0])["fields"];
    assert_eq!(found.len(), 1);
    let pids = [one.pid, other.pid];
    assert_eq!(fields["client"].as_u64(), Some(pids[victim].into()));
    assert_eq!(fields["backend"].as_u64(), Some(processes[victim]));
    assert_eq!(fields["others"], processes[1 - victim].to_string());
    assert_eq!(fields["statement"], format!("update {schema}.t set s = ? where n = ?"));
    assert!(fields["target"] == "primary" && fields["reason"] == "transaction", "{fields}");
    assert!(!proxy.stderr().contains("secret"));
}

#[test]
fn a_client_can_have_its_routes_logged() {
    let proxy = Tidegate::before(shared()).start();
    wait_open(&proxy);
    let mut raw = Raw::app(proxy.address());
    raw.ok("select 1, 'quiet'");
    raw.ok("select 2 /* tidegate: log=route */");
    assert!(lines(&proxy, &["select ?", "tidegate::route"])[0].contains("reason fresh"));
    assert!(!proxy.stderr().contains("select ?, ?"));
    raw.ok("set tidegate.log = 'route'");
    assert_eq!(raw.ok("show tidegate.log").value(), "route");
    raw.ok("select 1, 'told'");
    let line = &lines(&proxy, &["select ?, ?"])[0];
    assert!(
        line.contains("INFO") && line.contains("the statement only reads") && !line.contains("told"),
        "{line}"
    );
    raw.ok("reset tidegate.log");
    raw.ok("select 1, 2, 3");
    assert_eq!(raw.query("set tidegate.log = 'everything'").code(), "22023");
    raw.ok("select 1, 2 /* tidegate: log=off */");
    assert!(!proxy.stderr().contains("select ?, ?, ?"));
}
