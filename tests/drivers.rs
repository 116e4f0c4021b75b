//! Drivers of other languages and pgbench, as their users run them, through the proxy. Each driver's checks also run
//! against PostgreSQL itself: what fails there says nothing about the proxy.
//!
//! `tests/drivers/setup.sh` installs what the drivers need into a cache folder on first use.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use support::proxy::{RunningProxy, Tidegate};
use tidegate::local::Login;

/// The share of plain SELECTs that replicas must serve.
const OFFLOADED: f64 = 0.95;

#[test]
fn psycopg_directly() {
    run_driver(&tools().psycopg(), &support::cluster().url(Login::App));
}

#[test]
fn psycopg_through_tidegate() {
    let proxy = proxy();
    run_driver(&tools().psycopg(), &proxy.url());
}

#[test]
fn asyncpg_directly() {
    run_driver(&tools().asyncpg(), &support::cluster().url(Login::App));
}

#[test]
fn asyncpg_through_tidegate() {
    let proxy = proxy();
    run_driver(&tools().asyncpg(), &proxy.url());
}

#[test]
fn node_postgres_directly() {
    run_driver(&tools().node_postgres(), &support::cluster().url(Login::App));
}

#[test]
fn node_postgres_through_tidegate() {
    let proxy = proxy();
    run_driver(&tools().node_postgres(), &proxy.url());
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

/// What a driver is run with: a program, and its arguments.
type Driver = Vec<PathBuf>;

/// Where `setup.sh` has put things.
struct Tools {
    python: PathBuf,
    node: PathBuf,
    modules: PathBuf,
}

impl Tools {
    fn psycopg(&self) -> Driver {
        self.python_script("psycopg_check.py")
    }

    fn asyncpg(&self) -> Driver {
        self.python_script("asyncpg_check.py")
    }

    fn python_script(&self, name: &str) -> Driver {
        // -B: no compiled files in the tree.
        vec![self.python.clone(), "-B".into(), drivers().join(name)]
    }

    fn node_postgres(&self) -> Driver {
        vec![self.node.clone(), self.modules.join("check.mjs")]
    }
}

fn drivers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/drivers")
}

fn tools() -> &'static Tools {
    static TOOLS: OnceLock<Tools> = OnceLock::new();
    TOOLS.get_or_init(|| {
        let printed = run(Command::new("sh").arg(drivers().join("setup.sh")));
        let path = |name: &str| {
            let found = printed.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            PathBuf::from(found.unwrap_or_else(|| panic!("setup.sh named no {name}: {printed}")))
        };
        Tools { python: path("python"), node: path("node"), modules: path("modules") }
    })
}

fn run_driver(driver: &Driver, url: &str) {
    let printed = run(Command::new(&driver[0]).args(&driver[1..]).env("DATABASE_URL", url));
    let last = printed.lines().last().unwrap_or_default();
    assert!(last.starts_with("ok ") && last.ends_with(" checks"), "{printed}");
}

/// Runs a program and returns what it printed. Fails, showing everything, if it does.
fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{stdout}\n{stderr}");
    stdout.into_owned()
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
