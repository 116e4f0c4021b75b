//! What becomes of reads when no replica is fresh enough: waiting, errors, and the primary's budget.

use std::time::{Duration, Instant};

use tidegate::local::LocalCluster;

use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::Raw;
use super::{own_with_facts, support, wait_both};

fn start(cluster: &LocalCluster, parameters: &str) -> RunningProxy {
    let proxy = Tidegate::tuned(cluster, parameters).start();
    wait_both(&proxy);
    proxy
}

fn route(raw: &mut Raw) -> String {
    raw.ok("show tidegate.last_route").value()
}

#[test]
fn a_read_waits_for_a_replica_when_that_promises_to_help() {
    let cluster = own_with_facts();
    let proxy = start(&cluster, "tidegate_on_stale=wait(5s)");
    let mut raw = Raw::app(proxy.address());
    for replica in cluster.replicas() {
        replica.set_apply_delay(Duration::from_millis(100)).unwrap();
    }
    for i in 1..=5 {
        raw.ok("update facts set n = n + 1");
        let rows = raw.ok("select n, current_setting('app.node') from facts").rows();
        assert_eq!(rows[0][0].as_deref(), Some(i.to_string().as_str()));
        // The first replay after a change of the delay is none to predict from.
        if i > 1 {
            assert_ne!(rows[0][1].as_deref(), Some("primary"), "read {i}: {}", route(&mut raw));
        }
    }
    assert!(proxy.metric("tidegate_waits_total", &["outcome=\"replica\""]) >= 4.0);
    assert!(proxy.metric("tidegate_wait_seconds_count", &[]) >= 4.0);
    // What is said for a statement goes before.
    raw.ok("update facts set n = n + 1");
    let now = Instant::now();
    raw.ok("select n from facts /* tidegate: on_stale=primary */");
    assert!(route(&mut raw).starts_with("to: primary"));
    assert!(now.elapsed() < Duration::from_millis(90), "it waited");
}

#[test]
fn replicas_that_are_stuck_are_not_waited_for() {
    let cluster = own_with_facts();
    let proxy = start(&cluster, "tidegate_on_stale=wait(2s)");
    let mut raw = Raw::app(proxy.address());
    cluster.replicas().iter().for_each(|replica| replica.pause_replay().unwrap());
    raw.ok("update facts set n = n + 1");
    support::wait_until("the proxy has learned that waiting does not help", || {
        let begun = Instant::now();
        assert_eq!(raw.ok("select n from facts").value(), "1");
        begun.elapsed() < Duration::from_millis(100)
    });
    assert!(route(&mut raw).contains("reason stale"));
}

#[test]
fn nothing_is_read_elsewhere_if_an_error_is_asked_for() {
    let cluster = own_with_facts();
    let proxy = start(&cluster, "tidegate_on_stale=error");
    let mut raw = Raw::app(proxy.address());
    cluster.replicas().iter().for_each(|replica| replica.pause_replay().unwrap());
    raw.ok("update facts set n = n + 1");
    assert_eq!(raw.query("select n from facts").code(), "57T01");
    assert_eq!(raw.extended("select n from facts", &[]).code(), "57T01");
    // The session goes on, and can say otherwise.
    assert_eq!(raw.ok("select n from facts /* tidegate: consistency=eventual */").value(), "0");
    raw.ok("set tidegate.on_stale = 'primary'");
    assert_eq!(raw.ok("select n from facts").value(), "1");
    raw.ok("reset tidegate.on_stale");
    assert_eq!(raw.query("select n from facts").code(), "57T01");
    assert_eq!(raw.ok("show tidegate.on_stale").value(), "error");
    // Transactions and writes are not about replicas.
    raw.ok("begin; select n from facts; commit");
    assert!(proxy.metric("tidegate_proxy_errors_total", &["sqlstate=\"57T01\""]) >= 2.0);
}

#[test]
fn the_primary_takes_over_no_more_than_its_budget() {
    let cluster = own_with_facts();
    let proxy = start(&cluster, "tidegate_primary_read_limit=1&tidegate_primary_read_overflow=error");
    let patient = start(&cluster, "tidegate_primary_read_limit=1&pool_timeout=20");
    cluster.replicas().iter().for_each(|replica| replica.pause_replay().unwrap());
    let slow = "select count(*) from (select pg_sleep(0.5) from facts) s";
    for (proxy, waits) in [(&proxy, false), (&patient, true)] {
        let mut writer = Raw::app(proxy.address());
        writer.ok("update facts set n = n + 1");
        let (mut first, mut second) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
        first.send(&support::raw::query(slow));
        support::wait_until("the first runs", || {
            proxy.metric("tidegate_statements_total", &["reason=\"stale\""]) > 0.5
        });
        let answer = second.query("select n from facts");
        if waits {
            assert_eq!(answer.status(), 'I');
            answer.ok();
            assert!(proxy.metric("tidegate_waits_total", &["outcome=\"primary\""]) > 0.5);
        } else {
            assert_eq!(answer.code(), "53400");
        }
        // Writes are not held up.
        writer.ok("update facts set n = n + 1");
        first.answer().ok();
        second.ok("select n from facts");
    }
    // Whoever waits for room takes a replica when one has become fresh enough.
    let (mut first, mut second) = (Raw::app(patient.address()), Raw::app(patient.address()));
    let before = patient.metric("tidegate_statements_total", &["reason=\"stale\""]);
    first.send(&support::raw::query("select count(*) from (select pg_sleep(3) from facts) s"));
    support::wait_until("the first runs", || {
        patient.metric("tidegate_statements_total", &["reason=\"stale\""]) > before + 0.5
    });
    second.send(&support::raw::query("select current_setting('app.node') from facts"));
    cluster.replicas().iter().for_each(|replica| replica.resume_replay().unwrap());
    assert_ne!(second.answer().ok().value(), "primary");
    first.answer().ok();
}
