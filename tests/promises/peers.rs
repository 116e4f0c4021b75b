//! Several proxies side by side: a cancel request reaches its session, whichever of them it comes to.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tidegate::local::LocalCluster;

use super::support::balancer::Balancer;
use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::{Raw, V3_0, V3_2, query};
use super::support::tools::tools;
use super::support::{tools, wait_until};
use super::{shared, wait_both};

/// What a process number carries besides the number of its proxy.
const RANDOM_BITS: u32 = 21;
/// Marks a request that a peer passes on.
const PASSED_ON: u32 = 1 << 31;

/// Proxies with the numbers from 1 on, each of which knows the others by Unix sockets, and a balancer in front of them.
pub(super) struct Group {
    pub(super) proxies: Vec<RunningProxy>,
    pub(super) balancer: Balancer,
    _folder: TempDir,
}

impl Group {
    /// So many proxies in front of a cluster. One more is on their list and not there.
    pub(super) fn start(count: usize, cluster: &LocalCluster) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tidegate.toml");
        let socket = |number: usize| format!("{}:{}", folder.path().display(), 7000 + number);
        let peers: Vec<_> =
            (1..=count + 1).map(|number| format!("{number} = '{}'", socket(number))).collect();
        let peers = peers.join("\n");
        std::fs::write(&file, format!("[peers]\n{peers}\n{}", database(cluster))).unwrap();
        let start = |number: usize| {
            let (number, socket) = (number.to_string(), socket(number));
            let args = ["--peer-id", &number, "--listen", &socket, "--config", file.to_str().unwrap()];
            Tidegate::bare().args(args).start()
        };
        let proxies: Vec<_> = (1..=count).map(start).collect();
        proxies.iter().for_each(wait_both);
        let balancer = Balancer::before(proxies.iter().map(RunningProxy::address).collect());
        Self { proxies, balancer, _folder: folder }
    }
}

/// The section of a file about the database.
fn database(cluster: &LocalCluster) -> String {
    let nodes = [cluster.primary()].into_iter().chain(cluster.replicas());
    let nodes: Vec<_> = nodes.map(|node| format!("'127.0.0.1:{}'", node.port())).collect();
    format!("[database.app]\nnodes = [{}]\nuser.app.password = 'secret'\n", nodes.join(", "))
}

/// Which proxy a client's process number names.
pub(super) fn named(raw: &Raw) -> usize {
    (raw.pid >> RANDOM_BITS) as usize
}

/// Cancel requests that a proxy has had, by where they came from and what became of them.
fn requests(proxy: &RunningProxy, from: &str, outcome: &str) -> u64 {
    let series = format!("tidegate_cancel_requests_total{{from=\"{from}\",outcome=\"{outcome}\"}} ");
    let text = proxy.metrics();
    text.lines().find_map(|line| line.strip_prefix(&series)).unwrap().parse().unwrap()
}

fn log_in(proxy: &RunningProxy, version: u32) -> Raw {
    Raw::log_in(proxy.address(), version, &[("user", "app"), ("database", "app")], "secret").unwrap()
}

/// Has `raw` run something long and asks `proxy` to cancel it; how often it took.
fn cancel_by(proxy: &RunningProxy, raw: &mut Raw) -> u32 {
    raw.send(&query("select pg_sleep(30)"));
    let (pid, secret, done, begun) = (raw.pid, raw.secret.clone(), AtomicBool::new(false), Instant::now());
    let (answer, sent) = thread::scope(|scope| {
        let asks = scope.spawn(|| {
            let mut sent = 0;
            // It may come before the statement has begun.
            while !done.load(Ordering::Relaxed) {
                Raw::cancel(proxy.address(), pid, &secret);
                sent += 1;
                thread::sleep(Duration::from_millis(20));
            }
            sent
        });
        let answer = raw.answer();
        done.store(true, Ordering::Relaxed);
        (answer, asks.join().unwrap())
    });
    assert_eq!(answer.code(), "57014");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(raw.ok("select 1").value(), "1");
    sent
}

#[test]
fn a_request_is_passed_on_to_the_session_it_is_for() {
    let group = Group::start(3, shared());
    let [home, other, third] = &group.proxies[..] else { panic!() };
    for version in [V3_0, V3_2] {
        let mut raw = log_in(home, version);
        assert_eq!(named(&raw), 1);
        assert_eq!(raw.secret.len(), if version == V3_2 { 32 } else { 4 }, "all of it is still random");
        for proxy in [other, third, home] {
            cancel_by(proxy, &mut raw);
        }
    }
    for proxy in [other, third] {
        assert!(requests(proxy, "client", "passed_on") > 1);
        assert!(requests(proxy, "peer", "served") == 0 && requests(proxy, "client", "served") == 0);
    }
    assert!(requests(home, "peer", "served") > 3 && requests(home, "client", "served") > 1);
    assert!(requests(home, "client", "passed_on") == 0);
    for proxy in &group.proxies {
        for from in ["client", "peer"] {
            assert!(requests(proxy, from, "failed") == 0 && requests(proxy, from, "unknown") == 0);
        }
    }
}

#[test]
fn drivers_cancel_through_the_balancer() {
    let group = Group::start(2, shared());
    let script = tools().python_script("tests/drivers/psycopg_cancel.py");
    let mut python = Command::new(&script[0]);
    let printed = tools::run(python.args(&script[1..]).env("DATABASE_URL", group.balancer.url()));
    println!("psycopg: {printed}");
    assert!(printed.ends_with("done\n"), "{printed}");
    // Its connection goes to one of them, and the next one, that of the request, to the other.
    let passed: u64 = group.proxies.iter().map(|proxy| requests(proxy, "client", "passed_on")).sum();
    assert!(passed > 5, "{passed} requests were passed on");
}

#[test]
fn what_is_forged_does_nothing() {
    let group = Group::start(2, shared());
    let [home, other] = &group.proxies[..] else { panic!() };
    let mut raw = log_in(home, V3_0);
    raw.send(&query("select pg_sleep(1)"));
    let mut wrong = raw.secret.clone();
    wrong[3] ^= 1;
    // A wrong secret, another process number, a proxy that nobody knows, and one that is not there.
    let unknown = (raw.pid & ((1 << RANDOM_BITS) - 1)) | 500 << RANDOM_BITS;
    let absent = (raw.pid & ((1 << RANDOM_BITS) - 1)) | 3 << RANDOM_BITS;
    for (pid, secret) in [(raw.pid, &wrong), (raw.pid ^ 1, &raw.secret), (unknown, &raw.secret)] {
        Raw::cancel(other.address(), pid, secret);
        Raw::cancel(home.address(), pid, secret);
    }
    let begun = Instant::now();
    Raw::cancel(other.address(), absent, &raw.secret);
    assert!(begun.elapsed() < Duration::from_secs(5), "nobody there is no reason to wait");
    // The mark makes a request go nowhere: it does less than without.
    Raw::cancel(other.address(), raw.pid | PASSED_ON, &raw.secret);
    assert_eq!(raw.answer().error(), None);
    assert_eq!(requests(other, "client", "passed_on"), 2, "those that name the first proxy");
    assert_eq!(requests(other, "client", "unknown"), 1);
    assert_eq!(requests(other, "client", "failed"), 1);
    assert_eq!(requests(other, "peer", "unknown"), 1);
    assert_eq!(requests(home, "peer", "unknown"), 2);
    assert_eq!(requests(home, "client", "unknown"), 3);
    for proxy in &group.proxies {
        assert_eq!(requests(proxy, "client", "served") + requests(proxy, "peer", "served"), 0);
    }
    assert!(!format!("{}{}", home.stderr(), other.stderr()).contains("panicked"));
}

/// A proxy with a file that is read again, whose peers are `peers`.
fn with_file(number: u16, folder: &TempDir) -> (RunningProxy, std::path::PathBuf) {
    let file = folder.path().join(format!("{number}.toml"));
    std::fs::write(&file, format!("peer_id = {number}\n{}", database(shared()))).unwrap();
    let proxy = Tidegate::bare().args(["--log", "info", "--config", file.to_str().unwrap()]).start();
    wait_both(&proxy);
    (proxy, file)
}

fn reload(proxy: &RunningProxy, file: &std::path::Path, text: &str) {
    let said = || proxy.stderr().lines().filter(|line| line.contains("configuration")).count();
    let before = said();
    std::fs::write(file, text).unwrap();
    proxy.signal("HUP");
    wait_until("the configuration is read again", || said() > before);
}

#[test]
fn the_list_follows_a_reload_and_a_wrong_list_makes_no_loop() {
    let folder = tempfile::tempdir().unwrap();
    let ((one, one_file), (two, two_file)) = (with_file(1, &folder), with_file(2, &folder));
    let mut raw = log_in(&one, V3_0);
    Raw::cancel(two.address(), raw.pid, &raw.secret);
    assert_eq!(requests(&two, "client", "unknown"), 1, "it knows nobody yet");
    let list = |other: u16, proxy: &RunningProxy| {
        // Number 3 is the respective other one, too, which neither of them is: a mistake nobody can see.
        let third = format!("3 = 'localhost:{}'\n", proxy.address().port());
        format!("[peers]\n{other} = '{}'\n{third}{}", proxy.address(), database(shared()))
    };
    reload(&two, &two_file, &format!("peer_id = 2\n{}", list(1, &one)));
    reload(&one, &one_file, &format!("peer_id = 7\n{}", list(2, &two)));
    assert!(one.stderr().contains("peers: changed") && one.stderr().contains("peer_id: needs a restart"));
    cancel_by(&two, &mut raw);
    assert_eq!(named(&log_in(&one, V3_0)), 1, "a number stays until a restart");
    let before = requests(&two, "peer", "unknown");
    Raw::cancel(one.address(), 3 << RANDOM_BITS | 1, &raw.secret);
    assert_eq!(requests(&one, "client", "passed_on"), 1);
    assert_eq!(requests(&two, "peer", "unknown") - before, 1);
    assert_eq!(requests(&one, "peer", "unknown"), 0, "it has not come back");
}

/// The process before has sessions with the same number, and no address of its own.
#[test]
fn a_request_finds_a_process_that_was_replaced() {
    let mut group = Group::start(2, shared());
    let mut before = log_in(&group.proxies[0], V3_0);
    let pid = group.proxies[0].pid();
    group.proxies[0].signal("USR2");
    assert_ne!(group.proxies[0].wait_successor(), pid);
    let [home, other] = &group.proxies[..] else { panic!() };
    let mut after = log_in(home, V3_0);
    assert_eq!((named(&before), named(&after)), (1, 1));
    for raw in [&mut before, &mut after] {
        cancel_by(other, raw);
        cancel_by(home, raw);
    }
    assert!(requests(home, "peer", "passed_on") > 0, "those for the process before");
    assert!(requests(home, "peer", "served") > 0);
}

#[test]
fn without_a_number_keys_are_as_random_as_before() {
    let proxy = super::proxy("");
    let pids: Vec<_> = (0..40).map(|_| log_in(&proxy, V3_0).pid).collect();
    let fixed = (RANDOM_BITS..31).filter(|bit| pids.iter().all(|pid| pid >> bit & 1 == pids[0] >> bit & 1));
    assert_eq!(fixed.count(), 0, "{pids:x?}");
    assert!(pids.iter().all(|pid| pid & PASSED_ON == 0));
}
