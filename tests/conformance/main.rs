//! PostgreSQL's own regression suite through Tidegate: `make conformance`, explained in `docs/conformance.md`.
//!
//! Every test must say through the proxy what it says without one, in session pooling and in transaction pooling, while
//! two replicas serve reads.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../support/mod.rs"]
mod support;

use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use tidegate::local::{LocalCluster, LocalNode, Login};

use support::proxy::{RunningProxy, Tidegate};
use support::regress::{self, Home};
use support::wait_until;

/// Server connections per user and node. Fewer than the clients of the suite, which runs ten tests at a time.
const CONNECTIONS: usize = 10;

/// Tests that cannot pass through a pool of connections, each with the only place where it may differ. The reasons are in
/// `docs/limits.md`.
const CANNOT_PASS: [(&str, &str); 1] = [("stats", "SELECT sessions > :db_stat_sessions")];

/// How the suite reaches the servers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Straight to the primary: what there is to be reached.
    Direct,
    /// Through Tidegate, by `pool_mode`.
    Through(&'static str),
}

impl Way {
    fn of(word: &str) -> Self {
        match word {
            "direct" => Self::Direct,
            "session" => Self::Through("session"),
            "transaction" => Self::Through("transaction"),
            other => panic!("{other} is no way to the servers: direct, session, transaction"),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Through(mode) => mode,
        }
    }
}

/// How the tests of the suite did.
#[derive(Default)]
struct Outcome {
    passed: usize,
    failed: Vec<String>,
}

impl Outcome {
    /// Reads what `pg_regress` says: a line per test, with its name and `... ok` or `... FAILED`.
    fn read(told: &str) -> Self {
        let mut outcome = Self::default();
        for line in told.lines() {
            let Some((name, verdict)) = line.split_once(" ... ") else { continue };
            let name = name.trim().trim_start_matches("test ").trim();
            match verdict.split_whitespace().next() {
                Some("ok") => outcome.passed += 1,
                Some("FAILED") => outcome.failed.push(name.to_owned()),
                _ => {}
            }
        }
        outcome
    }

    /// How many tests failed that need not have.
    fn unexpected(&self, way: Way) -> usize {
        let differences = fs::read_to_string(differences(way)).unwrap_or_default();
        let need_not = |name: &&String| {
            let known = CANNOT_PASS.iter().find(|(known, _)| known == name);
            let Some((_, place)) = known.filter(|_| way != Way::Direct) else { return true };
            let of_test = |part: &&str| part.contains(&format!("/results/{name}.out"));
            let parts: Vec<_> = differences.split("diff -U").filter(of_test).collect();
            !matches!(parts[..], [part] if part.matches("\n@@ ").count() == 1 && part.contains(place))
        };
        self.failed.iter().filter(need_not).count()
    }
}

#[test]
#[ignore = "takes minutes and PostgreSQL's regression suite: run `make conformance`"]
fn postgresqls_regression_suite_passes() {
    let home = Home::new(&setting("TIDEGATE_CONFORMANCE_POSTGRES"));
    let tests: Vec<String> =
        setting("TIDEGATE_CONFORMANCE_TESTS").split_whitespace().map(str::to_owned).collect();
    let (mut report, mut unexpected) = (String::new(), 0);
    for way in setting("TIDEGATE_CONFORMANCE_WAYS").split_whitespace().map(Way::of) {
        let outcome = run(&home, way, &tests, &mut report);
        unexpected += outcome.unexpected(way) + usize::from(outcome.passed == 0);
        fs::write(folder().join("report.txt"), &report).unwrap();
    }
    println!("{report}");
    assert!(
        unexpected == 0,
        "{unexpected} tests failed that should pass; what differs is in {}",
        folder().display()
    );
}

/// One run of the suite on a cluster of its own.
fn run(home: &Home, way: Way, tests: &[String], report: &mut String) -> Outcome {
    let differences = differences(way);
    let _ = fs::remove_file(&differences);
    let cluster = regress::cluster(&home.bin(), 2);
    cluster.wait_caught_up().unwrap();
    let suite = home.regress(tests);
    let (told, share) = match way {
        Way::Direct => (home.run(&suite, &cluster, at(cluster.primary()), &differences), String::new()),
        Way::Through(mode) => {
            let proxy = before(&cluster, mode);
            let told = home.run(&suite, &cluster, proxy.address(), &differences);
            fs::write(folder().join(format!("{mode}.metrics")), proxy.metrics()).unwrap();
            (told, share(&proxy))
        }
    };
    fs::write(folder().join(format!("{}.out", way.name())), &told).unwrap();
    let outcome = Outcome::read(&told);
    let _ =
        writeln!(report, "{}: {} passed, {} failed{share}", way.name(), outcome.passed, outcome.failed.len());
    for name in &outcome.failed {
        let _ = writeln!(report, "    {name}");
    }
    outcome
}

/// How many of the statements replicas have served.
fn share(proxy: &RunningProxy) -> String {
    let all = proxy.metric("tidegate_statements_total", &[]);
    let replicas = proxy.metric("tidegate_statements_total", &["target=\"replica\""]);
    format!("; replicas served {:.1} % of {all} statements", 100.0 * replicas / all)
}

fn before(cluster: &LocalCluster, mode: &str) -> RunningProxy {
    let url =
        |node: &LocalNode| node.url(Login::Superuser).replace("/app", &format!("/{}", regress::DATABASE));
    let primary = format!(
        "{}?connection_limit={CONNECTIONS}&pool_timeout=60&tidegate_client_auth=trust&tidegate_pool_mode={mode}",
        url(cluster.primary())
    );
    let mut tidegate = Tidegate::bare().args(["--primary", &primary]);
    for replica in cluster.replicas() {
        tidegate = tidegate.args(["--replica", &url(replica)]);
    }
    let proxy = tidegate.start();
    wait_until("both replicas are in rotation", || {
        proxy.metric("tidegate_node_up", &["role=\"replica\""]) > 1.5
    });
    proxy
}

fn at(node: &LocalNode) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, node.port()))
}

/// Where it is kept what the tests said otherwise than they should.
fn differences(way: Way) -> PathBuf {
    folder().join(format!("{}.diffs", way.name()))
}

/// Where reports and differences are kept.
fn folder() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let folder = target.join("conformance");
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `make conformance`"))
}
