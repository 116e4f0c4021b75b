//! Prepared statements of many clients on one server connection.

use super::support::raw::{Raw, bind, close, describe, execute, execute_some, flush, parse, sync, tagged};
use super::{proxy, schema, shared, wait_both};

const ONE: &str = "connection_limit=1&tidegate_client_auth=trust";

/// Sends messages and a Sync, and takes the answer.
fn send(raw: &mut Raw, messages: &[Vec<u8>]) -> super::support::raw::Answer {
    raw.send(&[messages.concat(), sync()].concat());
    raw.answer()
}

#[test]
fn ten_clients_share_one_server_connection() {
    let proxy = proxy(ONE);
    wait_both(&proxy);
    let mut clients: Vec<_> = (0..10).map(|_| Raw::app(proxy.address())).collect();
    for (i, client) in clients.iter_mut().enumerate() {
        // The same name for different statements, and different names for the same one.
        send(client, &[parse("mine", &format!("select {i} + $1::int"))]).ok();
        send(
            client,
            &[parse(&format!("name {i}"), "select 'all' || $1::text"), describe(b'S', &format!("name {i}"))],
        )
        .ok();
    }
    for round in 0..20 {
        for (i, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.run("mine", &[&round.to_string()]).value(), (i + round).to_string());
            assert_eq!(client.run(&format!("name {i}"), &["x"]).value(), "allx");
            if round % 5 == i % 5 {
                // In transactions on the primary, too.
                client.ok("begin");
                assert_eq!(client.run("mine", &["1"]).value(), (i + 1).to_string());
                client.ok("commit");
            }
        }
    }
    let used = proxy.metric("tidegate_pool_connections", &[]);
    assert!(used <= 3.0, "{used} server connections");
}

#[test]
fn names_behave_as_postgresqls_own() {
    let proxy = proxy(ONE);
    wait_both(&proxy);
    let direct = ([127, 0, 0, 1], shared().primary().port()).into();
    let script = |raw: &mut Raw| {
        let mut seen = Vec::new();
        let mut note = |answer: super::support::raw::Answer| seen.push((answer.tags(), answer.error()));
        // A name that is taken; the statement that has it stays.
        note(send(raw, &[parse("a", "select 1")]));
        note(send(raw, &[parse("a", "select 2")]));
        note(raw.run("a", &[]));
        // In a pipeline the rest is skipped, and what was prepared before the error stays.
        note(send(raw, &[parse("b", "select 3"), parse("a", "select 4"), parse("c", "select 5")]));
        note(raw.run("b", &[]));
        note(raw.run("c", &[]));
        note(raw.run("a", &[]));
        // Describe before Bind.
        note(send(raw, &[describe(b'S', "a")]));
        note(send(raw, &[parse("", "select $1::int, $2::text"), describe(b'S', "")]));
        note(send(raw, &[bind("", "", &["1", "x"]), describe(b'P', ""), execute("")]));
        // Close, twice; then the name is free again.
        note(send(raw, &[close(b'S', "a"), close(b'S', "a")]));
        note(raw.run("a", &[]));
        note(send(raw, &[describe(b'S', "a")]));
        note(send(raw, &[parse("a", "select 6")]));
        note(raw.run("a", &[]));
        // A statement that cannot be prepared does not take its name.
        note(send(raw, &[parse("bad", "selec")]));
        note(raw.run("bad", &[]));
        note(send(raw, &[parse("bad", "select 7")]));
        note(raw.run("bad", &[]));
        // The unnamed one is replaced freely, and gone after a simple query.
        note(send(raw, &[parse("", "select 8")]));
        note(raw.run("", &[]));
        note(raw.query("select 9"));
        note(raw.run("", &[]));
        // A function call leaves it alone.
        note(send(raw, &[parse("", "select 8")]));
        raw.send(&tagged(b'F', &[&1397_u32.to_be_bytes()[..], b"\0\0\0\x01\0\0\0\x02-5\0\0"].concat()));
        note(raw.answer());
        note(raw.run("", &[]));
        // Deallocation: refused with something behind its end, and in a transaction, of SQL's own.
        raw.send(&tagged(b'Q', b"deallocate all\0;\0"));
        note(raw.answer());
        note(raw.run("bad", &[]));
        for sql in [
            "begin",
            "prepare q as select 1",
            "deallocate all",
            "prepare q as select 2",
            "execute q",
            "rollback",
        ] {
            note(raw.query(sql));
        }
        note(raw.query("deallocate q"));
        note(send(raw, &[parse("bad", "select 7")]));
        note(raw.query("deallocate all"));
        note(raw.run("bad", &[]));
        note(send(raw, &[parse("bad", "select 10")]));
        note(raw.query("discard all"));
        note(raw.run("bad", &[]));
        // Portals: nothing is left of them outside a transaction.
        note(send(
            raw,
            &[parse("p", "select generate_series(1, 5)"), bind("port", "p", &[]), execute_some("port", 2)],
        ));
        note(send(raw, &[execute("port")]));
        note(raw.query("begin"));
        note(send(raw, &[bind("port", "p", &[]), execute_some("port", 2)]));
        note(send(raw, &[execute_some("port", 2)]));
        note(send(raw, &[execute_some("port", 2), close(b'P', "port"), close(b'P', "port")]));
        note(send(raw, &[execute("port")]));
        note(raw.query("rollback"));
        // An empty statement.
        note(send(raw, &[parse("", ""), bind("", "", &[]), describe(b'P', ""), execute("")]));
        note(raw.query(""));
        seen
    };
    let expected = script(&mut Raw::app(direct));
    let seen = script(&mut Raw::app(proxy.address()));
    for (i, (seen, expected)) in seen.iter().zip(&expected).enumerate() {
        assert_eq!(seen, expected, "step {i}");
    }
}

#[test]
fn an_unnamed_statement_is_nobody_elses() {
    let proxy = proxy(ONE);
    wait_both(&proxy);
    let (mut a, mut b) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    send(&mut a, &[parse("", "select $1::int /* tidegate: intent=primary */")]).ok();
    // An error between the two must not make the proxy forget what the server still has.
    assert_eq!(a.run("nobody", &[]).code(), "26000");
    assert_eq!(b.run("", &["1"]).code(), "26000");
    assert_eq!(a.run("", &["7"]).ok().value(), "7");
}

#[test]
fn servers_hold_a_bounded_number_of_statements() {
    let schema = schema();
    let proxy = proxy(&format!("{ONE}&tidegate_prepared_statements_per_server=3"));
    wait_both(&proxy);
    let mut raw = Raw::app(proxy.address());
    let held = |raw: &mut Raw, intent: &str| -> usize {
        let sql = format!("select count(*) from pg_prepared_statements /* tidegate: {intent} */");
        raw.ok(&sql).value().parse().unwrap()
    };
    for i in 0..20 {
        send(&mut raw, &[parse(&format!("s{i}"), &format!("select {i}"))]).ok();
    }
    for round in 0..3 {
        for i in 0..20 {
            assert_eq!(raw.run(&format!("s{i}"), &[]).value(), i.to_string(), "round {round}");
        }
        // Several of them in one go.
        let all = (0..20).map(|i| [bind("", &format!("s{i}"), &[]), execute("")].concat());
        assert_eq!(send(&mut raw, &all.collect::<Vec<_>>()).ok().rows().len(), 20);
        for intent in ["intent=primary", "consistency=eventual"] {
            let held = held(&mut raw, intent);
            assert!(held <= 3, "{held} statements on a server, {intent}");
        }
    }
    // What could not be prepared must not count as there.
    assert_eq!(send(&mut raw, &[parse("bad", &format!("select * from {schema}.later"))]).code(), "42P01");
    raw.ok(&format!("create table {schema}.later (n int)"));
    send(&mut raw, &[parse("bad", &format!("select * from {schema}.later"))]).ok();
    assert_eq!(raw.run("bad", &[]).ok().tags(), "2CZ");
}

#[test]
fn a_statement_prepared_before_its_table_changed_can_be_prepared_anew() {
    let schema = schema();
    let proxy = proxy(ONE);
    wait_both(&proxy);
    let mut raw = Raw::app(proxy.address());
    raw.ok(&format!("create table {schema}.t (a int); insert into {schema}.t values (1)"));
    let sql = format!("select * from {schema}.t /* tidegate: intent=primary */");
    send(&mut raw, &[parse("s", &sql), describe(b'S', "s")]).ok();
    assert_eq!(raw.run("s", &[]).value(), "1");
    raw.ok(&format!("alter table {schema}.t add b int default 2"));
    assert_eq!(raw.run("s", &[]).code(), "0A000");
    send(&mut raw, &[close(b'S', "s"), parse("s", &sql), describe(b'S', "s")]).ok();
    assert_eq!(raw.run("s", &[]).ok().rows()[0].len(), 2);
    assert_eq!(raw.extended(&sql, &[]).ok().rows()[0].len(), 2);
}

#[test]
fn rows_have_the_shape_the_client_was_told_or_there_is_an_error() {
    let schema = schema();
    let proxy = proxy("connection_limit=2&tidegate_client_auth=trust");
    wait_both(&proxy);
    let (mut raw, mut other) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    raw.ok(&format!("create table {schema}.t (a int); insert into {schema}.t values (1)"));
    let sql = format!("select * from {schema}.t /* tidegate: intent=primary */");
    send(&mut raw, &[parse("s", &sql), describe(b'S', "s")]).ok();
    raw.ok(&format!("alter table {schema}.t add b int default 2"));
    // The server connection that has it is taken: another one prepares it anew.
    other.ok("begin");
    let answer = raw.run("s", &[]);
    assert_eq!(answer.code(), "0A000", "{answer:?}");
}

#[test]
fn a_flush_is_answered_at_once() {
    let proxy = proxy(ONE);
    wait_both(&proxy);
    let (mut raw, mut other) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    for round in 0..3 {
        // As asyncpg and psycopg do: each step waits for the answer to the one before.
        raw.send(
            &[parse(&format!("s{round}"), "select $1::int"), describe(b'S', &format!("s{round}")), flush()]
                .concat(),
        );
        assert_eq!(raw.until(b"T").tags(), "1tT");
        raw.send(&[bind("", &format!("s{round}"), &["5"]), flush()].concat());
        assert_eq!(raw.until(b"2").tags(), "2");
        raw.send(&[execute(""), flush()].concat());
        let answer = raw.until(b"C");
        assert_eq!(answer.value(), "5");
        raw.send(&sync());
        assert_eq!(raw.answer().tags(), "Z");
        assert_eq!(other.ok("select 1").value(), "1", "the server connection is free again");
    }
    // An error is told at once, too, and everything up to Sync is skipped.
    raw.send(&[parse("", "selec"), flush()].concat());
    assert_eq!(raw.until(b"E").code(), "42601");
    raw.send(&[parse("", "select 1"), flush(), bind("", "", &[]), execute(""), sync()].concat());
    assert_eq!(raw.answer().tags(), "Z");
    assert_eq!(raw.ok("select 1").value(), "1");
    assert_eq!(other.ok("select 1").value(), "1");
}

#[test]
fn names_are_bounded() {
    let proxy = proxy(ONE);
    wait_both(&proxy);
    let mut raw = Raw::app(proxy.address());
    for hundred in 0..100 {
        let many: Vec<_> = (0..100).map(|i| parse(&format!("n{hundred}.{i}"), "select 1")).collect();
        send(&mut raw, &many).ok();
    }
    assert_eq!(send(&mut raw, &[parse("more", "select 1")]).code(), "53400");
    assert_eq!(raw.run("n99.99", &[]).value(), "1");
    send(&mut raw, &[close(b'S', "n0.0"), parse("more", "select 2")]).ok();
    assert_eq!(raw.run("more", &[]).value(), "2");
    raw.ok("deallocate all");
    send(&mut raw, &[parse("more", "select 3")]).ok();
}

#[test]
fn deallocate_knows_names_of_the_protocol() {
    let proxy = proxy(ONE);
    wait_both(&proxy);
    let mut raw = Raw::app(proxy.address());
    let text = "deallocate";
    for in_sql in [false, true] {
        if in_sql {
            raw.ok("prepare in_sql as select 1");
        }
        for transaction in [false, true] {
            if transaction {
                raw.ok("begin");
            }
            send(&mut raw, &[parse("a", "select 1"), parse("b", "select 2"), parse("c", "select 3")]).ok();
            assert_eq!(raw.ok(&format!("{text} a")).tags(), "CZ");
            let whole = [parse("", &format!("{text} b")), bind("", "", &[]), describe(b'P', ""), execute("")];
            assert_eq!(send(&mut raw, &whole).ok().tags(), "12nCZ");
            for (name, code) in [("a", "26000"), ("b", "26000")] {
                if !transaction {
                    assert_eq!(raw.run(name, &[]).code(), code);
                }
            }
            assert_eq!(raw.run("c", &[]).value(), "3");
            send(&mut raw, &[parse("d", "deallocate all")]).ok();
            assert_eq!(raw.run("d", &[]).ok().tags(), "2CZ");
            if transaction {
                raw.ok("commit");
            }
            assert_eq!(raw.run("c", &[]).code(), "26000");
            assert_eq!(raw.query(&format!("{text} nothing")).code(), "26000");
        }
    }
}
