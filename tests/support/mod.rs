//! What the integration tests share.

use std::path::PathBuf;

use tidegate::local::{Options, PgBin, binaries};

/// PostgreSQL's programs for the tests: those in `TIDEGATE_TEST_PG`, or the newest on this machine.
pub fn pg_bin() -> PgBin {
    let chosen = std::env::var_os("TIDEGATE_TEST_PG").map(PathBuf::from);
    binaries::find(chosen.as_deref()).unwrap_or_else(|error| panic!("{error}"))
}

/// A primary with two replicas.
pub fn options() -> Options {
    Options::new(pg_bin())
}
