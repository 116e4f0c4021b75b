//! What is said at the console is done, and hurts nobody whom it does not mean.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tidegate::local::LocalNode;

use super::console::{console, table, with_console};
use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::{Message, Raw, V3_0, query};
use super::{WHERE, own_with_facts, schema, shared, support, wait_both};

const PRIMARY: &str = "/* tidegate: intent=primary */";

/// Looks at the nodes of the shared cluster, past the proxy.
struct Nodes(Vec<Raw>);

impl Nodes {
    fn new() -> Self {
        let all = [shared().primary(), shared().replica(0), shared().replica(1)];
        Self(all.map(|node| Raw::app(([127, 0, 0, 1], node.port()).into())).into())
    }

    /// How many connections all of them have under this name.
    fn named(&mut self, name: &str) -> usize {
        let sql = format!("select count(*) from pg_stat_activity where application_name = '{name}'");
        self.0.iter_mut().map(|raw| raw.ok(&sql).value().parse::<usize>().unwrap()).sum()
    }

    /// What the primary says.
    fn value(&mut self, sql: &str) -> String {
        self.0[0].ok(sql).value()
    }
}

/// A name for the connections of one test.
fn name() -> String {
    format!("console_{:08x}", rand::random::<u32>())
}

/// Sends a statement whose answer somebody else waits for.
fn send(mut raw: Raw, sql: &str) -> thread::JoinHandle<Raw> {
    let sql = sql.to_owned();
    thread::spawn(move || {
        raw.ok(&sql);
        raw
    })
}

/// What the console's table says in this column, where another column has this value.
fn cell(ops: &mut Raw, show: &str, (key, value): (&str, &str), wanted: &str) -> String {
    let rows = table(&ops.ok(show));
    let row = rows.iter().find(|row| row[key] == value);
    row.map(|row| row[wanted].clone()).unwrap_or_default()
}

/// Waits until the client is seen to wait.
fn wait_waiting(ops: &mut Raw, pid: u32) {
    let pid = pid.to_string();
    support::wait_until("the client waits", || cell(ops, "show clients", ("id", &pid), "state") == "waiting");
}

fn address(node: &LocalNode) -> String {
    format!("127.0.0.1:{}", node.port())
}

/// The FATAL error that ends a connection.
#[track_caller]
fn ended(raw: &mut Raw) -> String {
    let messages = raw.until_closed();
    let last: &Message = messages.last().expect("a reason");
    assert_eq!(last.field(b'V').as_deref(), Some("FATAL"), "{messages:?}");
    last.field(b'C').unwrap()
}

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
        let waiting = table(&ops.ok("show clients")).iter().filter(|row| row["state"] == "waiting").count();
        assert_eq!(waiting, 8, "round {round}");
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
fn kill_ends_everybody_at_once_and_pauses() {
    let name = name();
    let proxy = with_console(&format!("connection_limit=3&pool_timeout=0&application_name={name}"));
    wait_both(&proxy);
    let (mut ops, mut nodes) = (console(&proxy), Nodes::new());
    let connect = || Raw::app(proxy.address());
    let [mut idle, mut open, mut pinned, mut busy, mut queued] =
        [connect(), connect(), connect(), connect(), connect()];
    idle.ok("select 1");
    open.ok("begin; select 1");
    pinned.ok("listen kill_me");
    busy.send(&query(&format!("select pg_sleep(60) {PRIMARY}")));
    queued.send(&query(&format!("select 1 {PRIMARY}")));
    wait_waiting(&mut ops, queued.pid);
    let sleeping = format!(
        "select count(*) from pg_stat_activity where query like '%pg_sleep(60)%' and application_name = '{name}'"
    );
    let sleeps = || shared().primary().psql(&sleeping).unwrap().trim() != "0";
    support::wait_until("the statement runs", sleeps);
    let begun = Instant::now();
    ops.ok("kill app");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    support::wait_until("no connection is left", || nodes.named(&name) == 0);
    for raw in [&mut idle, &mut open, &mut pinned, &mut busy, &mut queued] {
        assert_eq!(ended(raw), "57P01");
    }
    assert_eq!(cell(&mut ops, "show databases", ("name", "app"), "state"), "killed");
    assert!(table(&ops.ok("show clients")).iter().all(|row| row["database"] == "tidegate"));
    // Who comes now waits.
    let mut later = connect();
    later.send(&query("select 1"));
    wait_waiting(&mut ops, later.pid);
    assert_eq!(nodes.named(&name), 0);
    // And can be told to go, too.
    ops.ok("kill app");
    assert_eq!(ended(&mut later), "57P01");
    ops.ok("resume app");
    assert_eq!(connect().ok("select 1").value(), "1");
    println!("killed in {took:?}");
}

#[test]
fn one_client_is_killed() {
    let s = schema();
    let proxy = with_console("");
    wait_both(&proxy);
    let mut ops = console(&proxy);
    let [mut one, mut other] = [Raw::app(proxy.address()), Raw::app(proxy.address())];
    one.ok(&format!("create table {s}.t (n int)"));
    one.ok(&format!("begin; insert into {s}.t values (1)"));
    other.ok("begin; select 1");
    ops.ok(&format!("kill client {}", one.pid));
    assert_eq!(ended(&mut one), "57P01");
    support::wait_until("its transaction is undone", || {
        let locks = format!("select count(*) from pg_locks where relation = '{s}.t'::regclass");
        shared().primary().psql(&locks).unwrap().trim() == "0"
    });
    assert_eq!(other.ok("select count(*) from pg_class where false").value(), "0");
    other.ok("commit");
    // In the middle of a long answer: no message is torn, whatever comes.
    let mut reader = Raw::app(proxy.address());
    reader.send(&query("select repeat('x', 1000) from generate_series(1, 1000000)"));
    assert_eq!(reader.read().tag, b'T');
    ops.ok(&format!("kill client {}", reader.pid));
    let tags: Vec<u8> = reader.until_closed().iter().map(|message| message.tag).collect();
    assert!(tags.len() < 1_000_000 && tags.iter().all(|tag| matches!(tag, b'D' | b'E')), "{}", tags.len());
    // An administrator, too.
    let mut colleague = console(&proxy);
    ops.ok(&format!("kill client {}", colleague.pid));
    assert_eq!(ended(&mut colleague), "57P01");
    assert_eq!(other.ok("select 1").value(), "1");
}

#[test]
fn reconnect_changes_connections_between_transactions() {
    let proxy = with_console("connection_limit=1");
    wait_both(&proxy);
    let mut ops = console(&proxy);
    let mut raw = Raw::app(proxy.address());
    let pid = format!("select pg_backend_pid() {PRIMARY}");
    let first = raw.ok(&pid).value();
    assert_eq!(raw.ok(&pid).value(), first);
    ops.ok("reconnect app");
    let second = raw.ok(&pid).value();
    assert_ne!(second, first);
    raw.ok("begin");
    ops.ok("reconnect");
    assert_eq!(raw.ok(&pid).value(), second, "a transaction keeps its connection");
    raw.ok("commit");
    let third = raw.ok(&pid).value();
    assert_ne!(third, second);
    // A pin keeps it, too, until it ends.
    raw.ok("listen reconnect");
    ops.ok("reconnect");
    assert_eq!(raw.ok(&pid).value(), third);
    raw.ok("unlisten *");
    let fourth = raw.ok(&pid).value();
    assert_ne!(fourth, third);
    ops.ok(&format!("reconnect node {}", address(shared().replica(0))));
    assert_eq!(raw.ok(&pid).value(), fourth, "it was about another node");
    ops.ok(&format!("reconnect node {} of app", address(shared().primary())));
    assert_ne!(raw.ok(&pid).value(), fourth);
}

#[test]
fn a_replica_that_is_disabled_gets_nothing_new() {
    let proxy = with_console("");
    wait_both(&proxy);
    let mut ops = console(&proxy);
    let replica = address(shared().replica(0));
    let mut readers: Vec<_> = (0..8).map(|_| Raw::app(proxy.address())).collect();
    // It works on a read while it is taken out: that one finishes.
    let slow = "select pg_sleep(1.5)::text || current_setting('app.node')";
    readers.iter_mut().for_each(|raw| raw.send(&query(slow)));
    support::wait_until("it works", || {
        cell(&mut ops, "show nodes", ("node", &replica), "outstanding") != "0"
    });
    ops.ok(&format!("disable node {replica}"));
    let node = |ops: &mut Raw, column| cell(ops, "show nodes", ("node", &replica), column);
    assert_eq!(
        (node(&mut ops, "state").as_str(), node(&mut ops, "reason").as_str()),
        ("disabled", "disabled by hand")
    );
    assert_eq!(node(&mut ops, "role"), "replica");
    let served: Vec<_> = readers.iter_mut().map(|raw| raw.answer().value()).collect();
    assert!(served.contains(&"r1".to_owned()), "{served:?}");
    for _ in 0..5 {
        let served: Vec<_> = readers.iter_mut().map(|raw| raw.ok(WHERE).value()).collect();
        assert!(!served.contains(&"r1".to_owned()), "{served:?}");
    }
    let label = format!("node=\"{replica}\"");
    assert!(proxy.metric("tidegate_node_disabled", &[&label]) > 0.5);
    assert!(proxy.metric("tidegate_node_up", &[&label]) < 0.5);
    assert_eq!(ops.query(&format!("disable node {replica}")).code(), "55000");
    ops.ok(&format!("enable node {replica} of app"));
    assert_eq!(ops.query(&format!("enable node {replica}")).code(), "55000");
    wait_both(&proxy);
    assert_eq!((node(&mut ops, "state").as_str(), node(&mut ops, "reason").as_str()), ("up", ""));
}

#[test]
fn writes_wait_for_a_primary_that_is_disabled() {
    let cluster = own_with_facts();
    let proxy = Tidegate::tuned(&cluster, "connect_timeout=20").args(["--console-users", "app"]).start();
    wait_both(&proxy);
    let mut ops = console(&proxy);
    let mut raw = Raw::app(proxy.address());
    raw.ok("insert into facts values (1)");
    let primary = address(cluster.primary());
    let answer = ops.ok(&format!("disable node {primary}"));
    let notice = answer.0.iter().find(|m| m.tag == b'N').expect("a notice").field(b'M').unwrap();
    assert!(notice.contains("is the primary of app"), "{notice}");
    let pid = raw.pid;
    let writing = send(raw, "insert into facts values (2)");
    wait_waiting(&mut ops, pid);
    // Reads go on, and see what was written.
    let mut reader = Raw::app(proxy.address());
    assert_eq!(reader.ok("select max(n) from facts").value(), "1");
    assert!(reader.ok(WHERE).value().starts_with('r'));
    assert!(!writing.is_finished());
    ops.ok(&format!("enable node {primary}"));
    let begun = Instant::now();
    writing.join().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(reader.ok("select max(n) from facts").value(), "2");
}

#[test]
fn the_proxy_is_shut_down_from_the_console() {
    let mut proxy = with_console("");
    wait_both(&proxy);
    let mut raw = Raw::app(proxy.address());
    raw.ok("begin; select 1");
    let mut idle = Raw::app(proxy.address());
    console(&proxy).ok("shutdown");
    assert_eq!(ended(&mut idle), "57P01");
    assert_eq!(raw.ok("select 1").value(), "1", "a transaction goes on");
    raw.ok("commit");
    assert_eq!(ended(&mut raw), "57P01");
    assert!(proxy.wait_exit().success());
}

#[test]
fn a_shutdown_can_be_at_once_and_does_not_wait_for_a_pause() {
    let mut proxy = with_console("");
    wait_both(&proxy);
    let mut ops = console(&proxy);
    let [mut busy, mut waiting] = [Raw::app(proxy.address()), Raw::app(proxy.address())];
    waiting.ok("select 1");
    ops.ok("pause app");
    waiting.send(&query("select 1"));
    wait_waiting(&mut ops, waiting.pid);
    ops.ok("resume app");
    waiting.answer().ok();
    busy.ok("begin; select 1");
    busy.send(&query("select pg_sleep(60)"));
    let begun = Instant::now();
    ops.ok("shutdown now");
    assert_eq!((ended(&mut busy), ended(&mut waiting)), ("57P01".to_owned(), "57P01".to_owned()));
    assert!(proxy.wait_exit().success());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    // Who waits for RESUME when the proxy stops does not hold that up.
    let mut proxy = with_console("");
    wait_both(&proxy);
    let mut ops = console(&proxy);
    let mut waiting = Raw::app(proxy.address());
    waiting.ok("select 1");
    ops.ok("pause app");
    waiting.send(&query("select 1"));
    wait_waiting(&mut ops, waiting.pid);
    let begun = Instant::now();
    ops.ok("shutdown");
    assert_eq!(ended(&mut waiting), "57P01");
    assert!(proxy.wait_exit().success());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}
