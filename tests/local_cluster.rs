//! The throwaway cluster: it replicates, it can be broken in every way the tests need, and it leaves nothing behind.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tidegate::local::{LocalCluster, LocalNode, Login, StopMode};

fn start() -> LocalCluster {
    support::exclusive_cluster(&support::options())
}

fn ask(node: &LocalNode, sql: &str) -> String {
    node.psql(sql).unwrap_or_else(|error| panic!("{error}")).trim().to_owned()
}

/// A zombie is dead: who reaps an orphan, and when, is not ours to say.
fn is_alive(pid: u32) -> bool {
    let alive = "kill -0 \"$0\" 2>/dev/null && ! grep -qs '^State:.Z' \"/proc/$0/status\"";
    Command::new("sh").args(["-c", alive, &pid.to_string()]).status().unwrap().success()
}

#[test]
fn replicates_to_two_named_replicas_and_lets_the_app_in_over_tcp() {
    let begin = Instant::now();
    let cluster = start();
    eprintln!("started in {:?}", begin.elapsed());
    let names = "select string_agg(application_name, ' ' order by application_name) from pg_stat_replication";
    assert_eq!(ask(cluster.primary(), names), "r1 r2");
    ask(cluster.primary(), "create table t (n int); insert into t select generate_series(1, 1000)");
    cluster.wait_caught_up().unwrap();
    for replica in cluster.replicas() {
        assert_eq!(ask(replica, "select count(*), pg_is_in_recovery() from t"), "1000|t");
    }
    for login in [Login::App, Login::Superuser] {
        let by_url = Command::new(cluster.bin().program("psql"))
            .args(["-XAtc", "select inet_server_port(), current_database()", &cluster.replica(1).url(login)])
            .output()
            .unwrap();
        let expected = format!("{}|app", cluster.replica(1).port());
        assert_eq!(String::from_utf8_lossy(&by_url.stdout).trim(), expected, "{by_url:?}");
    }
}

#[test]
fn replay_is_paused_resumed_and_delayed() {
    let cluster = start();
    ask(cluster.primary(), "create table t (n int)");
    cluster.wait_caught_up().unwrap();
    cluster.replica(0).pause_replay().unwrap();
    ask(cluster.primary(), "insert into t values (1)");
    let deadline = Instant::now() + Duration::from_secs(30);
    while ask(cluster.replica(1), "select count(*) from t") != "1" {
        assert!(Instant::now() < deadline, "r2 does not replicate");
    }
    assert_eq!(ask(cluster.replica(0), "select count(*) from t"), "0");
    cluster.replica(0).resume_replay().unwrap();
    cluster.wait_caught_up().unwrap();
    assert_eq!(ask(cluster.replica(0), "select count(*) from t"), "1");

    cluster.replica(0).set_apply_delay(Duration::from_hours(1)).unwrap();
    ask(cluster.primary(), "insert into t values (2)");
    while ask(cluster.replica(1), "select count(*) from t") != "2" {
        assert!(Instant::now() < deadline, "r2 does not replicate");
    }
    assert_eq!(ask(cluster.replica(0), "select count(*) from t"), "1");
    cluster.replica(0).set_apply_delay(Duration::ZERO).unwrap();
    cluster.wait_caught_up().unwrap();
    assert_eq!(ask(cluster.replica(0), "select count(*) from t"), "2");
}

#[test]
fn killed_and_stopped_nodes_come_back_on_their_ports() {
    let cluster = start();
    let replica = cluster.replica(0);
    let (pid, port) = (replica.pid().unwrap(), replica.port());
    replica.kill().unwrap();
    assert!(!is_alive(pid));
    assert_eq!(replica.pid(), None);
    replica.psql("select 1").unwrap_err();
    ask(cluster.primary(), "create table t (n int)");
    replica.start().unwrap();
    assert_eq!(replica.port(), port);
    cluster.wait_streaming().unwrap();
    cluster.wait_caught_up().unwrap();

    for mode in [StopMode::Smart, StopMode::Fast, StopMode::Immediate] {
        cluster.primary().stop(mode).unwrap();
        assert_eq!(cluster.primary().pid(), None);
        cluster.primary().start().unwrap();
    }
    cluster.primary().restart().unwrap();
    cluster.primary().kill().unwrap();
    cluster.primary().start().unwrap();
    cluster.wait_streaming().unwrap();
    ask(cluster.primary(), "insert into t values (1)");
    cluster.wait_caught_up().unwrap();
    assert_eq!(ask(replica, "select count(*) from t"), "1");
}

#[test]
fn a_promoted_replica_takes_writes_and_is_followed() {
    let cluster = start();
    ask(cluster.primary(), "create table t (n int)");
    cluster.wait_caught_up().unwrap();
    cluster.primary().stop(StopMode::Immediate).unwrap();
    cluster.replica(0).promote().unwrap();
    cluster.replica(1).follow(cluster.replica(0)).unwrap();
    ask(cluster.replica(0), "insert into t values (1)");
    let deadline = Instant::now() + Duration::from_secs(30);
    while ask(cluster.replica(1), "select count(*) from t") != "1" {
        assert!(Instant::now() < deadline, "r2 does not follow r1");
    }
}

#[test]
fn options_reach_the_servers() {
    let mut options = support::options();
    options.replicas = 1;
    options.app_is_superuser = true;
    options.primary_conf.push("work_mem = '3MB'".to_owned());
    options.replica_conf.push("recovery_min_apply_delay = '10ms'".to_owned());
    let cluster = LocalCluster::start(&options).unwrap();
    assert_eq!(ask(cluster.primary(), "show work_mem; show recovery_min_apply_delay"), "3MB\n0");
    assert_eq!(ask(cluster.replica(0), "show work_mem; show recovery_min_apply_delay"), "4MB\n10ms");
    assert_eq!(ask(cluster.primary(), "select rolsuper from pg_roles where rolname = 'app'"), "t");
}

fn folder(mode: u32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
    folder
}

#[test]
fn a_server_that_does_not_start_shows_its_log_and_leaves_nothing() {
    let parent = folder(0o755);
    let mut options = support::options();
    options.parent = parent.path().to_owned();
    options.replica_conf.push("no_such_setting = 1".to_owned());
    let error = LocalCluster::start(&options).unwrap_err().to_string();
    assert!(error.contains("r1 did not start") && error.contains("no_such_setting"), "{error}");
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
}

#[test]
fn folders_closed_to_the_account_of_postgresql_are_named() {
    let closed = folder(0o700);
    let mut options = support::options();
    if fs::metadata(closed.path()).unwrap().uid() != 0 {
        // Only root needs another account.
        return;
    }
    options.parent = closed.path().to_owned();
    let error = LocalCluster::start(&options).unwrap_err().to_string();
    assert!(error.contains("cannot enter") && error.contains(closed.path().to_str().unwrap()), "{error}");

    for program in ["initdb", "postgres", "pg_basebackup", "psql"] {
        fs::copy(options.bin.program(program), closed.path().join(program)).unwrap();
    }
    let parent = folder(0o755);
    options.parent = parent.path().to_owned();
    options.bin = tidegate::local::binaries::find(Some(closed.path())).unwrap();
    let error = LocalCluster::start(&options).unwrap_err().to_string();
    assert!(error.contains("must be readable by"), "{error}");
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
}

fn pids(cluster: &LocalCluster) -> Vec<u32> {
    cluster.replicas().iter().chain([cluster.primary()]).filter_map(LocalNode::pid).collect()
}

fn assert_nothing_is_left(folder: &Path, pids: &[u32]) {
    assert!(!folder.exists(), "{} is still there", folder.display());
    for pid in pids {
        assert!(!is_alive(*pid), "process {pid} still runs");
    }
}

#[test]
fn drop_leaves_no_process_and_no_folder() {
    let cluster = start();
    let (folder, mut pids) = (cluster.folder().to_owned(), pids(&cluster));
    assert_eq!(pids.len(), 3);
    cluster.replica(0).kill().unwrap();
    cluster.replica(1).stop(StopMode::Fast).unwrap();
    let backends = ask(cluster.primary(), "select pid from pg_stat_activity");
    pids.extend(backends.lines().map(|pid| pid.parse::<u32>().unwrap()));
    drop(cluster);
    assert_nothing_is_left(&folder, &pids);
}

#[test]
fn a_panic_leaves_no_process_and_no_folder() {
    let (report, reported) = std::sync::mpsc::sync_channel(1);
    let thread = std::thread::spawn(move || {
        let cluster = start();
        report.send((cluster.folder().to_owned(), pids(&cluster))).unwrap();
        panic!("on purpose");
    });
    thread.join().unwrap_err();
    let (folder, pids) = reported.recv().unwrap();
    assert_nothing_is_left(&folder, &pids);
}

/// The environment variable that turns the test below into the process that is killed.
const VICTIM: &str = "TIDEGATE_TEST_VICTIM";

#[test]
fn a_killed_process_leaves_no_process_and_no_folder() {
    use std::io::BufRead;
    let name = "a_killed_process_leaves_no_process_and_no_folder";
    if std::env::var_os(VICTIM).is_some() {
        let cluster = start();
        println!("\nvictim {} {:?}", cluster.folder().display(), pids(&cluster));
        loop {
            std::thread::park();
        }
    }
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(VICTIM, "yes")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let output = std::io::BufReader::new(victim.stdout.take().unwrap());
    let told =
        output.lines().map_while(Result::ok).find_map(|line| Some(line.strip_prefix("victim ")?.to_owned()));
    let told = told.unwrap();
    let (folder, pids) = told.split_once(' ').unwrap();
    let pids: Vec<u32> = pids.trim_matches(['[', ']']).split(", ").map(|pid| pid.parse().unwrap()).collect();
    victim.kill().unwrap();
    victim.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    // A postmaster removes its pid file a moment before it exits.
    while Path::new(folder).exists() || pids.iter().any(|pid| is_alive(*pid)) {
        assert!(Instant::now() < deadline, "the watchdog has not cleaned up {folder}");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_nothing_is_left(Path::new(folder), &pids);
}
