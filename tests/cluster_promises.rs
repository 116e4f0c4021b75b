//! What Tidegate promises, each promise a test, against a primary and two streaming replicas.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::needless_for_each, reason = "one line per step keeps a scenario readable")]
#![allow(clippy::too_many_lines, reason = "tables are as long as they are")]

mod support;

#[path = "promises/activation.rs"]
mod activation;
#[path = "promises/admin.rs"]
mod admin;
#[path = "promises/auth_query.rs"]
mod auth_query;
#[path = "promises/backpressure.rs"]
mod backpressure;
#[path = "promises/cancel.rs"]
mod cancel;
#[path = "promises/catalog.rs"]
mod catalog;
#[path = "promises/console.rs"]
mod console;
#[path = "promises/console_operations.rs"]
mod console_operations;
#[path = "promises/console_pause.rs"]
mod console_pause;
#[path = "promises/console_settings.rs"]
mod console_settings;
#[path = "promises/console_tables.rs"]
mod console_tables;
#[path = "promises/console_tools.rs"]
mod console_tools;
#[path = "promises/cuts.rs"]
mod cuts;
#[path = "promises/cuts_server.rs"]
mod cuts_server;
#[path = "promises/dashboard.rs"]
mod dashboard;
#[path = "promises/drain.rs"]
mod drain;
#[path = "promises/explain.rs"]
mod explain;
#[path = "promises/failover.rs"]
mod failover;
#[path = "promises/freshness.rs"]
mod freshness;
#[path = "promises/hba.rs"]
mod hba;
#[path = "promises/healed.rs"]
mod healed;
#[path = "promises/health.rs"]
mod health;
#[path = "promises/idle.rs"]
mod idle;
#[path = "promises/isolation.rs"]
mod isolation;
#[path = "promises/isolation_hints.rs"]
mod isolation_hints;
#[path = "promises/isolation_settings.rs"]
mod isolation_settings;
#[path = "promises/large.rs"]
mod large;
#[path = "promises/levels.rs"]
mod levels;
#[path = "promises/locked.rs"]
mod locked;
#[path = "promises/login.rs"]
mod login;
#[path = "promises/login_matrix.rs"]
mod login_matrix;
#[path = "promises/logins.rs"]
mod logins;
#[path = "promises/metrics.rs"]
mod metrics;
#[path = "promises/monitoring.rs"]
mod monitoring;
#[path = "promises/monotonic.rs"]
mod monotonic;
#[path = "promises/nodes.rs"]
mod nodes;
#[path = "promises/passthrough.rs"]
mod passthrough;
#[path = "promises/peers.rs"]
mod peers;
#[path = "promises/peers_promises.rs"]
mod peers_promises;
#[path = "promises/pins.rs"]
mod pins;
#[path = "promises/pools.rs"]
mod pools;
#[path = "promises/prepared.rs"]
mod prepared;
#[path = "promises/program.rs"]
mod program;
#[path = "promises/protocol.rs"]
mod protocol;
#[path = "promises/reload.rs"]
mod reload;
#[path = "promises/replication.rs"]
mod replication;
#[path = "promises/routing.rs"]
mod routing;
#[path = "promises/rules.rs"]
mod rules;
#[path = "promises/safety.rs"]
mod safety;
#[path = "promises/secrets.rs"]
mod secrets;
#[path = "promises/sequences.rs"]
mod sequences;
#[path = "promises/settings.rs"]
mod settings;
#[path = "promises/shares.rs"]
mod shares;
#[path = "promises/spans.rs"]
mod spans;
#[path = "promises/stale.rs"]
mod stale;
#[path = "promises/start_up.rs"]
mod start_up;
#[path = "promises/statement_log.rs"]
mod statement_log;
#[path = "promises/tables.rs"]
mod tables;
#[path = "promises/timeouts.rs"]
mod timeouts;
#[path = "promises/timing.rs"]
mod timing;
#[path = "promises/tls_attacks.rs"]
mod tls_attacks;
#[path = "promises/tls_clients.rs"]
mod tls_clients;
#[path = "promises/tls_false_servers.rs"]
mod tls_false_servers;
#[path = "promises/tls_files.rs"]
mod tls_files;
#[path = "promises/tls_servers.rs"]
mod tls_servers;
#[path = "promises/tls_traffic.rs"]
mod tls_traffic;
#[path = "promises/tokens.rs"]
mod tokens;
#[path = "promises/top.rs"]
mod top;
#[path = "promises/topology.rs"]
mod topology;
#[path = "promises/unix_socket.rs"]
mod unix_socket;
#[path = "promises/upgrade.rs"]
mod upgrade;
#[path = "promises/upkeep.rs"]
mod upkeep;
#[path = "promises/userlist.rs"]
mod userlist;
#[path = "promises/vanishing.rs"]
mod vanishing;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::OnceLock;
use std::time::Duration;

use support::proxy::{RunningProxy, Tidegate};
use support::raw::Raw;
use tidegate::local::{LocalCluster, LocalNode, Options};

/// The name of the node that answers, by a setting that only looks like the session's own: see [`name_nodes`].
const WHERE: &str = "select current_setting('app.node')";

/// The cluster all tests share, its nodes named.
fn shared() -> &'static LocalCluster {
    static NAMED: OnceLock<&LocalCluster> = OnceLock::new();
    NAMED.get_or_init(|| {
        name_nodes(support::cluster());
        support::cluster()
    })
}

/// A cluster of one's own, its nodes named.
fn own(options: &Options) -> LocalCluster {
    let cluster = support::exclusive_cluster(options);
    name_nodes(&cluster);
    cluster
}

/// A cluster of one's own, its nodes named, with a table `facts` that holds the number 0.
fn own_with_facts() -> LocalCluster {
    let cluster = own(&support::options());
    let fill = "create table facts (n int); insert into facts values (0); grant all on facts to app";
    cluster.primary().psql(fill).unwrap();
    cluster.wait_caught_up().unwrap();
    cluster
}

/// Gives each node a setting that says its name. Those that PostgreSQL has for that are read on the primary only.
fn name_nodes(cluster: &LocalCluster) {
    for node in cluster.replicas().iter().chain([cluster.primary()]) {
        let conf = node.data_dir().join("node.conf");
        let mut conf = std::fs::OpenOptions::new().append(true).open(conf).unwrap();
        writeln!(conf, "app.node = '{}'", node.name()).unwrap();
        node.psql("select pg_reload_conf()").unwrap();
        support::wait_until("a node knows its name", || {
            node.psql("select current_setting('app.node', true)").unwrap().trim() == node.name()
        });
    }
}

/// A proxy in front of the shared cluster, with parameters in its URL.
fn proxy(parameters: &str) -> RunningProxy {
    Tidegate::tuned(shared(), parameters).start()
}

/// A schema of one's own in the shared cluster, owned by `app` and there on every node.
fn schema() -> String {
    let name = format!("promise_{:08x}", rand::random::<u32>());
    let cluster = shared();
    cluster.primary().psql(&format!("create schema {name} authorization app")).unwrap();
    cluster.wait_caught_up().unwrap();
    name
}

/// A role of one's own in the shared cluster, known on every node; its password is `secret`.
fn role() -> String {
    let name = format!("promise_{:08x}", rand::random::<u32>());
    let cluster = shared();
    cluster.primary().psql(&format!("create role {name} login password 'secret'")).unwrap();
    cluster.wait_caught_up().unwrap();
    name
}

/// Statements run so far, by node, target and reason.
type Counts = BTreeMap<(String, String, String), f64>;

fn counts(proxy: &RunningProxy) -> Counts {
    let text = proxy.metrics();
    let label = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!("{name}=\"")).unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    };
    text.lines()
        .filter(|line| line.starts_with("tidegate_statements_total{"))
        .map(|line| {
            let value: f64 = line.rsplit_once(' ').unwrap().1.parse().unwrap();
            ((label(line, "node"), label(line, "target"), label(line, "reason")), value)
        })
        .collect()
}

/// What ran since `before`, as `target:reason`, sorted.
fn since(proxy: &RunningProxy, before: &Counts) -> Vec<String> {
    let now = counts(proxy);
    let grown = now.iter().filter(|(key, value)| **value > before.get(*key).copied().unwrap_or(0.0));
    let mut seen: Vec<_> = grown.map(|((_, target, reason), _)| format!("{target}:{reason}")).collect();
    seen.sort();
    seen
}

/// How the metrics call a node.
fn label(node: &LocalNode) -> String {
    format!("node=\"127.0.0.1:{}\"", node.port())
}

/// Whether the proxy uses this node as a replica.
fn is_in_rotation(proxy: &RunningProxy, node: &LocalNode) -> bool {
    proxy.metric("tidegate_node_up", &[&label(node), "role=\"replica\""]) > 0.5
}

/// Waits until every replica the proxy knows serves reads, and nothing written so far keeps them from it.
fn wait_open(proxy: &RunningProxy) {
    let mut raw = Raw::app(proxy.address());
    support::wait_until("a replica serves a read", || raw.query(WHERE).value() != "primary");
}

/// As [`wait_open`], and both replicas have served.
fn wait_both(proxy: &RunningProxy) {
    let mut raw = Raw::app(proxy.address());
    let mut seen = std::collections::BTreeSet::new();
    support::wait_until("both replicas serve reads", || {
        seen.insert(raw.query(WHERE).value());
        seen.contains("r1") && seen.contains("r2")
    });
}

/// Runs async test code on a few threads.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let result = runtime.block_on(future);
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

/// A client of `tokio-postgres`.
async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
