//! What the checks are worth: promises are broken on purpose, and it must be found.

use tidegate::local::StopMode;

use super::primary::{others, rejoins};
use super::short;
use crate::progress::KINDS;
use crate::rig::Rig;
use crate::scene::{Errors, Scenario, Scene};

const ANY: [Errors; 3] = [Errors::Any; 3];

pub fn scenarios() -> [Scenario; 2] {
    [
        Scenario {
            must_find: Some("a stale read"),
            ..short(
                "sabotage-eventual",
                "for the checks: reads may be stale (`eventual`), and a replica's replay is paused",
                ANY,
                eventual,
            )
        },
        Scenario {
            must_find: Some("was acknowledged and is not there"),
            ..short(
                "sabotage-asynchronous",
                "for the checks: a replica is promoted that lacks what was acknowledged",
                ANY,
                asynchronous,
            )
        },
    ]
}

fn eventual(scene: &Scene<'_>, rig: &Rig) {
    let replica = rig.node(rig.a_replica());
    rig.configure("consistency = \"eventual\"");
    rig.kill_proxy();
    rig.start_proxy();
    replica.pause_replay().unwrap();
    scene.fault(|| ());
    scene.go_on(&KINDS);
    scene.hold();
    replica.resume_replay().unwrap();
    rig.configure("");
    rig.kill_proxy();
    rig.start_proxy();
}

fn asynchronous(scene: &Scene<'_>, rig: &Rig) {
    let old = rig.reigning();
    let set = "alter system set synchronous_standby_names = ''; select pg_reload_conf()";
    rig.node(old).psql(set).unwrap();
    for index in others(old) {
        rig.node(index).stop(StopMode::Fast).unwrap();
    }
    scene.fault(|| ());
    scene.go_on(&KINDS);
    scene.hold();
    scene.fault(|| rig.node(old).kill().unwrap());
    for index in others(old) {
        rig.node(index).start().unwrap();
    }
    rig.fail_over(&others(old));
    rejoins(scene, rig, old);
}
