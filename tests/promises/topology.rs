//! Nodes that come and go while the proxy runs: names that lead elsewhere, replicas that nobody named. (Patroni has a test
//! binary of its own: `tests/patroni.rs`.)

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use super::support::cutting::Cutting;
use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::Raw;
use super::{own_with_facts, support, wait_open};

fn is_up(proxy: &RunningProxy, node: &str, role: &str) -> bool {
    let (node, role) = (format!("node=\"{node}\""), format!("role=\"{role}\""));
    proxy.metric("tidegate_node_up", &[&node, &role]) > 0.5
}

/// How often the proxy has said so.
fn said(proxy: &RunningProxy, words: &str) -> usize {
    proxy.stderr().matches(words).count()
}

/// The system's resolver, told by a file what names lead to.
struct Names {
    folder: tempfile::TempDir,
    /// The wrapper looks at the file's time in whole seconds.
    time: SystemTime,
}

impl Names {
    fn new(hosts: &str) -> Self {
        let mut names = Self { folder: tempfile::tempdir().unwrap(), time: SystemTime::now() };
        names.are(hosts);
        names
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("hosts")
    }

    fn are(&mut self, hosts: &str) {
        self.time += Duration::from_secs(2);
        let new = self.folder.path().join("new");
        fs::write(&new, hosts).unwrap();
        File::options().write(true).open(&new).unwrap().set_modified(self.time).unwrap();
        fs::rename(new, self.path()).unwrap();
    }

    fn for_proxy(&self, tidegate: Tidegate) -> Tidegate {
        let folders = fs::read_dir("/usr/lib").unwrap().flatten().map(|folder| folder.path());
        let mut files = folders.map(|folder| folder.join("libnss_wrapper.so"));
        let wrapper = files.find(|file| file.exists()).expect("missing: apt-get install libnss-wrapper");
        tidegate
            .env("LD_PRELOAD", wrapper.to_str().unwrap())
            .env("NSS_WRAPPER_HOSTS", self.path().to_str().unwrap())
    }
}

/// Reads all the time on one connection, until told to stop.
struct Reader {
    stop: Arc<AtomicBool>,
    reads: Arc<AtomicUsize>,
    thread: thread::JoinHandle<()>,
}

impl Reader {
    fn start(proxy: &RunningProxy) -> Self {
        let (stop, reads) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (told, count, address) = (Arc::clone(&stop), Arc::clone(&reads), proxy.address());
        let thread = thread::spawn(move || {
            let mut raw = Raw::app(address);
            while !told.load(Ordering::Relaxed) {
                assert_eq!(raw.ok("select n from facts").value(), "0");
                count.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(1));
            }
        });
        Self { stop, reads, thread }
    }

    /// Ends it. Every read was answered.
    fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.reads.load(Ordering::Relaxed)
    }
}

#[test]
fn a_name_that_leads_elsewhere_is_followed_without_a_restart() {
    let cluster = own_with_facts();
    let at = |last: u8, port: u16, node: u16| Cutting::at(([127, 0, 0, last], port), node);
    let primary = at(2, 0, cluster.primary().port());
    let port = primary.port();
    let _replicas = [at(3, port, cluster.replica(0).port()), at(4, port, cluster.replica(1).port())];
    let mut names = Names::new("127.0.0.2 pg.test\n");
    let url = format!("postgres://app:secret@pg.test:{port}/app?tidegate_dns_interval=100ms");
    let proxy = names.for_proxy(Tidegate::bare()).args(["--url", &url, "--log", "info"]).start();
    let sole = format!("pg.test:{port}");
    let [three, four] = [3, 4].map(|last| format!("pg.test[127.0.0.{last}]:{port}"));
    assert!(is_up(&proxy, &sole, "primary"));
    let reader = Reader::start(&proxy);

    names.are("127.0.0.2 pg.test\n127.0.0.3 pg.test\n");
    support::wait_until("a second address is a node", || is_up(&proxy, &three, "replica"));
    assert!(is_up(&proxy, &sole, "primary"), "the first one is the node that it was");
    wait_open(&proxy);

    names.are("127.0.0.2 pg.test\n127.0.0.4 pg.test\n");
    support::wait_until("another address is another node", || is_up(&proxy, &four, "replica"));
    assert!(!is_up(&proxy, &three, "replica"), "and the one before is gone");
    wait_open(&proxy);

    let removed = said(&proxy, "node removed");
    proxy.signal("HUP");
    support::wait_until("a reload has ended", || said(&proxy, "configuration reloaded") == 1);
    assert!(is_up(&proxy, &sole, "primary") && is_up(&proxy, &four, "replica"), "the nodes in use stay");
    assert_eq!(said(&proxy, "node removed"), removed);

    names.are("127.0.0.9 other.test\n");
    let failure = "the name cannot be looked up";
    support::wait_until("a failing resolver is told", || said(&proxy, failure) > 0);
    let questions = || proxy.metric("tidegate_monitor_questions_total", &[&format!("node=\"{four}\"")]);
    let before = questions();
    support::wait_until("the nodes are asked as before", || questions() > before + 5.0);
    assert_eq!(said(&proxy, failure), 1, "once");
    assert!(is_up(&proxy, &sole, "primary") && is_up(&proxy, &four, "replica"), "the last list stays");

    names.are("127.0.0.4 pg.test\n127.0.0.2 pg.test\n");
    support::wait_until("that it works again is told", || said(&proxy, "can be looked up again") == 1);
    assert!(is_up(&proxy, &sole, "primary") && is_up(&proxy, &four, "replica"));
    let reads = reader.end();
    println!("{reads} reads, none failed");
    assert!(reads > 100, "{reads}");
}

#[test]
fn replicas_that_nobody_named_are_found_through_who_streams_from_whom() {
    let cluster = own_with_facts();
    let [first, second] = [0, 1].map(|number| cluster.replica(number));
    second.follow(first).unwrap();
    for replica in [first, second] {
        // They connect by a Unix socket and listen on ports of their own, which only this tells.
        let conninfo = replica.psql("select current_setting('primary_conninfo')").unwrap();
        let name = format!("application_name={}", replica.name());
        let conninfo = conninfo.trim().replace(&name, &format!("{name}:{}", replica.port()));
        let conninfo = conninfo.replace('\'', "''");
        replica.psql(&format!("alter system set primary_conninfo = '{conninfo}'")).unwrap();
        replica.psql("select pg_reload_conf()").unwrap();
    }
    let url = format!("{}?tidegate_discover_replicas=true", cluster.url(tidegate::local::Login::App));
    let proxy = Tidegate::bare().args(["--url", &url, "--log", "info"]).start();
    support::wait_until("it is said which right is missing", || said(&proxy, "grant it pg_monitor") == 1);
    cluster.primary().psql("grant pg_monitor to app").unwrap();
    for replica in [first, second] {
        support::wait_until("a replica is found", || super::is_in_rotation(&proxy, replica));
    }
    super::wait_both(&proxy);
    assert_eq!(said(&proxy, "replica discovered"), 2);

    // One that is down is a node all the same, so that it is back at once.
    second.kill().unwrap();
    support::wait_until("it is out", || !super::is_in_rotation(&proxy, second));
    second.start().unwrap();
    support::wait_until("it is back", || super::is_in_rotation(&proxy, second));
    assert_eq!(said(&proxy, "node removed"), 0);
}
