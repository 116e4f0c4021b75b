//! A primary with two streaming replicas, a breakable network before each of them, the proxy behind those, and one more
//! between the proxy and its clients.

use std::cell::{Cell, Ref, RefCell};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tidegate::local::{LocalCluster, LocalNode, Login, StopMode};
use tokio::runtime::Handle;

use super::former::Former;
use super::link::Link;
use super::load::schema;
use super::stage::{Site, Stage, connect};
use super::support;
use super::support::proxy::{RunningProxy, Tidegate};

/// The nodes in the order of the configuration.
pub const NODES: [usize; 3] = [0, 1, 2];

pub struct Rig {
    // First, so that it is gone before the servers are.
    proxy: RefCell<Option<RunningProxy>>,
    pub cluster: LocalCluster,
    links: [Link; 3],
    /// Between the clients and the proxy.
    pub front: Link,
    folder: TempDir,
    reigning: Cell<usize>,
    pub runtime: Handle,
}

impl Rig {
    pub fn build(runtime: &Handle) -> Self {
        let mut options = support::options();
        // What pg_rewind needs.
        options.primary_conf.push("wal_log_hints = on".to_owned());
        options.replica_conf.push("wal_log_hints = on".to_owned());
        let cluster = support::exclusive_cluster(&options);
        cluster.primary().psql(&schema()).unwrap();
        cluster.wait_caught_up().unwrap();
        for node in nodes(&cluster) {
            // A write that was acknowledged is on another node, too: without this PostgreSQL itself would lose some.
            node.psql("alter system set synchronous_standby_names = 'ANY 1 (*)'; select pg_reload_conf()")
                .unwrap();
        }
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let (links, front) = runtime.block_on(async {
            let [primary, r1, r2] = nodes(&cluster).map(|node| local(node.port()));
            let links = [Link::before(primary).await, Link::before(r1).await, Link::before(r2).await];
            (links, Link::before(local(1)).await)
        });
        let rig = Self {
            proxy: RefCell::new(None),
            cluster,
            links,
            front,
            folder: tempfile::tempdir().unwrap(),
            reigning: Cell::new(0),
            runtime: runtime.clone(),
        };
        rig.configure("");
        rig.start_proxy();
        rig
    }

    pub fn node(&self, index: usize) -> &LocalNode {
        nodes(&self.cluster)[index]
    }

    /// The network before a node.
    pub fn link(&self, index: usize) -> &Link {
        &self.links[index]
    }

    /// The node that is the primary by what was done here.
    pub fn reigning(&self) -> usize {
        self.reigning.get()
    }

    /// A replica by what was done here.
    pub fn a_replica(&self) -> usize {
        NODES.into_iter().find(|index| *index != self.reigning()).unwrap()
    }

    /// Writes the proxy's configuration, with more lines about the database. A replica that is broken by one scenario after
    /// the other is not held back for longer each time.
    pub fn configure(&self, more: &str) {
        let hosts = self.links.each_ref().map(|link| link.address().to_string()).join(",");
        let text = format!(
            "[database.app]\nurl = \"postgres://app:secret@{hosts}/app\"\nmax_holdback = \"1s\"\n{more}\n"
        );
        std::fs::write(self.folder.path().join("tidegate.toml"), text).unwrap();
    }

    fn new_proxy(&self) -> RunningProxy {
        let config = self.folder.path().join("tidegate.toml");
        Tidegate::bare().args(["--config", config.to_str().unwrap(), "--log", "info"]).start()
    }

    /// Starts the proxy and leads clients to it.
    pub fn start_proxy(&self) {
        let proxy = self.new_proxy();
        self.front.lead_to(proxy.address());
        *self.proxy.borrow_mut() = Some(proxy);
    }

    /// Kills the proxy (SIGKILL).
    pub fn kill_proxy(&self) {
        drop(self.proxy.borrow_mut().take());
    }

    /// Stops the proxy (SIGTERM) and waits until it has ended.
    pub fn stop_proxy(&self) {
        let mut proxy = self.proxy.borrow_mut().take().unwrap();
        proxy.signal("TERM");
        proxy.wait_exit();
    }

    /// What the proxy has logged, if one runs.
    pub fn log(&self) -> Option<String> {
        self.proxy.borrow().as_ref().map(RunningProxy::stderr)
    }

    /// How the proxy calls a node.
    pub fn name(&self, index: usize) -> String {
        self.links[index].address().to_string()
    }

    fn site(&self, index: usize) -> Site {
        Site { name: self.name(index), url: self.node(index).url(Login::Superuser) }
    }

    /// Whether the proxy sees the node in this role (`primary`, `replica`).
    pub fn is_seen_as(&self, index: usize, role: &str) -> bool {
        let labels = [format!("node=\"{}\"", self.name(index)), format!("role=\"{role}\"")];
        self.proxy().metric("tidegate_node_up", &[&labels[0], &labels[1]]) > 0.5
    }

    /// Reads and writes that the proxy has run on the node.
    pub fn served(&self, index: usize) -> f64 {
        let label = format!("node=\"{}\"", self.name(index));
        self.proxy().metric("tidegate_statements_total", &[&label])
    }

    /// The running replica that has received most.
    pub fn most_advanced(&self, among: &[usize]) -> usize {
        let received = |index: usize| {
            let sql = "select (pg_last_wal_receive_lsn() - '0/0')::text";
            self.node(index).psql(sql).unwrap().trim().parse::<u64>().unwrap()
        };
        among.iter().copied().max_by_key(|index| received(*index)).unwrap()
    }

    /// Promotes the most advanced of `among`, has the others follow it, and returns the instant at which it was seen to
    /// take a write. The former primary must be out of reach of them.
    pub fn fail_over(&self, among: &[usize]) -> Instant {
        let chosen = self.most_advanced(among);
        let url = self.node(chosen).url(Login::Superuser);
        self.node(chosen).psql("select pg_promote(false)").unwrap();
        let accepting = std::thread::scope(|scope| {
            let runtime = &self.runtime;
            let accepting = scope.spawn(move || runtime.block_on(takes_writes(&url)));
            for other in among.iter().filter(|index| **index != chosen) {
                self.node(*other).follow(self.node(chosen)).unwrap();
            }
            accepting.join().unwrap()
        });
        self.reigning.set(chosen);
        accepting
    }

    /// Waits until the primary acknowledges a commit, and returns the instant.
    pub fn accepting(&self) -> Instant {
        self.runtime.block_on(takes_writes(&self.primary().url))
    }

    /// Makes a former primary, running or not, a replica of the one there is now.
    pub fn rejoin(&self, index: usize) {
        let node = self.node(index);
        // A clean end would wait for standbys that it has lost.
        node.stop(StopMode::Immediate).unwrap();
        Former { node, folder: self.cluster.folder(), rewind: self.cluster.bin().program("pg_rewind") }
            .becomes_replica_of(self.node(self.reigning()));
        node.start().unwrap();
        let streaming = format!(
            "select count(*) from pg_stat_replication where application_name = '{}' and state = 'streaming'",
            node.name()
        );
        support::wait_until("the former primary follows the new one", || {
            self.node(self.reigning()).psql(&streaming).unwrap().trim() == "1"
        });
    }
}

impl Stage for Rig {
    fn url(&self) -> String {
        format!("postgres://app:secret@{}/app", self.front.address())
    }

    fn proxy(&self) -> Ref<'_, RunningProxy> {
        Ref::map(self.proxy.borrow(), |proxy| proxy.as_ref().unwrap())
    }

    fn sites(&self) -> Vec<Site> {
        NODES.into_iter().filter(|index| self.node(*index).pid().is_some()).map(|i| self.site(i)).collect()
    }

    fn primary(&self) -> Site {
        self.site(self.reigning())
    }
}

pub fn nodes(cluster: &LocalCluster) -> [&LocalNode; 3] {
    [cluster.primary(), cluster.replica(0), cluster.replica(1)]
}

/// Waits until a commit on this server, which may still be a standby, is acknowledged.
async fn takes_writes(url: &str) -> Instant {
    let client = connect(url).await.unwrap();
    let deadline = Instant::now() + support::PATIENCE;
    while let Err(error) =
        client.batch_execute("select from pg_logical_emit_message(true, 'chaos', '')").await
    {
        assert!(Instant::now() < deadline, "gave up waiting until the promoted node takes writes: {error}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Instant::now()
}
