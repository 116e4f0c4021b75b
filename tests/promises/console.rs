//! The console: who may use it, what it shows, and how it answers what it does not understand.

use std::process::Command;
use std::thread;

use tidegate::local::LocalNode;
use tokio_postgres::SimpleQueryMessage;

use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::{
    Answer, Message, Raw, V3_0, V3_2, bind, close, describe, execute, parse, query, startup, sync, tagged,
};
use super::{block_on, connect, own, proxy, shared, support, wait_both};

/// A proxy whose console is for `app`.
pub fn with_console(parameters: &str) -> RunningProxy {
    Tidegate::tuned(shared(), parameters).args(["--console-users", "app"]).start()
}

/// A connection to its console.
#[track_caller]
pub fn console(proxy: &RunningProxy) -> Raw {
    log_in(proxy, "app", "tidegate", "secret").unwrap_or_else(|error| panic!("{error:?}"))
}

fn log_in(proxy: &RunningProxy, user: &str, database: &str, password: &str) -> Result<Raw, Message> {
    Raw::log_in(proxy.address(), V3_0, &[("user", user), ("database", database)], password)
}

/// The rows of an answer, each cell by the name of its column; NULL is empty.
pub fn table(answer: &Answer) -> Vec<std::collections::BTreeMap<String, String>> {
    let head = answer.0.iter().find(|m| m.tag == b'T').unwrap_or_else(|| panic!("no columns: {answer:?}"));
    let (mut names, mut rest) = (Vec::new(), &head.body[2..]);
    while let Some(end) = rest.iter().position(|byte| *byte == 0) {
        names.push(String::from_utf8(rest[..end].to_vec()).unwrap());
        rest = &rest[end + 19..];
    }
    let row = |cells: Vec<Option<String>>| {
        assert_eq!(cells.len(), names.len());
        names.iter().cloned().zip(cells.into_iter().map(Option::unwrap_or_default)).collect()
    };
    answer.rows().into_iter().map(row).collect()
}

/// Looks at the nodes of the shared cluster, past the proxy.
pub struct Nodes(Vec<Raw>);

impl Nodes {
    pub fn new() -> Self {
        let all = [shared().primary(), shared().replica(0), shared().replica(1)];
        Self(all.map(|node| Raw::app(([127, 0, 0, 1], node.port()).into())).into())
    }

    /// How many connections all of them have under this name.
    pub fn named(&mut self, name: &str) -> usize {
        let sql = format!("select count(*) from pg_stat_activity where application_name = '{name}'");
        self.0.iter_mut().map(|raw| raw.ok(&sql).value().parse::<usize>().unwrap()).sum()
    }

    /// What the primary says.
    pub fn value(&mut self, sql: &str) -> String {
        self.0[0].ok(sql).value()
    }
}

/// A name for the connections of one test.
pub fn name() -> String {
    format!("console_{:08x}", rand::random::<u32>())
}

/// Sends a statement whose answer somebody else waits for.
pub fn send(mut raw: Raw, sql: &str) -> thread::JoinHandle<Raw> {
    let sql = sql.to_owned();
    thread::spawn(move || {
        raw.ok(&sql);
        raw
    })
}

/// What the console's table says in this column, where another column has this value.
pub fn cell(ops: &mut Raw, show: &str, (key, value): (&str, &str), wanted: &str) -> String {
    let rows = table(&ops.ok(show));
    let row = rows.iter().find(|row| row[key] == value);
    row.map(|row| row[wanted].clone()).unwrap_or_default()
}

/// Waits until the client is seen to wait.
pub fn wait_waiting(ops: &mut Raw, pid: u32) {
    let pid = pid.to_string();
    support::wait_until("the client waits", || cell(ops, "show clients", ("id", &pid), "state") == "waiting");
}

pub fn node_address(node: &LocalNode) -> String {
    format!("127.0.0.1:{}", node.port())
}

/// The FATAL error that ends a connection.
#[track_caller]
pub fn ended(raw: &mut Raw) -> String {
    let messages = raw.until_closed();
    let last: &Message = messages.last().expect("a reason");
    assert_eq!(last.field(b'V').as_deref(), Some("FATAL"), "{messages:?}");
    last.field(b'C').unwrap()
}

/// Code, message and hint of the first error.
fn refused(answer: &Answer) -> (String, String, String) {
    let error = answer.0.iter().find(|m| m.tag == b'E').unwrap_or_else(|| panic!("no error: {answer:?}"));
    let field = |name| error.field(name).unwrap_or_default();
    (field(b'C'), field(b'M'), field(b'H'))
}

fn psql(proxy: &RunningProxy, database: &str, commands: &str) -> (bool, String, String) {
    let address = proxy.address();
    let output = Command::new(shared().bin().program("psql"))
        .args(["-X", "-h", &address.ip().to_string(), "-p", &address.port().to_string(), "-U", "app"])
        .args(["-v", "ON_ERROR_STOP=1", "-c", commands, database])
        .env("PGPASSWORD", "secret")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn only_those_who_are_listed_may_use_it() {
    let nobody = proxy("");
    let error = log_in(&nobody, "app", "tidegate", "secret").err().expect("a refusal");
    assert_eq!(error.field(b'C').unwrap(), "42501");
    assert_eq!(error.field(b'M').unwrap(), "user \"app\" may not use the console");
    assert!(error.field(b'H').unwrap().contains("console_users"), "{error:?}");
    // Who cannot prove who it is learns nothing, and the same as at a database.
    for (user, password) in [("app", "guess"), ("stranger", "secret")] {
        let error = log_in(&nobody, user, "tidegate", password).err().expect("a refusal");
        assert_eq!(error.field(b'C').unwrap(), "28P01");
        assert_eq!(error.fields(), log_in(&nobody, user, "app", password).err().unwrap().fields());
    }
    let listed = with_console("");
    for name in ["tidegate", "pgbouncer"] {
        assert!(log_in(&listed, "app", name, "secret").is_ok());
        assert_eq!(log_in(&listed, "app", name, "guess").err().unwrap().field(b'C').unwrap(), "28P01");
    }
    let error = log_in(&listed, "app", "tidegat", "secret").err().expect("a refusal");
    assert_eq!(error.field(b'C').unwrap(), "3D000");
}

#[test]
fn it_can_have_a_password_of_its_own_and_always_asks_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidegate.toml");
    std::fs::write(folder.path().join("password"), "of the console\n").unwrap();
    let text = "console_users = ['ops', 'app']\nconsole_password_file = 'password'\n";
    std::fs::write(&file, format!("{text}[database.app]\nclient_auth = 'trust'\n")).unwrap();
    let proxy = Tidegate::before(shared()).args(["--config", file.to_str().unwrap()]).start();
    for user in ["ops", "app"] {
        assert!(log_in(&proxy, user, "tidegate", "of the console").is_ok());
        assert_eq!(log_in(&proxy, user, "tidegate", "secret").err().unwrap().field(b'C').unwrap(), "28P01");
    }
    // The database itself trusts everybody.
    assert!(log_in(&proxy, "app", "app", "whatever").is_ok());
    assert!(!proxy.stderr().contains("of the console"), "{}", proxy.stderr());
}

/// A connection from an address of this machine that is not its loopback, as if from another machine; none if it has none.
fn from_elsewhere(proxy: &RunningProxy) -> Option<Raw> {
    let probe = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    // Nothing is sent: the system says which address it would send from.
    probe.connect("198.51.100.1:9").ok()?;
    let from = std::net::SocketAddr::new(probe.local_addr().unwrap().ip(), 0);
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&from.into()).unwrap();
    socket.connect_timeout(&proxy.address().into(), support::PATIENCE).unwrap();
    Some(Raw::plain(socket.into()))
}

#[test]
fn attack_by_a_databases_password_from_another_machine() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "of the console\n").unwrap();
    let shared_password = with_console("");
    let own_password = Tidegate::before(shared())
        .args(["--console-users", "app"])
        .env("TIDEGATE_CONSOLE_PASSWORD_FILE", password.to_str().unwrap())
        .start();
    let refused = |proxy: &RunningProxy, database: &str, password: &str| {
        let mut raw = from_elsewhere(proxy)?;
        raw.send(&startup(V3_0, &[("user", "app"), ("database", database)]));
        Some(raw.authenticate(password).err().map(|error| error.field(b'C').unwrap()))
    };
    let Some(answer) = refused(&shared_password, "tidegate", "secret") else {
        eprintln!("this machine has no network, so nobody comes from another one");
        return;
    };
    assert_eq!(answer.as_deref(), Some("28000"));
    // Who does not know the password learns nothing of that.
    assert_eq!(refused(&shared_password, "tidegate", "guess").unwrap().as_deref(), Some("28P01"));
    assert_eq!(refused(&shared_password, "app", "secret").unwrap(), None, "the database itself is open");
    assert!(log_in(&shared_password, "app", "tidegate", "secret").is_ok());
    assert_eq!(refused(&own_password, "tidegate", "of the console").unwrap(), None);
    assert_eq!(refused(&own_password, "tidegate", "secret").unwrap().as_deref(), Some("28P01"));
}

#[test]
fn psql_shows_everything() {
    let proxy = with_console("");
    wait_both(&proxy);
    let mut client = Raw::app_with(proxy.address(), &[("application_name", "shown")]);
    client.ok("begin; select 1");
    for (command, words) in [
        ("show help", vec!["PAUSE [db]", "SHOW NODES"]),
        ("SHOW VERSION;", vec![concat!("Tidegate ", env!("CARGO_PKG_VERSION"))]),
        ("show databases", vec!["current_connections", "app", "open"]),
        ("show pools", vec!["cl_waiting", "sv_active", "maxwait", "transaction"]),
        ("show node_pools", vec!["cl_waiting", "sv_active", "127.0.0.1:"]),
        ("show clients", vec!["shown", "active", "127.0.0.1", "psql"]),
        ("show servers", vec!["link", "active", "idle"]),
        ("show nodes", vec!["primary", "replica", "up", "replayed_lsn"]),
        ("show version; show nodes", vec!["timeline"]),
        (" ; ", vec![]),
    ] {
        for database in ["tidegate", "pgbouncer"] {
            let (ok, out, err) = psql(&proxy, database, command);
            assert!(ok && err.is_empty(), "{command}: {err}");
            words.iter().for_each(|word| assert!(out.contains(word), "{command}: no {word} in\n{out}"));
        }
    }
    let (ok, out, err) = psql(&proxy, "tidegate", "show pool");
    assert!(!ok && out.is_empty(), "{out}");
    assert!(
        err.contains("there is no command \"show pool\"") && err.contains("Did you mean SHOW POOLS?"),
        "{err}"
    );
}

#[test]
fn tables_tell_what_is_there() {
    let proxy = with_console("connection_limit=7&tidegate_max_clients=9");
    wait_both(&proxy);
    let mut ops = console(&proxy);
    let mut client = Raw::app_with(proxy.address(), &[("application_name", "it's me")]);
    client.ok("begin");
    let server = client.ok("select pg_backend_pid()").value();
    let clients = table(&ops.ok("show clients"));
    let mine = clients.iter().find(|row| row["id"] == client.pid.to_string()).expect("the client");
    assert_eq!((&*mine["user"], &*mine["database"], &*mine["state"]), ("app", "app", "active"));
    assert_eq!((&*mine["application_name"], &*mine["server_pid"]), ("it's me", &*server));
    let own = clients.iter().find(|row| row["id"] == ops.pid.to_string()).expect("the console");
    assert_eq!((&*own["user"], &*own["database"]), ("app", "tidegate"));
    let servers = table(&ops.ok("show servers"));
    let at_work = servers.iter().find(|row| row["remote_pid"] == server).expect("the server");
    assert_eq!((&*at_work["state"], &at_work["link"]), ("active", &mine["ptr"]));
    assert_eq!((&at_work["ptr"], &*at_work["application_name"]), (&mine["link"], "it's me"));
    let primary = format!("127.0.0.1:{}", shared().primary().port());
    assert_eq!((&at_work["node"], &mine["node"]), (&primary, &primary));
    support::wait_until("nobody else is there", || {
        cell(&mut ops, "show pools", ("user", "app"), "cl_active") == "1"
    });
    let pools = table(&ops.ok("show pools"));
    assert_eq!((pools.len(), &*pools[0]["database"], &*pools[0]["user"]), (1, "app", "app"));
    assert_eq!((&*pools[0]["sv_active"], &*pools[0]["cl_active"], &*pools[0]["nodes"]), ("1", "1", "3"));
    let pools = table(&ops.ok("show node_pools"));
    let pool = pools.iter().find(|row| row["node"] == primary).expect("the primary's pool");
    assert_eq!((&*pool["sv_active"], &*pool["cl_waiting"], &*pool["pool_size"]), ("1", "0", "7"));
    client.ok("commit");
    let clients = table(&ops.ok("show clients"));
    let mine = clients.iter().find(|row| row["id"] == client.pid.to_string()).expect("the client");
    assert_eq!((&*mine["state"], &*mine["server_pid"], &*mine["node"]), ("idle", "", ""));
    let databases = table(&ops.ok("show databases"));
    assert_eq!(databases.len(), 1);
    let row = &databases[0];
    assert_eq!((&*row["name"], &*row["max_client_connections"], &*row["paused"]), ("app", "9", "0"));
    assert_eq!(row["port"], shared().primary().port().to_string());
    let nodes = table(&ops.ok("show nodes"));
    assert_eq!(nodes.len(), 3);
    for node in &nodes {
        assert_eq!((&*node["state"], &*node["reason"], &*node["timeline"]), ("up", "", "1"), "{node:?}");
        let is_replica = node["role"] == "replica";
        assert_eq!(is_replica, node["replayed_lsn"].contains('/'), "{node:?}");
        assert_eq!(is_replica, node["staleness_ms"].parse::<u64>().is_ok(), "{node:?}");
    }
}

#[test]
fn drivers_can_use_it() {
    let proxy = with_console("");
    let url = format!("postgres://app:secret@{}/tidegate", proxy.address());
    block_on(async {
        let client = connect(&url).await;
        let rows = client.simple_query("show version").await.unwrap();
        let version = rows.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get("version").map(str::to_owned),
            _ => None,
        });
        assert!(version.unwrap().starts_with("Tidegate "));
        // By the extended protocol, and in binary.
        let rows = client.query("show databases", &[]).await.unwrap();
        assert_eq!(rows[0].get::<_, String>("name"), "app");
        assert_eq!(client.execute("disable app", &[]).await.unwrap(), 0);
        assert_eq!(client.query("show databases", &[]).await.unwrap()[0].get::<_, i32>("disabled"), 1);
        client.batch_execute("enable app; show help").await.unwrap();
        let error = client.query("enable app", &[]).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!((error.code().code(), error.message()), ("55000", "database \"app\" is not disabled"));
        assert!(client.query("show databases", &[]).await.is_ok(), "the session goes on");
    });
}

#[test]
fn the_extended_protocol_keeps_its_rules() {
    let proxy = with_console("");
    let mut ops = Raw::log_in(proxy.address(), V3_2, &[("user", "app"), ("database", "tidegate")], "secret")
        .unwrap_or_else(|error| panic!("{error:?}"));
    ops.send(&[parse("s", "show version"), describe(b'S', "s"), sync()].concat());
    assert_eq!(ops.answer().ok().tags(), "1tTZ");
    ops.send(&[bind("", "s", &[]), describe(b'P', ""), execute(""), sync()].concat());
    assert_eq!(ops.answer().ok().tags(), "2TDCZ");
    ops.send(&[parse("", ""), bind("", "", &[]), describe(b'P', ""), execute(""), sync()].concat());
    assert_eq!(ops.answer().ok().tags(), "12nIZ");
    ops.send(&[parse("", "enable app"), bind("p", "s", &[]), execute("p"), sync()].concat());
    assert_eq!(ops.answer().ok().tags(), "12DCZ");
    // After an error everything is skipped up to Sync.
    ops.send(&[parse("", "nonsense"), bind("", "", &[]), execute(""), sync()].concat());
    let answer = ops.answer();
    assert_eq!((answer.tags().as_str(), answer.code().as_str()), ("EZ", "42601"));
    ops.send(&[parse("", "show help; show help"), sync()].concat());
    assert_eq!(ops.answer().code(), "42601");
    // A portal ends with its transaction, a statement when it is closed.
    ops.send(&[execute("p"), sync()].concat());
    assert_eq!(ops.answer().code(), "34000");
    ops.send(&[close(b'S', "s"), bind("", "s", &[]), sync()].concat());
    assert_eq!(ops.answer().code(), "26000");
    assert_eq!(ops.ok("show version").rows().len(), 1);
}

#[test]
fn what_is_not_understood_does_nothing() {
    let proxy = with_console("");
    let mut ops = console(&proxy);
    for (text, code, message, hint) in [
        ("shwo databases", "42601", "\"shwo databases\"", "Did you mean SHOW DATABASES?"),
        ("select 1", "42601", "\"select 1\"", "SHOW HELP"),
        ("disable app; disable", "42601", "\"disable\"", "DISABLE db or DISABLE NODE"),
        ("disable ap", "3D000", "there is no database \"ap\"", "Did you mean app?"),
        ("disable App", "3D000", "\"App\"", "app"),
        ("pause 'app; drop'", "3D000", "\"app; drop\"", "There are: app."),
        ("pause \"app\u{0007}\n--\"", "3D000", "\"app\\u{7}\\n--\"", "app"),
        ("disable node nowhere:1", "42704", "there is no node \"nowhere:1\"", "127.0.0.1:"),
        ("disable node 127.0.0.1", "42704", "can be several nodes", "Give its port: 127.0.0.1:"),
        ("disable node x of y", "3D000", "\"y\"", "There are: app."),
        ("kill client 0", "42704", "there is no client 0", "SHOW CLIENTS"),
        ("kill client 1; drop", "42601", "\"drop\"", "SHOW HELP"),
        ("kill app'", "42601", "a quotation mark is not closed", "Close it"),
        ("resume", "55000", "database \"app\" is not paused", ""),
        ("enable app", "55000", "is not disabled", ""),
    ] {
        let answer = ops.query(text);
        let (got, said, advice) = refused(&answer);
        assert_eq!((got.as_str(), answer.status()), (code, 'I'), "{text}: {said}");
        assert!(said.contains(message) && advice.contains(hint), "{text}: {said} ({advice})");
    }
    // Nothing of a text that is not understood to its end was done.
    assert_eq!(table(&ops.ok("show databases"))[0]["disabled"], "0");
    ops.send(&tagged(b'Q', b"show \xff\xfe\0"));
    assert_eq!(ops.answer().code(), "22021");
    ops.send(&tagged(b'F', b"\0\0\0\x01\0\0\0\0\0\0"));
    assert_eq!(ops.answer().code(), "0A000");
    ops.send(&[tagged(b'd', b"x"), tagged(b'c', b""), query("show version")].concat());
    assert_eq!(ops.answer().ok().rows().len(), 1);
    let long = format!("show {}", "x".repeat(60_000));
    let (code, message, _) = refused(&ops.query(&long));
    assert!(code == "42601" && message.len() < 200, "{message}");
    ops.send(&query(&"x".repeat(70_000)));
    assert_eq!(ops.until_closed().last().unwrap().field(b'C').unwrap(), "54000");
    let mut ops = console(&proxy);
    ops.send(&tagged(b'?', b""));
    assert_eq!(ops.until_closed().last().unwrap().field(b'C').unwrap(), "08P01");
}

#[test]
fn it_is_there_when_nothing_else_is() {
    let cluster = own(&support::options());
    let proxy = Tidegate::tuned(&cluster, "tidegate_max_clients=2").args(["--console-users", "app"]).start();
    wait_both(&proxy);
    let _clients = [Raw::app(proxy.address()), Raw::app(proxy.address())];
    assert_eq!(log_in(&proxy, "app", "app", "secret").err().unwrap().field(b'C').unwrap(), "53300");
    let mut ops = console(&proxy);
    assert_eq!(table(&ops.ok("show databases"))[0]["current_client_connections"], "2");
    for node in cluster.replicas().iter().chain([cluster.primary()]) {
        node.kill().unwrap();
    }
    support::wait_until("all nodes are seen to be down", || {
        table(&console(&proxy).ok("show nodes")).iter().all(|node| node["state"] == "down")
    });
    for node in table(&ops.ok("show nodes")) {
        assert!(!node["reason"].is_empty() && node["role"].is_empty(), "{node:?}");
    }
    ops.ok("show clients; show servers; show pools");
    // Everything can be said, too.
    ops.ok("pause app; resume app; disable app; enable app; reconnect; kill app; resume");
}
