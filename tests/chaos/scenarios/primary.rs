//! The primary dies and another node is promoted, or it comes back by itself, or takes no writes.

use std::collections::BTreeMap;
use std::time::Instant;

use tidegate::local::{Error, LocalNode, StopMode};

use super::{UNDER_WAY, full, serves_again, short};
use crate::link::Flow;
use crate::progress::{KINDS, Kind};
use crate::rig::{NODES, Rig};
use crate::scene::{Errors, Scenario, Scene};
use crate::stage::Stage;
use crate::support::PATIENCE;
use crate::support::raw::Raw;

/// Until the node is told otherwise, it refuses writes: that is not the proxy's error.
const READ_ONLY: [Errors; 3] = [Errors::None, Errors::None, Errors::Any];

pub fn scenarios() -> [Scenario; 8] {
    [
        short(
            "primary-killed",
            "the primary is killed (SIGKILL), a replica promoted; the old one rejoins as a replica",
            UNDER_WAY,
            |scene, rig| fails_over(scene, rig, LocalNode::kill),
        ),
        full(
            "primary-stopped",
            "the primary is stopped (fast), a replica promoted; the old one rejoins as a replica",
            UNDER_WAY,
            |scene, rig| fails_over(scene, rig, |node| node.stop(StopMode::Fast)),
        ),
        short(
            "primary-returns",
            "the primary is killed, a replica promoted; the old one comes back as a primary",
            UNDER_WAY,
            returns,
        ),
        short(
            "primary-isolated",
            "the primary falls silent and lives on, a replica is promoted; the network heals: two primaries",
            UNDER_WAY,
            isolated,
        ),
        short(
            "primary-read-under-way",
            "the primary is killed, a replica promoted, READ ONLY transactions being open on both replicas",
            UNDER_WAY,
            read_under_way,
        ),
        short("primary-restarted", "the primary is restarted (fast)", UNDER_WAY, |scene, rig| {
            restarted(scene, rig, StopMode::Fast);
        }),
        full("primary-crashed", "the primary is restarted (immediate)", UNDER_WAY, |scene, rig| {
            restarted(scene, rig, StopMode::Immediate);
        }),
        short(
            "primary-read-only",
            "the primary refuses writes (25006), and takes them again",
            READ_ONLY,
            read_only,
        ),
    ]
}

pub fn others(index: usize) -> Vec<usize> {
    NODES.into_iter().filter(|other| *other != index).collect()
}

/// Ends the primary, has a replica promoted, and sees everybody served again. Returns the former primary.
fn lose_primary(scene: &Scene<'_>, rig: &Rig, end: impl FnOnce(usize)) -> usize {
    let old = rig.reigning();
    scene.fault(|| end(old));
    let accepting = rig.fail_over(&others(old));
    scene.go_on(&[Kind::Rest]);
    scene.return_after(accepting, &[Kind::ReadBack, Kind::Write]);
    scene.hold();
    old
}

pub fn rejoins(scene: &Scene<'_>, rig: &Rig, old: usize) {
    rig.rejoin(old);
    for index in others(rig.reigning()) {
        serves_again(scene, rig, index);
    }
}

fn fails_over(scene: &Scene<'_>, rig: &Rig, end: fn(&LocalNode) -> Result<(), Error>) {
    let old = lose_primary(scene, rig, |index| end(rig.node(index)).unwrap());
    rejoins(scene, rig, old);
}

/// As long as there are two, the one that was passed over gets nothing.
fn is_fenced(scene: &Scene<'_>, rig: &Rig, old: usize) {
    let before = rig.served(old);
    scene.fault(|| ());
    scene.hold();
    scene.go_on(&KINDS);
    let after = rig.served(old);
    if after > before {
        scene.complain(format!("{} statements went to the former primary", after - before));
    }
    for role in ["primary", "replica"] {
        if rig.is_seen_as(old, role) {
            scene.complain(format!("the former primary is used as a {role}"));
        }
    }
    if !rig.is_seen_as(rig.reigning(), "primary") {
        scene.complain("the new primary is not used as one".to_owned());
    }
}

fn returns(scene: &Scene<'_>, rig: &Rig) {
    let old = lose_primary(scene, rig, |index| rig.node(index).kill().unwrap());
    rig.node(old).start().unwrap();
    is_fenced(scene, rig, old);
    rejoins(scene, rig, old);
}

fn isolated(scene: &Scene<'_>, rig: &Rig) {
    let old = lose_primary(scene, rig, |index| rig.link(index).flow(Flow::Silent, Flow::Silent));
    // What was held back arrives now, at a node that still believes itself the primary.
    rig.link(old).heal();
    is_fenced(scene, rig, old);
    rejoins(scene, rig, old);
}

/// A standby that is promoted ends no transaction, and neither may the proxy.
fn read_under_way(scene: &Scene<'_>, rig: &Rig) {
    let mut readers = BTreeMap::new();
    let begun = Instant::now();
    while readers.len() < 2 && begun.elapsed() < PATIENCE {
        let mut reader = Raw::app(rig.proxy().address());
        reader.ok("begin read only");
        let node = reader.ok("select current_setting('cluster_name')").value();
        if node != rig.node(rig.reigning()).name() {
            readers.insert(node, reader);
        }
    }
    let old = lose_primary(scene, rig, |index| rig.node(index).kill().unwrap());
    for (node, mut reader) in readers {
        let begun = Instant::now();
        let answer = reader.query("select count(*) from ledger");
        if let Some((code, text)) = answer.error() {
            let after = begun.elapsed().as_secs_f64();
            scene.complain(format!("a transaction on {node} was told after {after:.1} s: {code}, {text}"));
        }
        reader.terminate();
    }
    rejoins(scene, rig, old);
}

fn restarted(scene: &Scene<'_>, rig: &Rig, mode: StopMode) {
    let index = rig.reigning();
    scene.fault(|| rig.node(index).stop(mode).unwrap());
    rig.node(index).start().unwrap();
    let accepting = rig.accepting();
    scene.go_on(&[Kind::Rest]);
    scene.return_after(accepting, &[Kind::ReadBack, Kind::Write]);
}

fn read_only(scene: &Scene<'_>, rig: &Rig) {
    let node = rig.node(rig.reigning());
    let set = "alter system set default_transaction_read_only = on; select pg_reload_conf()";
    scene.fault(|| node.psql(set).unwrap());
    scene.go_on(&[Kind::Rest, Kind::ReadBack]);
    scene.hold();
    node.psql("alter system reset default_transaction_read_only; select pg_reload_conf()").unwrap();
    scene.return_after(rig.accepting(), &[Kind::Write]);
}
