//! What is said at the console is done, and hurts nobody whom it does not mean.

use std::time::{Duration, Instant};

use super::console::{
    Nodes, cell, console, ended, name, node_address, send, table, wait_waiting, with_console,
};
use super::support::proxy::Tidegate;
use super::support::raw::{Raw, query};
use super::{WHERE, own_with_facts, schema, shared, support, wait_both};

const PRIMARY: &str = "/* tidegate: intent=primary */";

#[test]
fn kill_ends_everybody_at_once_and_pauses() {
    let name = name();
    let proxy = with_console(&format!("connection_limit=3&pool_timeout=0&application_name={name}"));
    wait_both(&proxy);
    let (mut ops, mut nodes) = (console(&proxy), Nodes::new());
    let connect = || Raw::app(proxy.address());
    let [mut idle, mut open, mut pinned, mut busy, mut queued] =
        [connect(), connect(), connect(), connect(), connect()];
    idle.ok("select 1");
    open.ok("begin; select 1");
    pinned.ok("listen kill_me");
    busy.send(&query(&format!("select pg_sleep(60) {PRIMARY}")));
    queued.send(&query(&format!("select 1 {PRIMARY}")));
    wait_waiting(&mut ops, queued.pid);
    let sleeping = format!(
        "select count(*) from pg_stat_activity where query like '%pg_sleep(60)%' and application_name = '{name}'"
    );
    let sleeps = || shared().primary().psql(&sleeping).unwrap().trim() != "0";
    support::wait_until("the statement runs", sleeps);
    let begun = Instant::now();
    ops.ok("kill app");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    support::wait_until("no connection is left", || nodes.named(&name) == 0);
    for raw in [&mut idle, &mut open, &mut pinned, &mut busy, &mut queued] {
        assert_eq!(ended(raw), "57P01");
    }
    assert_eq!(cell(&mut ops, "show databases", ("name", "app"), "state"), "killed");
    assert!(table(&ops.ok("show clients")).iter().all(|row| row["database"] == "tidegate"));
    // Who comes now waits.
    let mut later = connect();
    later.send(&query("select 1"));
    wait_waiting(&mut ops, later.pid);
    assert_eq!(nodes.named(&name), 0);
    // And can be told to go, too.
    ops.ok("kill app");
    assert_eq!(ended(&mut later), "57P01");
    ops.ok("resume app");
    assert_eq!(connect().ok("select 1").value(), "1");
    println!("killed in {took:?}");
}

#[test]
fn one_client_is_killed() {
    let s = schema();
    let proxy = with_console("");
    wait_both(&proxy);
    let mut ops = console(&proxy);
    let [mut one, mut other] = [Raw::app(proxy.address()), Raw::app(proxy.address())];
    one.ok(&format!("create table {s}.t (n int)"));
    one.ok(&format!("begin; insert into {s}.t values (1)"));
    other.ok("begin; select 1");
    ops.ok(&format!("kill client {}", one.pid));
    assert_eq!(ended(&mut one), "57P01");
    support::wait_until("its transaction is undone", || {
        let locks = format!("select count(*) from pg_locks where relation = '{s}.t'::regclass");
        shared().primary().psql(&locks).unwrap().trim() == "0"
    });
    assert_eq!(other.ok("select count(*) from pg_class where false").value(), "0");
    other.ok("commit");
    // In the middle of a long answer: no message is torn, whatever comes.
    let mut reader = Raw::app(proxy.address());
    reader.send(&query("select repeat('x', 1000) from generate_series(1, 1000000)"));
    assert_eq!(reader.read().tag, b'T');
    ops.ok(&format!("kill client {}", reader.pid));
    let tags: Vec<u8> = reader.until_closed().iter().map(|message| message.tag).collect();
    assert!(tags.len() < 1_000_000 && tags.iter().all(|tag| matches!(tag, b'D' | b'E')), "{}", tags.len());
    // An administrator, too.
    let mut colleague = console(&proxy);
    ops.ok(&format!("kill client {}", colleague.pid));
    assert_eq!(ended(&mut colleague), "57P01");
    assert_eq!(other.ok("select 1").value(), "1");
}

#[test]
fn reconnect_changes_connections_between_transactions() {
    let proxy = with_console("connection_limit=1");
    wait_both(&proxy);
    let mut ops = console(&proxy);
    let mut raw = Raw::app(proxy.address());
    let pid = format!("select pg_backend_pid() {PRIMARY}");
    let first = raw.ok(&pid).value();
    assert_eq!(raw.ok(&pid).value(), first);
    ops.ok("reconnect app");
    let second = raw.ok(&pid).value();
    assert_ne!(second, first);
    raw.ok("begin");
    ops.ok("reconnect");
    assert_eq!(raw.ok(&pid).value(), second, "a transaction keeps its connection");
    raw.ok("commit");
    let third = raw.ok(&pid).value();
    assert_ne!(third, second);
    // A pin keeps it, too, until it ends.
    raw.ok("listen reconnect");
    ops.ok("reconnect");
    assert_eq!(raw.ok(&pid).value(), third);
    raw.ok("unlisten *");
    let fourth = raw.ok(&pid).value();
    assert_ne!(fourth, third);
    ops.ok(&format!("reconnect node {}", node_address(shared().replica(0))));
    assert_eq!(raw.ok(&pid).value(), fourth, "it was about another node");
    ops.ok(&format!("reconnect node {} of app", node_address(shared().primary())));
    assert_ne!(raw.ok(&pid).value(), fourth);
}

#[test]
fn a_replica_that_is_disabled_gets_nothing_new() {
    let proxy = with_console("");
    wait_both(&proxy);
    let mut ops = console(&proxy);
    let replica = node_address(shared().replica(0));
    let mut readers: Vec<_> = (0..8).map(|_| Raw::app(proxy.address())).collect();
    // It works on a read while it is taken out: that one finishes.
    let slow = "select pg_sleep(1.5)::text || current_setting('app.node')";
    readers.iter_mut().for_each(|raw| raw.send(&query(slow)));
    support::wait_until("it works", || {
        cell(&mut ops, "show nodes", ("node", &replica), "outstanding") != "0"
    });
    ops.ok(&format!("disable node {replica}"));
    let node = |ops: &mut Raw, column| cell(ops, "show nodes", ("node", &replica), column);
    assert_eq!(
        (node(&mut ops, "state").as_str(), node(&mut ops, "reason").as_str()),
        ("disabled", "disabled by hand")
    );
    assert_eq!(node(&mut ops, "role"), "replica");
    let served: Vec<_> = readers.iter_mut().map(|raw| raw.answer().value()).collect();
    assert!(served.contains(&"r1".to_owned()), "{served:?}");
    for _ in 0..5 {
        let served: Vec<_> = readers.iter_mut().map(|raw| raw.ok(WHERE).value()).collect();
        assert!(!served.contains(&"r1".to_owned()), "{served:?}");
    }
    let label = format!("node=\"{replica}\"");
    assert!(proxy.metric("tidegate_node_disabled", &[&label]) > 0.5);
    assert!(proxy.metric("tidegate_node_up", &[&label]) < 0.5);
    assert_eq!(ops.query(&format!("disable node {replica}")).code(), "55000");
    ops.ok(&format!("enable node {replica} of app"));
    assert_eq!(ops.query(&format!("enable node {replica}")).code(), "55000");
    wait_both(&proxy);
    assert_eq!((node(&mut ops, "state").as_str(), node(&mut ops, "reason").as_str()), ("up", ""));
}

#[test]
fn writes_wait_for_a_primary_that_is_disabled() {
    let cluster = own_with_facts();
    let proxy = Tidegate::tuned(&cluster, "connect_timeout=20").args(["--console-users", "app"]).start();
    wait_both(&proxy);
    let mut ops = console(&proxy);
    let mut raw = Raw::app(proxy.address());
    raw.ok("insert into facts values (1)");
    let fresh = "select current_setting('app.node') from facts";
    support::wait_until("a replica shows it", || raw.ok(fresh).value().starts_with('r'));
    let primary = node_address(cluster.primary());
    let answer = ops.ok(&format!("disable node {primary}"));
    let notice = answer.0.iter().find(|m| m.tag == b'N').expect("a notice").field(b'M').unwrap();
    assert!(notice.contains("is the primary of app"), "{notice}");
    let pid = raw.pid;
    let writing = send(raw, "insert into facts values (2)");
    wait_waiting(&mut ops, pid);
    // Reads go on, and see what was written.
    let mut reader = Raw::app(proxy.address());
    assert_eq!(reader.ok("select max(n) from facts").value(), "1");
    assert!(reader.ok(WHERE).value().starts_with('r'));
    assert!(!writing.is_finished());
    ops.ok(&format!("enable node {primary}"));
    let begun = Instant::now();
    writing.join().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(reader.ok("select max(n) from facts").value(), "2");
}

#[test]
fn the_proxy_is_shut_down_from_the_console() {
    let mut proxy = with_console("");
    wait_both(&proxy);
    let mut raw = Raw::app(proxy.address());
    raw.ok("begin; select 1");
    let mut idle = Raw::app(proxy.address());
    console(&proxy).ok("shutdown");
    assert_eq!(ended(&mut idle), "57P01");
    assert_eq!(raw.ok("select 1").value(), "1", "a transaction goes on");
    raw.ok("commit");
    assert_eq!(ended(&mut raw), "57P01");
    assert!(proxy.wait_exit().success());
}

#[test]
fn a_shutdown_can_be_at_once_and_does_not_wait_for_a_pause() {
    let mut proxy = with_console("");
    wait_both(&proxy);
    let mut ops = console(&proxy);
    let [mut busy, mut waiting] = [Raw::app(proxy.address()), Raw::app(proxy.address())];
    waiting.ok("select 1");
    ops.ok("pause app");
    waiting.send(&query("select 1"));
    wait_waiting(&mut ops, waiting.pid);
    ops.ok("resume app");
    waiting.answer().ok();
    busy.ok("begin; select 1");
    busy.send(&query("select pg_sleep(60)"));
    let begun = Instant::now();
    ops.ok("shutdown now");
    assert_eq!((ended(&mut busy), ended(&mut waiting)), ("57P01".to_owned(), "57P01".to_owned()));
    assert!(proxy.wait_exit().success());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    // Who waits for RESUME when the proxy stops does not hold that up.
    let mut proxy = with_console("");
    wait_both(&proxy);
    let mut ops = console(&proxy);
    let mut waiting = Raw::app(proxy.address());
    waiting.ok("select 1");
    ops.ok("pause app");
    waiting.send(&query("select 1"));
    wait_waiting(&mut ops, waiting.pid);
    let begun = Instant::now();
    ops.ok("shutdown");
    assert_eq!(ended(&mut waiting), "57P01");
    assert!(proxy.wait_exit().success());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}
