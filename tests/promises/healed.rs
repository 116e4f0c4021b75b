//! "cached plan must not change result type": an error of shared plans, met only by those who would meet it alone.

use super::support::proxy::RunningProxy;
use super::support::raw::{Raw, bind, describe, execute, parse, sync};
use super::{proxy, schema, shared, wait_both};

/// A table with one column, read by `select *` on whichever node.
fn prepare() -> (String, String) {
    let schema = schema();
    shared().primary().psql(&format!("set role app; create table {schema}.t as select 1 as a")).unwrap();
    shared().wait_caught_up().unwrap();
    (schema.clone(), format!("select * from {schema}.t"))
}

/// Where the statement is to run: on the primary or wherever reads go.
const WHERE: [&str; 2] = ["", " /* tidegate: intent=primary */"];

fn one_connection() -> RunningProxy {
    let proxy = proxy("connection_limit=1&tidegate_client_auth=trust&tidegate_on_stale=wait(5s)");
    wait_both(&proxy);
    proxy
}

fn alter(schema: &str, text: &str, raw: &mut Raw) {
    raw.ok(&text.replace("TABLE", &format!("{schema}.t")));
    shared().wait_caught_up().unwrap();
}

/// Parse, Bind, Describe of the portal, Execute: the client reads the description of every answer.
fn all(raw: &mut Raw, name: &str, text: &str) -> super::support::raw::Answer {
    raw.send(&[parse(name, text), bind("", name, &[]), describe(b'P', ""), execute(""), sync()].concat());
    raw.answer()
}

#[test]
fn who_has_just_connected_does_not_meet_it() {
    for place in WHERE {
        let (schema, text) = prepare();
        let (proxy, text) = (one_connection(), format!("{text}{place}"));
        let (mut a, mut b) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
        for name in ["s", "t", "u"] {
            assert_eq!(all(&mut a, name, &text).ok().rows()[0].len(), 1);
        }
        alter(&schema, "alter table TABLE add b int default 2", &mut b);
        let mut c = Raw::app(proxy.address());
        assert_eq!(all(&mut c, "s", &text).ok().rows()[0].len(), 2, "{place}");
        // Whoever describes before it runs, too.
        let mut d = Raw::app(proxy.address());
        alter(&schema, "alter table TABLE add c int default 3", &mut b);
        d.send(&[parse("s", &text), describe(b'S', "s"), sync()].concat());
        d.answer().ok();
        for _ in 0..4 {
            assert_eq!(d.run("s", &[]).ok().rows()[0].len(), 3, "{place}");
        }
    }
}

#[test]
fn who_reads_each_description_is_healed() {
    for place in WHERE {
        let (schema, text) = prepare();
        let (proxy, text) = (one_connection(), format!("{text}{place}"));
        let (mut a, mut b) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
        assert_eq!(all(&mut a, "s", &text).ok().rows()[0].len(), 1);
        for columns in 2..5 {
            alter(&schema, &format!("alter table TABLE add c{columns} int default {columns}"), &mut b);
            a.send(&[bind("", "s", &[]), describe(b'P', ""), execute(""), sync()].concat());
            let answer = a.answer().ok();
            assert_eq!(answer.rows()[0].len(), columns, "{place}");
        }
        // On the primary it is always the same connection.
        let healed = proxy.metric("tidegate_reruns_total", &["cause=\"stale_plan\""]);
        assert!(place.is_empty() || healed > 2.5, "{healed}");
    }
}

#[test]
fn who_was_told_the_old_columns_hears_of_it() {
    for place in WHERE {
        let (schema, text) = prepare();
        let (proxy, text) = (one_connection(), format!("{text}{place}"));
        let (mut a, mut b) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
        a.send(&[parse("s", &text), describe(b'S', "s"), sync()].concat());
        a.answer().ok();
        assert_eq!(a.run("s", &[]).ok().rows()[0].len(), 1);
        alter(&schema, "alter table TABLE add b int default 2", &mut b);
        for _ in 0..4 {
            assert_eq!(a.run("s", &[]).code(), "0A000", "{place}");
        }
        // Another client heals the plan for itself; that must not open it for the first.
        assert_eq!(all(&mut b, "s", &text).ok().rows()[0].len(), 2);
        for _ in 0..4 {
            assert_eq!(a.run("s", &[]).code(), "0A000", "{place}");
        }
        // The same text under another name is another statement.
        assert_eq!(all(&mut a, "t", &text).ok().rows()[0].len(), 2);
        assert_eq!(a.run("s", &[]).code(), "0A000", "{place}");
        // In a transaction nothing can be run again.
        a.ok("begin");
        assert_eq!(a.run("s", &[]).code(), "0A000");
        a.ok("rollback");
        // Prepared again, it has the new columns.
        a.send(
            &[super::support::raw::close(b'S', "s"), parse("s", &text), describe(b'S', "s"), sync()].concat(),
        );
        a.answer().ok();
        assert_eq!(a.run("s", &[]).ok().rows()[0].len(), 2, "{place}");
    }
}

#[test]
fn a_write_is_run_once() {
    let (schema, _) = prepare();
    let proxy = one_connection();
    let (mut a, mut b) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    let text = format!("insert into {schema}.t (a) values (1) returning *");
    a.send(&[parse("w", &text), sync()].concat());
    a.answer().ok();
    for columns in 2..6 {
        alter(&schema, &format!("alter table TABLE add c{columns} int default {columns}"), &mut b);
        a.send(&[bind("", "w", &[]), describe(b'P', ""), execute(""), sync()].concat());
        assert_eq!(a.answer().ok().rows()[0].len(), columns);
        assert_eq!(b.ok(&format!("select count(*) from {schema}.t")).value(), columns.to_string());
    }
}

#[test]
fn a_table_that_was_made_anew_has_the_same_columns() {
    for place in WHERE {
        let (schema, text) = prepare();
        let (proxy, text) = (one_connection(), format!("{text}{place}"));
        let (mut a, mut b) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
        for round in 0..4 {
            // As asyncpg does: it describes in one step, and runs in the next.
            let mut c = Raw::app(proxy.address());
            for raw in [&mut a, &mut c] {
                let name = format!("s{round}");
                raw.send(
                    &[parse(&name, &text), describe(b'S', &name), super::support::raw::flush()].concat(),
                );
                raw.until(b"T");
                raw.send(&[bind("", &name, &[]), execute(""), sync()].concat());
                assert_eq!(raw.answer().ok().rows().len(), 1, "{place}");
                assert_eq!(raw.run("s0", &[]).error().filter(|(code, _)| code != "26000"), None);
            }
            alter(&schema, "drop table TABLE; create table TABLE as select 1 as a", &mut b);
        }
    }
}

/// What binds a session to its connection is still there when a plan was made anew.
#[test]
fn a_pinned_session_keeps_its_connection() {
    let (schema, text) = prepare();
    let proxy = proxy("connection_limit=2&tidegate_client_auth=trust");
    let (mut a, mut b) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    a.ok("select pg_advisory_lock(7311)");
    let server = a.ok("select pg_backend_pid()").value();
    assert_eq!(all(&mut a, "s", &text).ok().rows()[0].len(), 1);
    alter(&schema, "alter table TABLE add b int default 2", &mut b);
    a.send(&[bind("", "s", &[]), describe(b'P', ""), execute(""), sync()].concat());
    assert_eq!(a.answer().ok().rows()[0].len(), 2);
    assert!(proxy.metric("tidegate_pinned_clients", &["reason=\"advisory_lock\""]) > 0.5);
    assert_eq!(a.ok("select pg_backend_pid()").value(), server);
    assert_eq!(a.ok("select pg_advisory_unlock(7311)").value(), "t");
}
