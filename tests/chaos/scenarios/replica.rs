//! A replica dies, and comes back.

use tidegate::local::StopMode;

use crate::progress::KINDS;
use crate::rig::Rig;
use crate::scene::{Depth, Errors, Leaves, Play, Scenario, Scene, Skipped};

/// Nobody notices that a replica has gone.
const UNNOTICED: [Errors; 3] = [Errors::None; 3];

pub const SCENARIOS: [Scenario; 2] = [
    Scenario {
        name: "replica-killed",
        what: "a replica is killed (SIGKILL), and started again",
        depth: Depth::Short,
        leaves: Leaves::AsItWas,
        errors: UNNOTICED,
        play: Play::Streaming(|scene, rig| dies(scene, rig, |node| node.kill())),
    },
    Scenario {
        name: "replica-stopped",
        what: "a replica is stopped (fast), and started again",
        depth: Depth::Short,
        leaves: Leaves::AsItWas,
        errors: UNNOTICED,
        play: Play::Streaming(|scene, rig| dies(scene, rig, |node| node.stop(StopMode::Fast))),
    },
];

fn dies(
    scene: &Scene<'_>,
    rig: &Rig,
    end: fn(&tidegate::local::LocalNode) -> Result<(), tidegate::local::Error>,
) -> Result<(), Skipped> {
    let index = rig.a_replica();
    scene.fault(|| end(rig.node(index)).unwrap());
    scene.go_on(&KINDS);
    scene.hold();
    rig.node(index).start().unwrap();
    serves_again(scene, rig, index);
    Ok(())
}

/// The replica is back in its role, and is used.
pub fn serves_again(scene: &Scene<'_>, rig: &Rig, index: usize) {
    let before = rig.served(index);
    scene.expect("the replica serves again", || {
        rig.is_seen_as(index, "replica") && rig.served(index) > before
    });
}
