//! The first user: `examples/prisma-backend`, whose acceptance test runs through the proxy, on a primary with two replicas
//! that are 200 ms behind, and on PostgreSQL itself: `DATABASE_URL` alone decides.
//!
//! `tests/prisma_backend/setup.sh` installs its modules into a cache folder on first use.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../examples/prisma-backend/gateway/opa/server.rs"]
mod rego;
mod support;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use support::proxy::Tidegate;
use support::tools::run;
use tempfile::TempDir;
use tidegate::local::Login;
use tokio::net::TcpListener;

/// How much later than the primary the replicas show a commit.
const APPLY_DELAY: Duration = Duration::from_millis(200);

/// As Prisma's users write it; both are about Prisma's own pool.
const POOL: &str = "connection_limit=20&pool_timeout=20";

/// So many checks there are at least, whatever they run on.
const CHECKS: usize = 40;

#[test]
fn the_backend_through_tidegate_and_on_postgresql_itself() {
    let cluster = support::cluster();
    let backend = Checkout::new();

    // Itself: in a database of its own, without what only the proxy or replicas can show.
    cluster.primary().psql("create database direct owner app").unwrap();
    let url = cluster.url(Login::App);
    let direct = format!("{}/direct?{POOL}", url.strip_suffix("/app").unwrap());
    let summary = backend.npm(&["test"], &[("DATABASE_URL", direct)]);
    assert!(summary.passed >= CHECKS, "only {} checks", summary.passed);

    cluster.replicas().iter().for_each(|replica| replica.set_apply_delay(APPLY_DELAY).unwrap());
    let proxy = Tidegate::before(cluster).start();
    let replicas: Vec<_> = cluster.replicas().iter().map(|replica| replica.url(Login::App)).collect();
    // It is built by now.
    let summary = backend.npm(
        &["run", "acceptance"],
        &[
            ("DATABASE_URL", format!("{}?{POOL}", proxy.url())),
            ("PRIMARY_URL", url),
            ("REPLICA_URLS", replicas.join(",")),
            ("TIDEGATE_ADMIN", format!("http://{}", proxy.admin())),
            ("TIDEGATE_PID", proxy.pid().to_string()),
        ],
    );
    assert!(summary.passed >= CHECKS, "only {} checks", summary.passed);
    assert_eq!(summary.skipped, 0, "checks were left out");
}

/// What node's test runner says at the end.
struct Summary {
    passed: usize,
    skipped: usize,
}

impl Summary {
    fn of(printed: &str) -> Self {
        let count = |what: &str| {
            let found = printed
                .lines()
                .find_map(|line| line.strip_prefix(&format!("\u{2139} {what} "))?.parse().ok());
            found.unwrap_or_else(|| panic!("npm counted no {what}: {printed}"))
        };
        Self { passed: count("pass"), skipped: count("skipped") }
    }
}

/// The example in a folder of its own, because what is generated and built would be in the tree otherwise.
struct Checkout {
    folder: TempDir,
    path: OsString,
    policy: SocketAddr,
}

impl Checkout {
    fn new() -> Self {
        let setup = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/prisma_backend/setup.sh");
        let setup = run(Command::new("sh").arg(setup));
        let folder = tempfile::tempdir().unwrap();
        let parts = ["backend", "gateway", "prisma", "package.json", "prisma.config.ts", "tsconfig.json"];
        run(Command::new("cp").arg("-R").args(parts.map(|part| example().join(part))).arg(folder.path()));
        symlink(named(&setup, "modules"), folder.path().join("node_modules")).unwrap();
        Self { folder, path: path_with(&named(&setup, "node")), policy: policy_engine() }
    }

    /// Runs npm with these variables, and shows what was measured.
    fn npm(&self, args: &[&str], variables: &[(&str, String)]) -> Summary {
        let mut npm = Command::new("npm");
        npm.args(args).arg("--silent").current_dir(self.folder.path()).env("PATH", &self.path);
        for name in ["PRIMARY_URL", "REPLICA_URLS", "TIDEGATE_ADMIN", "TIDEGATE_PID", "NODE_ENV"] {
            npm.env_remove(name);
        }
        npm.env("OPA_URL", format!("http://{}", self.policy));
        // No question to the network whether there are newer ones.
        npm.env("CHECKPOINT_DISABLE", "1").env("npm_config_update_notifier", "false");
        let printed = run(npm.envs(variables.iter().map(|(name, value)| (name, value))));
        for measured in printed.lines().filter(|line| line.contains('\u{2139}')) {
            println!("{measured}");
        }
        Summary::of(&printed)
    }
}

/// Starts one that ends with this process, and says where it is.
fn policy_engine() -> SocketAddr {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let policies = example().join("gateway/opa/policies");
    thread::spawn(move || runtime.block_on(rego::serve(listener, &policies)).unwrap());
    address
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/prisma-backend")
}

/// A path that the script has printed, as `name=path`.
fn named(printed: &str, name: &str) -> PathBuf {
    let found = printed.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    PathBuf::from(found.unwrap_or_else(|| panic!("setup.sh named no {name}: {printed}")))
}

/// `PATH` with the folder of `program` before all others.
fn path_with(program: &Path) -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = program.parent().map(Path::to_owned).into_iter().chain(std::env::split_paths(&path));
    std::env::join_paths(folders).unwrap()
}
