//! What a read must see, and what a session was shown: from promises to the one comparison.

use super::{NodeId, ReplicaView};
use crate::freshness::{Footprint, Group, Marks, Tick};
use crate::sql::{Level, Scope};

/// What a read is promised.
#[derive(Clone, Copy, Debug, Default)]
pub struct Promise {
    /// How fresh it is.
    pub level: Level,
    /// Whose writes it sees.
    pub scope: Scope,
    /// When the session itself has last written.
    pub own: Tick,
    /// The group of scope `client` or `key`, where the scope is one of these.
    pub group: Option<Group>,
}

/// What a read must see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// The replica's horizon must not be before this.
    pub mark: Tick,
    /// What the session was shown before, where nobody had been told of it yet: the read mark.
    pub seen: Option<Seen>,
}

/// A state that a session was shown: no other node may show it an older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The instant at which it was shown.
    pub at: Tick,
    /// Where. As long as that node goes on replaying, it only moves forward.
    pub on: NodeId,
    /// Which of the node's lives that was: after a restart it may stand further back.
    pub life: u64,
}

/// What a session was shown by all its reads.
///
/// A read may see a commit whose acknowledgement is still on its way, and of which no mark tells. So a read beside which
/// such a commit was under way leaves a *read mark* on its session: the instant at which it was answered. What was flushed
/// before that is on every node whose horizon has come there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shown {
    /// The read mark.
    pub seen: Option<Seen>,
    /// What reads of the whole database's writes were shown: reads of a narrower scope must not fall behind it.
    narrowed: Tick,
}

impl Need {
    /// What a read of `read` must see that arrived at `now`.
    pub fn of(promise: &Promise, read: Footprint<'_>, marks: &Marks, shown: &Shown, now: Tick) -> Self {
        let mark = match (promise.level, promise.scope, promise.group) {
            (Level::Eventual, ..) => return Self::default(),
            (Level::Bounded(age), ..) => return Self { mark: now.before(age), seen: None },
            (Level::Strong, ..) => now,
            (Level::Session | Level::Primary, Scope::Connection, _) => promise.own.max(shown.narrowed),
            (Level::Session | Level::Primary, Scope::Client | Scope::Key, Some(group)) => {
                marks.of_group(group).max(shown.narrowed)
            }
            (Level::Session | Level::Primary, _, _) => marks.of(read),
        };
        Self { mark, seen: shown.seen }
    }

    /// Whether `replica` may serve: the one comparison.
    pub fn is_met_by(&self, replica: &ReplicaView) -> bool {
        replica.horizon >= self.mark_for(replica)
    }

    /// What the horizon of `replica` must not be before.
    pub fn mark_for(&self, replica: &ReplicaView) -> Tick {
        match self.seen {
            Some(seen) if (seen.on, seen.life) != (replica.id, replica.life) => self.mark.max(seen.at),
            _ => self.mark,
        }
    }
}

impl Shown {
    /// A read of `read` was answered just now by a node in one of its lives. True if it may have been shown a commit
    /// that is under way.
    pub fn read(
        &mut self,
        promise: &Promise,
        read: Footprint<'_>,
        marks: &Marks,
        (on, life): (NodeId, u64),
        now: impl FnOnce() -> Tick,
    ) -> bool {
        // In this order: a commit that is over by now has set its mark.
        let more = marks.may_show_more(read);
        let of_all = marks.of(read);
        let at = match (promise.level, promise.scope) {
            (Level::Eventual | Level::Bounded(_), _) => return false,
            // A strong read shows what others have written without this proxy, too.
            (Level::Strong, _) => now(),
            (Level::Session | Level::Primary, _) if more => now(),
            (Level::Session | Level::Primary, Scope::Database) => {
                self.narrowed = self.narrowed.max(of_all);
                return false;
            }
            (Level::Session | Level::Primary, _) => of_all,
        };
        let before = self.seen.map_or(Tick::NEVER, |seen| seen.at);
        self.seen = Some(Seen { at: before.max(at), on, life });
        more
    }
}
