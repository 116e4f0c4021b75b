//! The nodes of every database of a running proxy, followed.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::config::{NodeSettings, Settings};
use crate::session::Proxy;
use crate::topology;

/// One task per database; they end when this is dropped.
#[derive(Debug)]
pub(super) struct Followers {
    _tasks: JoinSet<()>,
}

impl Followers {
    /// Follows the nodes of these databases, from the lists in their settings on. On the runtime that carries the monitors.
    pub(super) fn begin(proxy: &Arc<Proxy>, settings: &Settings) -> Self {
        let mut tasks = JoinSet::new();
        for database in &settings.databases {
            let Some(running) = proxy.database(&database.name) else { continue };
            let (proxy, database) = (Arc::clone(proxy), database.clone());
            let cluster = Arc::clone(&running.cluster);
            tasks.spawn(async move {
                let publish = |nodes: Vec<NodeSettings>| proxy.reshape(&database.name, &nodes);
                topology::follow(&database, &cluster.orphaned, publish).await;
            });
        }
        Self { _tasks: tasks }
    }
}
