//! What a session was shown: it must not be shown less later, on whichever node.

use std::time::Duration;

use super::serve::Session;
use super::stale::is_open;
use super::summary::Summary;
use crate::cluster::footprint;
use crate::routing::{NodeId, Seen, Wants};
use crate::sql::Level;

/// How long a read on the primary waits for what a replica has shown already to become visible there.
/// On a machine that is overloaded a commit was seen to take 200 ms for it.
const SETTLE: Duration = Duration::from_millis(250);
/// A statement that has been under way for this long is most likely at work, and commits at some other moment.
const LONG: Duration = Duration::from_secs(1);
/// Between looks at that.
const LOOK: Duration = Duration::from_millis(1);

impl Session {
    /// The server has answered, and no transaction is open: notes what the session was shown.
    pub(super) fn was_shown(&mut self) {
        let Some(l) = &self.leased else { return };
        let (on, summary) = ((l.node.node().id, l.tenure.life), &l.turn.summary);
        let promise = self.promise(self.promised(summary), summary.key);
        let (cluster, Some(l)) = (&self.database.cluster, &self.leased) else { return };
        let read = footprint(l.touching.shown());
        if self.shown.read(&promise, read, &cluster.marks, on, || cluster.clock.now()) {
            self.beside = Some(cluster.under_way());
        }
    }

    /// A replica can show a commit a moment before the primary does, which waits for others or is short of time. Before a
    /// read runs on the primary that must not miss what was shown there, that moment is to be waited out: returns the
    /// number of the last commit that may be in it.
    pub(super) fn unsettled(&mut self, summary: &Summary) -> Option<u64> {
        let cluster = &self.database.cluster;
        let on_primary = |seen: Seen| cluster.primary().is_some_and(|primary| primary.id == seen.on);
        let own = self.beside.take().filter(|_| self.shown.seen.is_some_and(|seen| !on_primary(seen)));
        // A strong read must not miss what anybody was shown.
        let anybody = || {
            let strong = self.promised(summary).0 == Level::Strong;
            let may_miss = strong && cluster.marks.may_show_more(footprint(&summary.touched.reads));
            may_miss.then(|| cluster.under_way())
        };
        own.or_else(anybody).filter(|_| summary.wants == Wants::Read)
    }

    /// Waits until the commits up to `number` are over. True when a replica has become fresh enough meanwhile.
    pub(super) async fn settle(&self, number: u64, summary: &Summary, avoid: Option<NodeId>) -> bool {
        let cluster = &self.database.cluster;
        let since = cluster.clock.now().before(LONG);
        let settled = async {
            loop {
                if is_open(cluster, summary, avoid) {
                    return true;
                }
                if cluster.are_over(number, since) {
                    return false;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(SETTLE, settled).await.unwrap_or(false)
    }
}
