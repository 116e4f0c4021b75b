//! The network between the proxy and a node is cut: with resets, or in silence, in one direction or both.
//!
//! The nodes still reach each other, and nobody is promoted. So a silent primary stays the primary, and writes come back when
//! it is reached again.

use std::time::Instant;

use super::{OF_REPLICA, UNDER_WAY, full, serves_again, short};
use crate::link::{Entry, Flow};
use crate::progress::{KINDS, Kind};
use crate::rig::Rig;
use crate::scene::{Scenario, Scene};

const SILENT: Flow = Flow::Silent;
const PASSES: Flow = Flow::Passes;

pub fn scenarios() -> [Scenario; 8] {
    [
        short(
            "replica-reset",
            "connections to a replica are reset, and new ones refused",
            OF_REPLICA,
            replica_reset,
        ),
        short("replica-silent", "a replica falls silent in both directions", OF_REPLICA, |scene, rig| {
            replica_silent(scene, rig, SILENT, SILENT);
        }),
        full("replica-deaf", "nothing reaches a replica any more, silently", OF_REPLICA, |scene, rig| {
            replica_silent(scene, rig, SILENT, PASSES);
        }),
        full("replica-mute", "nothing comes from a replica any more, silently", OF_REPLICA, |scene, rig| {
            replica_silent(scene, rig, PASSES, SILENT);
        }),
        full(
            "primary-reset",
            "connections to the primary are reset, and new ones refused",
            UNDER_WAY,
            primary_reset,
        ),
        short("primary-silent", "the primary falls silent in both directions", UNDER_WAY, |scene, rig| {
            primary_silent(scene, rig, SILENT, SILENT);
        }),
        full("primary-deaf", "nothing reaches the primary any more, silently", UNDER_WAY, |scene, rig| {
            primary_silent(scene, rig, SILENT, PASSES);
        }),
        full("primary-mute", "nothing comes from the primary any more, silently", UNDER_WAY, |scene, rig| {
            primary_silent(scene, rig, PASSES, SILENT);
        }),
    ]
}

fn replica_reset(scene: &Scene<'_>, rig: &Rig) {
    let index = rig.a_replica();
    scene.fault(|| {
        rig.link(index).entry(Entry::Reset);
        rig.link(index).reset();
    });
    scene.go_on(&KINDS);
    scene.hold();
    rig.link(index).heal();
    serves_again(scene, rig, index);
}

fn replica_silent(scene: &Scene<'_>, rig: &Rig, up: Flow, down: Flow) {
    let index = rig.a_replica();
    scene.fault(|| rig.link(index).flow(up, down));
    scene.go_on(&KINDS);
    scene.hold();
    rig.link(index).heal();
    serves_again(scene, rig, index);
}

fn primary_reset(scene: &Scene<'_>, rig: &Rig) {
    let link = rig.link(rig.reigning());
    scene.fault(|| {
        link.entry(Entry::Reset);
        link.reset();
    });
    scene.go_on(&[Kind::Rest]);
    scene.hold();
    link.heal();
    scene.return_after(Instant::now(), &[Kind::ReadBack, Kind::Write]);
}

fn primary_silent(scene: &Scene<'_>, rig: &Rig, up: Flow, down: Flow) {
    let link = rig.link(rig.reigning());
    scene.fault(|| link.flow(up, down));
    scene.go_on(&[Kind::Rest]);
    scene.hold();
    // What was held back arrives now, late.
    link.heal();
    scene.return_after(Instant::now(), &[Kind::ReadBack, Kind::Write]);
}
