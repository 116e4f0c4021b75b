//! Hostile and broken connections, 10,000 a minute, while pgbench works through the proxy beside them: no error for
//! pgbench, nothing that grows, every connection answered or closed in time. For five minutes, and with an eye on the
//! throughput, by `make storm`; described in `docs/security.md`.
//!
//! The attackers run in this process, on one thread, and come from other addresses of the loopback network than pgbench.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "storm/attack.rs"]
mod attack;
#[path = "storm/gauge.rs"]
mod gauge;
mod support;
#[path = "storm/weather.rs"]
mod weather;

use std::fmt;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use attack::Target;
use gauge::{Files, Gauge, Ports};
use support::proxy::{RunningProxy, Tidegate};
use support::tools::run;
use tempfile::TempDir;
use tidegate::config::{Sources, load};
use tidegate::local::{LocalCluster, LocalNode, Login};
use tokio::runtime::{Builder, Runtime};
use weather::{Tally, Weather};

/// Connections in a minute.
const RATE: u32 = 10_000;
/// What the proxy's memory may grow by, in KiB, with all that a storm can have open at one time.
const HELD: u64 = 16 * 1024;
/// Share of the throughput without a storm that there must be with one.
const THROUGHPUT: f64 = 0.9;
/// Time to log in where the proxy can be told, and where it cannot.
const LOGIN: [Duration; 2] = [Duration::from_secs(3), Duration::from_mins(1)];
/// A loaded machine may need so much longer.
const GRACE: Duration = Duration::from_secs(7);
/// A phase of the long storm: what else the machine does spoils some of them, not most.
const PHASE: Duration = Duration::from_secs(15);

/// A cluster with pgbench's tables, the proxy before it, and who attacks it.
struct Stage {
    // Dropped before the cluster.
    proxy: RunningProxy,
    _cluster: LocalCluster,
    runtime: Runtime,
    login: Duration,
    ports: Ports,
    _folder: TempDir,
}

impl Stage {
    fn set() -> Self {
        let mut options = support::options();
        options.replicas = 1;
        let cluster = support::exclusive_cluster(&options);
        cluster.primary().psql("create role idler login password 'secret'").unwrap();
        run(pgbench(&cluster.url(Login::App)).args(["--initialize", "--scale=5", "--quiet"]));
        cluster.wait_caught_up().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tidegate.toml");
        let login = LOGIN.into_iter().find(|time| {
            fs::write(&file, configuration(&cluster, *time)).unwrap();
            load(&Sources { file: Some(file.clone()), ..Sources::default() }).is_ok()
        });
        let login = login.unwrap_or_else(|| panic!("not understood: {}", fs::read_to_string(&file).unwrap()));
        let mut tidegate = Tidegate::bare().args(["--config", file.to_str().unwrap()]);
        if let Some(program) = std::env::var_os("TIDEGATE_STORM_PROGRAM") {
            tidegate = tidegate.program(&program);
        }
        let proxy = tidegate.start();
        let servers = cluster.replicas().iter().chain([cluster.primary()]).map(LocalNode::port).collect();
        let ports = Ports { clients: proxy.address().port(), servers };
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let stage = Self { proxy, _cluster: cluster, runtime, login, ports, _folder: folder };
        // Pools are filled, and whatever is made once is made.
        stage.pgbench(Duration::from_secs(1));
        stage.weather(Duration::ZERO).drizzles(&stage.runtime);
        stage.wait_calm();
        stage
    }

    fn weather(&self, lasts: Duration) -> Weather {
        let target = Target { address: self.proxy.address(), idler: ("idler", "secret") };
        Weather { target, rate: RATE, lasts, patience: self.login + GRACE }
    }

    /// Runs pgbench, which must not see a single error.
    fn pgbench(&self, lasts: Duration) -> Run {
        let cpu = || [Gauge::of(&self.proxy), Gauge::own()].map(Gauge::cpu);
        let (before, begun) = (cpu(), Instant::now());
        let report = run(pgbench(&self.proxy.url())
            .args(["--client=8", "--jobs=1", "--no-vacuum", "--protocol=prepared"])
            .args(["--builtin=select-only@9", "--builtin=simple-update@1"])
            .args(["--time", &lasts.as_secs().to_string()]));
        let (after, took) = (cpu(), begun.elapsed().as_secs_f64());
        assert!(report.contains("number of failed transactions: 0 "), "{report}");
        let tps =
            report.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
        let tps = tps.filter(|tps| *tps > 0.0).unwrap_or_else(|| panic!("{report}"));
        let [proxy, attackers] = [0, 1].map(|index| (after[index] - before[index]) / took);
        Run { tps, proxy, attackers }
    }

    /// A storm, and pgbench in it.
    fn storm(&self, lasts: Duration) -> (Tally, Run) {
        thread::scope(|scope| {
            let pgbench = scope.spawn(|| self.pgbench(lasts));
            let tally = self.weather(lasts).rages(&self.runtime);
            (tally, pgbench.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    }

    /// What the proxy has open.
    fn files(&self) -> Files {
        Gauge::of(&self.proxy).files(&self.ports)
    }

    /// Waits until the proxy has no client's socket any more.
    fn wait_calm(&self) {
        support::wait_until("the proxy has let go of every client's socket", || self.files().clients == 0);
    }
}

/// What a run of pgbench came to.
struct Run {
    /// Transactions in a second.
    tps: f64,
    /// CPU of the proxy meanwhile, in cores.
    proxy: f64,
    /// The same of the attackers, who take it from pgbench, the proxy and the servers if they have one machine.
    attackers: f64,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tps, proxy, attackers } = self;
        write!(
            f,
            "{tps:.0} transactions a second, CPU {proxy:.2} cores of the proxy, {attackers:.2} of the attackers"
        )
    }
}

fn configuration(cluster: &LocalCluster, login: Duration) -> String {
    let time = if login == LOGIN[0] {
        format!("authentication_timeout = \"{}s\"\n", login.as_secs())
    } else {
        String::new()
    };
    let replica = cluster.replica(0);
    format!(
        "{time}[database.app]\nconnection_limit = 10\nnodes = [\"127.0.0.1:{}\", \"127.0.0.1:{}\"]\n\
         [database.app.user.app]\npassword = \"secret\"\n\
         [database.app.user.idler]\npassword = \"secret\"\n",
        cluster.primary().port(),
        replica.port()
    )
}

fn pgbench(url: &str) -> Command {
    let mut command = Command::new(support::pg_bin().program("pgbench"));
    command.arg(url);
    command
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What holds after every storm.
fn check(stage: &Stage, tally: &Tally, (before, files): (u64, Files)) {
    let gauge = Gauge::of(&stage.proxy);
    println!("{tally}time to log in {:?}", stage.login);
    let (peak, after) = (gauge.peak(), gauge.memory());
    println!("memory: {before} KiB before, {peak} KiB at most, {after} KiB after");
    tally.check();
    assert!(peak.saturating_sub(before) < HELD, "memory: {before} KiB before, {peak} KiB at most");
    stage.wait_calm();
    println!("open files: {files:?} before, {:?} after", stage.files());
    // A connection of the moment, such as one that asks a node who it is, may be among them.
    support::wait_until("the proxy has open what it had", || stage.files().others <= files.others);
    // Ten a node for each user, and the monitor's and the catalog's.
    assert!(stage.files().servers <= 2 * 2 * 10 + 4, "{:?}", stage.files());
    assert!(stage.proxy.metric("tidegate_panics_total", &[]) < 0.5, "a panic");
}

#[test]
fn ten_thousand_hostile_connections_a_minute_hurt_nobody() {
    let stage = Stage::set();
    let gauge = Gauge::of(&stage.proxy);
    gauge.forgets_peak();
    let before = (gauge.memory(), stage.files());
    let (tally, run) = stage.storm(Duration::from_secs(10));
    println!("{run}");
    check(&stage, &tally, before);
}

#[test]
#[ignore = "takes as long as it is told to: run `make storm`"]
fn ten_thousand_hostile_connections_a_minute_cost_little() {
    let seconds =
        std::env::var("TIDEGATE_STORM_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(300);
    let phases = (seconds / PHASE.as_secs()).max(1);
    let stage = Stage::set();
    let gauge = Gauge::of(&stage.proxy);
    gauge.forgets_peak();
    let before = (gauge.memory(), stage.files());
    let (mut all, mut calm, mut stormy, mut ratios) = (Tally::default(), Vec::new(), Vec::new(), Vec::new());
    for phase in 1..=phases {
        let without = stage.pgbench(PHASE);
        let (tally, with) = stage.storm(PHASE);
        println!("{phase}: {without}\n   in the storm: {with}");
        calm.push(without.tps);
        stormy.push(with.tps);
        ratios.push(with.tps / without.tps);
        all.and(tally);
    }
    check(&stage, &all, before);
    let ratio = median(ratios);
    println!(
        "throughput: {:.0} transactions a second, {:.0} in the storm (medians); median of the phases' ratios {ratio:.3}",
        median(calm),
        median(stormy)
    );
    assert!(ratio >= THROUGHPUT, "only {ratio:.3} of the throughput is left");
}
