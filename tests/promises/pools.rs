//! Server connections are few, lent in turn, and what is wrong with them is said clearly.

use std::time::{Duration, Instant};

use super::support::raw::Raw;
use super::{WHERE, proxy, schema, shared, support, wait_both};

#[test]
fn who_waits_in_vain_is_told_for_what() {
    let proxy = proxy("connection_limit=1&pool_timeout=1&tidegate_client_auth=trust");
    wait_both(&proxy);
    let (mut a, mut b) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    a.ok("begin");
    let begin = Instant::now();
    let (code, text) = b.query("begin").error().unwrap();
    let waited = begin.elapsed();
    assert_eq!(code, "53300");
    let pool = format!("app@127.0.0.1:{}/app", shared().primary().port());
    for word in [pool.as_str(), "connection_limit=1", "1s"] {
        assert!(text.contains(word), "{word} is not in {text}");
    }
    assert!(waited > Duration::from_millis(900) && waited < Duration::from_secs(3), "{waited:?}");
    // Reads on replicas go on, the session that failed goes on, and so does the transaction.
    assert_ne!(b.ok(WHERE).value(), "primary");
    assert_eq!(b.extended("begin", &[]).code(), "53300");
    assert_eq!(a.ok("select 1").status(), 'T');
    a.ok("commit");
    b.ok("begin");
    b.ok("commit");
    assert!(proxy.metric("tidegate_proxy_errors_total", &["sqlstate=\"53300\""]) >= 2.0);
}

#[test]
fn nobody_is_passed_over() {
    let proxy = proxy("connection_limit=1&tidegate_client_auth=trust");
    wait_both(&proxy);
    let address = proxy.address();
    let clients: Vec<_> = (0..20)
        .map(|i| {
            std::thread::spawn(move || {
                let mut raw = Raw::app(address);
                for _ in 0..20 {
                    assert_eq!(raw.ok(&format!("begin; select {i}; commit")).value(), i.to_string());
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
}

#[test]
fn a_connection_that_a_client_left_in_the_middle_is_not_lent_again() {
    let schema = schema();
    let proxy = proxy("connection_limit=1&tidegate_client_auth=trust");
    wait_both(&proxy);
    Raw::app(proxy.address()).ok(&format!("create table {schema}.t (n int)"));
    for sql in
        ["begin; insert into {s}.t values (1)", "copy {s}.t from stdin", "select generate_series(1, 1000000)"]
    {
        let mut raw = Raw::app(proxy.address());
        raw.send(&super::support::raw::query(&sql.replace("{s}", &schema)));
        raw.read();
        drop(raw);
        let mut next = Raw::app(proxy.address());
        assert_eq!(next.ok(&format!("select count(*) from {schema}.t")).value(), "0", "after {sql}");
        assert_eq!(next.ok("begin; select 5").value(), "5");
        next.ok("rollback");
    }
}

#[test]
fn session_pooling_works_and_splits() {
    let proxy = proxy("tidegate_pool_mode=session&connection_limit=3&tidegate_client_auth=trust");
    wait_both(&proxy);
    let (mut a, mut b) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    let backend = "select pg_backend_pid()";
    let (of_a, of_b) = (a.ok(backend).value(), b.ok(backend).value());
    assert_ne!(of_a, of_b);
    support::wait_until("reads go to a replica", || a.ok(WHERE).value() != "primary");
    for _ in 0..5 {
        assert_eq!(a.ok(backend).value(), of_a, "a session keeps its connection");
        assert_eq!(b.ok(backend).value(), of_b);
        assert_eq!(a.ok("select 1").value(), "1");
    }
    a.ok("create temp table scratch (n int); set app.x = 'mine'");
    a.ok("insert into scratch values (1)");
    assert_eq!(a.ok("select count(*) from scratch").value(), "1");
    a.terminate();
    // Whoever gets it next finds nothing in it.
    for _ in 0..6 {
        let mut c = Raw::app(proxy.address());
        assert_eq!(c.query("select count(*) from scratch /* tidegate: intent=primary */").code(), "42P01");
        // PostgreSQL remembers that there was one of this name, and no more.
        let left = c.ok("select current_setting('app.x', true) /* tidegate: intent=primary */").value();
        assert!(left.is_empty() || left == "NULL", "{left}");
        c.terminate();
    }
}

#[test]
fn a_place_is_free_when_the_server_has_hung_up() {
    let proxy = proxy("connection_limit=1&tidegate_client_auth=trust");
    let table = format!("{}.left", schema());
    let mut direct = Raw::app(([127, 0, 0, 1], shared().primary().port()).into());
    let mut other = Raw::app(proxy.address());
    other.ok(&format!("create table {table} (n int)"));
    let blocked =
        format!("select count(*) from pg_locks where relation = '{table}'::regclass and not granted");
    let (mut rounds, mut in_time) = (0, 0);
    while in_time < 3 {
        rounds += 1;
        assert!(rounds < 50, "this machine is too slow");
        direct.ok(&format!("begin; lock table {table} in exclusive mode"));
        let mut rude = Raw::app(proxy.address());
        rude.send(&super::support::raw::query(&format!("insert into {table} values (1)")));
        let mut witness = Raw::app(([127, 0, 0, 1], shared().primary().port()).into());
        support::wait_until("the statement waits for its lock", || witness.ok(&blocked).value() == "1");
        let left = Instant::now();
        drop(rude);
        other.send(&super::support::raw::query(&format!(
            "select count(*) from {table} /* tidegate: intent=primary */"
        )));
        support::wait_until("the next client waits for the only connection", || {
            proxy.metric("tidegate_pool_waiting", &[]) > 0.5 || left.elapsed() > Duration::from_secs(1)
        });
        direct.ok("commit");
        let was_in_time = left.elapsed() < Duration::from_millis(700);
        let seen = other.answer().value();
        // What the client that has gone did, comes before.
        if was_in_time {
            assert_eq!(seen, rounds.to_string());
            in_time += 1;
        }
        support::wait_until("the statement has ended", || {
            witness.ok(&format!("select count(*) from {table}")).value() == rounds.to_string()
        });
    }
}
