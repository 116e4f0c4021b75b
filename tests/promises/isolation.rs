//! What one client leaves on a server connection, or tries to, does not reach the next: one attack, one test.
//!
//! Two clients share one server connection per node. Settings made where no text shows it are in `isolation_settings`,
//! hints and what they cannot do in `isolation_hints`. Other ways from one session to another are tried elsewhere: what
//! `SET`, `SET LOCAL`, `set_config()` and roles do and what follows their client (`settings`, and random sequences of all
//! that in `tests/settings_model.rs`); temporary tables, locks, cursors, `LISTEN` and `PREPARE` while they bind (`pins`);
//! names of prepared statements, and `DEALLOCATE` (`prepared`); `currval` and `lastval` (`sequences`); requests to cancel
//! with a guessed key, and those that come late (`cancel`); transactions left open or failed, `COPY` that was not ended
//! (`vanishing`); messages cut at any byte, `Bind` among them (`cuts`, `cuts_server`); portals and errors in the middle
//! of a pipeline (`protocol`).

use std::time::Duration;

use super::support::raw::{Raw, bind, describe, execute, execute_some, flush, parse, query, sync};
use super::support::wait_until;
use super::{block_on, connect, own, proxy, schema, shared, support, wait_both};
use crate::support::proxy::{RunningProxy, Tidegate};

/// One server connection per node, shared by everybody.
pub(super) const ONE: &str = "connection_limit=1&tidegate_client_auth=trust";

/// What a session has by itself, asked of the connection that the attack was made on.
pub(super) const STATE: &str = "select current_user, current_setting('work_mem'), coalesce(current_setting('app.x', true), ''), \
     current_setting('search_path'), current_setting('default_transaction_read_only'), current_setting('client_encoding') \
     /* tidegate: intent=primary */";

pub(super) fn two(proxy: &RunningProxy) -> (Raw, Raw) {
    (Raw::app(proxy.address()), Raw::app(proxy.address()))
}

/// The first row, in one line.
#[track_caller]
pub(super) fn row(raw: &mut Raw, sql: &str) -> String {
    let rows = raw.ok(sql).rows();
    let cells = rows.first().map(|row| row.iter().map(|cell| cell.as_deref().unwrap_or("NULL")));
    cells.map(|cells| cells.collect::<Vec<_>>().join("|")).unwrap_or_default()
}

#[test]
fn session_authorization_does_not_reach_a_neighbour() {
    let options = tidegate::local::Options { app_is_superuser: true, ..support::options() };
    let cluster = own(&options);
    cluster.primary().psql("create role other superuser; create role lowly").unwrap();
    cluster.wait_caught_up().unwrap();
    let proxy = Tidegate::tuned(&cluster, ONE).start();
    wait_both(&proxy);
    let (mut attacker, mut neighbour) = two(&proxy);
    let who = "select session_user, current_user /* tidegate: intent=primary */";
    for sql in [
        "set session authorization other",
        "set session authorization lowly",
        "do $$ begin execute 'set session authorization lowly'; execute 'set role lowly'; end $$",
        "begin; set local session authorization lowly; set local role lowly; commit",
        "prepare p as select set_config('session_authorization', 'lowly', false)",
        "execute p",
        "deallocate all",
    ] {
        attacker.ok(sql);
        if !sql.starts_with("prepare") && !sql.starts_with("execute") {
            assert_eq!(row(&mut neighbour, who), "app|app", "{sql}");
            assert_eq!(row(&mut Raw::app(proxy.address()), who), "app|app", "{sql}");
            attacker.ok("reset session authorization; reset role");
        }
    }
}

#[test]
fn what_psql_would_show_of_a_session_is_not_the_neighbours() {
    let proxy = proxy(ONE);
    wait_both(&proxy);
    let (mut attacker, mut neighbour) = two(&proxy);
    for sql in [
        "set application_name = 'theirs'",
        "set session characteristics as transaction read only",
        "set client_encoding = 'LATIN1'",
        "begin; declare c cursor for select 1; commit",
        "listen theirs",
        "unlisten *",
        "prepare theirs as select 1",
        "deallocate all",
    ] {
        attacker.ok(sql);
    }
    let hint = "/* tidegate: intent=primary */";
    for (sql, expected) in [
        ("select application_name from pg_stat_activity where pid = pg_backend_pid()", ""),
        ("select count(*) from pg_listening_channels()", "0"),
        ("select count(*) from pg_cursors where not is_binary and name <> ''", "0"),
        ("select count(*) from pg_prepared_statements where from_sql", "0"),
        (
            "select count(*) from pg_settings where source = 'session' and setting in ('theirs', 'LATIN1')",
            "0",
        ),
        ("select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()", "0"),
        ("show default_transaction_read_only", "off"),
        ("select 'é'", "é"),
    ] {
        assert_eq!(row(&mut neighbour, &format!("{sql} {hint}")), expected, "{sql}");
    }
    assert_eq!(neighbour.reported["client_encoding"], "UTF8");
    neighbour.ok("create temp table writable (n int); drop table writable");
}

#[test]
fn a_shadow_of_a_table_or_function_does_not_outlive_its_session() {
    let schema = schema();
    let proxy = proxy(ONE);
    wait_both(&proxy);
    let mut neighbour = Raw::app(proxy.address());
    let path = format!("set search_path = {schema}");
    neighbour.ok(&path);
    neighbour.ok("create table prices (n int); insert into prices values (1)");
    for says_good_bye in [true, false] {
        let mut attacker = Raw::app(proxy.address());
        attacker.ok(&path);
        attacker.ok("create temp table prices (n int); insert into prices values (666)");
        attacker.ok("create function pg_temp.lower(text) returns text language sql as $$ select 'theirs' $$");
        assert_eq!(attacker.ok("select n from prices").value(), "666");
        if says_good_bye {
            attacker.terminate();
        } else {
            drop(attacker);
        }
        assert_eq!(neighbour.ok("select n from prices /* tidegate: intent=primary */").value(), "1");
        assert_eq!(neighbour.query("select pg_temp.lower('A')").code(), "42883");
        assert_eq!(neighbour.ok("select lower('A') /* tidegate: intent=primary */").value(), "a");
    }
}

#[test]
fn a_statement_under_the_proxys_own_name_is_not_run_for_a_neighbour() {
    let proxy = proxy(ONE);
    wait_both(&proxy);
    let (mut attacker, mut neighbour) = two(&proxy);
    let hint = "/* tidegate: intent=primary */";
    neighbour.send(&[parse("s", &format!("select 'mine' {hint}")), sync()].concat());
    neighbour.answer().ok();
    assert_eq!(neighbour.run("s", &[]).value(), "mine");
    // The proxy's names can be seen, and the next ones guessed.
    let names = attacker.ok(&format!("select name from pg_prepared_statements where not from_sql {hint}"));
    let name = names.value();
    let prefix = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let poison = format!(
        "do $$ begin for i in 1..500 loop begin execute format('prepare %I as select ''theirs''', '{prefix}' || i); \
         exception when duplicate_prepared_statement then null; end; end loop; end $$"
    );
    attacker.ok(&poison);
    attacker.ok("discard all");
    assert_eq!(neighbour.run("s", &[]).value(), "mine");
    attacker.ok(&poison);
    attacker.terminate();
    for i in 0..20 {
        let name = format!("n{i}");
        neighbour.send(&[parse(&name, &format!("select 'mine {i}' {hint}")), sync()].concat());
        neighbour.answer().ok();
        assert_eq!(neighbour.run(&name, &[]).value(), format!("mine {i}"));
    }
    assert_eq!(neighbour.run("s", &[]).value(), "mine");
}

#[test]
fn a_portal_is_not_the_neighbours() {
    let proxy = proxy(ONE);
    wait_both(&proxy);
    let (mut attacker, mut neighbour) = two(&proxy);
    for leaves in ["rollback", "commit", ""] {
        attacker.ok("begin");
        attacker.send(
            &[parse("", "select generate_series(1, 9)"), bind("p", "", &[]), execute_some("p", 2), sync()]
                .concat(),
        );
        assert_eq!(attacker.answer().rows().len(), 2);
        if leaves.is_empty() {
            drop(std::mem::replace(&mut attacker, Raw::app(proxy.address())));
        } else {
            attacker.ok(leaves);
        }
        for message in [execute("p"), describe(b'P', "p")] {
            neighbour.send(&[message, sync()].concat());
            assert_eq!(neighbour.answer().code(), "34000", "after {leaves}");
        }
        // Nor in a transaction of its own.
        neighbour.ok("begin");
        neighbour.send(&[execute("p"), sync()].concat());
        assert_eq!(neighbour.answer().code(), "34000");
        neighbour.ok("rollback");
        neighbour.send(&[parse("", "select 1"), bind("p", "", &[]), execute("p"), sync()].concat());
        assert_eq!(neighbour.answer().value(), "1");
    }
}

#[test]
fn a_descriptor_of_a_large_object_is_not_the_neighbours() {
    let proxy = proxy(ONE);
    wait_both(&proxy);
    let (mut attacker, mut neighbour) = two(&proxy);
    attacker.ok("begin");
    let object = attacker.ok("select lo_from_bytea(0, 'secret')").value();
    let descriptor = attacker.ok(&format!("select lo_open({object}, 262144)")).value();
    attacker.ok("commit");
    neighbour.ok("begin");
    assert_eq!(neighbour.query(&format!("select loread({descriptor}, 6)")).code(), "42704");
    neighbour.ok("rollback");
    attacker.ok(&format!("select lo_unlink({object})"));
}

#[test]
fn notifications_for_a_session_that_has_left_are_nobodys() {
    let channel = schema();
    let proxy = proxy("connection_limit=1&tidegate_client_auth=trust");
    wait_both(&proxy);
    let direct = || shared().primary().psql(&format!("notify {channel}, 'secret'")).unwrap();
    let mut neighbour = Raw::app(proxy.address());
    for how in ["unlisten", "terminate", "vanish", "code"] {
        let mut attacker = Raw::app(proxy.address());
        match how {
            "code" => attacker.ok(&format!("do $$ begin execute 'listen {channel}'; end $$")),
            _ => attacker.ok(&format!("listen {channel}")),
        };
        direct();
        match how {
            "unlisten" => drop(attacker.ok(&format!("unlisten {channel}"))),
            "terminate" => attacker.terminate(),
            _ => drop(attacker),
        }
        direct();
        for _ in 0..3 {
            let answer =
                neighbour.ok("select count(*) from pg_listening_channels() /* tidegate: intent=primary */");
            assert_eq!(answer.value(), "0", "{how}");
            assert!(answer.0.iter().all(|message| message.tag != b'A'), "{how}: {answer:?}");
        }
    }
}

#[test]
fn notices_and_errors_of_a_client_that_vanished_are_nobodys() {
    let proxy = proxy(ONE);
    wait_both(&proxy);
    let mut neighbour = Raw::app(proxy.address());
    let says = "do $$ begin raise notice 'secret'; perform pg_sleep(0.05); raise warning 'secret'; raise 'secret'; end $$";
    for sent in [
        query(says),
        [parse("", says), bind("", "", &[]), execute(""), sync()].concat(),
        // Without the end of the pipeline, and with more behind the error.
        [parse("", says), bind("", "", &[]), execute(""), flush()].concat(),
        [
            parse("", "select 1/0"),
            bind("", "", &[]),
            execute(""),
            parse("", "select 'secret'"),
            bind("", "", &[]),
            execute(""),
        ]
        .concat(),
        [parse("", "selec"), parse("x", "select 'secret'")].concat(),
    ] {
        let mut attacker = Raw::app(proxy.address());
        attacker.send(&sent);
        drop(attacker);
        for _ in 0..3 {
            let answer = neighbour.ok("select 'mine' /* tidegate: intent=primary */");
            assert_eq!(answer.value(), "mine");
            assert_eq!(answer.tags(), "TDCZ", "{answer:?}");
            assert!(!answer.0.iter().any(|message| message.body.windows(6).any(|part| part == b"secret")));
        }
    }
}

#[test]
fn locks_taken_out_of_sight_do_not_stay_when_their_client_has_left() {
    let proxy = proxy("connection_limit=2&tidegate_client_auth=trust");
    wait_both(&proxy);
    let key = rand::random::<u16>();
    let mut neighbour = Raw::app(proxy.address());
    for statements in [
        vec![format!("select query_to_xml('select pg_advisory_lock({key})', true, true, '')")],
        vec![
            format!("prepare p as select pg_advisory_lock({key})"),
            "execute p".into(),
            "deallocate all".into(),
        ],
        vec![format!("do $$ begin perform pg_advisory_lock({key}); raise 'no'; end $$")],
    ] {
        let mut attacker = Raw::app(proxy.address());
        for sql in &statements {
            attacker.query(sql);
        }
        let taken = format!("select pg_try_advisory_lock({key})");
        assert_eq!(neighbour.ok(&taken).value(), "f", "it is another session's: {statements:?}");
        drop(attacker);
        wait_until("the lock is free", || neighbour.ok(&taken).value() == "t");
        neighbour.ok("select pg_advisory_unlock_all()");
    }
}

#[test]
fn the_key_of_a_session_that_has_ended_cancels_nobody() {
    let proxy = proxy(ONE);
    wait_both(&proxy);
    let mut gone = Raw::app(proxy.address());
    gone.ok("select 1 /* tidegate: intent=primary */");
    let (pid, secret) = (gone.pid, gone.secret.clone());
    gone.terminate();
    let mut neighbour = Raw::app(proxy.address());
    wait_until("the session has ended", || proxy.metric("tidegate_clients", &[]) < 1.5);
    neighbour.send(&query("select pg_sleep(0.4) /* tidegate: intent=primary */"));
    for _ in 0..20 {
        Raw::cancel(proxy.address(), pid, &secret);
        std::thread::sleep(Duration::from_millis(10));
    }
    neighbour.answer().ok();
}

#[test]
fn a_statement_never_runs_under_a_neighbours_settings() {
    let schema = schema();
    let proxy = proxy(ONE);
    wait_both(&proxy);
    let (mut attacker, mut neighbour) = two(&proxy);
    attacker.ok(&format!("create table {schema}.written (by text)"));
    attacker.ok(&format!("create text search configuration {schema}.words (copy = pg_catalog.simple)"));
    attacker.ok(&format!("set default_text_search_config = '{schema}.words'"));
    neighbour.ok("set app.x = 'the neighbour'");
    // Both sets of settings have been made on the connection before.
    for _ in 0..3 {
        attacker.ok("select 1 /* tidegate: intent=primary */");
        neighbour.ok("select 1 /* tidegate: intent=primary */");
    }
    // From now on those of the one are refused.
    shared().primary().psql(&format!("drop text search configuration {schema}.words")).unwrap();
    neighbour.ok("select 1 /* tidegate: intent=primary */");
    let write = format!("insert into {schema}.written values (current_setting('app.x', true))");
    assert!(!attacker.query(&write).code().is_empty(), "its settings are not to be had");
    assert_eq!(neighbour.ok(&format!("select count(*) from {schema}.written where by <> ''")).value(), "0");
}

#[test]
fn a_driver_that_leaves_a_transaction_open_leaves_nothing_to_the_next() {
    let schema = schema();
    let proxy = proxy(ONE);
    wait_both(&proxy);
    let url = format!("postgres://app@{}/app", proxy.address());
    shared()
        .primary()
        .psql(&format!("create table {schema}.t (n int); grant all on {schema}.t to app"))
        .unwrap();
    block_on(async {
        for fails in [false, true] {
            let client = connect(&url).await;
            client
                .batch_execute(&format!(
                    "begin; insert into {schema}.t values (1); set local work_mem = '7MB'"
                ))
                .await
                .unwrap();
            if fails {
                client.batch_execute("select 1/0").await.unwrap_err();
            }
            drop(client);
            let next = connect(&url).await;
            let row = next
                .query_one(&format!("select current_setting('work_mem'), count(*) from {schema}.t"), &[])
                .await
                .unwrap();
            assert_eq!((row.get::<_, String>(0).as_str(), row.get::<_, i64>(1)), ("4MB", 0));
        }
    });
}
