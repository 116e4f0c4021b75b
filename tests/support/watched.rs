//! A database whose catalog is read as the proxy reads it.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tidegate::cluster::catalog::{Keeper, Snapshot};
use tidegate::cluster::{self, Clock, Cluster, Control};
use tidegate::config::{Given, Secret, Sources, load};
use tidegate::local::{LocalCluster, LocalNode, Login};

use super::wait_until;

/// A cluster as the proxy sees it, watched from a runtime of its own.
pub struct Watched {
    cluster: Arc<Cluster>,
    runtime: tokio::runtime::Runtime,
}

impl Watched {
    /// The database `app`, logged in as `login`.
    pub fn new(local: &LocalCluster, login: Login) -> Self {
        Self::in_database(local, login, "app")
    }

    pub fn in_database(local: &LocalCluster, login: Login, database: &str) -> Self {
        let url = |node: &LocalNode| {
            let url = node.url(login);
            let (server, _) = url.rsplit_once('/').unwrap();
            Secret::new(format!("{server}/{database}"))
        };
        let given = Given {
            primaries: vec![url(local.primary())],
            replicas: local.replicas().iter().map(url).collect(),
            ..Given::default()
        };
        let settings = load(&Sources { flags: given, ..Sources::default() }).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let cluster = Arc::new(Cluster::new(&settings.databases[0], Clock::start()));
        runtime.block_on(async { cluster::spawn(&cluster, Control::new(&settings.databases[0])) });
        Self { cluster, runtime }
    }

    pub fn keeper(&self) -> &Keeper {
        &self.cluster.catalog
    }

    /// What is known after everything that was committed until now has been read.
    pub fn fresh(&self) -> Arc<Snapshot> {
        self.keeper().changed();
        self.settled()
    }

    /// What is known after everything that was announced until now has been read.
    pub fn settled(&self) -> Arc<Snapshot> {
        wait_until("the catalog has been read", || {
            !self.keeper().is_behind() && self.keeper().generation() > 0
        });
        self.keeper().current()
    }

    /// As [`Self::settled`], but only if that is so within `limit`.
    pub fn settled_within(&self, limit: Duration) -> Option<Arc<Snapshot>> {
        let deadline = Instant::now() + limit;
        while self.keeper().is_behind() || self.keeper().generation() == 0 {
            if Instant::now() > deadline {
                return None;
            }
            thread::sleep(Duration::from_millis(1));
        }
        Some(self.keeper().current())
    }

    pub fn stop(self) {
        self.runtime.shutdown_timeout(Duration::from_secs(1));
    }
}
