//! The operator's rules about statements: whom they hold for, and what goes before them.

use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::{Raw, bind, execute, parse, sync};
use super::{counts, schema, shared, since, wait_open};

/// A schema with a table and a function that only reads, though nothing says so.
fn filled() -> String {
    let schema = schema();
    let sql = format!(
        "create table {schema}.t (id int, name text); \
         create function {schema}.peek() returns bigint language sql volatile as 'select count(*) from {schema}.t'; \
         grant all on schema {schema} to app; grant all on all tables in schema {schema} to app"
    );
    shared().primary().psql(&sql).unwrap();
    shared().wait_caught_up().unwrap();
    schema
}

/// A proxy in front of the shared cluster with these rules in its file.
fn ruled(rules: &str) -> RunningProxy {
    let cluster = shared();
    let nodes: Vec<_> = cluster.replicas().iter().chain([cluster.primary()]).map(|n| n.port()).collect();
    let nodes: Vec<_> = nodes.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
    let rules = rules.replace("[rule]", "[[database.app.rule]]");
    let text =
        format!("[database.app]\nnodes = [{}]\nuser.app.password = 'secret'\n{rules}", nodes.join(", "));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidegate.toml");
    std::fs::write(&file, text).unwrap();
    Tidegate::bare().args(["--config", file.to_str().unwrap()]).start()
}

/// Where one statement goes, by the simple protocol or the extended one.
#[track_caller]
fn went(proxy: &RunningProxy, raw: &mut Raw, sql: &str, extended: bool) -> String {
    let before = counts(proxy);
    let answer = if extended { raw.extended(sql, &[]) } else { raw.query(sql) };
    answer.ok();
    since(proxy, &before).join(" ")
}

#[test]
fn a_rule_is_for_a_user_under_a_name() {
    let proxy = ruled(
        "[rule]\nuser = 'nobody'\nintent = 'primary'\n\
         [rule]\nuser = 'app'\napplication_name = 'report*'\nconsistency = 'eventual'\n\
         [rule]\nuser = ['app', 'nobody']\napplication_name = 'ledger'\nintent = 'primary'\n\
         [rule]\napplication_name = 'ledger'\nintent = 'replica'\nconsistency = 'eventual'\n",
    );
    wait_open(&proxy);
    for extended in [false, true] {
        let mut raw = Raw::app(proxy.address());
        for (name, expected) in [
            ("", "replica:fresh"),
            ("report", "replica:eventual"),
            ("reporting 7", "replica:eventual"),
            ("my report", "replica:fresh"),
            ("ledger", "primary:intent_primary"),
            ("ledger 2", "replica:fresh"),
        ] {
            let mut other = Raw::app_with(proxy.address(), &[("application_name", name)]);
            assert_eq!(went(&proxy, &mut other, "select 1", extended), expected, "{name}, from the start");
            raw.ok(&format!("set application_name = '{name}'"));
            assert_eq!(went(&proxy, &mut raw, "select 1", extended), expected, "{name}, by SET");
        }
        raw.ok("begin; set application_name = 'ledger'; rollback");
        wait_open(&proxy);
        assert_eq!(went(&proxy, &mut raw, "select 1", extended), "replica:fresh", "rolled back");
        raw.ok("set application_name = 'ledger'; reset all");
        assert_eq!(went(&proxy, &mut raw, "select 1", extended), "replica:fresh", "reset");
    }
}

#[test]
fn a_rule_is_about_every_statement_of_a_shape() {
    let schema = filled();
    let proxy = ruled(&format!(
        "[rule]\nstatement = ['select * from {schema}.t where id = 1;', 'select name from {schema}.t where id = $1']\n\
         intent = 'primary'\n\
         [rule]\nstatement = 'select id from {schema}.t where id = 1'\nuser = 'nobody'\nintent = 'primary'\n"
    ));
    wait_open(&proxy);
    let mut raw = Raw::app(proxy.address());
    for extended in [false, true] {
        for (sql, expected) in [
            ("select * from {s}.t where id = 1", "primary:intent_primary"),
            ("SELECT *\n  FROM {s}.t -- all of it\n WHERE id=77", "primary:intent_primary"),
            ("select * from {s}.t where id = 3;", "primary:intent_primary"),
            ("select * from {s}.t where id = 'x'::text::int", "replica:fresh"),
            ("select * from {s}.t where id = 1 and true", "replica:fresh"),
            ("select id from {s}.t where id = 1", "replica:fresh"),
        ] {
            let sql = sql.replace("{s}", &schema).replace("'x'", "'1'");
            assert_eq!(went(&proxy, &mut raw, &sql, extended), expected, "{sql} (extended: {extended})");
        }
    }
    raw.send(&[parse("by_id", &format!("select name from {schema}.t where id = $1")), sync()].concat());
    raw.answer().ok();
    for id in ["1", "2"] {
        let before = counts(&proxy);
        raw.send(&[bind("", "by_id", &[id]), execute(""), sync()].concat());
        raw.answer().ok();
        assert_eq!(since(&proxy, &before), ["primary:intent_primary"]);
    }
}

#[test]
fn hints_and_settings_go_before_rules() {
    let proxy = ruled(
        "[rule]\nstatement = 'select 1'\nintent = 'primary'\n\
         [rule]\nuser = 'app'\nconsistency = 'primary'\n\
         [rule]\nstatement = 'select 1, 2'\nconsistency = 'eventual'\n",
    );
    let mut raw = Raw::app(proxy.address());
    raw.ok("set tidegate.consistency = 'session'");
    super::support::wait_until("replicas serve", || {
        went(&proxy, &mut raw, "select 2, 3, 4", false) == "replica:fresh"
    });
    raw.ok("reset tidegate.consistency");
    for extended in [false, true] {
        for (first, sql, expected) in [
            ("", "select 1", "primary:intent_primary"),
            // Of two rules that ask for a level, the first counts.
            ("", "select 1, 2", "primary:level_primary"),
            ("", "select 1, 2 /* tidegate: consistency=eventual */", "replica:eventual"),
            ("", "select 1 /* tidegate: intent=replica */", "primary:level_primary"),
            ("", "select 1 /* tidegate: intent=replica, consistency=session */", "replica:intent_replica"),
            ("set tidegate.intent = 'replica'", "select 1", "primary:level_primary"),
            ("set tidegate.consistency = 'eventual'", "select 1", "primary:intent_primary"),
            ("set tidegate.consistency = 'eventual'", "select 1, 2, 3", "replica:eventual"),
            (
                "set tidegate.intent = 'replica'; set tidegate.consistency = 'session'",
                "select 1",
                "replica:intent_replica",
            ),
        ] {
            raw.ok(&format!("reset tidegate.intent; reset tidegate.consistency; {first}"));
            assert_eq!(
                went(&proxy, &mut raw, sql, extended),
                expected,
                "{first}; {sql} (extended: {extended})"
            );
        }
    }
    let start = [("options", "-c tidegate.intent=replica -c tidegate.consistency=session")];
    let mut raw = Raw::app_with(proxy.address(), &start);
    assert_eq!(went(&proxy, &mut raw, "select 1", false), "replica:intent_replica", "start-up options");
}

#[test]
fn a_rule_vouches_as_a_hint_does() {
    let schema = filled();
    let proxy = ruled(&format!(
        "[rule]\nstatement = ['do $$ begin perform 1; end $$', 'insert into {schema}.t values (1)', \
         'select pg_advisory_lock(1)', 'select {schema}.peek()']\nintent = 'replica'\n"
    ));
    wait_open(&proxy);
    for extended in [false, true] {
        for (sql, expected) in [
            ("do $$ begin perform 1; end $$", "replica:intent_replica"),
            ("do $$ begin perform 2; end $$", "primary:unknown"),
            ("select {s}.peek()", "replica:intent_replica"),
            ("insert into {s}.t values (2)", "primary:write"),
            ("select pg_advisory_lock(3)", "primary:unknown"),
        ] {
            let mut raw = Raw::app(proxy.address());
            wait_open(&proxy);
            let sql = sql.replace("{s}", &schema);
            let seen = went(&proxy, &mut raw, &sql, extended);
            assert_eq!(seen, expected, "{sql} (extended: {extended})");
        }
    }
}
