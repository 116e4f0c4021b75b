//! Clients that vanish, or say good-bye, in every state: what they leave open is rolled back, what they sent whole is
//! done, and the server connection is lent again wherever its state is known.

use std::time::{Duration, Instant};

use tidegate::local::LocalCluster;

use super::support::proxy::RunningProxy;
use super::support::raw::{Raw, bind, execute, flush, parse, query, sync, tagged};
use super::{own, support};
use crate::support::proxy::Tidegate;

/// How a client ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// It says good-bye.
    Says,
    /// Its socket is closed.
    Closes,
    /// Its socket is closed while answers wait in it: the system tells the other side that they were not read.
    Resets,
}

const ENDS: [Ends; 3] = [Ends::Says, Ends::Closes, Ends::Resets];
/// How often each is tried.
const TIMES: usize = 10;

fn end(mut raw: Raw, how: Ends) {
    match how {
        Ends::Says => raw.terminate(),
        Ends::Closes => drop(raw),
        Ends::Resets => {
            socket2::SockRef::from(raw.socket()).set_linger(Some(Duration::ZERO)).unwrap();
            raw.send_anyway(&[]);
            drop(raw);
        }
    }
}

/// A cluster with a table `t`, and a proxy with one connection to each node.
fn stage() -> (LocalCluster, RunningProxy) {
    let mut options = support::options();
    options.replicas = 1;
    let cluster = own(&options);
    cluster.primary().psql("create table t (n int); alter table t owner to app").unwrap();
    cluster.wait_caught_up().unwrap();
    let proxy =
        Tidegate::tuned(&cluster, "connection_limit=1&pool_timeout=10&tidegate_client_auth=trust").start();
    (cluster, proxy)
}

/// The process that serves the proxy's pool.
fn backend(proxy: &RunningProxy) -> String {
    Raw::app(proxy.address()).ok("select pg_backend_pid()").value()
}

fn count(cluster: &LocalCluster, sql: &str) -> String {
    cluster.primary().psql(sql).unwrap().trim().to_owned()
}

/// Neither a lock nor a transaction of the proxy's user is left, and no client.
#[track_caller]
fn nothing_is_left(cluster: &LocalCluster, proxy: &RunningProxy) {
    support::wait_until("no lock and no transaction is left", || {
        let open = "select (select count(*) from pg_stat_activity where usename = 'app' and state <> 'idle')
            + (select count(*) from pg_locks l join pg_stat_activity a using (pid) where a.usename = 'app')";
        count(cluster, open) == "0"
    });
    support::wait_until("no client is left", || {
        proxy.metric("tidegate_clients", &[]) < 0.5
            && proxy.metric("tidegate_pool_connections", &["state=\"used\""]) < 0.5
    });
}

fn active(cluster: &LocalCluster, text: &str) -> bool {
    let sql = format!(
        "select count(*) from pg_stat_activity where state = 'active' and usename = 'app' and query like '%{text}%'"
    );
    count(cluster, &sql) != "0"
}

#[test]
fn an_open_or_failed_transaction_is_rolled_back_and_its_connection_kept() {
    let (cluster, proxy) = stage();
    let before = backend(&proxy);
    let left_open = [
        "begin; insert into t values (1)",
        "begin; insert into t values (2); select 1/0",
        "begin; lock table t; select pg_advisory_xact_lock(1); set search_path = nowhere",
        "begin; create temp table scratch (n int); declare c cursor for select 1; savepoint s; listen x",
        // This binds the session to its connection until it ends.
        "select pg_advisory_lock(7); begin; insert into t values (3)",
        "prepare p as select 1; begin; set local work_mem = '1MB'",
    ];
    for sql in left_open {
        for how in ENDS {
            for _ in 0..TIMES {
                let mut raw = Raw::app(proxy.address());
                for part in sql.split("; ") {
                    raw.query(part);
                }
                assert_ne!(raw.query("").status(), 'I', "{sql}");
                end(raw, how);
            }
            let mut next = Raw::app(proxy.address());
            assert_eq!(next.ok("select pg_backend_pid()").value(), before, "after {sql}, {how:?}");
            assert_eq!(next.ok("show search_path").value(), "\"$user\", public", "after {sql}, {how:?}");
            next.terminate();
            nothing_is_left(&cluster, &proxy);
        }
    }
    assert_eq!(count(&cluster, "select count(*) from t"), "0");
}

#[test]
fn what_runs_in_vain_is_cancelled() {
    let (cluster, proxy) = stage();
    let before = backend(&proxy);
    let texts = [
        vec!["select pg_sleep(60) /* tidegate: intent=primary */"],
        vec!["begin", "insert into t values (1)", "select pg_sleep(60)"],
        vec!["begin", "insert into t select 1 from pg_sleep(60)"],
        // Far more than the sockets hold.
        vec!["select repeat('x', 1000), generate_series(1, 100000000) /* tidegate: intent=primary */"],
        vec!["copy (select repeat('x', 1000), generate_series(1, 100000000)) to stdout"],
    ];
    for texts in texts {
        for how in [Ends::Closes, Ends::Resets] {
            for extended in [false, true] {
                let mut raw = Raw::app(proxy.address());
                let (last, first) = texts.split_last().unwrap();
                for sql in first {
                    raw.ok(sql);
                }
                if extended {
                    raw.send(&[parse("", last), bind("", "", &[]), execute(""), sync()].concat());
                } else {
                    raw.send(&query(last));
                }
                let part = last.split('(').next().unwrap();
                support::wait_until("it runs", || active(&cluster, part));
                let begin = Instant::now();
                end(raw, how);
                nothing_is_left(&cluster, &proxy);
                assert!(begin.elapsed() < Duration::from_secs(10), "{last}, {how:?}: {:?}", begin.elapsed());
                assert_eq!(backend(&proxy), before, "after {last}, {how:?}, extended: {extended}");
            }
        }
    }
    assert_eq!(count(&cluster, "select count(*) from t"), "0");
}

#[test]
fn what_has_hardly_begun_is_cancelled_too() {
    let (cluster, proxy) = stage();
    let before = backend(&proxy);
    let slow = "select pg_sleep(60) /* tidegate: intent=primary */";
    for i in 0..100 {
        let mut raw = Raw::app(proxy.address());
        if i % 2 == 0 {
            raw.send(&query(slow));
        } else {
            raw.send(&[parse("", slow), bind("", "", &[]), execute(""), sync()].concat());
        }
        end(raw, Ends::Closes);
    }
    nothing_is_left(&cluster, &proxy);
    assert_eq!(backend(&proxy), before);
}

#[test]
fn what_was_sent_whole_is_done() {
    let (cluster, proxy) = stage();
    let before = backend(&proxy);
    let one = |sql: &str| [parse("", sql), bind("", "", &[]), execute(""), sync()].concat();
    let slow = "insert into t select 1 from pg_sleep(0.2)";
    let sent = [
        ("a slow write", query(slow), 1),
        ("a slow write, extended", one(slow), 1),
        (
            "several, one after the other",
            [query(slow), query("insert into t values (2)"), one("insert into t values (3)")].concat(),
            3,
        ),
        (
            "a transaction in a pipeline",
            [
                query("begin"),
                query("insert into t values (1)"),
                one("insert into t values (2)"),
                query("commit"),
            ]
            .concat(),
            2,
        ),
        ("a transaction that is not ended", [query("begin"), query("insert into t values (1)")].concat(), 0),
        (
            "a part of a message behind",
            [query("insert into t values (1)"), query("insert into t values (2)")[..9].to_vec()].concat(),
            1,
        ),
        ("no Sync", [parse("", "insert into t values (1)"), bind("", "", &[]), execute("")].concat(), 0),
        ("Flush, but no Sync", [parse("", slow), bind("", "", &[]), execute(""), flush()].concat(), 0),
    ];
    for (name, bytes, rows) in sent {
        for how in [Ends::Says, Ends::Closes] {
            cluster.primary().psql("truncate t").unwrap();
            for _ in 0..3 {
                let mut raw = Raw::app(proxy.address());
                raw.send(&bytes);
                end(raw, how);
            }
            nothing_is_left(&cluster, &proxy);
            assert_eq!(count(&cluster, "select count(*) from t"), (3 * rows).to_string(), "{name}, {how:?}");
            if !name.contains("Sync") {
                assert_eq!(backend(&proxy), before, "{name}, {how:?}");
            }
        }
    }
}

#[test]
fn copy_that_was_not_ended_is_not_committed() {
    let (cluster, proxy) = stage();
    let rows = tagged(b'd', b"1\n2\n3\n");
    let extended = |sql: &str| [parse("", sql), bind("", "", &[]), execute(""), sync()].concat();
    for start in [query("copy t from stdin"), extended("copy t from stdin")] {
        for how in ENDS {
            for cut in [0, 1, 5, 8, rows.len()] {
                let before = backend(&proxy);
                let mut raw = Raw::app(proxy.address());
                raw.send(&start);
                raw.until(b"G");
                raw.send(&rows);
                raw.send(&rows[..cut]);
                end(raw, how);
                nothing_is_left(&cluster, &proxy);
                assert_eq!(count(&cluster, "select count(*) from t"), "0", "{how:?}, cut at {cut}");
                assert_ne!(backend(&proxy), before, "a connection in COPY is closed");
            }
        }
    }
    // One that was ended is, also when nobody waits for the answer.
    for how in [Ends::Says, Ends::Closes] {
        cluster.primary().psql("truncate t").unwrap();
        let mut raw = Raw::app(proxy.address());
        raw.send(&query("copy t from stdin"));
        raw.until(b"G");
        raw.send(&[rows.clone(), tagged(b'c', b"")].concat());
        end(raw, how);
        nothing_is_left(&cluster, &proxy);
        assert_eq!(count(&cluster, "select count(*) from t"), "3", "{how:?}");
    }
}

#[test]
fn who_only_stops_sending_is_still_answered() {
    let (cluster, proxy) = stage();
    let mut raw = Raw::app(proxy.address());
    raw.send(&[query("insert into t values (1)"), query("select count(*) from t")].concat());
    raw.socket().shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(raw.answer().ok().tags(), "CZ");
    assert_eq!(raw.answer().value(), "1");
    assert_eq!(raw.until_closed(), []);
    nothing_is_left(&cluster, &proxy);
}

/// The system of a client that has gone may not say so, while its window is closed: to us it only stops sending, and takes nothing.
#[test]
fn who_takes_nothing_any_more_does_not_keep_a_connection() {
    let (cluster, proxy) = stage();
    for text in [
        "select repeat('x', 1000), generate_series(1, 200000)",
        "begin; select repeat('x', 1000), generate_series(1, 200000)",
        "copy (select repeat('x', 1000), generate_series(1, 200000)) to stdout",
    ] {
        let mut raw = Raw::app(proxy.address());
        raw.send(&query(&format!("{text} /* tidegate: intent=primary */")));
        support::wait_until("the server is held up", || {
            count(
                &cluster,
                "select count(*) from pg_stat_activity where usename = 'app' and wait_event = 'ClientWrite'",
            ) == "1"
        });
        raw.socket().shutdown(std::net::Shutdown::Write).unwrap();
        let mut other = Raw::app(proxy.address());
        assert_eq!(other.ok("select 1 /* tidegate: intent=primary */").value(), "1", "{text}");
        other.terminate();
        drop(raw);
        nothing_is_left(&cluster, &proxy);
    }
}
