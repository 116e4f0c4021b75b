//! What the integration tests share: a PostgreSQL cluster, and the proxy as a real process in front of it.
//!
//! [`cluster`] is made once per test binary and used by all its tests, so they must not break it and must keep their
//! objects apart (a schema each). Whoever stops nodes, pauses replay or changes settings takes an
//! [`exclusive_cluster`].
//!
//! Rust drops no statics, so nothing in this process could stop the shared cluster at the end. It is not left to an
//! exit hook or to a last test, which a failure, a filter or a kill would skip: each cluster has a watchdog process
//! that waits for a pipe to close whose other end only this process holds, and the system closes it when the process
//! ends, whichever way. Then the watchdog stops the servers and removes the folder (see `tidegate::local`).
#![allow(dead_code, reason = "every test binary uses its own part of this")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

pub mod authority;
pub mod balancer;
pub mod browser;
pub mod cutting;
pub mod daemon;
pub mod faulty;
pub mod metrics;
pub mod otlp;
pub mod patroni;
pub mod proxy;
pub mod raw;
pub mod regress;
pub mod tls;
pub mod tools;
pub mod touched;
pub mod watched;
pub mod wiretap;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use tidegate::local::{LocalCluster, Options, PgBin, binaries};

/// How long a test waits for anything before it fails. Generous: a loaded machine is not an error.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// PostgreSQL's programs for the tests: those in `TIDEGATE_TEST_PG`, or the newest on this machine.
pub fn pg_bin() -> PgBin {
    let chosen = std::env::var_os("TIDEGATE_TEST_PG").map(PathBuf::from);
    binaries::find(chosen.as_deref()).unwrap_or_else(|error| panic!("{error}"))
}

/// A primary with two replicas.
pub fn options() -> Options {
    Options::new(pg_bin())
}

/// The cluster of this test binary. Do not break it.
pub fn cluster() -> &'static LocalCluster {
    static SHARED: OnceLock<LocalCluster> = OnceLock::new();
    SHARED.get_or_init(|| exclusive_cluster(&options()))
}

/// A cluster of one's own, to be broken at will.
pub fn exclusive_cluster(options: &Options) -> LocalCluster {
    LocalCluster::start(options).unwrap_or_else(|error| panic!("{error}"))
}

/// Asks `is_so` again and again until it says yes. `what` completes "gave up waiting until …".
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "gave up waiting until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
