//! The proxy itself ends and is started again, or takes over another configuration.

use std::time::{Duration, Instant};

use super::{UNNOTICED, full, short};
use crate::progress::KINDS;
use crate::rig::Rig;
use crate::scene::{Errors, Scenario, Scene};
use crate::stage::Stage;

/// Whoever is connected is hung up on, or told so once.
const ONCE: [Errors; 3] = [Errors::One; 3];

pub fn scenarios() -> [Scenario; 3] {
    [
        short("proxy-killed", "the proxy is killed (SIGKILL), and started again", ONCE, killed),
        full("proxy-stopped", "the proxy is stopped (SIGTERM), and started again", ONCE, stopped),
        short(
            "reload",
            "the configuration is changed and read again (SIGHUP), twenty times a second",
            UNNOTICED,
            reload,
        ),
    ]
}

fn killed(scene: &Scene<'_>, rig: &Rig) {
    scene.fault(|| rig.kill_proxy());
    rig.start_proxy();
    scene.return_after(Instant::now(), &KINDS);
}

fn stopped(scene: &Scene<'_>, rig: &Rig) {
    scene.fault(|| rig.stop_proxy());
    rig.start_proxy();
    scene.return_after(Instant::now(), &KINDS);
}

fn reload(scene: &Scene<'_>, rig: &Rig) {
    let reload = |round: u32| {
        let limit = 20 + round % 2;
        rig.configure(&format!("connection_limit = {limit}\npool_timeout = \"{limit}s\""));
        rig.proxy().signal("HUP");
    };
    scene.fault(|| reload(1));
    let begun = Instant::now();
    let mut round = 1;
    while begun.elapsed() < scene.length() {
        // So many a second: it is their rate that is waited for.
        std::thread::sleep(Duration::from_millis(50));
        round += 1;
        reload(round);
    }
    scene.go_on(&KINDS);
    rig.configure("");
    rig.proxy().signal("HUP");
}
