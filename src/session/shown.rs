//! What a session was shown: it must not be shown less later, on whichever node.
//!
//! A read may see a commit whose acknowledgement is still on its way, and of which no mark tells. So a read beside which
//! such a commit was under way leaves a *read mark* on its session: the instant at which it was answered. What was
//! flushed before that is on every node whose horizon has come there.

use std::time::Duration;

use super::serve::Session;
use crate::cluster::footprint;
use crate::freshness::Tick;
use crate::routing::Seen;
use crate::sql::{Level, Scope};

/// How long a read on the primary waits for what a replica has shown already to become visible there.
const SETTLE: Duration = Duration::from_millis(10);
/// Between looks at that.
const LOOK: Duration = Duration::from_millis(1);

/// What a session was shown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shown {
    /// The read mark.
    pub(super) seen: Option<Seen>,
    /// What reads of the whole database's writes were shown: reads of a narrower scope must not fall behind it.
    pub(super) narrowed: Tick,
    /// Stands for the commits that were under way when the read mark was left; `None` when they are over.
    under_way: Option<u64>,
}

impl Session {
    /// The server has answered, and no transaction is open: notes what the session was shown.
    pub(super) fn was_shown(&mut self) {
        let Some(l) = &self.leased else { return };
        let (level, scope) = self.promised(&l.turn.summary);
        let cluster = &self.database.cluster;
        let read = footprint(&l.touching.tables.reads);
        // In this order: a commit that is over by now has set its mark.
        let more = cluster.marks.may_show_more(read);
        let of_all = cluster.marks.of(read);
        let at = match (level, scope) {
            (Level::Eventual | Level::Bounded(_), _) => return,
            (Level::Session | Level::Strong, _) if more => cluster.clock.now(),
            // It shows what others have written without this proxy, too.
            (Level::Strong, _) => cluster.clock.now(),
            (Level::Session | Level::Primary, Scope::Database) => {
                self.shown.narrowed = self.shown.narrowed.max(of_all);
                return;
            }
            (Level::Session | Level::Primary, _) => of_all,
        };
        let node = l.node.node();
        let before = self.shown.seen.map_or(Tick::NEVER, |seen| seen.at);
        self.shown.seen = Some(Seen { at: before.max(at), on: node.id, life: l.life });
        self.shown.under_way = more.then(|| cluster.under_way());
    }

    /// A replica can show a commit a moment before the primary does, which waits for others or is short of time. Before
    /// a read that follows such a one runs on the primary, that moment is waited out.
    pub(super) async fn settle(&mut self) {
        let Some(number) = self.shown.under_way.take() else { return };
        let cluster = &self.database.cluster;
        let on_primary = |seen: Seen| cluster.primary().is_some_and(|primary| primary.id == seen.on);
        if self.shown.seen.is_none_or(on_primary) {
            return;
        }
        let settled = async {
            while !cluster.are_over(number) {
                tokio::time::sleep(LOOK).await;
            }
        };
        // A statement may be under way for minutes: what it has not committed nobody was shown.
        let _ = tokio::time::timeout(SETTLE, settled).await;
    }
}
