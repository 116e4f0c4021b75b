//! What has happened to the nodes of late, for people: who became the primary, who was lost, who came back.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Events that are kept.
pub const KEPT: usize = 20;

/// What has happened to a node. The labels are part of the status document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It takes writes, and nobody else did before.
    Primary,
    /// It takes writes, and another node did before.
    Failover,
    /// It took writes, and was lost.
    PrimaryLost,
    /// It follows the primary.
    Replica,
    /// It was in use, and cannot be reached any more.
    Lost,
    /// It must not be used.
    Refused,
    /// It serves no reads because of its health.
    TakenOut,
    /// Its health lets it serve reads again.
    LetIn,
    /// It was taken out by hand.
    Disabled,
    /// It was taken back by hand.
    Enabled,
    /// It is a node of the cluster from now on.
    Added,
    /// It is no node of the cluster any more.
    Removed,
}

impl What {
    /// Every kind, in the order of declaration.
    pub const ALL: [Self; 12] = [
        Self::Primary,
        Self::Failover,
        Self::PrimaryLost,
        Self::Replica,
        Self::Lost,
        Self::Refused,
        Self::TakenOut,
        Self::LetIn,
        Self::Disabled,
        Self::Enabled,
        Self::Added,
        Self::Removed,
    ];

    /// As the status document calls it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Failover => "failover",
            Self::PrimaryLost => "primary_lost",
            Self::Replica => "replica",
            Self::Lost => "lost",
            Self::Refused => "refused",
            Self::TakenOut => "taken_out",
            Self::LetIn => "let_in",
            Self::Disabled => "disabled",
            Self::Enabled => "enabled",
            Self::Added => "added",
            Self::Removed => "removed",
        }
    }

    /// Whether it is kept before others: it is rare, and what people look for.
    fn is_of_the_primary(self) -> bool {
        matches!(self, Self::Failover | Self::PrimaryLost)
    }
}

/// Something that has happened to a node.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub at: SystemTime,
    /// The node's name.
    pub node: String,
    /// What.
    pub what: What,
    /// Why, or more about it; may be empty.
    pub detail: String,
}

/// The last [`KEPT`] events, oldest first.
#[derive(Debug, Default)]
pub struct Chronicle(Mutex<VecDeque<Event>>);

impl Chronicle {
    /// Something has happened just now.
    pub(super) fn note(&self, node: &str, what: What, detail: impl Into<String>) {
        let (at, node, detail) = (SystemTime::now(), node.to_owned(), detail.into());
        self.add(Event { at, node, what, detail });
    }

    fn add(&self, event: Event) {
        let mut events = self.lock();
        if events.len() >= KEPT {
            // A replica that comes and goes does not push out what has become of the primary.
            let common = events.iter().position(|event| !event.what.is_of_the_primary());
            events.remove(common.unwrap_or(0));
        }
        events.push_back(event);
    }

    /// What has happened, the newest first.
    pub fn newest_first(&self) -> Vec<Event> {
        self.lock().iter().rev().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_kept_and_failovers_longer() {
        let chronicle = Chronicle::default();
        chronicle.note("n1", What::Failover, "timeline 2");
        for number in 0..2 * KEPT {
            chronicle.note("n2", What::TakenOut, number.to_string());
        }
        let events = chronicle.newest_first();
        assert_eq!(events.len(), KEPT);
        assert_eq!(events[0].detail, (2 * KEPT - 1).to_string());
        assert_eq!((events[KEPT - 1].what, events[KEPT - 1].node.as_str()), (What::Failover, "n1"));
        for _ in 0..2 * KEPT {
            chronicle.note("n1", What::Failover, "");
        }
        chronicle.note("n3", What::Lost, "");
        chronicle.note("n3", What::Replica, "");
        let newest: Vec<_> = chronicle.newest_first().iter().map(|event| event.what).collect();
        assert_eq!((newest.len(), newest[0], newest[1]), (KEPT, What::Replica, What::Failover));
    }
}
