//! Primaries that die, are replaced, come back, or quarrel.

#[path = "../chaos/former.rs"]
mod former;

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tidegate::local::{LocalCluster, LocalNode, StopMode};

use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::{Raw, bind, execute, parse, query, sync};
use super::support::wait_until;
use super::{WHERE, is_in_rotation, label, own, own_with_facts, support, wait_both};
use former::Former;

/// Where a statement that needs the primary runs, or the error's SQLSTATE.
fn primary_of(proxy: &RunningProxy) -> Result<String, String> {
    let mut raw = Raw::app(proxy.address());
    let answer = raw.query(&format!("{WHERE} /* tidegate: intent=primary */"));
    match answer.error() {
        None => Ok(answer.value()),
        Some((code, _)) => Err(code),
    }
}

fn is_primary(proxy: &RunningProxy, node: &LocalNode) -> bool {
    proxy.metric("tidegate_node_up", &[&label(node), "role=\"primary\""]) > 0.5
}

/// Makes a replica that does not run a primary on the timeline it is on, as a mistaken copy is.
fn start_as_copy(node: &LocalNode) {
    std::fs::remove_file(node.data_dir().join("standby.signal")).unwrap();
    node.start().unwrap();
}

/// Stops or continues all processes of a server: what it has promised it may still do, and it says nothing.
fn freeze(node: &LocalNode, frozen: bool) {
    let postmaster = node.pid().unwrap().to_string();
    let signal = if frozen { "-STOP" } else { "-CONT" };
    // Children first, so that the parent does not see them stop.
    for what in [["pkill", signal, "-P"], ["kill", signal, "--"]] {
        let status = Command::new(what[0]).args(&what[1..]).arg(&postmaster).status().unwrap();
        assert!(status.success(), "{what:?}");
    }
}

/// A frozen server; it goes on when this is dropped, so that it can be stopped.
struct Frozen<'a>(&'a LocalNode);

impl<'a> Frozen<'a> {
    fn new(node: &'a LocalNode) -> Self {
        freeze(node, true);
        Self(node)
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        freeze(self.0, false);
    }
}

#[test]
fn writes_wait_for_the_next_primary_in_order() {
    let cluster = own_with_facts();
    cluster.primary().psql("grant pg_read_all_stats to app").unwrap();
    let proxy = Tidegate::tuned(&cluster, "connection_limit=1").start();
    wait_both(&proxy);
    let mut clients: Vec<_> = (0..6).map(|_| Raw::app(proxy.address())).collect();
    clients.iter_mut().for_each(|client| drop(client.ok("select 1")));
    cluster.primary().kill().unwrap();
    let mut reader = Raw::app(proxy.address());
    wait_until("the primary is out", || !is_primary(&proxy, cluster.primary()));
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(&query(&format!("insert into facts values ({})", number + 1)));
        let waiting = |number: usize| proxy.metric("tidegate_waiting_for_primary", &[]) > number as f64;
        wait_until("it waits", || waiting(number));
    }
    assert!(reader.ok(WHERE).value().starts_with('r'), "reads go on without a primary");
    let (next, other) = (cluster.replica(0), cluster.replica(1));
    next.promote().unwrap();
    let begun = Instant::now();
    for client in &mut clients {
        assert_eq!(client.answer().ok().tags(), "CZ");
    }
    eprintln!("writes went on {:?} after the promotion", begun.elapsed());
    let rows = next.psql("select string_agg(n::text, ' ' order by ctid) from facts").unwrap();
    assert_eq!(rows.trim(), "0 1 2 3 4 5 6");
    assert_eq!(reader.ok("select count(*) from facts").value(), "7", "the next read sees them");
    other.follow(next).unwrap();
    wait_until("the other replica is back", || is_in_rotation(&proxy, other));
    wait_until("and serves", || reader.ok(WHERE).value() == other.name());
    assert!(proxy.metric("tidegate_failovers_total", &[]) > 0.5);
}

#[test]
fn a_write_that_waits_in_vain_is_told_why() {
    let cluster = own_with_facts();
    let proxy = Tidegate::tuned(&cluster, "tidegate_failover_timeout=1").start();
    wait_both(&proxy);
    let mut client = Raw::app(proxy.address());
    client.ok("insert into facts values (1)");
    cluster.primary().stop(StopMode::Fast).unwrap();
    let begun = Instant::now();
    let (code, text) = client.query("insert into facts values (2)").error().unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(code == "57P03" && text.contains("failover_timeout"), "{code} {text}");
    cluster.primary().start().unwrap();
    client.ok("insert into facts values (3)");
}

#[test]
fn a_former_primary_that_comes_back_is_fenced() {
    let cluster = own_with_facts();
    let (old, new) = (cluster.primary(), cluster.replica(0));
    let proxy = Tidegate::tuned(&cluster, "tidegate_failover_timeout=2").args(["--log", "info"]).start();
    wait_both(&proxy);
    old.kill().unwrap();
    new.promote().unwrap();
    cluster.replica(1).follow(new).unwrap();
    wait_until("the new primary is in office", || primary_of(&proxy).as_deref() == Ok("r1"));
    old.start().unwrap();
    wait_until("the old one is refused", || proxy.stderr().contains("it was the primary before a failover"));
    assert_eq!(primary_of(&proxy).as_deref(), Ok("r1"));
    // The new primary goes away: the old one is no substitute.
    new.kill().unwrap();
    wait_until("it is out", || !is_primary(&proxy, new));
    assert_eq!(primary_of(&proxy), Err("57P03".to_owned()));
    new.start().unwrap();
    wait_until("it is back", || primary_of(&proxy).as_deref() == Ok("r1"));
    drop(proxy);
    // Nor is it for a proxy that does not know of the failover: it hears the other nodes first.
    for _ in 0..5 {
        let proxy = Tidegate::before(&cluster).start();
        assert_eq!(primary_of(&proxy).as_deref(), Ok("r1"));
        assert!(!is_primary(&proxy, old));
    }
}

#[test]
fn a_promotion_by_mistake_can_be_undone() {
    let mut options = support::options();
    // What pg_rewind needs.
    options.primary_conf.push("wal_log_hints = on".to_owned());
    options.replica_conf.push("wal_log_hints = on".to_owned());
    let cluster = own(&options);
    let (primary, mistaken) = (cluster.primary(), cluster.replica(0));
    let proxy = Tidegate::tuned(&cluster, "tidegate_failover_timeout=1").args(["--log", "info"]).start();
    wait_both(&proxy);
    cluster.wait_caught_up().unwrap();
    mistaken.promote().unwrap();
    wait_until("the higher timeline wins", || primary_of(&proxy).as_deref() == Ok("r1"));
    wait_until("the other is fenced", || proxy.stderr().contains("it was the primary before a failover"));
    // While it is away nobody can tell that it is not coming back.
    mistaken.stop(StopMode::Fast).unwrap();
    assert_eq!(primary_of(&proxy), Err("57P03".to_owned()));
    let rewind = cluster.bin().program("pg_rewind");
    Former { node: mistaken, folder: cluster.folder(), rewind }.becomes_replica_of(primary);
    mistaken.start().unwrap();
    wait_until("the primary there was before is in office", || {
        primary_of(&proxy).as_deref() == Ok("primary")
    });
    wait_until("the other is a replica", || is_in_rotation(&proxy, mistaken));
    assert!(is_primary(&proxy, primary));
}

#[test]
fn two_primaries_of_one_timeline_take_no_writes() {
    let cluster = own_with_facts();
    let (primary, copy) = (cluster.primary(), cluster.replica(0));
    let proxy = Tidegate::before(&cluster).args(["--log", "info"]).start();
    wait_both(&proxy);
    let mut client = Raw::app(proxy.address());
    let insert = "insert into facts values (1)";
    client.ok(insert);
    cluster.wait_caught_up().unwrap();
    copy.stop(StopMode::Fast).unwrap();
    start_as_copy(copy);
    wait_until("writes are refused", || client.query(insert).error().is_some());
    let (code, text) = client.query(insert).error().unwrap();
    assert_eq!(code, "57P03");
    let names = [primary, copy].map(|node| format!("127.0.0.1:{}", node.port()));
    assert!(text.contains("on timeline 1") && names.iter().all(|name| text.contains(name)), "{text}");
    wait_until("reads go on", || client.query(WHERE).error().is_none());
    let before = primary.psql("select count(*) from facts").unwrap();
    assert_eq!(
        copy.psql("select count(*) from facts where n = 1").unwrap().trim(),
        "1",
        "nothing was written there"
    );
    assert_eq!(client.query(insert).code(), "57P03");
    assert_eq!(primary.psql("select count(*) from facts").unwrap(), before);
    copy.stop(StopMode::Fast).unwrap();
    wait_until("writes go on", || client.query(insert).error().is_none());
}

#[test]
fn an_older_copy_is_no_substitute_for_the_primary() {
    let cluster = own_with_facts();
    let copy = cluster.replica(0);
    let proxy = Tidegate::tuned(&cluster, "tidegate_failover_timeout=2").args(["--log", "info"]).start();
    wait_both(&proxy);
    copy.stop(StopMode::Fast).unwrap();
    let mut client = Raw::app(proxy.address());
    client.ok("insert into facts select generate_series(1, 1000)");
    wait_until("the proxy has seen that", || client.query(WHERE).value() == "r2");
    cluster.primary().kill().unwrap();
    start_as_copy(copy);
    wait_until("the copy is refused", || proxy.stderr().contains("it is an older copy"));
    assert_eq!(client.query("insert into facts values (1)").code(), "57P03");
    // Both at a time would be two of one timeline.
    copy.stop(StopMode::Fast).unwrap();
    cluster.primary().start().unwrap();
    wait_until("the primary is back", || is_primary(&proxy, cluster.primary()));
    client.ok("insert into facts values (1)");
}

/// What a client is told in the end.
fn told(mut client: Raw) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let answer = client.answer();
        answer.error().map_or_else(|| answer.value(), |(code, _)| code)
    })
}

#[test]
fn what_is_under_way_on_a_silent_primary_ends_when_there_is_another() {
    let cluster = own_with_facts();
    let (old, new) = (cluster.primary(), cluster.replica(0));
    let proxy = Tidegate::tuned(&cluster, "tidegate_min_connections=6").start();
    wait_both(&proxy);
    let pool = format!("pool=\"app@127.0.0.1:{}/app\"", old.port());
    let idle = || proxy.metric("tidegate_pool_connections", &[&pool, "state=\"idle\""]);
    wait_until("nobody has to connect", || idle() > 5.5);
    let mut clients: Vec<_> = (0..4).map(|_| Raw::app(proxy.address())).collect();
    clients[2].ok("begin; insert into facts values (2)");
    clients.iter_mut().for_each(|client| drop(client.query("select 1")));
    let frozen = Frozen::new(old);
    let mut idle = clients.remove(2);
    for (client, sql) in clients.iter_mut().zip([
        "insert into facts values (1)",
        "select n from facts where n = 0 /* tidegate: intent=primary */",
        "begin",
    ]) {
        client.send(&query(sql));
    }
    let waiting: Vec<_> = clients.into_iter().map(told).collect();
    new.promote().unwrap();
    let begun = Instant::now();
    let ends: Vec<_> = waiting.into_iter().map(|client| client.join().unwrap()).collect();
    // Whether the write was committed nobody knows; the read is run again; a direct connection would break, too.
    assert_eq!(ends, ["08007", "0", "08006"]);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let last = idle.until_closed().pop().unwrap();
    assert_eq!(last.field(b'C').as_deref(), Some("57P01"), "its transaction is gone");
    assert_eq!(primary_of(&proxy).as_deref(), Ok("r1"));
    drop(frozen);
    wait_until("the old one is out", || !is_primary(&proxy, old));
    assert_eq!(primary_of(&proxy).as_deref(), Ok("r1"));
}

#[test]
fn what_is_under_way_on_a_silent_replica_is_run_elsewhere() {
    let cluster: LocalCluster = own_with_facts();
    let proxy = Tidegate::before(&cluster).start();
    wait_both(&proxy);
    let silent = cluster.replica(0);
    let mut clients: Vec<_> = (0..8).map(|_| Raw::app(proxy.address())).collect();
    clients.iter_mut().for_each(|client| drop(client.ok("select 1")));
    let frozen = Frozen::new(silent);
    let begun = Instant::now();
    clients.iter_mut().for_each(|client| client.send(&query(WHERE)));
    let waiting: Vec<_> = clients.into_iter().map(told).collect();
    wait_until("the silent one is out", || !is_in_rotation(&proxy, silent));
    eprintln!("out after {:?}", begun.elapsed());
    let mut fresh = Raw::app(proxy.address());
    for _ in 0..20 {
        assert_ne!(fresh.ok(WHERE).value(), silent.name());
    }
    for client in waiting {
        let end = client.join().unwrap();
        assert!(end == "r2" || end == "primary", "{end}");
    }
    eprintln!("all were answered after {:?}", begun.elapsed());
    drop(frozen);
    wait_until("it is back", || is_in_rotation(&proxy, silent));
}

/// Kills a server's postmaster while some of its backends are stopped in the middle of their work: they live on and say
/// nothing, and the port still takes connections. They are killed when this is dropped.
struct Orphans<'a> {
    node: &'a LocalNode,
    pids: Vec<String>,
}

impl<'a> Orphans<'a> {
    fn stopped(node: &'a LocalNode) -> Self {
        let backends = "select pid from pg_stat_activity where usename = 'app' and application_name not like 'tidegate%'";
        let pids: Vec<_> = node.psql(backends).unwrap().lines().map(|pid| pid.trim().to_owned()).collect();
        assert!(!pids.is_empty(), "the proxy has connections there");
        let orphans = Self { node, pids };
        orphans.signal("-STOP");
        orphans
    }

    fn orphan(&self) {
        self.node.kill_postmaster().unwrap();
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").arg(signal).args(&self.pids).status().unwrap().success());
    }
}

impl Drop for Orphans<'_> {
    fn drop(&mut self) {
        self.signal("-KILL");
    }
}

#[test]
fn what_hangs_on_a_replica_whose_postmaster_died_is_given_up() {
    let cluster = own_with_facts();
    let proxy = Tidegate::before(&cluster).start();
    wait_both(&proxy);
    let dying = cluster.replica(0);
    // Sessions in every state in which they may wait for it.
    let blocks = (0..20).map(|_| {
        let mut client = Raw::app(proxy.address());
        client.ok("begin read only");
        let is_there = client.ok(WHERE).value() == dying.name();
        (client, is_there)
    });
    let (mut clients, _elsewhere): (Vec<_>, Vec<_>) = blocks.partition(|(_, is_there)| *is_there);
    assert!(clients.len() >= 5, "blocks are spread");
    let mut clients: Vec<_> = clients.drain(..5).map(|(client, _)| client).collect();
    let mut outside: Vec<_> = (0..6).map(|_| Raw::app(proxy.address())).collect();
    outside.iter_mut().for_each(|client| drop(client.ok(WHERE)));
    // One waits until the replica has replayed what it must see.
    dying.pause_replay().unwrap();
    Raw::app(proxy.address()).ok("insert into facts values (1)");
    clients[4].send(&query("select count(*) from facts"));
    let orphans = Orphans::stopped(dying);
    clients[1].send(&query("select 1"));
    clients[2].send(&query("commit"));
    clients[3].send(&[parse("", "select 1"), bind("", "", &[]), execute(""), sync()].concat());
    outside.iter_mut().for_each(|client| client.send(&query(WHERE)));
    let begun = Instant::now();
    orphans.orphan();
    let mut idle = clients.remove(0);
    let inside: Vec<_> = clients.into_iter().map(told).collect();
    let outside: Vec<_> = outside.into_iter().map(told).collect();
    let outside: Vec<_> = outside.into_iter().map(|client| client.join().unwrap()).collect();
    eprintln!("{outside:?} after {:?}", begun.elapsed());
    assert!(outside.iter().all(|end| end != dying.name() && end.len() < 5), "{outside:?}");
    let inside: Vec<_> = inside.into_iter().map(|client| client.join().unwrap()).collect();
    eprintln!("{inside:?} after {:?}", begun.elapsed());
    let last = idle.until_closed().pop().unwrap();
    assert_eq!(last.field(b'C').as_deref(), Some("57P01"), "its transaction is gone");
    eprintln!("idle after {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    drop(orphans);
}
