//! The servers: a cluster of its own, Tidegate before it, and the addresses of all of them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;

use tidegate::local::{LocalCluster, LocalNode, Login};

use crate::Places;
use crate::support::proxy::{RunningProxy, Tidegate};
use crate::support::regress::{self, DATABASE};
use crate::support::wait_until;

pub struct Stage {
    // Dropped before the cluster it stands before.
    pub tidegate: RunningProxy,
    pub cluster: LocalCluster,
}

impl Stage {
    /// Starts everything with the programs in `bin`.
    pub fn set(bin: &std::path::Path) -> Self {
        let cluster = regress::cluster(bin, 1);
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
