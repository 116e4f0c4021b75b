//! The Rust drivers, as their users run them, through the proxy. Each one's checks also run against PostgreSQL itself:
//! what fails there says nothing about the proxy.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

#[path = "drivers/sqlx_checks.rs"]
mod sqlx_checks;
#[path = "drivers/tokio_postgres_checks.rs"]
mod tokio_postgres_checks;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use support::proxy::Tidegate;
use tidegate::local::Login;

/// Checks that hang have failed.
const LIMIT: Duration = Duration::from_mins(2);

/// What one run of a driver's checks works in: a server, and a schema of its own there.
pub struct Schema {
    url: String,
    name: String,
    tables: AtomicU32,
}

impl Schema {
    /// The name of a table that no check has used yet.
    fn fresh_table(&self, driver: &str) -> String {
        format!("{}.{driver}_{}", self.name, self.tables.fetch_add(1, Ordering::Relaxed))
    }
}

/// Runs `checks` at `url`, in a schema that is made and dropped past any proxy.
fn run(url: String, checks: impl AsyncFnOnce(&Schema)) {
    let primary = support::cluster().primary();
    let name = format!("check_{:08x}", rand::random::<u32>());
    primary.psql(&format!("create schema {name} authorization app")).unwrap();
    support::cluster().wait_caught_up().unwrap();
    let schema = Schema { url, name, tables: AtomicU32::new(0) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime
        .block_on(async { tokio::time::timeout(LIMIT, checks(&schema)).await })
        .expect("the checks end in time");
    drop(runtime);
    primary.psql(&format!("set client_min_messages = warning; drop schema {} cascade", schema.name)).unwrap();
}

fn run_directly(checks: impl AsyncFnOnce(&Schema)) {
    run(support::cluster().url(Login::App), checks);
}

fn run_through_tidegate(checks: impl AsyncFnOnce(&Schema)) {
    let proxy = Tidegate::before(support::cluster()).start();
    run(proxy.url(), checks);
}

#[test]
fn tokio_postgres_directly() {
    run_directly(tokio_postgres_checks::run);
}

#[test]
fn tokio_postgres_through_tidegate() {
    run_through_tidegate(tokio_postgres_checks::run);
}

#[test]
fn sqlx_directly() {
    run_directly(sqlx_checks::run);
}

#[test]
fn sqlx_through_tidegate() {
    run_through_tidegate(sqlx_checks::run);
}
