//! A session is never shown less than it was shown before.

use std::time::{Duration, Instant};

use tidegate::local::LocalCluster;

use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::{Raw, query};
use super::{own_with_facts, support, wait_both};

/// A cluster whose commits wait for the second replica to apply them, and that replica does not replay: the first one
/// shows what nobody is told of yet.
fn held_back() -> (LocalCluster, RunningProxy) {
    let cluster = own_with_facts();
    let other = "create table others (n int); insert into others values (0); grant all on others to app";
    cluster.primary().psql(other).unwrap();
    cluster.wait_caught_up().unwrap();
    let proxy = Tidegate::before(&cluster).start();
    wait_both(&proxy);
    cluster.replica(1).pause_replay().unwrap();
    for setting in ["synchronous_standby_names = 'r2'", "synchronous_commit = 'remote_apply'"] {
        cluster.primary().psql(&format!("alter system set {setting}")).unwrap();
    }
    cluster.primary().psql("select pg_reload_conf()").unwrap();
    support::wait_until("commits wait for the second replica", || {
        cluster.primary().psql("show synchronous_commit").unwrap().trim() == "remote_apply"
    });
    (cluster, proxy)
}

/// The values a session reads, one after the other, until `enough` reads after the first that shows 1.
fn values(raw: &mut Raw, hint: &str, enough: usize) -> Vec<(String, String)> {
    let mut seen = Vec::new();
    support::wait_until("the commit shows on the first replica", || {
        let rows = raw.ok(&format!("select n, current_setting('app.node') from facts {hint}")).rows();
        seen.push((rows[0][0].clone().unwrap(), rows[0][1].clone().unwrap()));
        seen.iter().any(|(n, _)| n == "1")
    });
    for _ in 0..enough {
        let rows = raw.ok(&format!("select n, current_setting('app.node') from facts {hint}")).rows();
        seen.push((rows[0][0].clone().unwrap(), rows[0][1].clone().unwrap()));
    }
    seen
}

fn goes_back(values: &[(String, String)]) -> bool {
    let first = values.iter().position(|(n, _)| n == "1").unwrap();
    values[first..].iter().any(|(n, _)| n != "1")
}

#[test]
fn what_nobody_was_told_of_yet_does_not_disappear() {
    let (cluster, proxy) = held_back();
    let (mut writer, mut reader) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    writer.send(&query("update facts set n = 1"));
    let seen = values(&mut reader, "", 200);
    assert!(!goes_back(&seen), "{seen:?}");
    let (_, node) = seen.last().unwrap();
    assert_eq!(node, "r1", "it stays where it saw it");
    // Another table is not touched by that, and a session that has not seen it is free.
    let mut other = Raw::app(proxy.address());
    let mut nodes = std::collections::BTreeSet::new();
    for _ in 0..100 {
        nodes.insert(other.ok("select current_setting('app.node') from others").value());
    }
    assert_eq!(nodes.into_iter().collect::<Vec<_>>(), ["r1", "r2"]);
    // Without the promise it does go back: the check can fail.
    let seen = values(&mut other, "/* tidegate: consistency=eventual */", 200);
    assert!(goes_back(&seen), "{seen:?}");
    cluster.replica(1).resume_replay().unwrap();
    writer.answer().ok();
    wait_both(&proxy);
}

#[test]
fn a_session_that_only_reads_comes_back_to_the_replicas() {
    let cluster = own_with_facts();
    let proxy = Tidegate::before(&cluster).start();
    wait_both(&proxy);
    let (mut writer, mut reader) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    let mut times = Vec::new();
    for _ in 0..50 {
        writer.ok("update facts set n = n + 1");
        let begun = Instant::now();
        // Back to back, so that each read on the primary could renew what sent it there.
        while reader.ok("select current_setting('app.node') from facts").value() == "primary" {
            assert!(begun.elapsed() < support::PATIENCE, "it never comes back");
        }
        times.push(begun.elapsed());
    }
    times.sort();
    println!("back on a replica after {:?}, at most {:?}", times[25], times[49]);
    assert!(times[45] < Duration::from_millis(200), "{times:?}");
    // Beside writes that never end, too: what is under way leaves read marks all the time.
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                writer.ok("update facts set n = n + 1");
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let (mut on_replicas, mut all, mut last) = (0, 0, 0);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(2) {
            let rows = reader.ok("select n, current_setting('app.node') from facts").rows();
            let n: i32 = rows[0][0].as_deref().unwrap().parse().unwrap();
            assert!(n >= last, "{n} after {last}");
            last = n;
            all += 1;
            on_replicas += i32::from(rows[0][1].as_deref() != Some("primary"));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        println!("beside constant writes: {on_replicas} of {all} reads on replicas");
        assert!(on_replicas * 5 > all, "{on_replicas} of {all}");
    });
}
