//! A replica dies, lags, is slow, has no room, or is another database; and comes back.

use std::net::SocketAddr;
use std::time::Duration;

use tidegate::local::{Error, LocalNode, StopMode};

use super::{OF_REPLICA, UNNOTICED, full, serves_again, short};
use crate::former::as_owner_of;
use crate::link::Flow;
use crate::load::schema;
use crate::progress::KINDS;
use crate::rig::Rig;
use crate::scene::{LIMIT, Scenario, Scene};
use crate::support;

pub fn scenarios() -> [Scenario; 6] {
    [
        short(
            "replica-killed",
            "a replica is killed (SIGKILL), and started again",
            OF_REPLICA,
            // It is the postmaster's death that counts, and not the time that its children take to notice.
            |scene, rig| dies(scene, rig, LocalNode::kill_postmaster),
        ),
        short(
            "replica-stopped",
            "a replica is stopped (fast), and started again",
            OF_REPLICA,
            |scene, rig| dies(scene, rig, |node| node.stop(StopMode::Fast)),
        ),
        Scenario {
            // A READ ONLY transaction that has begun there stays there, waits for as long as `connect_timeout`, and is then
            // refused (40001).
            limit: LIMIT * 2,
            ..short("replica-paused", "a replica's replay is paused, and goes on", OF_REPLICA, paused)
        },
        short("replica-slow", "a replica's answers take 200 ms longer", UNNOTICED, slow),
        full(
            "replica-full",
            "a replica's disk is full: it can write nothing and crashes",
            OF_REPLICA,
            no_room,
        ),
        short(
            "replica-other-system",
            "another database system answers at a replica's address",
            OF_REPLICA,
            other_system,
        ),
    ]
}

fn dies(scene: &Scene<'_>, rig: &Rig, end: fn(&LocalNode) -> Result<(), Error>) {
    let index = rig.a_replica();
    scene.fault(|| end(rig.node(index)).unwrap());
    scene.go_on(&KINDS);
    scene.hold();
    rig.node(index).kill().unwrap();
    rig.node(index).start().unwrap();
    serves_again(scene, rig, index);
}

fn paused(scene: &Scene<'_>, rig: &Rig) {
    let index = rig.a_replica();
    scene.fault(|| rig.node(index).pause_replay().unwrap());
    scene.go_on(&KINDS);
    scene.hold();
    rig.node(index).resume_replay().unwrap();
    serves_again(scene, rig, index);
}

fn slow(scene: &Scene<'_>, rig: &Rig) {
    let index = rig.a_replica();
    let half = Flow::Late(Duration::from_millis(100));
    scene.fault(|| rig.link(index).flow(half, half));
    scene.go_on(&KINDS);
    scene.hold();
    rig.link(index).heal();
    serves_again(scene, rig, index);
}

/// An ordinary user can fill no disk of its own. A limit of nought on the size of files makes every write of the server
/// fail in the same places, though with another error of the system (`EFBIG`, not `ENOSPC`).
fn no_room(scene: &Scene<'_>, rig: &Rig) {
    let index = rig.a_replica();
    let node = rig.node(index);
    let backends = node.psql("select pid from pg_stat_activity").unwrap();
    let postmaster = node.pid().unwrap().to_string();
    let limited = scene.fault(|| {
        backends.lines().chain([postmaster.as_str()]).all(|pid| {
            // A backend may have gone; the postmaster has not.
            let set = as_owner_of(node, "prlimit").args(["--pid", pid, "--fsize=0:"]).output();
            set.is_ok_and(|set| set.status.success() || pid != postmaster)
        })
    });
    if !limited {
        return scene.skip("there is no prlimit that may limit the server");
    }
    scene.go_on(&KINDS);
    scene.hold();
    node.kill().unwrap();
    node.start().unwrap();
    serves_again(scene, rig, index);
}

fn other_system(scene: &Scene<'_>, rig: &Rig) {
    let index = rig.a_replica();
    let mut options = support::options();
    options.replicas = 0;
    let other = support::exclusive_cluster(&options);
    // The same tables and users, and other contents: whoever reads there is told something wrong.
    other.primary().psql(&format!("{}; update facts set n = -1", schema())).unwrap();
    let link = rig.link(index);
    scene.fault(|| {
        link.lead_to(SocketAddr::from(([127, 0, 0, 1], other.primary().port())));
        link.reset();
    });
    scene.go_on(&KINDS);
    scene.hold();
    scene.expect("the other system is not used", || {
        !rig.is_seen_as(index, "replica") && !rig.is_seen_as(index, "primary")
    });
    link.lead_to(SocketAddr::from(([127, 0, 0, 1], rig.node(index).port())));
    link.reset();
    serves_again(scene, rig, index);
}
