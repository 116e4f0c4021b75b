//! A cluster that nobody watches, for tests and fuzzing: its first node is the primary, the others are replicas that are
//! never behind.

use super::{Cluster, Identity, State};
use crate::freshness::{Horizon, Lsn, Sample, Tick};

impl Cluster {
    /// Takes the nodes for what they are to be, without asking them.
    pub fn stage(&self) {
        let always = Tick(u64::MAX / 2);
        for (number, node) in self.nodes().iter().enumerate() {
            let identity = Identity {
                in_recovery: number > 0,
                system: "staged".to_owned(),
                timeline: 1,
                shows_timeline: true,
                position: Lsn(1),
                version: 150_000,
                version_text: "15.0".to_owned(),
                async_commit: false,
                serializable: false,
            };
            node.vitals.linked();
            let state = self.admit(node, &identity);
            if state == State::Replica {
                let mut horizon = Horizon::default();
                horizon.replayed(Lsn(1), always);
                horizon.sampled(Sample { at: always, flushed: Lsn(1) });
                node.follow(&horizon);
                node.set_state(State::Replica);
            }
            node.answered(always);
        }
    }
}
