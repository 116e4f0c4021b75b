//! Every scenario, in the order in which they are played. Each begins with a primary and two replicas that the proxy sees in
//! their roles, and leaves them so.

mod clients;
mod network;
mod primary;
mod proxy;
mod replica;
mod sabotage;

use super::rig::Rig;
use super::scene::{Depth, Errors, LIMIT, Play, Scenario, Scene};

pub fn all() -> Vec<Scenario> {
    let mut all = Vec::new();
    all.extend(sabotage::scenarios());
    all.extend(replica::scenarios());
    all.extend(network::scenarios());
    all.extend(primary::scenarios());
    all.extend(proxy::scenarios());
    all.extend(clients::scenarios());
    all
}

/// Nobody notices, but for a READ ONLY transaction that runs on the replica that is lost.
const OF_REPLICA: [Errors; 3] = [Errors::InBlocks, Errors::InBlocks, Errors::None];
/// Nobody notices.
const UNNOTICED: [Errors; 3] = [Errors::None; 3];
/// What was under way on the primary is lost, as a connection to PostgreSQL would be.
const UNDER_WAY: [Errors; 3] = [Errors::UnderWay; 3];

/// A scenario of the short run.
fn short(
    name: &'static str,
    what: &'static str,
    errors: [Errors; 3],
    play: fn(&Scene<'_>, &Rig),
) -> Scenario {
    Scenario {
        name,
        what,
        depth: Depth::Short,
        errors,
        limit: LIMIT,
        must_find: None,
        play: Play::Streaming(play),
    }
}

/// The same, for `make chaos` only.
fn full(name: &'static str, what: &'static str, errors: [Errors; 3], play: fn(&Scene<'_>, &Rig)) -> Scenario {
    Scenario { depth: Depth::Full, ..short(name, what, errors, play) }
}

/// The replica is in its role, and is used.
fn serves_again(scene: &Scene<'_>, rig: &Rig, index: usize) {
    let before = rig.served(index);
    let what = format!("{} serves as a replica", rig.node(index).name());
    scene.expect(&what, || rig.is_seen_as(index, "replica") && rig.served(index) > before);
}
