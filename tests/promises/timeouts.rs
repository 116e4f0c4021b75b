//! What takes longer than it may is ended, with the right words, and nothing else is.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::{Message, Raw, V3_0, bind, execute, flush, parse, query, sync, tagged};
use super::{proxy, role, schema, shared, support, wait_both, wait_open};

const PRIMARY: &str = "/* tidegate: intent=primary */";

fn timeouts(proxy: &RunningProxy, kind: &str) -> f64 {
    proxy.metric("tidegate_timeouts_total", &[&format!("kind=\"{kind}\"")])
}

/// The FATAL error that ends a connection.
#[track_caller]
fn ended(raw: &mut Raw) -> (String, String) {
    let messages = raw.until_closed();
    let last: &Message = messages.last().expect("a reason");
    assert_eq!(last.field(b'V').as_deref(), Some("FATAL"), "{messages:?}");
    (last.field(b'C').unwrap(), last.field(b'M').unwrap())
}

#[test]
fn a_statement_that_runs_too_long_is_cancelled() {
    let proxy = proxy("tidegate_query_timeout=300ms&connection_limit=1&tidegate_client_auth=trust");
    wait_both(&proxy);
    let mut raw = Raw::app(proxy.address());
    for sql in ["select pg_sleep(30)".to_owned(), format!("select pg_sleep(30) {PRIMARY}")] {
        for extended in [false, true] {
            let begun = Instant::now();
            let answer = if extended { raw.extended(&sql, &[]) } else { raw.query(&sql) };
            let took = begun.elapsed();
            let (code, text) = answer.error().unwrap();
            assert_eq!(code, "57014");
            assert!(text.contains("query_timeout=300ms"), "{text}");
            assert_eq!(answer.status(), 'I');
            assert!(took >= Duration::from_millis(290) && took < Duration::from_secs(4), "{took:?}");
            // The session goes on, on the same connection.
            assert_eq!(raw.ok("select 1").value(), "1");
        }
    }
    assert!(timeouts(&proxy, "query") >= 4.0);
    assert!(proxy.stderr().contains("query_timeout"), "{}", proxy.stderr());
    // A transaction fails, and can be rolled back.
    raw.ok("begin");
    assert_eq!(raw.query("select pg_sleep(30)").status(), 'E');
    assert_eq!(raw.query("select 1").code(), "25P02");
    raw.ok("rollback");
    // Of a pipeline without a Sync, too.
    raw.send(&[parse("", "select pg_sleep(30)"), bind("", "", &[]), execute(""), flush()].concat());
    let answer = raw.until(b"E");
    assert!(answer.error().unwrap().1.contains("query_timeout"), "{answer:?}");
    raw.send(&sync());
    assert_eq!(raw.answer().status(), 'I');
    assert_eq!(raw.ok("select 2").value(), "2");
}

#[test]
fn statements_that_are_short_enough_are_left_alone() {
    let proxy = proxy("tidegate_query_timeout=500ms&tidegate_client_auth=trust");
    wait_open(&proxy);
    let mut raw = Raw::app(proxy.address());
    raw.ok("begin");
    // Each has its own time, and idling in a transaction is no statement.
    for _ in 0..4 {
        raw.ok(&format!("select pg_sleep(0.2) {PRIMARY}"));
        sleep(Duration::from_millis(200));
    }
    sleep(Duration::from_millis(600));
    raw.ok("commit");
    assert!(timeouts(&proxy, "query") < 1.0);
}

#[test]
fn a_server_that_waits_for_the_client_does_not_run() {
    let schema = schema();
    let proxy = proxy("tidegate_query_timeout=300ms&tidegate_client_auth=trust");
    wait_open(&proxy);
    let mut raw = Raw::app(proxy.address());
    raw.ok(&format!("create table {schema}.t (n int)"));
    raw.send(&query(&format!("copy {schema}.t from stdin")));
    raw.until(b"G");
    for _ in 0..3 {
        sleep(Duration::from_millis(200));
        raw.send(&tagged(b'd', b"1\n"));
    }
    raw.send(&tagged(b'c', b""));
    raw.answer().ok();
    assert_eq!(raw.ok(&format!("select count(*) from {schema}.t")).value(), "3");
    // Rows that the client does not read: more than all buffers on the way hold.
    raw.send(&query(&format!("select repeat('x', 1000000) from generate_series(1, 50) {PRIMARY}")));
    // It begins at once, and then stops at moments that have nothing to do with the limit.
    let mut rows = 0;
    loop {
        let (tag, len) = raw.head().unwrap();
        raw.discard(len);
        match tag {
            b'D' => rows += 1,
            b'E' => panic!("it was cancelled after {rows} rows"),
            b'Z' => break,
            _ => {}
        }
        sleep(Duration::from_millis(25));
    }
    assert_eq!(rows, 50);
    // A pipeline that was described and not run yet.
    raw.send(&[parse("s", "select 1"), flush()].concat());
    raw.until(b"1");
    sleep(Duration::from_millis(600));
    raw.send(&[bind("", "s", &[]), execute(""), sync()].concat());
    raw.answer().ok();
    assert!(timeouts(&proxy, "query") < 1.0);
}

/// Stops a server process until this is dropped.
struct Stopped(String);

impl Stopped {
    fn new(pid: &str) -> Self {
        signal(pid, "STOP");
        Self(pid.to_owned())
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal(&self.0, "CONT");
    }
}

fn signal(pid: &str, name: &str) {
    let sent = std::process::Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, pid]).status();
    assert!(sent.unwrap().success());
}

#[test]
fn a_server_that_does_not_answer_the_cancel_is_left() {
    let proxy = proxy("tidegate_query_timeout=200ms&connection_limit=1&tidegate_client_auth=trust");
    wait_open(&proxy);
    for (begin, code, extended) in
        [("begin read only", "57014", false), ("begin; create temp table t () on commit drop", "08007", true)]
    {
        let mut raw = Raw::app(proxy.address());
        raw.ok(&format!("{begin} {PRIMARY}"));
        let pid = raw.ok("select pg_backend_pid()").value();
        let stopped = Stopped::new(&pid);
        let begun = Instant::now();
        let answer = if extended { raw.extended("select 1", &[]) } else { raw.query("select 1") };
        let took = begun.elapsed();
        let (seen, text) = answer.error().unwrap();
        assert_eq!(seen, code, "{text}");
        assert!(text.contains("query_timeout=200ms"), "{text}");
        assert_eq!(answer.status(), 'I', "the transaction is over");
        assert!(took > Duration::from_secs(5) && took < Duration::from_secs(15), "{took:?}");
        // Another connection takes its place.
        assert_ne!(raw.ok(&format!("select pg_backend_pid() {PRIMARY}")).value(), pid);
        drop(stopped);
    }
}

/// Whoever is hit by a cancel that was not meant for it would see PostgreSQL's words for that.
#[test]
fn a_timeout_never_hits_another_statement() {
    let proxy = proxy("tidegate_query_timeout=4ms&connection_limit=1&tidegate_client_auth=trust");
    wait_both(&proxy);
    let address = proxy.address();
    let until = Instant::now() + Duration::from_secs(4);
    let client = |in_transaction: bool, micros: u64| {
        std::thread::spawn(move || {
            let mut raw = Raw::app(address);
            let (mut cancelled, mut done) = (0_u32, 0_u32);
            while Instant::now() < until {
                if in_transaction {
                    raw.query(&format!("begin {PRIMARY}"));
                }
                for micros in [micros, 0, 500] {
                    let sleep = f64::from(u32::try_from(micros).unwrap()) / 1e6;
                    let answer = raw.query(&format!("select pg_sleep({sleep}) {PRIMARY}"));
                    match answer.error() {
                        None => done += 1,
                        Some((code, text)) if code == "57014" => {
                            assert!(text.contains("query_timeout"), "hit by another's: {text}");
                            cancelled += 1;
                        }
                        Some((code, _)) => assert_eq!(code, "25P02"),
                    }
                }
                if in_transaction {
                    raw.query("rollback");
                }
            }
            (cancelled, done)
        })
    };
    // Timers are a millisecond late at most: some of these are over just when the request arrives.
    let clients = [client(false, 4_000), client(false, 4_600), client(true, 4_300), client(false, 500)];
    let counts = clients.map(|client| client.join().unwrap());
    println!("cancelled and done, by client: {counts:?}");
    assert!(counts.iter().any(|(cancelled, _)| *cancelled > 0), "{counts:?}");
    assert!(counts.iter().all(|(_, done)| *done > 0), "{counts:?}");
}

#[test]
fn an_idle_transaction_is_ended() {
    let schema = schema();
    let proxy = proxy(
        "tidegate_idle_in_transaction_timeout=300ms&connection_limit=1&pool_timeout=5&tidegate_client_auth=trust",
    );
    wait_both(&proxy);
    let mut other = Raw::app(proxy.address());
    other.ok(&format!("create table {schema}.t (n int)"));
    let insert = format!("begin; insert into {schema}.t values (1)");
    let failed = format!("{insert}; select 1/0");
    let copy = format!("copy {schema}.t from stdin");
    for (sql, ready) in [(&insert, b"Z"), (&failed, b"Z"), (&copy, b"G")] {
        let mut raw = Raw::app(proxy.address());
        raw.send(&query(sql));
        raw.until(ready);
        let begun = Instant::now();
        let (code, text) = ended(&mut raw);
        assert_eq!(code, "25P03", "{text}");
        assert!(text.contains("idle_in_transaction_timeout=300ms"), "{text}");
        assert!(begun.elapsed() > Duration::from_millis(250), "{:?}", begun.elapsed());
        // What it held is free, and what it did is undone.
        assert_eq!(other.ok(&format!("select count(*) from {schema}.t {PRIMARY}")).value(), "0", "{sql}");
    }
    assert!(timeouts(&proxy, "idle_in_transaction") >= 3.0);
    // Neither a transaction that goes on, nor a statement that runs, nor a client outside a transaction.
    let mut raw = Raw::app(proxy.address());
    raw.ok("begin");
    for _ in 0..4 {
        sleep(Duration::from_millis(150));
        raw.ok("select 1");
    }
    raw.ok("select pg_sleep(0.7)");
    raw.ok("commit");
    sleep(Duration::from_millis(500));
    raw.ok("select 1");
}

#[test]
fn an_idle_client_is_ended() {
    let proxy = proxy("tidegate_client_idle_timeout=400ms&connection_limit=1&tidegate_client_auth=trust");
    wait_both(&proxy);
    for sql in ["select 1", "create temp table scratch (n int)", "listen news", "set app.x = '1'"] {
        let mut raw = Raw::app(proxy.address());
        raw.ok(sql);
        let begun = Instant::now();
        let (code, text) = ended(&mut raw);
        assert_eq!(code, "57P05", "{text}");
        assert!(text.contains("client_idle_timeout=400ms"), "{text}");
        assert!(begun.elapsed() > Duration::from_millis(350), "{:?}", begun.elapsed());
    }
    // It need not ever have asked for anything.
    assert_eq!(ended(&mut Raw::app(proxy.address())).0, "57P05");
    assert!(timeouts(&proxy, "client_idle") >= 5.0);
    let mut raw = Raw::app(proxy.address());
    for _ in 0..4 {
        sleep(Duration::from_millis(200));
        // Also what the proxy answers itself counts.
        raw.ok("show tidegate.token");
    }
    raw.ok("begin");
    sleep(Duration::from_millis(700));
    raw.ok("select pg_sleep(0.7)");
    raw.ok("commit");
    assert_eq!(ended(&mut raw).0, "57P05");
    // A pin goes with its client.
    support::wait_until("nobody is pinned", || proxy.metric("tidegate_pinned_clients", &[]) < 0.5);
}

#[test]
fn a_user_can_have_other_limits_than_the_database() {
    let (cluster, other) = (shared(), role());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidegate.toml");
    let text = format!(
        "[database.app]\nquery_timeout = '200ms'\nclient_idle_timeout = '300ms'\n\
         user.app.query_timeout = 'off'\nuser.{other}.password = 'secret'\n"
    );
    std::fs::write(&file, text).unwrap();
    let proxy = Tidegate::before(cluster).args(["--config", file.to_str().unwrap()]).start();
    wait_open(&proxy);
    let mut raw = Raw::app(proxy.address());
    raw.ok("select pg_sleep(0.5)");
    assert_eq!(ended(&mut raw).0, "57P05");
    let user = [("user", other.as_str()), ("database", "app")];
    let mut raw = Raw::log_in(proxy.address(), V3_0, &user, "secret").unwrap();
    assert_eq!(raw.query("select pg_sleep(0.5)").code(), "57014");
}
