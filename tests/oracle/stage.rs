//! The servers: a cluster of its own, Tidegate before it, and the addresses of all of them.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;

use tidegate::local::{LocalCluster, LocalNode, Login, Options, binaries};

use crate::Places;
use crate::support::proxy::{RunningProxy, Tidegate};
use crate::support::wait_until;

/// The database that everything happens in.
pub const DATABASE: &str = "regression";

/// What PostgreSQL's tests need to pass without a proxy.
const PRIMARY: [&str; 2] = ["max_prepared_transactions = 2", "max_wal_size = '4GB'"];
/// Replay waits for readers instead of cancelling them, and no reader keeps VACUUM on the primary from its work: the
/// tests look at what it leaves.
const STANDBY: [&str; 4] = [
    "max_prepared_transactions = 2",
    "hot_standby_feedback = off",
    "max_standby_streaming_delay = -1",
    "max_standby_archive_delay = -1",
];

/// As `pg_regress` makes its database.
const CREATE: &str = "
create database regression template template0;
alter database regression set lc_messages to 'C';
alter database regression set lc_monetary to 'C';
alter database regression set lc_numeric to 'C';
alter database regression set lc_time to 'C';
alter database regression set bytea_output to 'hex';
alter database regression set timezone_abbreviations to 'Default';
";

pub struct Stage {
    // Dropped before the cluster it stands before.
    pub tidegate: RunningProxy,
    pub cluster: LocalCluster,
}

impl Stage {
    /// Starts everything with the programs in `bin`.
    pub fn set(bin: &std::path::Path) -> Self {
        let cluster = cluster(bin, 1);
        cluster.wait_caught_up().unwrap();
        let tidegate = before(&cluster);
        Self { tidegate, cluster }
    }

    pub fn places(&self, corpus: &str) -> Places {
        let at = |node: &LocalNode| SocketAddr::from((Ipv4Addr::LOCALHOST, node.port()));
        Places {
            corpus: corpus.to_owned(),
            tidegate: self.tidegate.address(),
            primary: at(self.cluster.primary()),
            standby: at(self.cluster.replica(0)),
            records: Mutex::default(),
        }
    }
}

/// Servers with the database of the tests. The user `postgres` needs no password.
pub fn cluster(bin: &std::path::Path, replicas: usize) -> LocalCluster {
    let mut options = Options::new(binaries::find(Some(bin)).unwrap());
    options.replicas = replicas;
    options.primary_conf = PRIMARY.map(str::to_owned).to_vec();
    options.replica_conf = STANDBY.map(str::to_owned).to_vec();
    let cluster = LocalCluster::start(&options).unwrap();
    let_in(cluster.primary());
    cluster.replicas().iter().for_each(let_in);
    cluster.primary().psql(CREATE).unwrap();
    cluster
}

/// Asks nobody on loopback for a password.
fn let_in(node: &LocalNode) {
    let path = node.data_dir().join("pg_hba.conf");
    let rules = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("host all postgres 127.0.0.1/32 trust\n{rules}")).unwrap();
    node.psql("select pg_reload_conf()").unwrap();
    let loaded =
        "select count(*) from pg_hba_file_rules where auth_method = 'trust' and user_name = '{postgres}'";
    wait_until("the node lets us in", || node.psql(loaded).unwrap().trim() == "1");
}

/// A proxy that only observes, in session mode: `pg_regress` counts on its sessions, and it is statements that are tried
/// here.
fn before(cluster: &LocalCluster) -> RunningProxy {
    let at = |node: &LocalNode| node.url(Login::Superuser).replace("/app", &format!("/{DATABASE}"));
    let parameters =
        "connection_limit=50&tidegate_client_auth=trust&tidegate_pool_mode=session&tidegate_mode=observe";
    let primary = format!("{}?{parameters}", at(cluster.primary()));
    let proxy = Tidegate::bare().args(["--primary", &primary, "--replica", &at(cluster.replica(0))]).start();
    wait_until("the standby is in rotation", || {
        proxy.metric("tidegate_node_up", &["role=\"replica\""]) > 0.5
    });
    proxy
}
