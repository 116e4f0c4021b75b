//! Settings and roles that a client takes where its texts do not show it, or in parts of a pipeline, do not reach the next
//! client of its server connection.

use super::isolation::{ONE, STATE, row, two};
use super::support::proxy::RunningProxy;
use super::support::raw::{Raw, bind, execute, flush, parse, query, sync};
use super::{proxy, role, schema, shared, wait_both, wait_open};

/// A schema with a table, a view and the ground for attacks, known to the proxy.
fn ground(proxy: &RunningProxy) -> String {
    let schema = schema();
    let mut raw = Raw::app(proxy.address());
    for sql in [
        "create table S.t (a int, b text)",
        "insert into S.t values (1, 'x')",
        "create view S.harmless as select 1 as a",
        "create view S.own_settings as select * from pg_settings",
        "create sequence S.q",
    ] {
        raw.ok(&sql.replace("S.", &format!("{schema}.")));
    }
    shared().wait_caught_up().unwrap();
    wait_open(proxy);
    schema
}

/// Statements by which a client sets something where its text does not say so. `S.` is a schema, `R` a role, `X` what
/// sets it.
const OUT_OF_SIGHT: [(&str, &[&str]); 31] = [
    ("UPDATE of pg_settings", &["update pg_settings set setting = '7MB' where name = 'work_mem'"]),
    (
        "the same, by its full name",
        &["update pg_catalog.pg_settings set setting = '7MB' where name = 'work_mem'"],
    ),
    ("the same, through a view", &["update S.own_settings set setting = '7MB' where name = 'work_mem'"]),
    ("PREPARE, EXECUTE, DEALLOCATE ALL", &["prepare p as select X", "execute p", "deallocate all"]),
    ("PREPARE, EXECUTE, DEALLOCATE", &["prepare p as select X", "execute p", "deallocate p"]),
    (
        "all of it in one transaction",
        &["begin", "prepare p as select X", "execute p", "deallocate all", "commit", "deallocate all"],
    ),
    (
        "CREATE TABLE AS EXECUTE",
        &["prepare p as select X", "create table S.made as execute p", "deallocate all", "drop table S.made"],
    ),
    ("EXPLAIN ANALYZE EXECUTE", &["prepare p as select X", "explain analyze execute p", "deallocate all"]),
    ("a default of ALTER TABLE", &["alter table S.t add column c text default X"]),
    ("a CHECK of ALTER TABLE", &["alter table S.t add check (length(X) > 0)"]),
    ("USING of ALTER TABLE", &["alter table S.t alter column b type text using X"]),
    (
        "a view replaced in the transaction",
        &[
            "begin",
            "create or replace view S.harmless as select length(X) as a",
            "select * from S.harmless",
            "commit",
        ],
    ),
    (
        "a view replaced in the string",
        &["create or replace view S.harmless as select length(X) as a; select * from S.harmless"],
    ),
    (
        "a view that is new",
        &["create view S.new_view as select X", "select * from S.new_view", "drop view S.new_view"],
    ),
    (
        "a default that is new",
        &[
            "create table S.made (a int, b text default X)",
            "insert into S.made (a) values (1)",
            "drop table S.made",
        ],
    ),
    (
        "a trigger that is new",
        &[
            "create function S.fires() returns trigger language plpgsql as $$ begin perform X; return new; end $$",
            "create trigger fires before insert on S.t for each row execute function S.fires()",
            "insert into S.t values (2)",
        ],
    ),
    (
        "a function that was replaced",
        &[
            "create or replace function S.f() returns int language sql stable as 'select 1'",
            "begin",
            "create or replace function S.f() returns int language plpgsql stable as $$ begin perform X; return 1; end $$",
            "select S.f()",
            "commit",
        ],
    ),
    ("query_to_xml", &["select query_to_xml($$select X$$, true, true, '')"]),
    ("ts_stat", &["select * from ts_stat($$select to_tsvector(X)$$)"]),
    (
        "a cursor made to XML",
        &["begin; declare c cursor for select X; select cursor_to_xml('c', 1, true, true, ''); commit"],
    ),
    ("a cursor that stays", &["declare c cursor with hold for select X", "fetch c", "close c"]),
    (
        "a cursor of a function",
        &[
            "create or replace function S.opens() returns refcursor language plpgsql as $$ declare c refcursor := 'c'; begin open c for select X; return c; end $$",
            "begin",
            "select S.opens()",
            "fetch c",
            "commit",
        ],
    ),
    ("DO", &["do $$ begin perform X; end $$"]),
    ("DO that fails", &["do $$ begin perform X; raise 'no'; end $$"]),
    (
        "CALL",
        &["create or replace procedure S.p() language plpgsql as $$ begin perform X; end $$", "call S.p()"],
    ),
    ("COPY of a query", &["copy (select X) to stdout"]),
    ("EXPLAIN ANALYZE", &["explain analyze select X"]),
    ("RETURNING", &["insert into S.t values (3) returning X"]),
    ("LIMIT", &["select 1 limit length(X)"]),
    ("MERGE", &["merge into S.t using (select X as s) q on false when matched then do nothing"]),
    (
        "a SQL function that is IMMUTABLE",
        &[
            "create or replace function S.g() returns text language sql immutable begin atomic select X; end",
            "select S.g()",
        ],
    ),
];

/// Runs every attack with `set` in the place of what it sets, and asks the neighbour after each.
fn attack(set: &str) {
    let proxy = proxy(ONE);
    wait_both(&proxy);
    let (_, mut neighbour) = two(&proxy);
    let before = row(&mut neighbour, STATE);
    for (name, statements) in OUT_OF_SIGHT {
        let schema = ground(&proxy);
        let mut attacker = Raw::app(proxy.address());
        for sql in statements {
            let sql = sql.replace("S.", &format!("{schema}.")).replace('X', set);
            let answer = attacker.query(&sql);
            // Who has taken another role may not be allowed to do the rest.
            let may_fail = name.contains("fails") || set.contains("'role'");
            assert!(answer.code().is_empty() || may_fail, "{name}: {sql}: {answer:?}");
        }
        assert_eq!(row(&mut neighbour, STATE), before, "{name}: the neighbour");
        assert_eq!(row(&mut Raw::app(proxy.address()), STATE), before, "{name}: who comes later");
        attacker.terminate();
        assert_eq!(row(&mut neighbour, STATE), before, "{name}: the neighbour, afterwards");
    }
}

#[test]
fn a_setting_made_out_of_sight_does_not_reach_a_neighbour() {
    attack("set_config('work_mem', '7MB', false)");
}

#[test]
fn a_custom_setting_made_out_of_sight_does_not_reach_a_neighbour() {
    attack("set_config('app.x', 'theirs', false)");
}

#[test]
fn a_role_taken_out_of_sight_does_not_reach_a_neighbour() {
    let role = role();
    shared().primary().psql(&format!("grant {role} to app")).unwrap();
    shared().wait_caught_up().unwrap();
    attack(&format!("set_config('role', '{role}', false)"));
}

#[test]
fn a_setting_in_a_parameter_of_any_size_does_not_reach_a_neighbour() {
    let proxy = proxy(ONE);
    wait_both(&proxy);
    let (mut attacker, mut neighbour) = two(&proxy);
    let before = row(&mut neighbour, STATE);
    for value in ["t".repeat(300_000), "theirs".to_owned(), "t".repeat(300_001)] {
        attacker.extended("select length(set_config('app.x', $1, false))", &[&value]).ok();
        assert_eq!(row(&mut neighbour, STATE), before);
        assert_eq!(attacker.ok("select length(current_setting('app.x'))").value(), value.len().to_string());
    }
    // A text that is not read at all.
    for size in [140_000, 300_000] {
        let long = "x".repeat(size);
        attacker.ok(&format!("select set_config('work_mem', '7MB', false), '{long}' is null"));
        assert_eq!(row(&mut neighbour, STATE), before);
    }
}

#[test]
fn a_setting_in_a_pipeline_without_sync_does_not_reach_a_neighbour() {
    let role = role();
    shared().primary().psql(&format!("grant {role} to app")).unwrap();
    shared().wait_caught_up().unwrap();
    let proxy = proxy(ONE);
    wait_both(&proxy);
    let mut neighbour = Raw::app(proxy.address());
    let before = row(&mut neighbour, STATE);
    let one = |sql: &str| [parse("", sql), bind("", "", &[]), execute("")].concat();
    for set in [
        "set work_mem = '7MB'".to_owned(),
        "select set_config('app.x', 'theirs', false)".to_owned(),
        format!("set role {role}"),
        "do $$ begin set work_mem = '7MB'; end $$".to_owned(),
    ] {
        // Each part of the pipeline is answered before the next is sent, as some drivers do.
        for rest in [vec![], vec!["select 1"], vec!["select 1", "select 2"], vec!["select 1/0"]] {
            let mut attacker = Raw::app(proxy.address());
            attacker.send(&[one(&set), flush()].concat());
            attacker.until(b"CE");
            for sql in &rest {
                attacker.send(&[one(sql), flush()].concat());
                attacker.until(b"CE");
            }
            attacker.send(&sync());
            assert_eq!(attacker.answer().status(), 'I');
            assert_eq!(row(&mut neighbour, STATE), before, "{set}, {rest:?}");
            // Its own are not lost, unless an error took them back.
            let own = row(&mut attacker, STATE);
            assert_eq!(own == before, rest == ["select 1/0"], "{set}, {rest:?}: {own}");
        }
    }
}

#[test]
fn a_setting_whose_reset_is_taken_back_does_not_reach_a_neighbour() {
    let proxy = proxy(ONE);
    wait_both(&proxy);
    let mut neighbour = Raw::app(proxy.address());
    let before = row(&mut neighbour, STATE);
    for (set, reset) in [("set work_mem = '7MB'", "reset work_mem"), ("set app.x = 'theirs'", "reset app.x")]
    {
        let mut attacker = Raw::app(proxy.address());
        attacker.ok(set);
        let own = row(&mut attacker, STATE);
        assert_ne!(own, before, "{set}");
        let pipeline = [parse("", reset), bind("", "", &[]), execute(""), parse("", "select 1/0")].concat();
        let in_a_text = format!("{reset}; select 1/0");
        attacker.send(&query(&in_a_text));
        assert_eq!(attacker.answer().status(), 'I');
        assert_eq!(row(&mut neighbour, STATE), before, "{in_a_text}");
        assert_eq!(row(&mut attacker, STATE), own, "{in_a_text}: it has failed");
        attacker.send(&[pipeline, bind("", "", &[]), execute(""), sync()].concat());
        assert_eq!(attacker.answer().status(), 'I');
        assert_eq!(row(&mut neighbour, STATE), before, "{reset}, in a pipeline");
        assert_eq!(row(&mut attacker, STATE), own, "{reset}, in a pipeline: it has failed");
    }
}
