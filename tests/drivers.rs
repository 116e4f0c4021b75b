//! Drivers of other languages and pgbench, as their users run them, through the proxy. Each driver's checks also run
//! against PostgreSQL itself: what fails there says nothing about the proxy.
//!
//! `tests/drivers/setup.sh` installs what the drivers need into a cache folder on first use.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::process::Command;

use support::proxy::{RunningProxy, Tidegate};
use support::tls::{Authority, Folder};
use support::tools::{Driver, run, tools};
use tidegate::local::Login;

/// The share of plain SELECTs that replicas must serve.
const OFFLOADED: f64 = 0.95;

#[test]
fn psycopg_directly() {
    run_driver(&tools().python_script("tests/drivers/psycopg_check.py"), &support::cluster().url(Login::App));
}

#[test]
fn psycopg_through_tidegate() {
    let proxy = proxy();
    run_driver(&tools().python_script("tests/drivers/psycopg_check.py"), &proxy.url());
}

#[test]
fn asyncpg_directly() {
    run_driver(&tools().python_script("tests/drivers/asyncpg_check.py"), &support::cluster().url(Login::App));
}

#[test]
fn asyncpg_through_tidegate() {
    let proxy = proxy();
    run_driver(&tools().python_script("tests/drivers/asyncpg_check.py"), &proxy.url());
}

#[test]
fn node_postgres_directly() {
    run_driver(&tools().node_script("check.mjs"), &support::cluster().url(Login::App));
}

#[test]
fn node_postgres_through_tidegate() {
    let proxy = proxy();
    run_driver(&tools().node_script("check.mjs"), &proxy.url());
}

#[test]
fn drivers_at_the_console() {
    let proxy = Tidegate::before(support::cluster()).args(["--console-users", "app"]).start();
    let url = format!("postgres://app:secret@{}/pgbouncer", proxy.address());
    run_driver(&tools().python_script("tests/drivers/console_check.py"), &url);
    run_driver(&tools().node_script("console.mjs"), &url);
}

/// Each as strict as it can be about whom it talks to. libpq 17, which psycopg brings along, begins with TLS at once.
#[test]
fn drivers_in_tls() {
    let (folder, authority) = (Folder::default(), Authority::new("ours"));
    let root = authority.file(&folder);
    let pair = authority.server(&folder, "server", &["127.0.0.1"]);
    let files = ["--ssl", "require", "--ssl-cert-file", pair.certificate(), "--ssl-key-file", pair.key()];
    let proxy = Tidegate::before(support::cluster()).args(files).start();
    let url = format!("{}?sslmode=verify-full&sslrootcert={}", proxy.url(), root.display());
    let libpq = "channel_binding=require&sslnegotiation=direct";
    run_driver(&tools().python_script("tests/drivers/psycopg_check.py"), &format!("{url}&{libpq}"));
    run_driver(&tools().python_script("tests/drivers/asyncpg_check.py"), &url);
    run_driver(&tools().node_script("check.mjs"), &url);
}

/// One test, so that its runs do not compete with each other for their tables and the processors.
#[test]
fn pgbench_through_tidegate() {
    let proxy = proxy();
    run(pgbench(&proxy.url()).args(["--initialize", "--scale=2", "--quiet"]));
    support::cluster().wait_caught_up().unwrap();
    for protocol in ["simple", "extended", "prepared"] {
        pgbench_without_failures(&proxy, protocol, &["--builtin=tpcb-like"]);
        let [total, replica] = counts(&proxy);
        pgbench_without_failures(&proxy, protocol, &["--select-only"]);
        let [new_total, new_replica] = counts(&proxy);
        let share = (new_replica - replica) / (new_total - total);
        println!("pgbench -S -M {protocol}: {:.2} % of the statements ran on replicas", share * 100.0);
        assert!(share >= OFFLOADED, "only {share} of the SELECTs ran on replicas with -M {protocol}");
    }
}

/// All statements, and those that replicas served.
fn counts(proxy: &RunningProxy) -> [f64; 2] {
    let text = proxy.metrics();
    [&[][..], &["target=\"replica\""]]
        .map(|labels| support::metrics::sum(&text, "tidegate_statements_total", labels))
}

fn pgbench(url: &str) -> Command {
    let mut command = Command::new(support::pg_bin().program("pgbench"));
    command.arg(url);
    command
}

fn pgbench_without_failures(proxy: &RunningProxy, protocol: &str, what: &[&str]) {
    let seconds = std::env::var("TIDEGATE_PGBENCH_SECONDS").unwrap_or_else(|_| "5".to_owned());
    let mut command = pgbench(&proxy.url());
    command.args(["--client=16", "--jobs=2", "--no-vacuum", "--protocol", protocol, "--time", &seconds]);
    let report = run(command.args(what));
    println!("{what:?} -M {protocol}\n{report}");
    assert!(report.contains("number of failed transactions: 0 "), "{report}");
    assert!(!report.contains("number of transactions actually processed: 0\n"), "{report}");
}

fn proxy() -> RunningProxy {
    Tidegate::before(support::cluster()).start()
}

fn run_driver(driver: &Driver, url: &str) {
    let printed = run(Command::new(&driver[0]).args(&driver[1..]).env("DATABASE_URL", url));
    let last = printed.lines().last().unwrap_or_default();
    assert!(last.starts_with("ok ") && last.ends_with(" checks"), "{printed}");
}

#[test]
fn sums_exactly_the_series_asked_for() {
    let text = "# TYPE reads counter\nreads{node=\"r1\",target=\"replica\"} 3\nreads{node=\"r2\",target=\"replica\"} 4\n\
                reads{node=\"p\",target=\"primary\"} 10\nreads_seconds 7\nopen 2\n";
    let about = |name, labels: &[&str]| support::metrics::sum(text, name, labels).to_string();
    assert_eq!(about("reads", &[]), "17");
    assert_eq!(about("reads", &["target=\"replica\""]), "7");
    assert_eq!(about("reads", &["target=\"replica\"", "node=\"r2\""]), "4");
    assert_eq!(about("reads", &["get=\"replica\""]), "0");
    assert_eq!(about("open", &[]), "2");
}
