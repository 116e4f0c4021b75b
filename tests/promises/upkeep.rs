//! Server connections do not get too old, nor lie idle for long, and as many are there as have to be.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::Raw;
use super::{WHERE, proxy, role, shared, support, wait_both, wait_open};

const PRIMARY: &str = "/* tidegate: intent=primary */";

fn closed(proxy: &RunningProxy, cause: &str) -> f64 {
    proxy.metric("tidegate_server_connections_closed_total", &[&format!("cause=\"{cause}\"")])
}

/// The connections of the primary that call themselves `name`, by process number.
fn named(name: &str) -> BTreeSet<String> {
    let sql = format!("select pid from pg_stat_activity where application_name = '{name}'");
    let pids = shared().primary().psql(&sql).unwrap();
    pids.lines().map(|pid| pid.trim().to_owned()).filter(|pid| !pid.is_empty()).collect()
}

/// A name for the connections of one test.
fn name() -> String {
    format!("upkeep_{:08x}", rand::random::<u32>())
}

#[test]
fn no_client_notices_the_end_of_a_connection() {
    let proxy = proxy("tidegate_server_lifetime=300ms&connection_limit=2&tidegate_client_auth=trust");
    wait_both(&proxy);
    let (address, until) = (proxy.address(), Instant::now() + Duration::from_secs(3));
    let clients = (0..6).map(|i| {
        std::thread::spawn(move || {
            let (mut raw, mut pids) = (Raw::app(address), BTreeSet::new());
            while Instant::now() < until {
                raw.ok(WHERE);
                raw.extended("select $1::int", &["1"]).ok();
                raw.ok(&format!("begin {PRIMARY}"));
                let pid = raw.ok("select pg_backend_pid()").value();
                raw.ok("select pg_sleep(0.002)");
                assert_eq!(raw.ok("select pg_backend_pid()").value(), pid);
                raw.ok("commit");
                pids.insert(pid);
                // Some are idle in between, so that connections end while nobody uses them, too.
                sleep(Duration::from_millis(i));
            }
            pids
        })
    });
    let clients: Vec<_> = clients.collect();
    let pids: BTreeSet<_> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    let closed = closed(&proxy, "lifetime");
    println!("{} connections to the primary were used, {closed} in all were closed", pids.len());
    assert!(pids.len() > 6 && closed > 6.0, "{} {closed}", pids.len());
}

#[test]
fn a_connection_ends_when_it_is_given_back() {
    let proxy = proxy("tidegate_server_lifetime=300ms&connection_limit=1&tidegate_client_auth=trust");
    wait_both(&proxy);
    let mut raw = Raw::app(proxy.address());
    raw.ok("begin");
    let pid = raw.ok("select pg_backend_pid()").value();
    sleep(Duration::from_millis(800));
    assert_eq!(raw.ok("select pg_backend_pid()").value(), pid, "in use it does not end");
    raw.ok("commit");
    assert_ne!(raw.ok(&format!("select pg_backend_pid() {PRIMARY}")).value(), pid);
}

#[test]
fn idle_connections_are_closed_but_for_the_least() {
    let name = name();
    let proxy = proxy(&format!(
        "tidegate_server_idle_timeout=500ms&tidegate_min_connections=2&application_name={name}\
         &tidegate_client_auth=trust"
    ));
    wait_open(&proxy);
    let mut clients: Vec<_> = (0..5).map(|_| Raw::app(proxy.address())).collect();
    clients.iter_mut().for_each(|raw| drop(raw.ok(&format!("begin {PRIMARY}"))));
    clients.iter_mut().for_each(|raw| drop(raw.ok("select 1")));
    assert_eq!(named(&name).len(), 5);
    // What is used does not count as idle.
    sleep(Duration::from_millis(900));
    assert_eq!(named(&name).len(), 5);
    clients.iter_mut().for_each(|raw| drop(raw.ok("commit")));
    support::wait_until("idle connections are closed", || named(&name).len() == 2);
    assert!(closed(&proxy, "idle") >= 3.0);
    let left = named(&name);
    sleep(Duration::from_millis(1_200));
    assert_eq!(named(&name), left, "the least stays, and is not opened again and again");
}

#[test]
fn the_least_is_there_before_anybody_asks_and_comes_back() {
    let name = name();
    let proxy = proxy(&format!("tidegate_min_connections=3&application_name={name}"));
    support::wait_until("three connections are open", || named(&name).len() == 3);
    let idle = || proxy.metric("tidegate_pool_connections", &["state=\"idle\""]);
    support::wait_until("and on every node", || idle() >= 9.0);
    let first = named(&name);
    let mut raw = Raw::app(proxy.address());
    for _ in 0..3 {
        let pid = raw.ok(&format!("select pg_backend_pid() {PRIMARY}")).value();
        assert!(first.contains(&pid), "{pid} is not one of {first:?}");
    }
    let terminate = format!(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = '{name}'"
    );
    shared().primary().psql(&terminate).unwrap();
    // Nobody asks for them meanwhile: that they are gone is noticed all the same.
    support::wait_until("there are three others", || {
        let now = named(&name);
        now.len() == 3 && now.is_disjoint(&first)
    });
    raw.ok(&format!("select 1 {PRIMARY}"));
    assert_eq!(named(&name).len(), 3, "{:?}", named(&name));
}

#[test]
fn what_cannot_be_opened_is_logged_once() {
    let (cluster, role) = (shared(), role());
    let limit = |n: i32| {
        cluster.primary().psql(&format!("alter role {role} connection limit {n}")).unwrap();
        cluster.wait_caught_up().unwrap();
    };
    limit(1);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidegate.toml");
    let user = format!("[database.app.user.{role}]\npassword = 'secret'\nmin_connections = 3\n");
    std::fs::write(&file, user).unwrap();
    let proxy = Tidegate::before(cluster).args(["--config", file.to_str().unwrap(), "--log", "info"]).start();
    let pool = format!("{role}@127.0.0.1:{}/app", cluster.primary().port());
    let said = |what: &str| {
        let log = proxy.stderr();
        log.lines().filter(|line| line.contains(&pool) && line.contains(what)).count()
    };
    support::wait_until("it is said that they cannot be opened", || {
        said("cannot keep min_connections open") == 1
    });
    sleep(Duration::from_millis(3_500));
    assert_eq!(said("cannot keep min_connections open"), 1, "{}", proxy.stderr());
    limit(-1);
    support::wait_until("they are opened", || said("opened ahead again") == 1);
    let count = format!("select count(*) from pg_stat_activity where usename = '{role}'");
    support::wait_until("all of them", || cluster.primary().psql(&count).unwrap().trim() == "3");
}
