//! Which nodes a cluster has: a list that can change while the proxy runs.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Cluster, Control, Node, What};
use crate::config::NodeSettings;
use crate::routing::NodeId;

/// The nodes there are at one moment, oldest first.
pub type Members = Arc<Vec<Arc<Node>>>;

impl Cluster {
    /// The nodes there are.
    pub fn nodes(&self) -> arc_swap::Guard<Members> {
        self.members.load()
    }

    /// The node of this number, unless it was removed.
    pub fn node(&self, id: NodeId) -> Option<Arc<Node>> {
        self.nodes().iter().find(|node| node.id == id).cloned()
    }

    /// The nodes that there would be if these were asked for. A node whose settings are the same stays the same node, with
    /// all that is known of it. Numbers are given once: what is said of a node that is gone is never taken for another's.
    pub fn members_for(&self, wanted: &[NodeSettings]) -> Members {
        let now = self.members.load();
        let member = |settings: &NodeSettings| {
            let same = now.iter().find(|node| node.settings == *settings);
            same.cloned().unwrap_or_else(|| {
                let id = NodeId(self.numbers.fetch_add(1, Ordering::Relaxed));
                let new = Node::new(id, settings.clone());
                // Whoever was taken out by hand stays out, whatever else is said of it.
                new.set_disabled(now.iter().any(|node| node.name == new.name && node.is_disabled()));
                Arc::new(new)
            })
        };
        Arc::new(wanted.iter().map(member).collect())
    }

    /// Watches these nodes from now on, and the others no longer. To be called by one at a time.
    pub fn replace_members(self: &Arc<Self>, members: &Members) {
        let before = self.members.swap(Arc::clone(members));
        let is_in = |list: &Members, node: &Arc<Node>| list.iter().any(|other| other.id == node.id);
        for gone in before.iter().filter(|node| !is_in(members, node)) {
            tracing::info!(node = %gone.name, "node removed");
            self.chronicle.note(&gone.name, What::Removed, "");
            gone.retire();
            self.resign(gone);
        }
        for new in members.iter().filter(|node| !is_in(&before, node)) {
            tracing::info!(node = %new.name, "node added");
            self.chronicle.note(&new.name, What::Added, "");
            if self.control.load().is_some() {
                super::monitor::begin(self, new);
            }
        }
        // Whoever waits for a node looks at the list again.
        self.progressed();
    }

    /// Whoever connects to ask questions does it like this from now on.
    pub fn set_control(&self, control: Control) {
        self.control.store(Some(Arc::new(control)));
    }

    /// Nobody is served from this cluster any more: its tasks end.
    pub fn end(&self) {
        self.ended.send_replace(true);
        self.abandoned.send_replace(());
        self.nodes().iter().for_each(|node| node.retire());
    }

    /// Whether nobody is served from this cluster any more.
    pub fn is_over(&self) -> bool {
        *self.ended.borrow()
    }

    /// Waits until the cluster is not watched any more. Cancel safe.
    pub(super) async fn has_ended(&self) {
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }
}
