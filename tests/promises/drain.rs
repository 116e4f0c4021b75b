//! How the proxy stops: who may finish, who is told what, and who is cut off.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::console::console;
use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::{Raw, query};
use super::{shared, support};

/// A proxy with settings that only a file has.
fn start(settings: &str) -> RunningProxy {
    let mut file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    let nodes = [shared().primary()].into_iter().chain(shared().replicas());
    let hosts: Vec<_> = nodes.map(|node| format!("127.0.0.1:{}", node.port())).collect();
    let hosts = hosts.join(",");
    writeln!(file, "{settings}\n[database.app]\nurl = \"postgres://app:secret@{hosts}/app\"").unwrap();
    Tidegate::bare().args(["--log", "info", "--config", file.path().to_str().unwrap()]).start()
}

fn is_ready(proxy: &RunningProxy) -> bool {
    support::metrics::get(proxy.admin(), "/readyz").0.contains(" 200 ")
}

/// The last thing the client is told.
fn last_error(raw: &mut Raw) -> (String, String) {
    let told = raw.until_closed();
    let error = told.last().unwrap_or_else(|| panic!("nothing was said"));
    assert_eq!(error.tag, b'E', "{told:?}");
    (error.field(b'C').unwrap(), error.field(b'M').unwrap())
}

/// How many sessions of the servers have this text in what they run, or ran last.
fn running(mark: &str) -> String {
    let sql = format!(
        "select count(*) from pg_stat_activity where query like '%{mark}%' and pid <> pg_backend_pid() and state <> 'idle'"
    );
    shared().primary().psql(&sql).unwrap().trim().to_owned()
}

fn mark() -> String {
    format!("tide{:08x}", rand::random::<u32>())
}

#[test]
fn transactions_may_finish() {
    let mut proxy = start("");
    let schema = super::schema();
    let mut idle = Raw::app(proxy.address());
    let mut silent = Raw::silent(proxy.address());
    let mut busy = Raw::app(proxy.address());
    busy.ok(&format!("create table {schema}.t (n int)"));
    busy.ok("begin");
    busy.ok(&format!("insert into {schema}.t values (1)"));
    assert!(is_ready(&proxy));
    proxy.signal("TERM");
    let (code, text) = last_error(&mut idle);
    assert_eq!((code.as_str(), text.as_str()), ("57P01", "the proxy is shutting down"));
    assert_eq!(last_error(&mut silent).0, "57P03", "a client that has not logged in");
    assert!(!is_ready(&proxy));
    assert!(TcpStream::connect(proxy.address()).is_err(), "nobody listens any more");
    busy.ok(&format!("insert into {schema}.t values (2)"));
    busy.ok("commit");
    assert_eq!(last_error(&mut busy).0, "57P01");
    assert_eq!(proxy.wait_exit().code(), Some(0));
    let count = shared().primary().psql(&format!("select count(*) from {schema}.t")).unwrap();
    assert_eq!(count.trim(), "2");
    assert!(!proxy.stderr().contains("cut off"), "{}", proxy.stderr());
}

#[test]
fn who_takes_too_long_is_cut_off() {
    let mut proxy = start("shutdown_timeout = \"700ms\"");
    let (open, sleeping) = (mark(), mark());
    let mut waits = Raw::app(proxy.address());
    waits.ok("begin");
    waits.ok(&format!("select '{open}' /* tidegate: intent=primary */"));
    let mut works = Raw::app(proxy.address());
    works.send(&query(&format!("select pg_sleep(60), '{sleeping}' /* tidegate: intent=primary */")));
    support::wait_until("it runs", || running(&sleeping) == "1");
    assert_eq!(running(&open), "1");
    let begun = Instant::now();
    proxy.signal("TERM");
    for raw in [&mut waits, &mut works] {
        let (code, text) = last_error(raw);
        assert_eq!(code, "57P01");
        assert!(text.contains("waits no longer"), "{text}");
    }
    assert!(begun.elapsed() >= Duration::from_millis(650), "they had their time: {:?}", begun.elapsed());
    assert_eq!(proxy.wait_exit().code(), Some(0));
    support::wait_until("the servers have ended what they did", || {
        running(&open) == "0" && running(&sleeping) == "0"
    });
    let log = proxy.stderr();
    assert!(log.lines().any(|line| line.contains("cut off") && line.contains("clients=2")), "{log}");
}

#[test]
fn a_second_signal_stops_at_once() {
    let mut proxy = start("shutdown_timeout = \"1h\"");
    let mut waits = Raw::app(proxy.address());
    waits.ok("begin");
    proxy.signal("TERM");
    support::wait_until("it stops", || !is_ready(&proxy));
    // It still works for whoever is in a transaction.
    waits.ok("select 1");
    proxy.signal("INT");
    assert_eq!(last_error(&mut waits).0, "57P01");
    assert_eq!(proxy.wait_exit().code(), Some(0));
}

#[test]
fn readiness_can_fail_before_anybody_is_refused() {
    let mut proxy = start("shutdown_delay = \"1h\"");
    let mut idle = Raw::app(proxy.address());
    proxy.signal("TERM");
    support::wait_until("it is not ready", || !is_ready(&proxy));
    assert_eq!(idle.ok("select 1").value(), "1");
    assert_eq!(Raw::app(proxy.address()).ok("select 1").value(), "1", "clients still come in");
    proxy.signal("TERM");
    assert_eq!(last_error(&mut idle).0, "57P01");
    assert_eq!(proxy.wait_exit().code(), Some(0));
}

/// By the console, as by a second signal; nothing else is done any more.
#[test]
fn a_stop_under_way_can_be_hurried_by_the_console() {
    let mut proxy = start("console_users = [\"app\"]\nshutdown_delay = \"1h\"");
    let mut busy = Raw::app(proxy.address());
    busy.ok("begin");
    let mut ops = console(&proxy);
    ops.ok("shutdown");
    support::wait_until("it is not ready", || !is_ready(&proxy));
    for refused in ["reload", "set slow_statement = '1s'"] {
        let error = ops.query(refused).error().unwrap();
        assert_eq!((&*error.0, &*error.1), ("55000", "the proxy is stopping"), "{refused}");
    }
    ops.ok("shutdown");
    busy.ok("select 1");
    ops.send(&query("shutdown now"));
    assert_eq!(last_error(&mut busy).0, "57P01");
    assert_eq!(proxy.wait_exit().code(), Some(0));
}

#[test]
fn a_signal_during_the_start_is_heeded() {
    let mut proxy = Tidegate::bare()
        .args(["--url", "postgres://app:secret@127.0.0.1:1/app?tidegate_startup_timeout=3600"])
        .spawn();
    // It waits for the server that is not there.
    support::wait_until("it has begun to listen for signals", || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim().to_owned();
        u64::from_str_radix(&caught, 16).unwrap() & (1 << (15 - 1)) != 0
    });
    proxy.signal("TERM");
    assert_eq!(proxy.wait_exit().code(), Some(0));
}
