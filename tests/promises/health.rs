//! Replicas that are sick: they are taken out for a reason that is said, and come back slowly.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use tidegate::local::{LocalCluster, LocalNode, Login};

use super::support::faulty::{Faulty, Network};
use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::Raw;
use super::{WHERE, label, own, own_with_facts, support, wait_both};

/// As [`WHERE`], of any healthy replica.
const ANY: &str = "select current_setting('app.node') /* tidegate: consistency=eventual */";
/// Fails on a node that is sick, as a broken disk does.
const CHECKUP: &str = "create function checkup() returns text language plpgsql stable as $$ begin \
     if current_setting('app.sick', true) = 'yes' then raise exception 'sick' using errcode = '58030'; end if; \
     return current_setting('app.node'); end $$";

fn is_out(proxy: &RunningProxy, node: &str, reason: &str) -> bool {
    proxy.metric("tidegate_node_health", &[node, &format!("reason=\"{reason}\"")]) > 0.5
}

fn share(proxy: &RunningProxy, node: &str) -> f64 {
    proxy.metric("tidegate_node_share", &[node])
}

/// How often, in digits: what is counted is compared to the last one.
fn count(proxy: &RunningProxy, name: &str, labels: &[&str]) -> String {
    proxy.metric(name, labels).to_string()
}

fn ejections(proxy: &RunningProxy, node: &str) -> String {
    count(proxy, "tidegate_node_ejections_total", &[node])
}

fn is_overruled(proxy: &RunningProxy, reason: &str) -> bool {
    proxy.metric("tidegate_health_overruled", &[&format!("reason=\"{reason}\"")]) > 0.5
}

fn set_sick(node: &LocalNode, word: &str) {
    let conf = node.data_dir().join("node.conf");
    let mut conf = std::fs::OpenOptions::new().append(true).open(conf).unwrap();
    writeln!(conf, "app.sick = '{word}'").unwrap();
    node.psql("select pg_reload_conf()").unwrap();
    support::wait_until("the node knows how it is", || {
        node.psql("select current_setting('app.sick', true)").unwrap().trim() == word
    });
}

/// A proxy that reaches the first replica by way of a faulty network.
fn behind(cluster: &LocalCluster, parameters: &str) -> (Faulty, RunningProxy) {
    let faulty = Faulty::before(cluster.replica(0).port());
    let url = format!("{}?{parameters}", cluster.url(Login::App));
    let first = format!("postgres://127.0.0.1:{}", faulty.port());
    let second = cluster.replica(1).url(Login::App);
    let proxy = Tidegate::bare().args(["--primary", &url, "--replica", &first, "--replica", &second]).start();
    wait_both(&proxy);
    (faulty, proxy)
}

#[test]
fn a_replica_that_fails_is_taken_out_and_comes_back_slowly() {
    let cluster = own(&support::options());
    cluster.primary().psql(CHECKUP).unwrap();
    cluster.wait_caught_up().unwrap();
    let proxy = Tidegate::tuned(&cluster, "tidegate_slow_start=3s").start();
    wait_both(&proxy);
    let mut raw = Raw::app(proxy.address());
    let (r1, r2) = (label(cluster.replica(0)), label(cluster.replica(1)));
    // An app's own mistakes say nothing about a node.
    for _ in 0..40 {
        assert_eq!(raw.query("select 1 / (length(current_setting('app.node')) - 2)").code(), "22012");
    }
    set_sick(cluster.replica(0), "yes");
    let (mut failed, begun) = (0, Instant::now());
    while !is_out(&proxy, &r1, "errors") {
        let answer = raw.query("select checkup()");
        if answer.error().is_some() {
            assert_eq!(answer.code(), "58030");
            failed += 1;
        }
        assert!(begun.elapsed() < support::PATIENCE, "it is never taken out, after {failed} failures");
    }
    println!("out {:?} after it fell ill, after {failed} failures", begun.elapsed());
    set_sick(cluster.replica(0), "no");
    assert_eq!([ejections(&proxy, &r1), ejections(&proxy, &r2)], ["1", "0"]);
    support::wait_until("it is let in again", || share(&proxy, &r1) > 0.0);
    let (begun, mut shares) = (Instant::now(), vec![share(&proxy, &r1)]);
    support::wait_until("it has its whole share", || {
        shares.push(share(&proxy, &r1));
        raw.ok("select checkup()");
        *shares.last().unwrap() >= 1.0
    });
    println!("let in with {:.2}, in full after {:?}", shares[0], begun.elapsed());
    assert!(shares[0] <= 0.5 && shares.is_sorted(), "{shares:?}");
    assert!(begun.elapsed() > Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(shares.iter().any(|share| (0.3..0.9).contains(share)), "{shares:?}");
    assert_eq!(ejections(&proxy, &r1), "1");
    assert!(proxy.stderr().contains("replica taken out"), "{}", proxy.stderr());
}

#[test]
fn a_replica_that_lags_is_taken_out_but_not_all_of_them() {
    let cluster = own_with_facts();
    let proxy = Tidegate::tuned(&cluster, "tidegate_max_replica_lag=1s&tidegate_slow_start=off").start();
    wait_both(&proxy);
    let mut raw = Raw::app(proxy.address());
    let [r1, r2] = [0, 1].map(|i| label(cluster.replica(i)));
    cluster.replica(0).pause_replay().unwrap();
    raw.ok("update facts set n = n + 1");
    support::wait_until("the replica that lags is out", || is_out(&proxy, &r1, "lag"));
    assert_eq!((share(&proxy, &r1), share(&proxy, &r2)), (0.0, 1.0));
    for _ in 0..50 {
        assert_eq!(raw.ok(ANY).value(), "r2");
    }
    cluster.replica(1).pause_replay().unwrap();
    raw.ok("update facts set n = n + 1");
    support::wait_until("it is said that both lag", || is_overruled(&proxy, "lag"));
    assert_eq!((share(&proxy, &r1), share(&proxy, &r2)), (1.0, 1.0));
    let seen: std::collections::BTreeSet<_> = (0..100).map(|_| raw.ok(ANY).value()).collect();
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["r1", "r2"]);
    // Freshness is another matter.
    assert_eq!(raw.ok("select current_setting('app.node') from facts").value(), "primary");
    assert_eq!(proxy.stderr().matches("it would take out too many replicas").count(), 1, "it is said once");
    cluster.replicas().iter().for_each(|replica| replica.resume_replay().unwrap());
    support::wait_until("all is well", || !is_overruled(&proxy, "lag"));
    assert_eq!((share(&proxy, &r1), share(&proxy, &r2)), (1.0, 1.0));
    assert_eq!(ejections(&proxy, &r2), "0");
}

#[test]
fn a_replica_that_is_slow_is_taken_out_and_one_that_says_nothing() {
    let cluster = own(&support::options());
    let (faulty, proxy) = behind(&cluster, "tidegate_slow_start=1s");
    let mut raw = Raw::app(proxy.address());
    for (network, reason) in
        [(Network::Slow(Duration::from_millis(200)), "latency"), (Network::Silent, "connect")]
    {
        let begun = Instant::now();
        faulty.be(network);
        support::wait_until("it is out", || is_out(&proxy, &faulty.label(), reason));
        let out = begun.elapsed();
        for _ in 0..50 {
            assert_eq!(raw.ok(ANY).value(), "r2");
        }
        faulty.be(Network::Well);
        let begun = Instant::now();
        support::wait_until("it is back", || share(&proxy, &faulty.label()) >= 1.0);
        println!("{network:?}: out for {reason} after {out:?}, back in full {:?} later", begun.elapsed());
        // Within a second; the rest is for a machine that is busy.
        assert!(out < Duration::from_secs(2), "{out:?}");
    }
    assert_eq!(ejections(&proxy, &faulty.label()), "2");
}

#[test]
fn a_replica_that_is_lost_again_and_again_is_held_back_longer_and_longer() {
    let cluster = own(&support::options());
    let (faulty, proxy) = behind(&cluster, "tidegate_slow_start=off&tidegate_max_holdback=3s");
    let mut times = Vec::new();
    for round in 1..=4 {
        let begun = Instant::now();
        faulty.be(Network::Dead);
        support::wait_until("it is out", || is_out(&proxy, &faulty.label(), "connect"));
        faulty.be(Network::Well);
        if round > 2 {
            let held = || is_out(&proxy, &faulty.label(), "flapping");
            support::wait_until("it is held back although nothing is wrong with it", held);
        }
        support::wait_until("it is back", || share(&proxy, &faulty.label()) > 0.0);
        times.push(begun.elapsed());
        assert_eq!(ejections(&proxy, &faulty.label()), round.to_string());
    }
    println!("lost again and again: back after {times:?}");
    assert!(times[1] >= Duration::from_secs(1) && times[2] >= Duration::from_secs(2), "{times:?}");
    assert!(times[3] >= Duration::from_secs(3), "{times:?}");
    assert!(share(&proxy, &label(cluster.replica(1))) >= 1.0);
}

#[test]
fn reads_that_are_interrupted_are_counted_by_node_and_reason() {
    let mut options = support::options();
    options.replicas = 1;
    options.replica_conf.push("max_standby_streaming_delay = 0".to_owned());
    let cluster = own(&options);
    let (primary, replica) = (cluster.primary(), cluster.replica(0));
    primary
        .psql("create table facts (n int); insert into facts values (0); grant all on facts to app")
        .unwrap();
    cluster.wait_caught_up().unwrap();
    let faulty = Faulty::before(replica.port());
    let first = format!("postgres://127.0.0.1:{}", faulty.port());
    let proxy = Tidegate::bare().args(["--primary", &cluster.url(Login::App), "--replica", &first]).start();
    let mut raw = Raw::app(proxy.address());
    let read =
        "select current_setting('app.node') from facts, pg_sleep(2) /* tidegate: consistency=eventual */";
    let running = "from pg_stat_activity where state = 'active' and query like '%from facts, pg_sleep(2)%' \
                   and pid <> pg_backend_pid()";
    let conflict = || {
        primary.psql("update facts set n = n + 1").unwrap();
        primary.psql("vacuum facts").unwrap();
    };
    let shutdown = || drop(replica.psql(&format!("select pg_terminate_backend(pid) {running}")).unwrap());
    let lost = || faulty.be(Network::Dead);
    let causes: [(&str, &dyn Fn()); 3] =
        [("conflict", &conflict), ("shutdown", &shutdown), ("connection_lost", &lost)];
    for (reason, interrupt) in causes {
        support::wait_until("the replica serves", || raw.ok(ANY).value() == "r1");
        let node = thread::scope(|scope| {
            let read = scope.spawn(|| raw.ok(read).value());
            support::wait_until("it runs", || {
                replica.psql(&format!("select count(*) {running}")).unwrap().trim() == "1"
            });
            interrupt();
            read.join().unwrap()
        });
        assert_eq!(node, "primary", "{reason}: nobody sees it");
        faulty.be(Network::Well);
        let labels = [&faulty.label(), &format!("reason=\"{reason}\""), "outcome=\"rerun\""];
        let interrupted = count(&proxy, "tidegate_reads_interrupted_total", &labels);
        assert_eq!(interrupted, "1", "{reason}: {}", proxy.metrics());
    }
    assert_eq!(count(&proxy, "tidegate_reads_interrupted_total", &[]), "3");
}

/// How many of so many reads, one at a time, ran on each replica and on the primary.
fn spread(proxy: &RunningProxy, reads: u32) -> [u32; 3] {
    let mut raw = Raw::app(proxy.address());
    let mut counts = [0; 3];
    for _ in 0..reads {
        let node = raw.ok(WHERE).value();
        counts[["r1", "r2", "primary"].iter().position(|name| *name == node).unwrap()] += 1;
    }
    counts
}

/// A proxy that is told something about each replica, in its URL.
fn told(cluster: &LocalCluster, about: [&str; 2]) -> Tidegate {
    let mut tidegate = Tidegate::bare().args(["--primary", &cluster.url(Login::App)]);
    for (replica, about) in cluster.replicas().iter().zip(about) {
        tidegate = tidegate.args(["--replica", &format!("{}?{about}", replica.url(Login::App))]);
    }
    tidegate
}

#[test]
fn replicas_get_what_their_weights_say() {
    let cluster = own(&support::options());
    let proxy = told(&cluster, ["tidegate_weight=3", "tidegate_weight=1"]).start();
    wait_both(&proxy);
    let [r1, r2, primary] = spread(&proxy, 2_000);
    println!("weights 3 and 1: {r1} and {r2} reads");
    // Six standard deviations (19 each) about three quarters.
    assert!((1_384..=1_616).contains(&r1), "{r1} {r2} {primary}");
    assert_eq!(primary, 0);
    drop(proxy);

    let proxy = told(&cluster, ["tidegate_weight=0", "tidegate_weight=1"]).start();
    let mut raw = Raw::app(proxy.address());
    support::wait_until("a replica serves", || raw.ok(WHERE).value() != "primary");
    assert_eq!(spread(&proxy, 300), [0, 300, 0]);
    cluster.replica(1).kill().unwrap();
    support::wait_until("the other one is out", || share(&proxy, &label(cluster.replica(1))) == 0.0);
    assert_eq!(spread(&proxy, 100), [0, 0, 100], "weight 0 is none at all");
}

#[test]
fn replicas_of_the_proxys_zone_are_preferred_and_left_when_they_must_be() {
    let cluster = own_with_facts();
    let about = ["tidegate_zone=here", "tidegate_zone=there"];
    let proxy = told(&cluster, about).args(["--locality", "here"]).start();
    let mut raw = Raw::app(proxy.address());
    support::wait_until("the near replica serves", || raw.ok(WHERE).value() == "r1");
    assert_eq!(spread(&proxy, 500), [500, 0, 0]);
    // It is not fresh enough.
    cluster.replica(0).pause_replay().unwrap();
    raw.ok("update facts set n = n + 1");
    let read = "select current_setting('app.node') from facts";
    support::wait_until("the other one serves", || raw.ok(read).value() == "r2");
    cluster.replica(0).resume_replay().unwrap();
    support::wait_until("the near one is preferred again", || (0..50).all(|_| raw.ok(read).value() == "r1"));
    // It has too much to do.
    let busy = "select current_setting('app.node') from pg_sleep(0.3)";
    let nodes: Vec<String> = thread::scope(|scope| {
        let read = || Raw::app(proxy.address()).ok(busy).value();
        let reads: Vec<_> = (0..24).map(|_| scope.spawn(read)).collect();
        reads.into_iter().map(|read| read.join().unwrap()).collect()
    });
    let near = nodes.iter().filter(|node| *node == "r1").count();
    println!("24 slow reads at a time: {near} on the near replica");
    assert!((12..24).contains(&near), "{nodes:?}");
    assert!(nodes.iter().all(|node| node != "primary"), "{nodes:?}");
}
