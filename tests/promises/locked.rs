//! Settings `tidegate.…` that the operator has locked are the operator's, whatever a client says.

use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::{Message, Raw, V3_0, bind, execute, parse, sync};
use super::support::wait_until;
use super::{WHERE, counts, role, shared, since, wait_open};

/// The lines of a file about the database of the shared cluster, and what else it says.
fn file(more: &str) -> String {
    let cluster = shared();
    let nodes = cluster.replicas().iter().chain([cluster.primary()]);
    let nodes: Vec<_> = nodes.map(|node| format!("\"127.0.0.1:{}\"", node.port())).collect();
    format!(
        "[database.app]\nnodes = [{}]\nclient_auth = 'trust'\nuser.app.password = 'secret'\n{more}",
        nodes.join(", ")
    )
}

/// A proxy that goes by a file, and the file.
fn start(more: &str) -> (RunningProxy, std::path::PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidegate.toml");
    std::fs::write(&path, file(more)).unwrap();
    let proxy = Tidegate::bare().args(["--log", "info", "--config", path.to_str().unwrap()]).start();
    (proxy, path, folder)
}

/// A proxy at which reads stay on the primary, and nobody changes that.
const PRIMARY: &str = "consistency = 'primary'\n\
                       locked_settings = ['intent', 'consistency', 'scope', 'key', 'on_stale']\n";

fn went(proxy: &RunningProxy, raw: &mut Raw, sql: &str) -> String {
    let before = counts(proxy);
    raw.ok(sql);
    since(proxy, &before).join(" ")
}

fn log_in(proxy: &RunningProxy, options: &str) -> Result<Raw, Message> {
    let parameters = [("user", "app"), ("database", "app"), ("options", options)];
    Raw::log_in(proxy.address(), V3_0, &parameters, "secret")
}

#[test]
fn a_client_cannot_change_a_locked_setting() {
    let (proxy, ..) = start(PRIMARY);
    let mut raw = Raw::app(proxy.address());
    for (name, value) in [
        ("consistency", "eventual"),
        ("consistency", "strong"),
        ("intent", "replica"),
        ("scope", "connection"),
        ("key", "a"),
        ("on_stale", "error"),
    ] {
        let set = format!("set tidegate.{name} = '{value}'");
        for sql in [
            set.clone(),
            format!("set local tidegate.{name} = '{value}'"),
            format!("SET SESSION \"tidegate\".\"{name}\" TO '{value}'"),
            format!("set Tidegate.{} = '{value}'", name.to_uppercase()),
            format!("select 1; {set}"),
            format!("begin; {set}; commit"),
            format!("select set_config('tidegate.{name}', '{value}', false)"),
            format!("select set_config('TIDEGATE.{name}', '{value}', true)"),
            format!("select 1 where set_config('tidegate.{name}', '{value}', false) is null"),
        ] {
            let answer = raw.query(&sql);
            let (code, text) = answer.error().unwrap_or_else(|| panic!("{sql}: {answer:?}"));
            assert_eq!(code, "42501", "{sql}: {text}");
            assert!(text.contains(&format!("tidegate.{name}")) && text.contains("locked"), "{text}");
            assert_eq!(answer.status(), 'I', "{sql}");
        }
        assert_eq!(raw.extended(&set, &[]).code(), "42501");
        assert_eq!(
            raw.extended("select set_config('tidegate.consistency', $1, false)", &["eventual"]).code(),
            "42501"
        );
        // Prepared by protocol and run by its name in SQL.
        raw.send(&[parse("s", &set), sync()].concat());
        raw.answer().ok();
        assert_eq!(raw.query("execute s").code(), "42501");
        raw.ok("deallocate s");
        // In a transaction it fails as any statement does.
        raw.ok("begin");
        assert_eq!(raw.query(&set).code(), "42501");
        assert_eq!(raw.query("select 1").code(), "25P02");
        raw.ok("rollback");
    }
    assert_eq!(went(&proxy, &mut raw, "select 1"), "primary:level_primary");
    assert!(proxy.metric("tidegate_proxy_errors_total", &["sqlstate=\"42501\""]) > 50.0);
    // Behind a statement of a pipeline the rest is skipped.
    let messages = [
        parse("", "select 1"),
        bind("", "", &[]),
        execute(""),
        parse("", "set tidegate.consistency = 'eventual'"),
        bind("", "", &[]),
        execute(""),
        sync(),
    ];
    raw.send(&messages.concat());
    assert_eq!(raw.answer().code(), "42501");
    assert_eq!(raw.ok("show tidegate.consistency").value(), "primary");
}

#[test]
fn its_own_value_and_the_default_are_no_change() {
    let (proxy, ..) =
        start("consistency = 'strong'\non_stale = 'wait(5ms)'\nlocked_settings = 'consistency, on_stale'\n");
    let mut raw = Raw::app(proxy.address());
    for sql in [
        "set tidegate.consistency = 'STRONG'",
        "set local tidegate.on_stale = 'wait(5ms)'",
        "reset tidegate.consistency",
        "set tidegate.consistency to default",
        "begin; reset tidegate.consistency; commit",
        "select set_config('tidegate.consistency', null, false)",
        "reset all",
        "discard all",
        // What is not locked.
        "set tidegate.scope = 'connection'",
        "set tidegate.intent = 'primary'",
        "set tidegate.trace = off",
        "set tidegate.after = ''",
    ] {
        raw.ok(sql);
        assert_eq!(raw.ok("show tidegate.consistency").value(), "strong", "{sql}");
        assert_eq!(raw.ok("show tidegate.on_stale").value(), "wait(5ms)", "{sql}");
    }
    assert_eq!(raw.ok("show tidegate.scope").value(), "connection");
    // What is no value is that first.
    assert_eq!(raw.query("set tidegate.consistency = 'strict'").code(), "22023");
    log_in(&proxy, "-c tidegate.consistency=strong").map(drop).unwrap();
    log_in(&proxy, "-c tidegate.scope=client").map(drop).unwrap();
}

#[test]
fn start_up_options_against_a_lock_end_the_login() {
    let (proxy, ..) = start(PRIMARY);
    for options in ["-c tidegate.consistency=eventual", "--tidegate.Scope=client", "-ctidegate.key=a"] {
        for _ in 0..2 {
            let error = log_in(&proxy, options).err().unwrap_or_else(|| panic!("{options} is accepted"));
            assert_eq!(error.field(b'C').as_deref(), Some("42501"), "{error:?}");
            assert_eq!(error.field(b'V').as_deref(), Some("FATAL"), "{error:?}");
            assert!(error.field(b'M').unwrap().contains("tidegate."), "{error:?}");
        }
    }
    wait_until("nobody is left", || proxy.metric("tidegate_clients", &[]) < 0.5);
}

#[test]
fn a_value_set_out_of_sight_has_no_effect() {
    let (proxy, ..) = start(PRIMARY);
    let mut raw = Raw::app(proxy.address());
    for sql in [
        "do $$ begin perform set_config('tidegate.consistency', 'eventual', false); end $$",
        "do $$ begin set tidegate.intent = 'replica'; set tidegate.key = 'a'; set tidegate.scope = 'key'; end $$",
        "select set_config('tidegate.' || 'consistency', 'eventual', false)",
        "prepare p as select set_config('tidegate.consistency', 'eventual', false)",
        "execute p",
        "deallocate all",
        "select query_to_xml('select set_config(''tidegate.consistency'', ''eventual'', false)', true, true, '')",
    ] {
        raw.ok(sql);
        assert_eq!(raw.ok("show tidegate.consistency").value(), "primary", "{sql}");
        assert_eq!(raw.ok("show tidegate.scope").value(), "database", "{sql}");
        assert_eq!(raw.ok("show tidegate.key").value(), "", "{sql}");
        assert_eq!(raw.ok("show tidegate.intent").value(), "", "{sql}");
        assert_eq!(raw.ok(WHERE).value(), "primary", "{sql}");
    }
    // By a large parameter, whose statement is looked at and whose value is not.
    let long = "eventual".to_owned() + &" ".repeat(300_000);
    raw.extended("select length(set_config('tidegate.consistency', $1, false))", &[&long]);
    assert_eq!(raw.ok("show tidegate.consistency").value(), "primary");
    // In an open transaction, too.
    raw.ok("begin");
    raw.ok("do $$ begin perform set_config('tidegate.consistency', 'eventual', true); end $$");
    assert_eq!(raw.ok("show tidegate.consistency").value(), "primary");
    raw.ok("commit");
}

#[test]
fn a_default_of_the_role_has_no_effect() {
    let user = role();
    let sql = format!(
        "alter role {user} set tidegate.consistency = 'eventual'; alter role {user} set tidegate.intent = 'replica'"
    );
    shared().primary().psql(&sql).unwrap();
    shared().wait_caught_up().unwrap();
    let (proxy, ..) = start(&format!("{PRIMARY}user.{user}.password = 'secret'\n"));
    let parameters = [("user", user.as_str()), ("database", "app")];
    let mut raw = Raw::log_in(proxy.address(), V3_0, &parameters, "secret").unwrap();
    for sql in ["select 1", "set app.x = '1'", "reset tidegate.consistency", "reset all", "set app.x = '2'"] {
        raw.ok(sql);
        assert_eq!(raw.ok("show tidegate.consistency").value(), "primary", "{sql}");
        assert_eq!(raw.ok(WHERE).value(), "primary", "{sql}");
    }
}

#[test]
fn a_hint_about_a_locked_setting_is_ignored_and_counted() {
    let (proxy, ..) = start(PRIMARY);
    let mut raw = Raw::app(proxy.address());
    let ignored = || proxy.metric("tidegate_hints_ignored_total", &[]);
    let mut before = ignored();
    for hint in [
        "/* tidegate: consistency=eventual */",
        "/* tidegate: intent=replica, consistency=eventual */",
        "/* tidegate: key=a, scope=key */",
        "/*consistency='eventual'*/",
    ] {
        assert_eq!(went(&proxy, &mut raw, &format!("select 1 {hint}")), "primary:level_primary", "{hint}");
        let sql = format!("select 2 {hint}");
        raw.extended(&sql, &[]).ok();
        let now = ignored();
        assert!((now - before - 2.0).abs() < 0.5, "{hint}: {before} {now}");
        before = now;
    }
    // Others are none of its business.
    raw.ok("select 1 /*traceparent='00-1'*/");
    raw.ok("select 1");
    assert!((ignored() - before).abs() < 0.5);
    // In a READ ONLY transaction: its BEGIN would go to a replica.
    raw.ok("begin read only /* tidegate: consistency=eventual */");
    assert_eq!(raw.ok(WHERE).value(), "primary");
    raw.ok("commit");
}

#[test]
fn a_key_does_not_change_a_locked_scope() {
    let (proxy, ..) = start("scope = 'database'\nlocked_settings = ['scope']\n");
    let mut raw = Raw::app(proxy.address());
    raw.ok("set tidegate.key = 'a'");
    assert_eq!(raw.ok("show tidegate.scope").value(), "database");
    let explained = raw.ok("explain (route) select 1 /* tidegate: key=b */");
    let lines: Vec<_> = explained.rows().into_iter().flatten().flatten().collect();
    assert!(!lines.concat().contains("scope key") && !lines.concat().contains("scope=key"), "{lines:?}");
}

#[test]
fn a_lock_can_be_a_users() {
    let user = role();
    let (proxy, ..) = start(&format!(
        "locked_settings = ['consistency']\nuser.{user} = {{ password = 'secret', locked_settings = [] }}\n"
    ));
    let mut raw = Raw::app(proxy.address());
    assert_eq!(raw.query("set tidegate.consistency = 'eventual'").code(), "42501");
    let parameters = [("user", user.as_str()), ("database", "app")];
    let mut free = Raw::log_in(proxy.address(), V3_0, &parameters, "secret").unwrap();
    free.ok("set tidegate.consistency = 'eventual'");
    assert_eq!(free.ok("show tidegate.consistency").value(), "eventual");
}

#[test]
fn a_reload_locks_what_is_set_already_and_unlocks_it() {
    let (proxy, path, _folder) = start("");
    wait_open(&proxy);
    let mut raw = Raw::app_with(proxy.address(), &[("options", "-c tidegate.scope=connection")]);
    raw.ok("set tidegate.consistency = 'eventual'");
    assert_eq!(went(&proxy, &mut raw, "select 1"), "replica:eventual");
    let reload = |more: &str| {
        let said = || proxy.stderr().lines().filter(|line| line.contains("configuration")).count();
        let before = said();
        std::fs::write(&path, file(more)).unwrap();
        proxy.signal("HUP");
        wait_until("the configuration is read again", || said() > before);
    };
    reload(PRIMARY);
    assert!(proxy.stderr().contains("database app: changed"), "{}", proxy.stderr());
    assert_eq!(went(&proxy, &mut raw, "select 1"), "primary:level_primary");
    assert_eq!(raw.ok("show tidegate.scope").value(), "database");
    assert_eq!(raw.query("set tidegate.consistency = 'eventual'").code(), "42501");
    assert!(log_in(&proxy, "-c tidegate.scope=connection").is_err());
    reload("");
    assert_eq!(went(&proxy, &mut raw, "select 1"), "replica:eventual");
    assert_eq!(raw.ok("show tidegate.scope").value(), "connection");
    log_in(&proxy, "-c tidegate.scope=connection").map(drop).unwrap();
}
