//! Where statements go, and why.

use super::support::proxy::RunningProxy;
use super::support::raw::{Answer, Raw, bind, describe, execute, parse, sync, tagged};
use super::support::wait_until;
use super::{counts, proxy, schema, shared, since, wait_open};

/// What is run first, the statement, and where it must run and why.
type Row = (&'static str, &'static str, &'static str);

/// Statements, with `{s}` for the schema.
const TABLE: &[Row] = &[
    ("", "select * from {s}.t", "replica:fresh"),
    ("", "table {s}.t", "replica:fresh"),
    ("", "with x as (select * from {s}.t) select count(*) from x", "replica:fresh"),
    ("", "explain select * from {s}.t", "replica:fresh"),
    ("", "explain analyze select * from {s}.t", "replica:fresh"),
    ("", "select random(), clock_timestamp(), gen_random_uuid()", "replica:fresh"),
    ("", "select * from {s}.t for update", "primary:write"),
    ("", "select * from {s}.t for key share", "primary:write"),
    ("", "with x as (insert into {s}.t values (1) returning n) select * from x", "primary:write"),
    ("", "select * into {s}.copy_of_t from {s}.t", "primary:write"),
    ("", "explain analyze insert into {s}.t values (2)", "primary:write"),
    ("", "insert into {s}.t values (3)", "primary:write"),
    ("", "update {s}.t set n = n", "primary:write"),
    ("", "delete from {s}.t where n = 3", "primary:write"),
    ("", "create table {s}.made (n int)", "primary:write"),
    ("", "copy {s}.t from stdin", "primary:write"),
    ("", "call {s}.p()", "primary:unknown"),
    ("", "do $$ begin perform 1; end $$", "primary:unknown"),
    ("", "listen {s}", "primary:session_state"),
    ("", "set work_mem = '8MB'", "primary:session_state"),
    ("", "select nextval('{s}.seq')", "primary:write"),
    ("", "select pg_advisory_lock(1)", "primary:unknown"),
    ("", "select set_config('app.x', '1', false)", "primary:unknown"),
    ("", "select {s}.f()", "primary:unknown"),
    ("", "selec 1", "primary:unknown"),
    ("", "begin", "primary:transaction"),
    ("begin", "select * from {s}.t", "primary:transaction"),
    ("begin", "declare c cursor for select * from {s}.t", "primary:transaction"),
    ("", "begin read only", "replica:read_only_transaction"),
    ("", "start transaction isolation level repeatable read, read only", "replica:read_only_transaction"),
    ("begin read only", "select * from {s}.t", "replica:transaction"),
    ("", "select * from {s}.t /* tidegate: intent=primary */", "primary:intent_primary"),
    ("", "/* tidegate: intent=primary */ select * from {s}.t", "primary:intent_primary"),
    ("", "select * from {s}.t /*intent='primary',traceparent='00-1'*/", "primary:intent_primary"),
    ("", "select * from {s}.t -- it's /* tidegate: intent=primary */", "replica:fresh"),
    ("", "select '/* tidegate: intent=primary */'", "replica:fresh"),
    ("", "select * from {s}.t /* tidegate: consistency=primary */", "primary:level_primary"),
    ("", "select * from {s}.t /* tidegate: consistency=eventual */", "replica:eventual"),
    ("", "select * from {s}.t /* tidegate: intent=sideways */", "primary:level_primary"),
    ("", "select {s}.f() /* tidegate: intent=replica */", "replica:intent_replica"),
    ("", "insert into {s}.t values (4) /* tidegate: intent=replica */", "primary:write"),
    ("set default_transaction_isolation = serializable", "select * from {s}.t", "primary:serializable"),
    ("set tidegate.intent = 'primary'", "select * from {s}.t", "primary:intent_primary"),
    ("set tidegate.consistency = 'eventual'", "select * from {s}.t", "replica:eventual"),
    ("set tidegate.consistency = 'primary'", "select * from {s}.t", "primary:level_primary"),
    ("set tidegate.intent = 'primary'; reset tidegate.intent", "select * from {s}.t", "replica:fresh"),
    ("listen {s}", "select * from {s}.t", "primary:pinned"),
];

/// Statements whose place is certain and whose reason is a matter of taste.
const PLACES: &[(&str, &str)] = &[
    ("select * from {s}.t limit 1", "replica"),
    ("copy {s}.t to stdout", "replica primary"),
    ("copy (select * from {s}.t) to stdout", "replica primary"),
    ("show timezone", "replica primary"),
    ("select pg_try_advisory_xact_lock(7)", "primary"),
    ("select count(*) from pg_stat_activity", "primary"),
    ("select count(*) from pg_locks", "primary"),
    ("select pg_backend_pid()", "primary"),
    ("select txid_current()", "primary"),
    ("select pg_current_xact_id()", "primary"),
    ("select pg_is_in_recovery()", "primary"),
    ("select inet_server_port()", "primary"),
    ("select lo_create(0)", "primary"),
    ("declare c cursor with hold for select 1", "primary"),
    ("begin isolation level serializable read only", "primary"),
    ("explain analyze update {s}.t set n = n", "primary"),
    ("vacuum {s}.t", "primary"),
    ("analyze {s}.t", "primary"),
    ("truncate {s}.t", "primary"),
    ("notify {s}", "primary"),
    ("lock table {s}.t", "primary"),
    ("grant select on {s}.t to public", "primary"),
    ("refresh materialized view {s}.m", "primary"),
];

fn fill(schema: &str) {
    let sql = format!(
        "set role app; set search_path = {schema};
         create table t (n int); create sequence seq; insert into t values (0);
         create materialized view m as select * from t;
         create function f() returns int language sql volatile as 'select 1';
         create procedure p() language sql as 'select 1';"
    );
    shared().primary().psql(&sql).unwrap();
    shared().wait_caught_up().unwrap();
}

/// Runs a statement to its end, whatever it is.
fn run(raw: &mut Raw, sql: &str, extended: bool) -> Answer {
    if extended {
        raw.send(&[parse("", sql), bind("", "", &[]), describe(b'P', ""), execute(""), sync()].concat());
    } else {
        raw.send(&super::support::raw::query(sql));
    }
    let first = raw.until(b"ZG");
    if first.0.last().unwrap().tag == b'Z' {
        return first;
    }
    raw.send(&tagged(b'c', &[]));
    if extended {
        // PostgreSQL ignores a Sync while it waits for COPY data.
        raw.send(&sync());
    }
    raw.answer()
}

/// Where `sql` went, on a connection of its own.
fn went(proxy: &RunningProxy, schema: &str, first: &str, sql: &str, extended: bool) -> Vec<String> {
    let mut raw = Raw::app(proxy.address());
    if !first.is_empty() {
        raw.ok(first);
    }
    // What ran before must not close the gate, nor that of the table it has written to.
    wait_open(proxy);
    let of_table = format!("select current_setting('app.node'), count(*) from {schema}.t");
    wait_until("a replica has what was written to the table", || {
        Raw::app(proxy.address()).ok(&of_table).rows()[0][0].as_deref() != Some("primary")
    });
    let before = counts(proxy);
    run(&mut raw, sql, extended);
    since(proxy, &before)
}

#[test]
fn statements_go_where_they_belong_for_the_right_reason() {
    let schema = schema();
    fill(&schema);
    let proxy = proxy("tidegate_client_auth=trust");
    let mut wrong = Vec::new();
    for extended in [false, true] {
        for (first, sql, expected) in TABLE {
            let (first, sql) = (first.replace("{s}", &schema), sql.replace("{s}", &schema));
            let seen = went(&proxy, &schema, &first, &sql, extended);
            // A transaction that is begun by protocol could not be moved when it turns out to need the primary.
            let expected = match *expected {
                "replica:read_only_transaction" if extended => "primary:transaction",
                expected => expected,
            };
            if seen != [expected] {
                wrong.push(format!("{first}; {sql}: {seen:?}, not {expected} (extended: {extended})"));
            }
        }
        for (sql, allowed) in PLACES {
            let sql = sql.replace("{s}", &schema);
            let seen = went(&proxy, &schema, "", &sql, extended);
            if !matches!(&seen[..], [one] if allowed.split(' ').any(|a| one.starts_with(a))) {
                wrong.push(format!("{sql}: {seen:?}, not {allowed} (extended: {extended})"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_strictest_statement_of_a_string_decides() {
    let schema = schema();
    fill(&schema);
    let proxy = proxy("tidegate_client_auth=trust");
    for (sql, expected) in [
        ("select 1; select 2", "replica:fresh"),
        ("select 1; insert into {s}.t values (1)", "primary:write"),
        ("select 1; begin; select 2; commit", "primary:unknown"),
        ("select 1; set work_mem = '9MB'", "primary:session_state"),
    ] {
        let sql = sql.replace("{s}", &schema);
        assert_eq!(went(&proxy, &schema, "", &sql, false), [expected], "{sql}");
    }
}

#[test]
fn start_up_options_steer() {
    let proxy = proxy("tidegate_client_auth=trust");
    let options: [(&[(&str, &str)], &str); 4] = [
        (&[], "replica:fresh"),
        (&[("options", "-c tidegate.intent=primary")], "primary:intent_primary"),
        (&[("options", "--tidegate.consistency=eventual")], "replica:eventual"),
        (&[("tidegate.consistency", "primary")], "primary:level_primary"),
    ];
    for (options, expected) in options {
        let mut raw = Raw::app_with(proxy.address(), options);
        wait_open(&proxy);
        let before = counts(&proxy);
        raw.ok("select 1");
        assert_eq!(since(&proxy, &before), [expected], "{options:?}");
        // RESET returns to it.
        raw.ok("set tidegate.intent = 'replica'; reset all");
        let before = counts(&proxy);
        raw.ok("select 1");
        assert_eq!(since(&proxy, &before), [expected], "{options:?} after RESET ALL");
    }
}

#[test]
fn a_steering_setting_ends_with_its_transaction() {
    let proxy = proxy("tidegate_client_auth=trust");
    wait_open(&proxy);
    let mut raw = Raw::app(proxy.address());
    raw.ok("begin; set local tidegate.intent = 'primary'; select 1; commit");
    raw.ok("begin; set tidegate.intent = 'primary'; rollback");
    super::support::wait_until("replicas serve again", || {
        let before = counts(&proxy);
        raw.ok("select 1");
        since(&proxy, &before) == ["replica:fresh"]
    });
}
