//! The examples of apps, as their READMEs run them, before a cluster whose replicas are held back: what they write they
//! read at once, and later reads are served by replicas.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

#[path = "../examples/sqlx/src/tasks.rs"]
mod tasks;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use support::proxy::{RunningProxy, Tidegate};
use support::tools::{installed_by, run};
use tidegate::local::{LocalCluster, Login};

/// How far the replicas are held back: a read that goes to one right after a write misses it.
const HELD_BACK: Duration = Duration::from_millis(200);

/// How many rows each example writes and reads.
const ROUNDS: u32 = 20;

fn cluster() -> &'static LocalCluster {
    static HELD: OnceLock<&'static LocalCluster> = OnceLock::new();
    HELD.get_or_init(|| {
        let cluster = support::cluster();
        cluster.replicas().iter().for_each(|replica| replica.set_apply_delay(HELD_BACK).unwrap());
        cluster
    })
}

fn proxy() -> RunningProxy {
    Tidegate::before(cluster()).start()
}

fn example(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(path)
}

/// The number behind `word` in the line that begins so.
fn number(printed: &str, line: &str, word: &str) -> u32 {
    let found = printed.lines().find_map(|said| said.strip_prefix(line)).and_then(|rest| {
        let (_, number) = rest.split_once(&format!("{word} "))?;
        number.split([',', ' ']).next()?.parse().ok()
    });
    found.unwrap_or_else(|| panic!("no {word} behind {line:?}:\n{printed}"))
}

/// What an example has printed says that no write was missed, and that replicas were of use.
fn check(proxy: &RunningProxy, printed: &str) {
    println!("{printed}");
    let first = printed.lines().next().unwrap_or_default();
    assert!(first.starts_with("20 ") && first.ends_with(": 0 not seen"), "{printed}");
    let [primary, replica] = ["primary", "replica"].map(|word| number(printed, "those reads:", word));
    assert_eq!(primary + replica, ROUNDS, "{printed}");
    // Otherwise the replicas were not held back, and the first line says nothing.
    let prevented = proxy.metric("tidegate_stale_reads_prevented_total", &[]);
    assert!(primary > 0 && prevented > 0.0, "no read had to be kept from a replica:\n{printed}");
    assert_eq!(number(printed, "reads while nobody writes:", "replica"), ROUNDS, "{printed}");
    let last = printed.lines().find_map(|line| line.strip_prefix("the last of them: "));
    assert!(
        last.is_some_and(|said| said.starts_with("to: replica ") && said.ends_with("reason fresh")),
        "{printed}"
    );
}

/// Nothing in an example needs Tidegate: the address alone decides.
fn check_direct(printed: &str) {
    assert!(printed.lines().next().is_some_and(|line| line.ends_with(": 0 not seen")), "{printed}");
    assert!(printed.contains("to: PostgreSQL itself, no Tidegate here"), "{printed}");
}

fn direct_url() -> String {
    cluster().url(Login::App)
}

fn check_last_line(printed: &str, begin: &str) {
    assert!(printed.lines().last().is_some_and(|line| line.starts_with(begin)), "{printed}");
}

struct Installed {
    sqlalchemy: PathBuf,
    django: PathBuf,
    ruby: PathBuf,
    node: PathBuf,
    modules: PathBuf,
}

fn installed() -> &'static Installed {
    static INSTALLED: OnceLock<Installed> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let path = installed_by("tests/examples/setup.sh");
        let [sqlalchemy, django, ruby, node, modules] =
            ["sqlalchemy", "django", "ruby", "node", "modules"].map(path);
        Installed { sqlalchemy, django, ruby, node, modules }
    })
}

/// Python that leaves no compiled files in the tree.
fn python(program: &Path, script: &str, url: &str) -> Command {
    let mut command = Command::new(program);
    command.arg("-B").arg(example(script)).env("DATABASE_URL", url);
    command
}

#[test]
fn sqlalchemy_reads_what_it_wrote() {
    let proxy = proxy();
    let script = "psycopg-sqlalchemy/orders.py";
    let printed = run(&mut python(&installed().sqlalchemy, script, &proxy.url()));
    check(&proxy, &printed);
    check_last_line(&printed, "a READ ONLY transaction: to: replica ");
    check_direct(&run(&mut python(&installed().sqlalchemy, script, &direct_url())));
}

#[test]
fn django_reads_what_it_wrote() {
    let proxy = proxy();
    let manage =
        |url: &str, command: &[&str]| run(python(&installed().django, "django/manage.py", url).args(command));
    manage(&proxy.url(), &["migrate"]);
    let printed = manage(&proxy.url(), &["place_orders"]);
    check(&proxy, &printed);
    check_last_line(&printed, "the same in transaction.atomic(): to: primary ");
    check_direct(&manage(&direct_url(), &["place_orders"]));
    let missing = manage(&proxy.url(), &["makemigrations", "--check"]);
    assert!(missing.starts_with("No changes"), "the migration is not the model's: {missing}");
}

/// The roles of an app in Rails, and that what the page about them says of Active Record is so.
#[test]
fn active_record_reads_what_it_wrote() {
    let proxy = proxy();
    let at = |url: String| {
        run(Command::new(&installed().ruby).arg(example("active-record/visits.rb")).env("DATABASE_URL", url))
    };
    let printed = at(proxy.url());
    check(&proxy, &printed);
    check_last_line(&printed, "a read in a transaction: to: primary ");
    let annotated = printed.lines().find_map(|line| line.strip_prefix("an annotated report: "));
    assert!(
        annotated.is_some_and(|said| said.starts_with("to: replica ") && said.ends_with("reason eventual")),
        "{printed}"
    );
    assert!(printed.contains("a write in the reading role: refused by Active Record\n"), "{printed}");
    // The lock of the migration.
    let pinned = proxy.metric("tidegate_statements_total", &[r#"reason="pinned""#, r#"target="primary""#]);
    assert!(pinned > 0.0, "the migration took no lock");
    check_direct(&at(direct_url()));
}

#[test]
fn node_postgres_reads_what_it_wrote() {
    let proxy = proxy();
    let Installed { node, modules, .. } = installed();
    let at = |url: String| run(Command::new(node).arg(modules.join("notes.mjs")).env("DATABASE_URL", url));
    let printed = at(proxy.url());
    check(&proxy, &printed);
    check_last_line(&printed, "a READ ONLY transaction: to: replica ");
    check_direct(&at(direct_url()));
}

#[test]
fn sqlx_reads_what_it_wrote() {
    let proxy = proxy();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let report = runtime.block_on(tasks::run(&proxy.url())).unwrap();
    let printed = report.to_string();
    check(&proxy, &printed);
    check_last_line(&printed, "a READ ONLY transaction: to: replica ");
    check_direct(&runtime.block_on(tasks::run(&direct_url())).unwrap().to_string());
}

/// It is built here with the crates of our own tests; its own manifest must ask for the same.
#[test]
fn the_example_of_sqlx_asks_for_the_sqlx_it_is_tested_with() {
    let dependency = |path: PathBuf| {
        let manifest = fs::read_to_string(path).unwrap();
        manifest.lines().find(|line| line.starts_with("sqlx = ")).unwrap().to_owned()
    };
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    assert_eq!(dependency(example("sqlx/Cargo.toml")), dependency(ours));
}
