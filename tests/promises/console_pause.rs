//! Who waits for whom at the console's word, and what goes on meanwhile.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::console::{Nodes, cell, console, ended, name, send, table, wait_waiting, with_console};
use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::{Raw, V3_0, query};
use super::{schema, shared, support, wait_both};

const PRIMARY: &str = "/* tidegate: intent=primary */";

struct Pgbench(Child);

impl Pgbench {
    /// Reads and writes for some seconds, as `name`.
    fn start(proxy: &RunningProxy, schema: &str, name: &str, seconds: u32) -> Self {
        let script = format!(
            "select count(*) from {schema}.t where n < 10;\ninsert into {schema}.t values (1);\n\
             begin;\nselect 1;\nupdate {schema}.u set n = n + 1 where id = 1 + :client_id;\ncommit;\n"
        );
        let folder = shared().folder().join(format!("{name}.sql"));
        std::fs::write(&folder, script).unwrap();
        let child = Command::new(shared().bin().program("pgbench"))
            .args(["-n", "-c", "8", "-T", &seconds.to_string(), "-f", folder.to_str().unwrap()])
            .args(["-h", "127.0.0.1", "-p", &proxy.address().port().to_string(), "-U", "app", "app"])
            .envs([("PGPASSWORD", "secret"), ("PGAPPNAME", name)])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Its transactions; none failed.
    fn finish(self) -> u64 {
        let output = self.0.wait_with_output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{out}\n{err}");
        assert!(!err.contains("ERROR") && !err.contains("abort"), "{err}");
        let line =
            out.lines().find_map(|line| line.strip_prefix("number of transactions actually processed: "));
        line.unwrap_or_else(|| panic!("{out}")).split('/').next().unwrap().trim().parse().unwrap()
    }
}

#[test]
fn a_pause_under_load_fails_nothing_and_leaves_no_server_connection() {
    let (schema, name) = (schema(), name());
    let objects = format!(
        "create table {schema}.t (n int); create table {schema}.u (id int primary key, n int);
         insert into {schema}.u select i, 0 from generate_series(1, 8) i; grant all on all tables in schema {schema} to app"
    );
    shared().primary().psql(&objects).unwrap();
    shared().wait_caught_up().unwrap();
    let proxy = with_console("tidegate_min_connections=1");
    wait_both(&proxy);
    let mut ops = console(&proxy);
    let mut nodes = Nodes::new();
    let written = format!("select count(*) from {schema}.t");
    let load = Pgbench::start(&proxy, &schema, &name, 8);
    support::wait_until("there is load", || nodes.named(&name) > 3);
    let mut longest = Duration::ZERO;
    for round in 0..5 {
        let before = nodes.value(&written);
        support::wait_until("the load goes on", || nodes.value(&written) != before);
        let begun = Instant::now();
        ops.ok("pause app");
        longest = longest.max(begun.elapsed());
        // The proxy has closed them; the servers' processes end a moment later.
        support::wait_until("no connection is left", || nodes.named(&name) == 0);
        let pools = table(&ops.ok("show pools"));
        assert!(pools.iter().all(|pool| pool["sv_active"] == "0" && pool["sv_idle"] == "0"), "{pools:?}");
        let at_pause = nodes.value(&written);
        // Statements that come now wait: nothing reaches a server, however often it is looked.
        for _ in 0..20 {
            assert_eq!(nodes.named(&name), 0);
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(nodes.value(&written), at_pause);
        // Those of pgbench that have not come to it yet do so in a moment.
        support::wait_until(&format!("all wait in round {round}"), || {
            table(&ops.ok("show clients")).iter().filter(|row| row["state"] == "waiting").count() == 8
        });
        assert!(proxy.metric("tidegate_database_paused", &["database=\"app\""]) > 0.5);
        ops.ok("resume app");
    }
    let transactions = load.finish();
    println!("{transactions} transactions around 5 pauses, the longest of which took {longest:?} to begin");
    // Each transaction of pgbench has written one row, and added one elsewhere: none was lost or run twice.
    let sums = format!("select (select count(*) from {schema}.t), (select sum(n) from {schema}.u)");
    assert_eq!(shared().primary().psql(&sums).unwrap().trim(), format!("{transactions}|{transactions}"));
    assert!(proxy.metric("tidegate_server_connections_closed_total", &["cause=\"retired\""]) >= 5.0);
}

#[test]
fn a_pause_waits_for_transactions_and_can_be_given_up() {
    let proxy = with_console("connection_limit=2&pool_timeout=1");
    wait_both(&proxy);
    let (mut ops, mut other) = (console(&proxy), console(&proxy));
    let (mut busy, mut idle) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    busy.ok("begin; select 1");
    idle.ok("select 1");
    let pause = |ops: &mut Raw, other: &mut Raw| {
        ops.send(&query("pause app"));
        support::wait_until("it is paused", || {
            cell(other, "show databases", ("name", "app"), "state") == "paused"
        });
    };
    pause(&mut ops, &mut other);
    assert_eq!(other.query("pause app").code(), "55000");
    // A transaction goes on; who has none waits, and longer than for a connection.
    busy.ok("select 1");
    let pid = idle.pid;
    let waiting = send(idle, "select 1");
    wait_waiting(&mut other, pid);
    thread::sleep(Duration::from_millis(1_500));
    busy.ok("select 1");
    busy.ok("commit");
    ops.answer().ok();
    assert!(!waiting.is_finished());
    other.ok("resume");
    let mut idle = waiting.join().unwrap();
    // Cancelled: it is as if it had not been said.
    busy.ok("begin; select 1");
    pause(&mut ops, &mut other);
    let waiting = send(idle, "select 1");
    wait_waiting(&mut other, pid);
    Raw::cancel(proxy.address(), ops.pid, &ops.secret);
    assert_eq!(ops.answer().code(), "57014");
    idle = waiting.join().unwrap();
    // So when who has said it goes away.
    pause(&mut ops, &mut other);
    drop(ops);
    assert_eq!(idle.ok("select 1").value(), "1");
    assert_eq!(cell(&mut other, "show databases", ("name", "app"), "state"), "open");
    // And when somebody resumes it.
    let mut ops = console(&proxy);
    pause(&mut ops, &mut other);
    other.ok("resume app");
    assert_eq!(ops.answer().code(), "55000");
    busy.ok("commit");
}

#[test]
fn a_client_that_gives_up_waiting_is_not_kept_and_its_statement_not_run() {
    let s = schema();
    let proxy = with_console("");
    wait_both(&proxy);
    shared().primary().psql(&format!("set role app; create table {s}.t (n int)")).unwrap();
    let mut ops = console(&proxy);
    let mut client = Raw::app(proxy.address());
    client.ok("select 1");
    ops.ok("pause app");
    client.send(&query(&format!("insert into {s}.t values (1)")));
    wait_waiting(&mut ops, client.pid);
    drop(client);
    support::wait_until("the client is gone", || proxy.metric("tidegate_clients", &[]) < 0.5);
    // A login that must ask a server waits, too.
    let login = thread::spawn({
        let address = proxy.address();
        move || Raw::app_with(address, &[("application_name", "late"), ("extra_float_digits", "2")])
    });
    thread::sleep(Duration::from_millis(100));
    assert!(!login.is_finished());
    ops.ok("resume app");
    let mut late = login.join().unwrap();
    assert_eq!(late.ok(&format!("select count(*) from {s}.t {PRIMARY}")).value(), "0");
    // And is sent away with the others.
    ops.ok("pause app");
    let login = thread::spawn({
        let (address, name) =
            (proxy.address(), [("user", "app"), ("database", "app"), ("extra_float_digits", "0")]);
        move || Raw::log_in(address, V3_0, &name, "secret").err().map(|error| error.field(b'C').unwrap())
    });
    support::wait_until("it waits", || table(&ops.ok("show clients")).len() == 3);
    let begun = Instant::now();
    ops.ok("kill app");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!((login.join().unwrap().as_deref(), ended(&mut late).as_str()), (Some("57P01"), "57P01"));
}

#[test]
fn sessions_that_keep_a_connection_are_waited_for() {
    let proxy = with_console("tidegate_pool_mode=session");
    wait_both(&proxy);
    let (mut ops, mut other) = (console(&proxy), console(&proxy));
    let mut client = Raw::app(proxy.address());
    client.ok(&format!("select 1 {PRIMARY}"));
    ops.send(&query("pause app"));
    support::wait_until("it is paused", || {
        cell(&mut other, "show databases", ("name", "app"), "paused") == "1"
    });
    client.ok(&format!("select 1 {PRIMARY}"));
    client.terminate();
    ops.answer().ok();
    other.ok("resume app");
}

#[test]
fn a_disabled_database_takes_no_new_clients() {
    let proxy = with_console("");
    wait_both(&proxy);
    let mut ops = console(&proxy);
    let mut client = Raw::app(proxy.address());
    ops.ok("disable app");
    let parameters = [("user", "app"), ("database", "app")];
    let error = Raw::log_in(proxy.address(), V3_0, &parameters, "secret").err().expect("a refusal");
    assert_eq!(error.field(b'C').unwrap(), "57P03");
    assert_eq!(error.field(b'M').unwrap(), "database \"app\" is disabled: it takes no new clients");
    assert!(error.field(b'H').unwrap().contains("ENABLE"), "{error:?}");
    assert_eq!(
        Raw::log_in(proxy.address(), V3_0, &parameters, "guess").err().unwrap().field(b'C').unwrap(),
        "28P01"
    );
    assert_eq!(client.ok("select 1").value(), "1");
    assert!(proxy.metric("tidegate_database_disabled", &["database=\"app\""]) > 0.5);
    assert_eq!(ops.query("disable app").code(), "55000");
    ops.ok("enable app");
    assert_eq!(Raw::app(proxy.address()).ok("select 1").value(), "1");
}

#[test]
fn a_database_is_paused_or_all_are() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidegate.toml");
    let url = shared().primary().url(tidegate::local::Login::App);
    std::fs::write(&file, format!("[database.other]\nurl = '{url}'\ndbname = 'app'\n")).unwrap();
    let args = ["--console-users", "app", "--config", file.to_str().unwrap()];
    let proxy = Tidegate::before(shared()).args(args).start();
    wait_both(&proxy);
    let mut ops = console(&proxy);
    let of = |database| {
        let parameters = [("user", "app"), ("database", database)];
        Raw::log_in(proxy.address(), V3_0, &parameters, "secret").unwrap_or_else(|error| panic!("{error:?}"))
    };
    let (mut app, mut other) = (of("app"), of("other"));
    app.ok("select 1");
    other.ok("select 1");
    ops.ok("pause other");
    assert_eq!(app.ok("select 1").value(), "1");
    ops.ok("pause");
    assert_eq!(ops.query("pause").code(), "55000");
    let (pids, waiting) = ([app.pid, other.pid], [send(app, "select 1"), send(other, "select 1")]);
    pids.iter().for_each(|pid| wait_waiting(&mut ops, *pid));
    ops.ok("resume other");
    support::wait_until("one goes on", || waiting[1].is_finished());
    assert!(!waiting[0].is_finished());
    ops.ok("resume");
    waiting.into_iter().for_each(|waiting| drop(waiting.join().unwrap()));
    assert_eq!(ops.query("resume").code(), "55000");
}
