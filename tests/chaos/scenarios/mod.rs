//! Every scenario, in the order in which they are played: those that leave the cluster as it was come first.

mod replica;

use super::scene::Scenario;

pub fn all() -> Vec<Scenario> {
    let mut all = Vec::new();
    all.extend(replica::SCENARIOS);
    all
}
