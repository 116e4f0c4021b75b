//! What the console shows: PgBouncer's columns first, every one explained, and true.

use std::collections::BTreeMap;
use std::time::Duration;

use super::console::{cell, console, node_address, send, table, wait_waiting, with_console};
use super::support::proxy::Tidegate;
use super::support::raw::{Answer, Raw, query};
use super::{own_with_facts, schema, support, wait_both};

/// What PgBouncer 1.18.0 answers: names and types of columns. `t` is text, `i` int4, `b` int8, `n` numeric, `x` bytea.
const PGBOUNCER_1_18: [(&str, &str); 20] = [
    ("VERSION", "version:t"),
    (
        "DATABASES",
        "name:t host:t port:i database:t force_user:t pool_size:i min_pool_size:i reserve_pool:i pool_mode:t \
         max_connections:i current_connections:i paused:i disabled:i",
    ),
    (
        "POOLS",
        "database:t user:t cl_active:i cl_waiting:i cl_active_cancel_req:i cl_waiting_cancel_req:i sv_active:i \
         sv_active_cancel:i sv_being_canceled:i sv_idle:i sv_used:i sv_tested:i sv_login:i maxwait:i maxwait_us:i \
         pool_mode:t",
    ),
    ("CLIENTS", CONNECTIONS),
    ("SERVERS", CONNECTIONS),
    ("SOCKETS", SOCKETS),
    ("ACTIVE_SOCKETS", SOCKETS),
    ("USERS", "name:t pool_mode:t"),
    (
        "STATS",
        "database:t total_xact_count:n total_query_count:n total_received:n total_sent:n total_xact_time:n \
         total_query_time:n total_wait_time:n avg_xact_count:n avg_query_count:n avg_recv:n avg_sent:n \
         avg_xact_time:n avg_query_time:n avg_wait_time:n",
    ),
    ("STATS_TOTALS", ONE_KIND),
    ("STATS_AVERAGES", ONE_KIND),
    ("TOTALS", "name:t value:n"),
    ("LISTS", "list:t items:i"),
    ("CONFIG", "key:t value:t default:t changeable:t"),
    ("MEM", "name:t size:i used:i free:i memtotal:i"),
    (
        "FDS",
        "fd:i task:t user:t database:t addr:t port:i cancel:b link:i client_encoding:t std_strings:t datestyle:t \
         timezone:t password:t scram_client_key:x scram_server_key:x",
    ),
    ("DNS_HOSTS", "hostname:t ttl:b addrs:t"),
    ("DNS_ZONES", "zonename:t serial:b count:i"),
    // Later versions have these two; written down from the manual of 1.24.
    ("PEERS", "peer_id:i host:t port:i pool_size:i"),
    ("STATE", "key:t value:t"),
];
const CONNECTIONS: &str = "type:t user:t database:t state:t addr:t port:i local_addr:t local_port:i connect_time:t \
                           request_time:t wait:i wait_us:i close_needed:i ptr:t link:t remote_pid:i tls:t application_name:t";
const SOCKETS: &str = "type:t user:t database:t state:t addr:t port:i local_addr:t local_port:i connect_time:t \
                       request_time:t wait:i wait_us:i close_needed:i ptr:t link:t remote_pid:i tls:t application_name:t \
                       recv_pos:i pkt_pos:i pkt_remain:i send_pos:i send_remain:i pkt_avail:i send_avail:i";
const ONE_KIND: &str = "database:t xact_count:n query_count:n bytes_received:n bytes_sent:n xact_time:n query_time:n \
                        wait_time:n";

/// The columns of an answer: names and types.
fn columns(answer: &Answer) -> Vec<(String, &'static str)> {
    let head = answer.0.iter().find(|message| message.tag == b'T').unwrap_or_else(|| panic!("{answer:?}"));
    let (mut all, mut rest) = (Vec::new(), &head.body[2..]);
    while let Some(end) = rest.iter().position(|byte| *byte == 0) {
        let name = String::from_utf8(rest[..end].to_vec()).unwrap();
        let oid = u32::from_be_bytes(rest[end + 7..end + 11].try_into().unwrap());
        let kind = match oid {
            25 => "text",
            23 => "int4",
            20 => "int8",
            1700 => "numeric",
            701 => "float8",
            17 => "bytea",
            _ => panic!("{name} has the type {oid}"),
        };
        all.push((name, kind));
        rest = &rest[end + 19..];
    }
    all
}

/// The names behind SHOW.
fn tables(ops: &mut Raw) -> Vec<String> {
    let commands = ops.ok("show help").rows().into_iter().filter_map(|row| row[0].clone());
    commands.filter_map(|command| Some(command.strip_prefix("SHOW ")?.to_owned())).collect()
}

#[test]
fn columns_of_pgbouncer_come_first_with_their_types() {
    let proxy = with_console("");
    let mut ops = console(&proxy);
    for (name, wanted) in PGBOUNCER_1_18 {
        let found = columns(&ops.ok(&format!("show {name}")));
        let wanted: Vec<_> = wanted
            .split_whitespace()
            .map(|column| {
                let (name, kind) = column.split_once(':').unwrap();
                let kind = match kind {
                    "t" => "text",
                    "i" => "int4",
                    "b" => "int8",
                    "n" => "numeric",
                    _ => "bytea",
                };
                (name.to_owned(), kind)
            })
            .collect();
        assert_eq!(found[..wanted.len().min(found.len())], wanted, "SHOW {name}");
    }
    // The exporter of the Prometheus community takes no more than four.
    assert_eq!(columns(&ops.ok("show config")).len(), 4);
    assert_eq!(columns(&ops.ok("show lists")).len(), 2);
}

/// The table of a page below the heading that names this command: what stands in backquotes in the first column, the second
/// column, and the third.
fn explained(page: &str, show: &str) -> Vec<(String, String, String)> {
    let is_heading = |line: &&str| {
        let names = line.strip_prefix("### ").unwrap_or_default();
        names.split(", ").any(|name| name == format!("SHOW {show}"))
    };
    let lines = page.lines().skip_while(|line| !is_heading(line)).skip(1);
    let rows = lines.take_while(|line| !line.starts_with('#')).filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, meaning] = cells[..] else { panic!("not three columns: {line}") };
        (name.trim_matches('`').to_owned(), kind.to_owned(), meaning.to_owned())
    })
    .collect()
}

#[test]
fn every_command_and_every_column_is_explained() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/console.md");
    let page = std::fs::read_to_string(page).unwrap();
    let proxy = with_console("");
    let mut ops = console(&proxy);
    for row in ops.ok("show help").rows() {
        let command = row[0].clone().unwrap();
        let place = if command.starts_with("SHOW ") { command } else { format!("| `{command}` |") };
        assert!(page.contains(&place), "docs/console.md says nothing of {place}");
    }
    let shown = tables(&mut ops);
    assert!(shown.len() > 20, "{shown:?}");
    for name in &shown {
        let columns = columns(&ops.ok(&format!("show {name}")));
        let explained = explained(&page, name);
        let of_page: Vec<_> = explained.iter().map(|(name, kind, _)| (name.clone(), kind.as_str())).collect();
        assert_eq!(of_page, columns, "SHOW {name} in docs/console.md");
        // What is marked as ours is what PgBouncer does not have.
        let theirs = PGBOUNCER_1_18.iter().find(|(known, _)| known == name);
        let theirs = theirs.map_or(0, |(_, columns)| columns.split_whitespace().count());
        for (index, (column, _, meaning)) in explained.iter().enumerate() {
            assert_eq!(meaning.starts_with('–'), index >= theirs, "SHOW {name}, {column}");
        }
    }
    let headings = page.lines().filter_map(|line| line.strip_prefix("### "));
    for name in headings.flat_map(|heading| heading.split(", ")).filter_map(|name| name.strip_prefix("SHOW "))
    {
        assert!(shown.iter().any(|known| known == name), "there is no SHOW {name}");
    }
}

#[test]
fn who_waits_is_seen_with_how_long() {
    let proxy = with_console("connection_limit=1");
    wait_both(&proxy);
    let mut ops = console(&proxy);
    let primary = "/* tidegate: intent=primary */";
    let (mut holder, mut waiter) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    waiter.ok("select 1");
    holder.ok(&format!("begin; select 1 {primary}"));
    waiter.send(&query(&format!("select 1 {primary}")));
    wait_waiting(&mut ops, waiter.pid);
    support::wait_until("it has waited for 50 ms", || {
        cell(&mut ops, "show pools", ("user", "app"), "maxwait_us").parse::<u64>().unwrap() > 50_000
    });
    // Those of wait_both() have left by now, or do in a moment.
    support::wait_until("only these two are there", || {
        cell(&mut ops, "show pools", ("user", "app"), "cl_active") == "1"
    });
    let pools = table(&ops.ok("show pools"));
    let of = |column: &str| pools[0][column].as_str();
    assert_eq!((of("cl_waiting"), of("cl_active"), of("sv_active"), of("maxwait")), ("1", "1", "1", "0"));
    let clients = table(&ops.ok("show clients"));
    let mine = clients.iter().find(|row| row["id"] == waiter.pid.to_string()).unwrap();
    assert!(mine["wait_us"].parse::<u64>().unwrap() > 50_000, "{mine:?}");
    assert!(
        mine["request_time"] >= mine["connect_time"] && mine["request_time"].ends_with(" UTC"),
        "{mine:?}"
    );
    let local = waiter.socket().local_addr().unwrap();
    let ends = ["addr", "port", "local_addr", "local_port"].map(|column| mine[column].clone());
    let address = proxy.address();
    let wanted = [
        local.ip().to_string(),
        local.port().to_string(),
        address.ip().to_string(),
        address.port().to_string(),
    ];
    assert_eq!(ends, wanted);
    let active = table(&ops.ok("show active_sockets"));
    let mut states: Vec<_> = active.iter().map(|row| row["state"].as_str()).collect();
    states.sort_unstable();
    // The console is busy with just this, and no client of a server.
    assert_eq!(states, ["cl_active", "cl_waiting", "sv_active"]);
    let files = table(&ops.ok("show fds"));
    let server = files.iter().find(|row| row["task"] == "server" && !row["link"].is_empty()).unwrap();
    let client = files.iter().find(|row| row["fd"] == server["link"]).unwrap();
    assert_eq!(
        (&client["link"], &*client["port"]),
        (&server["fd"], &*holder.socket().local_addr().unwrap().port().to_string())
    );
    holder.ok("commit");
    waiter.answer().ok();
    assert_eq!(cell(&mut ops, "show pools", ("user", "app"), "maxwait_us"), "0");
}

#[test]
fn routes_pins_and_lists_tell_what_there_was() {
    let s = schema();
    let proxy = with_console("");
    wait_both(&proxy);
    let mut ops = console(&proxy);
    let mut client = Raw::app_with(proxy.address(), &[("application_name", "pinned")]);
    client.ok(&format!("create table {s}.t (n int)"));
    for n in 0..3 {
        client.ok(&format!("insert into {s}.t values ({n})"));
    }
    let routes = table(&ops.ok("show routes"));
    let of = |target: &str, reason: &str| {
        let row = routes.iter().find(|row| row["target"] == target && row["reason"] == reason);
        row.unwrap_or_else(|| panic!("{target} {reason}: {routes:?}")).clone()
    };
    assert_eq!((&*of("primary", "write")["decisions"], &*of("primary", "write")["database"]), ("4", "app"));
    assert!(of("replica", "fresh")["decisions"].parse::<u64>().unwrap() >= 2);
    let shares: f64 = routes.iter().map(|row| row["share_percent"].parse::<f64>().unwrap()).sum();
    assert!((shares - 100.0).abs() < 1.0, "{routes:?}");
    client.ok("listen somewhere");
    // What a statement has left behind is asked when the client has its answer.
    support::wait_until("it is pinned", || !ops.ok("show pins").rows().is_empty());
    let pins = table(&ops.ok("show pins"));
    assert_eq!((pins.len(), &*pins[0]["reason"], &*pins[0]["application_name"]), (1, "listen", "pinned"));
    assert_eq!(pins[0]["client_pid"], client.pid.to_string());
    let lists: BTreeMap<_, _> = ops
        .ok("show lists")
        .rows()
        .into_iter()
        .map(|row| (row[0].clone().unwrap(), row[1].clone().unwrap()))
        .collect();
    let number = |list: &str| lists[list].parse::<usize>().unwrap();
    assert_eq!((number("databases"), number("users"), number("nodes"), number("pins")), (1, 1, 3, 1));
    assert!(number("pools") == 3 && number("used_clients") >= 2 && number("used_servers") >= 1, "{lists:?}");
    let users = table(&ops.ok("show users"));
    assert_eq!((&*users[0]["name"], &*users[0]["databases"], users.len()), ("app", "app", 1));
    assert!(users[0]["current_client_connections"].parse::<usize>().unwrap() >= 1);
    let memory = table(&ops.ok("show mem"));
    // Nothing has been prepared here, so there is no text of that.
    let is_told = |row: &BTreeMap<String, String>| (row["used"] == "0") == (row["memtotal"] == "0");
    assert!(memory.len() == 4 && memory.iter().all(is_told) && memory[0]["used"] != "0", "{memory:?}");
    let state = |ops: &mut Raw, key: &str| cell(ops, "show state", ("key", key), "value");
    assert_eq!((state(&mut ops, "active").as_str(), state(&mut ops, "paused").as_str()), ("yes", "no"));
    client.ok("unlisten *");
    ops.ok("pause");
    assert_eq!((state(&mut ops, "active").as_str(), state(&mut ops, "paused").as_str()), ("no", "yes"));
    assert!(table(&ops.ok("show pins")).is_empty());
}

#[test]
fn the_gate_is_seen_to_close_and_open() {
    let cluster = own_with_facts();
    let proxy = Tidegate::before(&cluster).args(["--console-users", "app"]).start();
    wait_both(&proxy);
    let (mut ops, mut client) = (console(&proxy), Raw::app(proxy.address()));
    let replica = node_address(cluster.replica(0));
    let tide = |ops: &mut Raw, column: &str| cell(ops, "show freshness", ("node", &replica), column);
    support::wait_until("it is open", || tide(&mut ops, "gate") == "open");
    assert_eq!((tide(&mut ops, "behind_ms").as_str(), tide(&mut ops, "open_marks").as_str()), ("0", "0"));
    cluster.replica(0).psql("select pg_wal_replay_pause()").unwrap();
    support::wait_until("it is paused", || {
        cluster.replica(0).psql("select pg_get_wal_replay_pause_state()").unwrap().trim() == "paused"
    });
    client.ok("insert into facts values (1)");
    support::wait_until("some of it is shut", || tide(&mut ops, "gate") == "partly");
    assert!(tide(&mut ops, "open_marks") == "1" && tide(&mut ops, "horizon_lsn").contains('/'));
    // Code that nobody has read may be about anything.
    client.ok("do $$ begin perform 1; end $$");
    support::wait_until("it is shut", || tide(&mut ops, "gate") == "closed");
    let stale = |ops: &mut Raw| tide(ops, "staleness_ms").parse::<u64>().unwrap();
    let before = stale(&mut ops);
    support::wait_until("it grows older", || stale(&mut ops) > before + 20);
    cluster.replica(0).psql("select pg_wal_replay_resume()").unwrap();
    support::wait_until("it is open again", || tide(&mut ops, "gate") == "open");
    support::wait_until("it has served", || {
        client.ok("select n from facts");
        tide(&mut ops, "reads_served").parse::<u64>().unwrap() > 0
    });
    let primary = node_address(cluster.primary());
    assert_eq!(cell(&mut ops, "show freshness", ("node", &primary), "gate"), "primary");
}

#[test]
fn statistics_count_what_was_done() {
    let s = schema();
    let proxy = with_console("");
    wait_both(&proxy);
    let mut ops = console(&proxy);
    let mut client = Raw::app(proxy.address());
    let totals = |ops: &mut Raw| {
        let rows = table(&ops.ok("show stats")).remove(0).into_iter();
        rows.filter_map(|(name, value)| Some((name, value.parse::<u64>().ok()?))).collect::<BTreeMap<_, _>>()
    };
    let before = totals(&mut ops);
    client.ok(&format!("create table {s}.t (n int)"));
    client.ok("begin");
    for _ in 0..10 {
        client.ok(&format!("insert into {s}.t values (1)"));
    }
    client.ok("select pg_sleep(0.05)");
    client.ok("commit");
    let after = totals(&mut ops);
    let done = |name: &str| after[name] - before[name];
    assert_eq!((done("total_xact_count"), done("total_query_count"), done("total_requests")), (2, 14, 14));
    assert!(done("total_received") > 10 * 30 && done("total_sent") > 10 * 20, "{after:?}");
    assert!(done("total_xact_time") >= done("total_query_time"), "{after:?}");
    assert!((50_000..5_000_000).contains(&done("total_query_time")), "{after:?}");
    for (show, key, column) in
        [("show stats_totals", "database", "query_count"), ("show totals", "name", "value")]
    {
        let wanted = if key == "name" { "total_query_count" } else { "app" };
        assert_eq!(
            cell(&mut ops, show, (key, wanted), column),
            after["total_query_count"].to_string(),
            "{show}"
        );
    }
    // Until a minute is over, averages are of the time since the start.
    let average = |ops: &mut Raw| cell(ops, "show stats_averages", ("database", "app"), "query_time");
    support::wait_until("there is an average", || average(&mut ops) != "0");
    let shapes = table(&ops.ok("show shapes"));
    let insert = shapes.iter().find(|row| row["shape"].starts_with(&format!("insert into {s}.t"))).unwrap();
    assert!(insert["shape"].contains("(?)"), "{insert:?}");
    assert_eq!(
        ["calls", "on_primary", "on_replicas", "errors"].map(|column| insert[column].as_str()),
        ["10", "10", "0", "0"]
    );
    let [total, mean, longest] =
        ["total_ms", "mean_ms", "longest_ms"].map(|column| insert[column].parse::<f64>().unwrap());
    assert!(0.0 < mean && mean <= longest && longest <= total, "{insert:?}");
}

#[test]
fn wait_close_returns_when_what_was_in_use_is_closed() {
    let proxy = with_console("connection_limit=2");
    wait_both(&proxy);
    let (mut ops, mut other) = (console(&proxy), console(&proxy));
    let mut client = Raw::app(proxy.address());
    client.ok("begin; select 1");
    other.ok("wait_close; wait_close app");
    assert_eq!(other.query("wait_close nowhere").code(), "3D000");
    let closes = |ops: &mut Raw| cell(ops, "show servers", ("state", "active"), "close_needed");
    assert_eq!(closes(&mut other), "0");
    other.ok("reconnect app");
    assert_eq!(closes(&mut other), "1");
    let outdated = |ops: &mut Raw| {
        let rows = table(&ops.ok("show node_pools"));
        rows.iter().map(|row| row["sv_outdated"].parse::<usize>().unwrap()).sum::<usize>()
    };
    assert_eq!(outdated(&mut other), 1);
    let waiting = send(std::mem::replace(&mut ops, console(&proxy)), "wait_close app");
    // Three times it was said before.
    support::wait_until("it is said", || proxy.stderr().matches("WaitClose").count() == 4);
    std::thread::sleep(Duration::from_millis(50));
    assert!(!waiting.is_finished(), "it waits for a transaction");
    client.ok("commit");
    waiting.join().unwrap();
    assert_eq!(outdated(&mut other), 0);
    // Whoever waits can think better of it.
    client.ok("begin; select 1");
    other.ok("reconnect");
    ops.send(&query("wait_close"));
    assert_eq!(ops.cancelled(proxy.address()).code(), "57014");
    client.ok("commit");
}
