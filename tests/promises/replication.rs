//! Replication connections: PostgreSQL's own programs, and a standby, work through the proxy.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tidegate::local::{LocalCluster, LocalNode};

use super::support::cutting::{Cutting, Plan};
use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::{Message, Raw, V3_0, query, startup, tagged};
use super::{own, shared, support};

const PHYSICAL: [(&str, &str); 3] = [("user", "app"), ("database", "replication"), ("replication", "true")];
const LOGICAL: [(&str, &str); 3] = [("user", "app"), ("database", "app"), ("replication", "database")];

/// A cluster whose user `app` may replicate, also logically.
pub(super) fn replicating(replicas: usize) -> LocalCluster {
    let mut options = support::options();
    options.replicas = replicas;
    options.primary_conf.push("wal_level = logical".to_owned());
    let cluster = own(&options);
    cluster
        .primary()
        .psql("alter role app replication; create table t (n int); alter table t owner to app")
        .unwrap();
    cluster
}

/// One of PostgreSQL's programs as a client of the proxy.
fn program(proxy: &RunningProxy, name: &str, args: &[&str]) -> Command {
    let address = proxy.address();
    let mut command = Command::new(support::pg_bin().program(name));
    command.env("PGPASSWORD", "secret").env("PGCONNECT_TIMEOUT", "30").env("LC_ALL", "C");
    command.args(["-h", &address.ip().to_string(), "-p", &address.port().to_string(), "-U", "app", "-w"]);
    command.args(args).stdin(Stdio::null());
    command
}

#[track_caller]
fn run(proxy: &RunningProxy, name: &str, args: &[&str]) -> String {
    let Output { status, stdout, stderr } = program(proxy, name, args).output().unwrap();
    assert!(status.success(), "{name} {args:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8_lossy(&stdout).into_owned()
}

/// A folder that goes with the cluster.
fn folder(cluster: &LocalCluster, name: &str) -> String {
    let path: PathBuf = cluster.folder().join(name);
    std::fs::create_dir(&path).unwrap();
    path.to_str().unwrap().to_owned()
}

fn connections(proxy: &RunningProxy) -> f64 {
    proxy.metric("tidegate_replication_connections", &["database=\"app\""])
}

fn all_gone(proxy: &RunningProxy) {
    support::wait_until("no client is left", || {
        connections(proxy) < 0.5 && proxy.metric("tidegate_clients", &[]) < 0.5
    });
}

fn flushed(cluster: &LocalCluster) -> String {
    let sql = "select from pg_switch_wal(); select pg_current_wal_flush_lsn()";
    cluster.primary().psql(sql).unwrap().trim().to_owned()
}

#[test]
fn a_base_backup_is_whole() {
    let cluster = replicating(1);
    let proxy = Tidegate::tuned(&cluster, "connection_limit=1").start();
    cluster.primary().psql("insert into t select generate_series(1, 100000)").unwrap();
    // The pool's one connection is taken: the backup needs none of it.
    let mut busy = Raw::app(proxy.address());
    busy.ok("begin; select 1");
    for (name, how) in [("streamed", "-Xstream"), ("fetched", "-Xfetch")] {
        let target = folder(&cluster, name);
        run(&proxy, "pg_basebackup", &["-D", &target, how, "-c", "fast", "-N"]);
        let verified =
            Command::new(support::pg_bin().program("pg_verifybackup")).arg(&target).output().unwrap();
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    }
    busy.ok("commit");
    busy.terminate();
    all_gone(&proxy);
}

#[test]
fn wal_is_archived() {
    let cluster = replicating(1);
    let proxy = Tidegate::before(&cluster).start();
    let target = folder(&cluster, "wal");
    run(&proxy, "pg_receivewal", &["--slot", "archive", "--create-slot"]);
    cluster.primary().psql("insert into t select generate_series(1, 1000)").unwrap();
    let end = flushed(&cluster);
    let stop = ["-D", &target, "-n", "-E", &end];
    run(&proxy, "pg_receivewal", &[&stop[..], &["--slot", "archive"]].concat());
    let files = || std::fs::read_dir(&target).unwrap().count();
    assert!(files() >= 1, "nothing was received");
    run(&proxy, "pg_receivewal", &["--slot", "archive", "--drop-slot"]);
    let slots =
        cluster.primary().psql("select count(*) from pg_replication_slots where slot_name = 'archive'");
    assert_eq!(slots.unwrap().trim(), "0");
    // Without a slot, from where the last one ended.
    let before = files();
    cluster.primary().psql("insert into t select generate_series(1, 1000)").unwrap();
    let end = flushed(&cluster);
    run(&proxy, "pg_receivewal", &["-D", &target, "-n", "-E", &end]);
    assert!(files() > before);
    all_gone(&proxy);
}

#[test]
fn changes_are_decoded() {
    let cluster = replicating(1);
    let proxy = Tidegate::before(&cluster).start();
    let slot = ["-d", "app", "--slot", "decoded"];
    run(&proxy, "pg_recvlogical", &[&slot[..], &["--create-slot", "-P", "test_decoding"]].concat());
    Raw::app(proxy.address()).ok("insert into t values (4711)");
    let end = flushed(&cluster);
    let start = [&slot[..], &["--start", "-n", "-E", &end, "-f", "-"]].concat();
    let seen = run(&proxy, "pg_recvlogical", &start);
    assert!(seen.contains("table public.t: INSERT: n[integer]:4711"), "{seen}");
    // What was confirmed is not sent again: the last words of a client reach the server.
    let confirmed = format!(
        "select confirmed_flush_lsn >= '{end}' from pg_replication_slots where slot_name = 'decoded'"
    );
    support::wait_until("what was received is confirmed", || {
        cluster.primary().psql(&confirmed).unwrap().trim() == "t"
    });
    run(&proxy, "pg_recvlogical", &[&slot[..], &["--drop-slot"]].concat());
    // Statements are answered as well, on the connection of its own.
    let mut raw = Raw::log_in(proxy.address(), V3_0, &LOGICAL, "secret").unwrap();
    assert_eq!(raw.ok("select pg_is_in_recovery(), count(*) from t").value(), "f");
    raw.terminate();
    all_gone(&proxy);
}

#[test]
fn a_standby_streams_through_the_proxy() {
    let cluster = replicating(1);
    let proxy = Tidegate::before(&cluster).start();
    let (address, replica) = (proxy.address(), cluster.replica(0));
    replica
        .psql(&format!(
            "alter system set primary_conninfo = 'host={} port={} user=app password=secret application_name=r1';
             select pg_reload_conf();",
            address.ip(),
            address.port()
        ))
        .unwrap();
    support::wait_until("the replica streams through the proxy", || {
        let sql = "select sender_port from pg_stat_wal_receiver where status = 'streaming'";
        replica.psql(sql).unwrap().trim() == address.port().to_string()
    });
    assert_eq!(connections(&proxy).to_string(), "1");
    let mut raw = Raw::app(address);
    for i in 1..=20 {
        raw.ok(&format!("insert into t values ({i})"));
        assert_eq!(raw.ok("select count(*) from t").value(), i.to_string());
    }
    super::wait_open(&proxy);
    cluster.wait_caught_up().unwrap();
    let is_about_flags = |line: &str| line.contains("in the list of processes");
    assert!(proxy.stderr().lines().all(is_about_flags), "{}", proxy.stderr());
}

/// A raw client that streams WAL from where it stands.
fn streaming(proxy: &RunningProxy) -> Raw {
    let mut raw = Raw::log_in(proxy.address(), V3_0, &PHYSICAL, "secret").unwrap();
    let position = raw.ok("IDENTIFY_SYSTEM").rows()[0][2].clone().unwrap();
    raw.send(&query(&format!("START_REPLICATION PHYSICAL {position}")));
    assert_eq!(raw.until(b"WE").0.last().unwrap().tag, b'W');
    raw
}

#[test]
fn a_replication_command_is_cancelled() {
    let cluster = replicating(1);
    let proxy = Tidegate::before(&cluster).start();
    let mut raw = streaming(&proxy);
    let name =
        cluster.primary().psql("select count(*) from pg_stat_replication where usename = 'app'").unwrap();
    assert_eq!(name.trim(), "1");
    Raw::cancel(proxy.address(), raw.pid, &raw.secret);
    let error = raw.until(b"E").0.pop().unwrap();
    assert_eq!(error.field(b'C').unwrap(), "57014");
    drop(raw);
    all_gone(&proxy);
    support::wait_until("the server has let it go, too", || {
        let sql =
            "select count(*) from pg_stat_activity where usename = 'app' and backend_type = 'walsender'";
        cluster.primary().psql(sql).unwrap().trim() == "0"
    });
}

#[test]
fn a_stop_ends_replication_at_once_and_between_messages() {
    let cluster = replicating(1);
    let mut proxy = Tidegate::before(&cluster).args(["--log", "info"]).start();
    let mut raw = streaming(&proxy);
    cluster.primary().psql("insert into t select generate_series(1, 300000)").unwrap();
    raw.until(b"d");
    let begin = Instant::now();
    proxy.signal("TERM");
    let last = raw.until_closed().pop().unwrap();
    assert_eq!((last.tag, last.field(b'C').unwrap_or_default().as_str()), (b'E', "57P01"), "{last:?}");
    assert!(proxy.wait_exit().success());
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    // What the process has written may be read a moment later.
    for words in ["replication connection begins", "replication connection ends", "user=\"app\""] {
        support::wait_until("it is in the log", || proxy.stderr().contains(words));
    }
}

#[test]
fn replication_that_is_cut_leaves_nothing_behind() {
    let cluster = replicating(0);
    let server = Cutting::before(cluster.primary().port());
    let url = format!("postgres://app:secret@127.0.0.1:{}/app", server.port());
    let proxy = Tidegate::bare().args(["--url", &url, "--log", "off"]).start();
    let converse = || {
        let mut raw = Raw::silent(proxy.address());
        raw.send(&startup(V3_0, &PHYSICAL));
        raw.authenticate("secret").map(|()| {
            raw.send(&[query("IDENTIFY_SYSTEM"), tagged(b'X', b"")].concat());
            raw.everything()
        })
    };
    let mut whole = converse().unwrap();
    let len = server.passed();
    let is_part = |said: &[u8], whole: &[u8]| whole.starts_with(said) && said.len() < whole.len();
    for cut in 0..len {
        server.plan(Plan::Cut(cut));
        match converse() {
            Ok(said) => {
                if !is_part(&said, &whole) {
                    // An idle server writes WAL now and then, and the position is in the answer.
                    whole = converse().unwrap();
                }
                assert!(is_part(&said, &whole), "cut at {cut} of {len}");
            }
            Err(error) => assert_eq!(error.field(b'C').unwrap(), "08001", "cut at {cut} of {len}: {error:?}"),
        }
    }
    // The client's side, while WAL streams.
    for reset in [false, true] {
        let raw = streaming(&proxy);
        if reset {
            socket2::SockRef::from(raw.socket()).set_linger(Some(Duration::ZERO)).unwrap();
        }
        drop(raw);
        all_gone(&proxy);
    }
    support::wait_until("the server has let all of them go", || {
        cluster.primary().psql("select count(*) from pg_stat_replication").unwrap().trim() == "0"
    });
}

#[test]
fn a_client_that_does_not_read_is_waited_for() {
    let cluster = replicating(1);
    let proxy = Tidegate::before(&cluster).start();
    let memory = |proxy: &RunningProxy| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    cluster.primary().psql("insert into t select generate_series(1, 2000000)").unwrap();
    let before = memory(&proxy);
    let mut lazy = Raw::log_in(proxy.address(), V3_0, &PHYSICAL, "secret").unwrap();
    lazy.send(&query("BASE_BACKUP (CHECKPOINT 'fast')"));
    support::wait_until("the server waits for its client", || {
        let sql =
            "select count(*) from pg_stat_activity where wait_event = 'ClientWrite' and usename = 'app'";
        cluster.primary().psql(sql).unwrap().trim() == "1"
    });
    assert_eq!(Raw::app(proxy.address()).ok("select 1").value(), "1");
    let grown = memory(&proxy).saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB more for a client that does not read");
    // Then all of it comes, to the last byte.
    let answer = lazy.answer().ok();
    assert!(answer.0.iter().map(|m| m.body.len()).sum::<usize>() > 60_000_000);
}

fn refused(proxy: &RunningProxy, parameters: &[(&str, &str)], password: &str) -> Message {
    Raw::log_in(proxy.address(), V3_0, parameters, password).err().expect("a refusal")
}

#[test]
fn what_is_wrong_is_said() {
    let cluster = replicating(1);
    let proxy = Tidegate::tuned(&cluster, "tidegate_max_clients=1&connect_timeout=2").start();
    let code = |parameters: &[(&str, &str)], password: &str| {
        let error = refused(&proxy, parameters, password);
        (error.field(b'S').unwrap(), error.field(b'C').unwrap())
    };
    let fatal = |code: &str| ("FATAL".to_owned(), code.to_owned());
    assert_eq!(code(&PHYSICAL, "guess"), fatal("28P01"));
    assert_eq!(
        code(&[("user", "app"), ("database", "app"), ("replication", "perhaps")], "secret"),
        fatal("22023")
    );
    assert_eq!(
        code(&[("user", "app"), ("database", "nothing"), ("replication", "true")], "secret"),
        fatal("3D000")
    );
    assert_eq!(
        code(&[("user", "app"), ("database", "replication"), ("replication", "database")], "secret"),
        fatal("3D000")
    );
    // What only the server knows, it says.
    let wrong = [&PHYSICAL[..], &[("options", "-c work_mem=nonsense")]].concat();
    assert_eq!(code(&wrong, "secret"), fatal("22023"));
    // No database at all is as good as the one called replication, and both count as clients.
    let held =
        Raw::log_in(proxy.address(), V3_0, &[("user", "app"), ("replication", "1")], "secret").unwrap();
    assert_eq!(code(&PHYSICAL, "secret"), fatal("53300"));
    drop(held);
    all_gone(&proxy);
    cluster.primary().psql("alter role app noreplication").unwrap();
    let error = refused(&proxy, &PHYSICAL, "secret");
    assert_eq!(error.field(b'C').unwrap(), "42501", "{error:?}");
    cluster.primary().stop(tidegate::local::StopMode::Immediate).unwrap();
    support::wait_until("there is no primary", || {
        proxy.metric("tidegate_node_up", &["role=\"primary\""]) < 0.5
    });
    let error = refused(&proxy, &PHYSICAL, "secret");
    assert_eq!(error.field(b'C').unwrap(), "57P03");
    assert!(error.field(b'H').unwrap().contains("Only a primary replicates"), "{error:?}");
}

#[test]
fn which_cluster_replicates_must_be_clear() {
    let section = |name: &str, nodes: &[&LocalNode]| {
        let nodes: Vec<_> = nodes.iter().map(|node| format!("'127.0.0.1:{}'", node.port())).collect();
        let nodes = nodes.join(", ");
        format!("[database.{name}]\nnodes = [{nodes}]\ndbname = 'app'\nuser.app.password = 'secret'\n")
    };
    let (primary, replica) = (shared().primary(), shared().replica(0));
    // Two names for the same servers are as good as one.
    let twins = section("one", &[primary, replica]) + &section("two", &[replica, primary]);
    let apart = section("one", &[primary, replica]) + &section("two", &[primary]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidegate.toml");
    for (text, code) in [(twins, "42501"), (apart, "3D000")] {
        std::fs::write(&file, text).unwrap();
        let proxy = Tidegate::bare().args(["--config", file.to_str().unwrap()]).start();
        let error = refused(&proxy, &PHYSICAL, "secret");
        assert_eq!(error.field(b'C').unwrap(), code, "{error:?}");
        if code == "3D000" {
            assert!(error.field(b'M').unwrap().contains("one, two"), "{error:?}");
            // Named, it is clear: then the server says that this user must not.
            let named = [("user", "app"), ("database", "one"), ("replication", "true")];
            assert_eq!(refused(&proxy, &named, "secret").field(b'C').unwrap(), "42501");
        }
    }
}

#[test]
fn the_console_ends_them_and_lets_new_ones_wait() {
    let cluster = replicating(0);
    let proxy = Tidegate::before(&cluster).args(["--console-users", "app"]).start();
    let connect = |parameters: &[(&str, &str)]| Raw::log_in(proxy.address(), V3_0, parameters, "secret");
    let mut ops = connect(&[("user", "app"), ("database", "tidegate")]).unwrap();
    for command in ["kill client", "kill app"] {
        let mut raw = connect(&LOGICAL).unwrap();
        raw.ok("IDENTIFY_SYSTEM");
        assert!(ops.ok("show clients").rows().iter().any(|row| row[0].as_deref() == Some("R")));
        match command {
            "kill client" => ops.ok(&format!("kill client {}", raw.pid)),
            _ => ops.ok(command),
        };
        assert_eq!(raw.until_closed().last().unwrap().field(b'C').unwrap(), "57P01", "{command}");
        all_gone(&proxy);
    }
    // The database is paused now.
    let (waiting, resumed) = std::thread::scope(|scope| {
        let login = scope.spawn(|| connect(&LOGICAL).map(|mut raw| raw.ok("IDENTIFY_SYSTEM")));
        support::wait_until("it waits", || ops.ok("show clients").rows().len() == 2);
        std::thread::sleep(Duration::from_millis(100));
        let waiting = !login.is_finished();
        ops.ok("resume app");
        (waiting, login.join().unwrap().is_ok())
    });
    assert!(waiting && resumed);
}
