//! Random sessions of five drivers through one proxy, which leave in random ways, often rudely. Every answer is checked,
//! and at the end nothing may be left behind: no client, no pin, no lock, no open transaction, no connection too many.
//!
//! `make soak-drivers SOAK=1800 SEED=7` runs longer, and other sessions. What fails names its seed, client and session.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

#[path = "soak_drivers/dice.rs"]
mod dice;
#[path = "soak_drivers/sqlx_sessions.rs"]
mod sqlx_sessions;
#[path = "soak_drivers/tokio_postgres_sessions.rs"]
mod tokio_postgres_sessions;

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dice::Dice;
use support::proxy::{RunningProxy, Tidegate};
use support::tools::{Driver, tools};
use tidegate::local::{LocalCluster, LocalNode};

/// Server connections per node.
const LIMIT: u32 = 24;
/// Clients of each driver at a time.
const CLIENTS: usize = 8;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn random_sessions_of_all_drivers_leave_nothing_behind() {
    let (seconds, seed) = (number("TIDEGATE_SOAK_SECONDS", 10), number("TIDEGATE_SOAK_SEED", 1));
    println!(
        "seed {seed}, {seconds} s, {CLIENTS} clients of each driver, {LIMIT} server connections per node"
    );
    let cluster = support::exclusive_cluster(&support::options());
    cluster.primary().psql("create table soak (owner text, id int, value int, primary key (owner, id)); alter table soak owner to app; grant create on schema public to app").unwrap();
    let limits = format!("connection_limit={LIMIT}&pool_timeout=60&tidegate_client_auth=trust");
    let proxy = Tidegate::tuned(&cluster, &limits).start();
    let over = AtomicBool::new(false);
    let most = AtomicU64::new(0);
    let (children, counted) = std::thread::scope(|scope| {
        scope.spawn(|| watch(&cluster, &over, &most));
        let script = "tests/soak_drivers/sessions.py";
        let children = [
            start(&tools().python_script(script), "psycopg", &proxy, seconds, seed),
            start(&tools().python_script(script), "asyncpg", &proxy, seconds, seed),
            start(&tools().node_script("sessions.mjs"), "", &proxy, seconds, seed),
        ];
        // Not in this thread: a panic must not leave the one that watches waiting.
        let url = proxy.url();
        let counted = scope.spawn(move || run_rust(&url, Duration::from_secs(seconds), seed)).join();
        let children = children.map(|child| child.wait_with_output().unwrap());
        over.store(true, Ordering::Relaxed);
        (children, counted)
    });
    println!("{}", counted.expect("sessions of tokio-postgres and sqlx failed"));
    for child in children {
        let printed = String::from_utf8_lossy(&child.stdout);
        println!("{}", printed.trim());
        assert!(child.status.success(), "{}\n{printed}", child.status);
    }
    let most = most.load(Ordering::Relaxed);
    println!("at most {most} server connections on a node");
    assert!(most > 0 && most <= u64::from(LIMIT), "{most} connections of a limit of {LIMIT}");
    assert_clean(&cluster, &proxy);
}

fn start(driver: &Driver, name: &str, proxy: &RunningProxy, seconds: u64, seed: u64) -> Child {
    let mut command = Command::new(&driver[0]);
    command.args(&driver[1..]).arg(name).env("DATABASE_URL", proxy.url());
    for (name, value) in [("SECONDS", seconds), ("SEED", seed), ("SESSIONS", CLIENTS as u64)] {
        command.env(format!("SOAK_{name}"), value.to_string());
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
}

/// Notes the most server connections that a node has had of the proxy's clients, at two looks in a row: a server may take a
/// moment to see that a connection was closed.
fn watch(cluster: &LocalCluster, over: &AtomicBool, most: &AtomicU64) {
    while !over.load(Ordering::Relaxed) {
        for node in cluster.replicas().iter().chain([cluster.primary()]) {
            let mut now = connections(node, "true");
            let look_again = Instant::now() + Duration::from_secs(2);
            while now > u64::from(LIMIT) && Instant::now() < look_again {
                std::thread::sleep(Duration::from_millis(20));
                now = now.min(connections(node, "true"));
            }
            most.fetch_max(now, Ordering::Relaxed);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// How many server connections of the proxy's clients there are that are `so`.
fn connections(node: &LocalNode, so: &str) -> u64 {
    let sql = format!(
        "select count(*) from pg_stat_activity where usename = 'app' and application_name not like 'tidegate %' and {so}"
    );
    node.psql(&sql).unwrap().trim().parse().unwrap()
}

fn run_rust(url: &str, time: Duration, seed: u64) -> String {
    let until = Instant::now() + time;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let counts = tokio::task::LocalSet::new().block_on(&runtime, async {
        let mut clients = tokio::task::JoinSet::new();
        for client in 0..CLIENTS {
            clients.spawn_local(tokio_postgres_client(url.to_owned(), until, seed, client));
            clients.spawn_local(sqlx_client(url.to_owned(), until, seed, client + CLIENTS));
        }
        clients.join_all().await
    });
    let sum = |at: usize| counts.iter().map(|count| count[at]).sum::<u64>();
    format!("tokio-postgres and sqlx: {} sessions, {} operations", sum(0), sum(1))
}

/// Sessions and operations.
type Count = [u64; 2];

async fn tokio_postgres_client(url: String, until: Instant, seed: u64, client: usize) -> Count {
    let mut count = [0, 0];
    while Instant::now() < until {
        let mut dice = Dice::new(seed, client, count[0]);
        let what = format!("tokio_{seed}_{client}_{}", count[0]);
        let mut log = Vec::new();
        let done: Result<(), tokio_postgres::Error> = async {
            let mut session = tokio_postgres_sessions::Session::connect(&url, what.clone()).await?;
            for _ in 0..=dice.below(30) {
                log.push(session.act(&mut dice).await?);
            }
            session.leave(&url, &mut dice).await
        }
        .await;
        done.unwrap_or_else(|error| panic!("{what}: after {log:?}: {error:?}"));
        count = [count[0] + 1, count[1] + log.len() as u64];
    }
    count
}

async fn sqlx_client(url: String, until: Instant, seed: u64, client: usize) -> Count {
    let mut count = [0, 0];
    while Instant::now() < until {
        let mut dice = Dice::new(seed, client, count[0]);
        let what = format!("sqlx_{seed}_{client}_{}", count[0]);
        let mut log = Vec::new();
        let done: Result<(), sqlx::Error> = async {
            let mut session = sqlx_sessions::Session::connect(&url, what.clone(), &mut dice).await?;
            for _ in 0..=dice.below(30) {
                log.push(session.act(&mut dice).await?);
            }
            session.leave(&url, &mut dice).await
        }
        .await;
        done.unwrap_or_else(|error| panic!("{what}: after {log:?}: {error:?}"));
        count = [count[0] + 1, count[1] + log.len() as u64];
    }
    count
}

/// Nothing is left of anybody.
fn assert_clean(cluster: &LocalCluster, proxy: &RunningProxy) {
    support::wait_until("no client and no pin is left", || {
        let left = ["tidegate_clients", "tidegate_pinned_clients"].map(|name| proxy.metric(name, &[]));
        left.iter().all(|number| number.abs() < 0.5)
    });
    let nodes = cluster.replicas().iter().chain([cluster.primary()]);
    for node in nodes {
        support::wait_until("no transaction is open", || connections(node, "state <> 'idle'") == 0);
        // A connection that was closed takes its locks along, a moment later. One that is kept would have them for ever.
        support::wait_until("no advisory lock is left", || {
            node.psql("select count(*) from pg_locks where locktype = 'advisory'").unwrap().trim() == "0"
        });
    }
    let leftovers = "select count(*) from pg_class where relpersistence = 't' and relkind = 'r'";
    support::wait_until("no temporary table is left", || {
        cluster.primary().psql(leftovers).unwrap().trim() == "0"
    });
    let uncommitted = "select count(*) from soak where id >= 6";
    assert_eq!(cluster.primary().psql(uncommitted).unwrap().trim(), "0", "rows of COPY that was rolled back");
}
