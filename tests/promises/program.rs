//! The program around the proxy: `check`, refusals to start, the admin address, logs.

use std::process::{Command, Output};

use tidegate::local::{LocalCluster, Login, StopMode};

use super::support::proxy::Tidegate;
use super::support::raw::Raw;
use super::{label, own, proxy, shared, support, wait_both};

fn tidegate(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.env_clear().args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs `tidegate check` for a cluster, with parameters in its URL.
fn check(cluster: &LocalCluster, primary_url: &str) -> (i32, String, String) {
    let replicas: Vec<_> = cluster.replicas().iter().map(|r| r.url(Login::App)).collect();
    let mut args = vec!["check", "--primary", primary_url];
    replicas.iter().for_each(|url| args.extend(["--replica", url]));
    let output = tidegate(&args);
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn check_says_what_is_there() {
    let (code, out, err) = check(shared(), &shared().url(Login::App));
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let lines = |word: &str| out.lines().filter(|line| line.contains(word)).count();
    assert_eq!((lines("  primary, PostgreSQL "), lines("  replica, PostgreSQL ")), (1, 2), "{out}");
    assert!(out.lines().last().unwrap().starts_with("ok"), "{out}");
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", shared().primary().port(), shared().replica(0).port());
    let output = tidegate(&["check", "--url", &format!("postgres://app:sesame@{hosts}/app")]);
    assert_ne!(output.status.code(), Some(0));
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(err.contains("password authentication failed"), "{out}{err}");
    assert!(!format!("{out}{err}").contains("sesame"), "{out}{err}");
}

#[test]
fn nodes_that_are_down_keep_nothing_from_starting_but_two_primaries_do() {
    let cluster = own(&support::options());
    cluster.replica(0).stop(StopMode::Immediate).unwrap();
    let (code, out, err) = check(&cluster, &cluster.url(Login::App));
    assert_eq!(code, 0, "{out}{err}");
    let down = format!("127.0.0.1:{}", cluster.replica(0).port());
    assert!(out.lines().any(|line| line.contains(&down) && line.contains("down")), "{out}");
    // It starts degraded, and takes the node in when it is there.
    let proxy = Tidegate::before(&cluster).start();
    let mut raw = Raw::app(proxy.address());
    assert_eq!(raw.ok("select 1").value(), "1");
    assert!(proxy.stderr().contains(&down), "{}", proxy.stderr());
    cluster.replica(0).start().unwrap();
    wait_both(&proxy);
    // No primary: not ready, but alive, and reads go on.
    assert!(support::metrics::get(proxy.admin(), "/readyz").0.contains(" 200 "));
    cluster.primary().kill().unwrap();
    support::wait_until("it is not ready", || {
        support::metrics::get(proxy.admin(), "/readyz").0.contains(" 503 ")
    });
    assert!(support::metrics::get(proxy.admin(), "/healthz").0.contains(" 200 "));
    let replica = raw.ok(super::WHERE).value();
    assert!(replica.starts_with('r'), "{replica}");
    assert_eq!(Raw::app(proxy.address()).ok("select 1").value(), "1", "clients can log in without a primary");
    cluster.primary().start().unwrap();
    support::wait_until("it is ready again", || {
        support::metrics::get(proxy.admin(), "/readyz").0.contains(" 200 ")
    });
    raw.ok("begin; select 1; commit");
    drop(proxy);
    // Two primaries.
    cluster.replica(0).promote().unwrap();
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", cluster.primary().port(), cluster.replica(0).port());
    let url = format!("postgres://app:secret@{hosts}/app");
    let output = tidegate(&["check", "--url", &url]);
    assert_ne!(output.status.code(), Some(0));
    assert!(text(&output.stderr).contains("are all primaries"), "{}", text(&output.stderr));
}

#[test]
fn what_cannot_run_does_not_start() {
    let nobody = "postgres://app:secret@127.0.0.1:1/app?tidegate_startup_timeout=1";
    let output = tidegate(&["run", "--url", nobody, "--listen", "127.0.0.1:0", "--admin", "off"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("127.0.0.1:1"), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains("secret"), "{}", text(&output.stderr));
    assert_ne!(tidegate(&["check", "--url", nobody]).status.code(), Some(0));
    let proxy = proxy("");
    let url = shared().url(Login::App);
    for (flag, taken) in
        [("--listen", proxy.address()), ("--admin", proxy.admin()), ("--listen", proxy.admin())]
    {
        let other = if flag == "--listen" { "--admin" } else { "--listen" };
        let output = tidegate(&["run", "--url", &url, flag, &taken.to_string(), other, "127.0.0.1:0"]);
        assert_eq!(output.status.code(), Some(2), "{flag}");
        assert!(text(&output.stderr).contains(&taken.to_string()), "{}", text(&output.stderr));
    }
}

#[test]
fn metrics_tell_what_happens() {
    let proxy = proxy("");
    wait_both(&proxy);
    let mut raw = Raw::app(proxy.address());
    raw.query("select 1/0");
    let (head, body) = support::metrics::get(proxy.admin(), "/metrics");
    assert!(head.to_lowercase().contains("content-type: text/plain"), "{head}");
    for name in [
        "tidegate_statements_total",
        "tidegate_transactions_total",
        "tidegate_connections_total",
        "tidegate_logins_total",
        "tidegate_clients",
        "tidegate_node_up",
        "tidegate_replica_staleness_seconds",
        "tidegate_pool_connections",
        "tidegate_server_errors_total",
    ] {
        assert!(body.contains(&format!("# TYPE {name} ")), "{name} is missing:\n{body}");
    }
    assert!(proxy.metric("tidegate_server_errors_total", &["class=\"22\""]) >= 1.0, "{body}");
    assert!(proxy.metric("tidegate_node_up", &[&label(shared().primary()), "role=\"primary\""]) > 0.5);
    let stale = proxy.metric("tidegate_replica_staleness_seconds", &[&label(shared().replica(0))]);
    assert!((0.0..5.0).contains(&stale), "{stale}");
    let (head, body) = support::metrics::get(proxy.admin(), "/healthz");
    assert!(head.contains(" 200 ") && body.contains("ok"), "{head}");
    assert!(support::metrics::get(proxy.admin(), "/nothing").0.contains(" 404 "));
}

#[test]
fn logs_are_quiet_and_keep_secrets() {
    let secret = "hunter2literal";
    let work = |raw: &mut Raw| {
        let s = super::schema();
        raw.ok(&format!("create table {s}.t (n text primary key)"));
        raw.ok(&format!("insert into {s}.t values ('{secret}')"));
        assert_eq!(raw.query(&format!("insert into {s}.t values ('{secret}')")).code(), "23505");
        assert_eq!(raw.query(&format!("select '{secret}'::int")).code(), "22P02");
        assert_eq!(
            raw.extended(&format!("select * from {s}.t where n = $1 and '{secret}' <> ''"), &[secret])
                .rows()
                .len(),
            1
        );
        assert_eq!(raw.extended("select $1::int", &[secret]).code(), "22P02");
        assert_eq!(raw.query(&format!("selec '{secret}'")).code(), "42601");
        assert_eq!(raw.query(&format!("select '{secret}")).code(), "42601");
        raw.ok(&format!("set app.password = '{secret}'"));
        raw.ok("select 1");
        assert_eq!(raw.query(&format!("set app.password = '{secret}' nonsense")).code(), "42601");
    };
    let nodes = shared().replicas().iter().chain([shared().primary()]);
    let hosts: Vec<_> = nodes.map(|node| format!("127.0.0.1:{}", node.port())).collect();
    let url = format!("postgres://app:secret@{}/app", hosts.join(","));
    let quiet = Tidegate::bare().env("DATABASE_URL", &url).start();
    wait_both(&quiet);
    let mut raw = Raw::app(quiet.address());
    raw.ok("select 1; begin; select 2; commit");
    raw.query("select 1/0");
    raw.terminate();
    assert_eq!(quiet.stderr(), "", "the default is to say nothing while nothing is wrong");
    for level in ["debug", "trace"] {
        let loud = Tidegate::tuned(shared(), "").args(["--log", level]).start();
        wait_both(&loud);
        work(&mut Raw::app(loud.address()));
        let wrong = [("user", "app"), ("database", "app")];
        assert!(Raw::log_in(loud.address(), super::support::raw::V3_0, &wrong, "wrongpassword").is_err());
        support::wait_until("the refusal is logged", || loud.stderr().contains("login refused"));
        let log = loud.stderr();
        for word in [secret, "app:secret", "\"secret\"", "wrongpassword"] {
            let found: Vec<_> = log.lines().filter(|line| line.contains(word)).take(5).collect();
            assert!(found.is_empty(), "{word} at {level}: {found:#?}");
        }
    }
}

#[test]
fn explain_says_where_a_statement_would_go() {
    let schema = super::schema();
    let objects = format!(
        "set role app; create table {schema}.t (n int);
         create function {schema}.f() returns int language plpgsql as 'begin return 1; end'"
    );
    shared().primary().psql(&objects).unwrap();
    shared().wait_caught_up().unwrap();
    let urls: Vec<_> = shared().replicas().iter().map(|r| r.url(Login::App)).collect();
    let primary = shared().url(Login::App);
    let explain = |sql: &str| {
        let output =
            tidegate(&["explain", sql, "--primary", &primary, "--replica", &urls[0], "--replica", &urls[1]]);
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    let (code, out, err) = explain(&format!("select n from {schema}.t where n = $1"));
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(
        out.starts_with("to: replica 127.0.0.1:") && out.contains(&format!("reads: {schema}.t")),
        "{out}"
    );
    let (code, out, _) = explain(&format!("select {schema}.f()"));
    assert_eq!(code, 0);
    assert!(out.contains(&format!("function {schema}.f() is VOLATILE")), "{out}");
    let (code, _, err) = explain("selec 1");
    assert!(code == 1 && err.contains("syntax error"), "{err}");
    // Without a database, by the text alone.
    let output = tidegate(&["explain", "select a.g(1) from b.c"]);
    let out = text(&output.stdout);
    assert!(
        output.status.success()
            && out.contains("calls a.g(), which is not known")
            && out.contains("reads b.c"),
        "{out}"
    );
    assert_eq!(tidegate(&["explain", "selec"]).status.code(), Some(1));
}

#[test]
fn reports_tell_what_keeps_reads_from_replicas_and_what_was_learned() {
    let s = super::schema();
    shared()
        .primary()
        .psql(&format!(
            "set role app; set search_path = {s}; create table log (n int);
             create function slow() returns int language plpgsql as 'begin return 7; end';
             create function liar() returns int language sql as 'insert into {s}.log values (1) returning n';
             comment on function liar() is 'tidegate: read'"
        ))
        .unwrap();
    shared().wait_caught_up().unwrap();
    let proxy = proxy("tidegate_mode=observe");
    let routing = super::proxy("");
    let ask = |proxy: &super::RunningProxy, args: &[&str]| {
        let admin = proxy.admin().to_string();
        let output = tidegate(&[args, &["--admin", &admin]].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let mut raw = Raw::app(proxy.address());
    for _ in 0..3 {
        raw.ok(&format!("select {s}.slow() as n, 'secret'"));
    }
    support::wait_until("replicas are fresh", || {
        raw.ok("select 1");
        ask(&proxy, &["report"]).contains("fresh: a read")
    });
    let report = ask(&proxy, &["report"]);
    for part in [
        "(mode observe)",
        "would go to replicas: ",
        &format!("function {s}.slow() is VOLATILE"),
        "for example: select",
    ] {
        assert!(report.contains(part), "{part} is not in\n{report}");
    }
    assert!(!report.contains("secret"), "{report}");
    assert!(proxy.metric("tidegate_decisions_total", &["reason=\"unknown\""]) >= 3.0);
    assert!(proxy.metric("tidegate_catalog_objects", &[]) > 3.0);
    // What replicas have refused is learned, shown, and can be forgotten.
    assert!(ask(&routing, &["learned"]).starts_with("nothing"));
    super::wait_open(&routing);
    Raw::app(routing.address()).ok(&format!("select {s}.liar()"));
    assert_eq!(ask(&routing, &["learned"]), format!("select {s}.liar()\n"));
    assert_eq!(ask(&routing, &["learned", "--clear"]), "1 forgotten\n");
    assert!(ask(&routing, &["learned"]).starts_with("nothing"));
    let refused = tidegate(&["report", "--admin", "127.0.0.1:1"]);
    assert!(refused.status.code() == Some(1) && text(&refused.stderr).contains("cannot be asked"));
}
