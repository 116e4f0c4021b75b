//! No read is stale.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tidegate::local::LocalCluster;

use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::Raw;
use super::{WHERE, block_on, connect, is_in_rotation, own, shared, support, wait_both, wait_open};

const ACTORS: i32 = 16;

/// What the actors saw.
#[derive(Debug, Default)]
struct Seen {
    writes: AtomicU64,
    reads: AtomicU64,
    on_replicas: AtomicU64,
    stale: AtomicU64,
    errors: AtomicU64,
}

impl Seen {
    fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }

    fn share(&self) -> f64 {
        Self::get(&self.on_replicas) as f64 / Self::get(&self.reads).max(1) as f64
    }
}

/// Each actor writes its own row on one connection, and reads it back on another.
fn storm(proxy: &RunningProxy, duration: Duration) -> Arc<Seen> {
    let seen = Arc::new(Seen::default());
    block_on(async {
        let actors: Vec<_> = (0..ACTORS)
            .map(|id| tokio::spawn(actor(proxy.url(), id, Instant::now() + duration, Arc::clone(&seen))))
            .collect();
        for actor in actors {
            actor.await.unwrap();
        }
    });
    seen
}

async fn actor(url: String, id: i32, until: Instant, seen: Arc<Seen>) {
    let (writer, reader) = (connect(&url).await, connect(&url).await);
    let write = writer.prepare("update facts set n = $2 where id = $1").await.unwrap();
    let read =
        reader.prepare("select n, current_setting('app.node') from facts where id = $1").await.unwrap();
    let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
    let row = reader.query_one(&read, &[&id]).await.unwrap();
    for n in row.get::<_, i32>(0) + 1.. {
        if Instant::now() > until {
            return;
        }
        count(&seen.writes);
        if let Err(error) = writer.execute(&write, &[&id, &n]).await {
            eprintln!("actor {id}, write: {error:?}");
            count(&seen.errors);
        }
        // Some read at once, some later: an app does both.
        for _ in 0..rand::random_range(1..20) {
            count(&seen.reads);
            match reader.query_one(&read, &[&id]).await {
                Ok(row) => {
                    if row.get::<_, i32>(0) != n {
                        count(&seen.stale);
                    }
                    if row.get::<_, &str>(1) != "primary" {
                        count(&seen.on_replicas);
                    }
                }
                Err(error) => {
                    eprintln!("actor {id}, read: {error:?}");
                    count(&seen.errors);
                }
            }
            tokio::time::sleep(Duration::from_millis(rand::random_range(0..60))).await;
        }
    }
}

/// Pauses and resumes replay on the first replica, every second, while `work` goes on.
fn while_one_is_paused_again_and_again<T>(cluster: &LocalCluster, work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                cluster.replica(0).pause_replay().unwrap();
                std::thread::sleep(Duration::from_millis(500));
                cluster.replica(0).resume_replay().unwrap();
                std::thread::sleep(Duration::from_millis(500));
            }
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        result
    })
}

#[test]
fn no_read_is_stale_and_the_check_can_tell() {
    let cluster = own(&support::options());
    let fill = format!(
        "create table facts (id int primary key, n int) with (fillfactor = 10);
         insert into facts select i, 0 from generate_series(0, {ACTORS}) i; grant all on facts to app"
    );
    cluster.primary().psql(&fill).unwrap();
    cluster.wait_caught_up().unwrap();
    for delay in [0, 50] {
        cluster.replicas().iter().for_each(|r| r.set_apply_delay(Duration::from_millis(delay)).unwrap());
        let proxy = Tidegate::before(&cluster).start();
        wait_both(&proxy);
        let seen = while_one_is_paused_again_and_again(&cluster, || storm(&proxy, Duration::from_secs(20)));
        println!("apply delay {delay} ms: {seen:?}, {:.1} % of the reads on replicas", seen.share() * 100.0);
        assert_eq!(Seen::get(&seen.stale), 0, "{seen:?}");
        assert_eq!(Seen::get(&seen.errors), 0, "{seen:?}");
        assert!(Seen::get(&seen.reads) > 1_000, "{seen:?}");
        assert!(delay > 0 || seen.share() > 0.05, "the replicas were not used: {seen:?}");
    }
    cluster.replicas().iter().for_each(|r| r.set_apply_delay(Duration::from_millis(200)).unwrap());
    let eventual = Tidegate::tuned(&cluster, "tidegate_consistency=eventual").start();
    wait_both(&eventual);
    let seen = storm(&eventual, Duration::from_secs(3));
    println!("eventual, apply delay 200 ms: {seen:?}");
    assert!(Seen::get(&seen.stale) > 0, "the check finds nothing even where reads are stale: {seen:?}");
}

#[test]
fn no_read_lands_on_a_replica_that_does_not_replay() {
    let cluster = own(&support::options());
    cluster.primary().psql("create table facts (n int); grant all on facts to app").unwrap();
    cluster.wait_caught_up().unwrap();
    let proxy = Tidegate::before(&cluster).start();
    wait_both(&proxy);
    let mut raw = Raw::app(proxy.address());
    for (paused, other) in [("r1", "r2"), ("r2", "r1")] {
        let node = cluster.replicas().iter().find(|r| r.name() == paused).unwrap();
        node.pause_replay().unwrap();
        raw.ok("insert into facts values (1)");
        let expected = raw.ok("select count(*) from facts /* tidegate: intent=primary */").value();
        let mut by_other = 0;
        for i in 0..200 {
            // Most of them after the other replica has caught up, some before.
            if i == 20 {
                // A read of another table would not have to wait for the write.
                let read = "select current_setting('app.node') from facts limit 1";
                support::wait_until("the other replica serves", || raw.query(read).value() == other);
            }
            let rows = raw.ok("select current_setting('app.node'), count(*) from facts").rows();
            let (node, count) = (rows[0][0].as_deref().unwrap(), rows[0][1].as_deref().unwrap());
            assert_ne!(node, paused, "read {i}");
            assert_eq!(count, expected, "read {i} on {node}");
            by_other += u32::from(node == other);
        }
        assert!(by_other >= 180, "{other} served {by_other} of 200");
        node.resume_replay().unwrap();
        wait_both(&proxy);
    }
}

/// How long it took until a replica served again after `write` had returned.
fn reopened(raw: &mut Raw, write: &str) -> Duration {
    raw.ok(write);
    let begin = Instant::now();
    support::wait_until("a replica serves", || raw.query(WHERE).value() != "primary");
    begin.elapsed()
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort();
    times[(times.len() - 1) * percent / 100]
}

/// A schema with a table `t` of the app's own.
fn schema_with_table() -> String {
    let schema = super::schema();
    let sql = format!("create table {schema}.t (n int, x text); alter table {schema}.t owner to app");
    shared().primary().psql(&sql).unwrap();
    schema
}

#[test]
fn replicas_serve_again_soon_after_the_last_write() {
    let schema = schema_with_table();
    let proxy = super::proxy("");
    wait_open(&proxy);
    let mut raw = Raw::app(proxy.address());
    // Sizes at random, so that the flush position comes to lie near, and on, the boundaries of WAL pages.
    let mut times: Vec<_> = (0..200)
        .map(|_| {
            let size = rand::random_range(1..3000);
            reopened(&mut raw, &format!("insert into {schema}.t values (1, repeat('x', {size}))"))
        })
        .collect();
    let (p50, p99) = (percentile(&mut times, 50), percentile(&mut times, 99));
    println!("replicas serve again after a write: p50 {p50:?}, p99 {p99:?}, most {:?}", times[199]);
    assert!(p99 < Duration::from_millis(400), "{p99:?}");
}

#[test]
fn an_idle_transaction_with_unflushed_wal_does_not_close_the_gate() {
    let schema = schema_with_table();
    let proxy = super::proxy("");
    wait_open(&proxy);
    let (mut idle, mut raw) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    let mut times = Vec::new();
    for i in 0..20 {
        idle.ok(&format!("begin; insert into {schema}.t select {i}, repeat('x', {i} * 37)"));
        times.push(reopened(&mut raw, &format!("insert into {schema}.t values (0)")));
        // It stays open, too.
        support::wait_until("a replica serves", || raw.query(WHERE).value() != "primary");
        idle.ok("rollback");
    }
    let worst = percentile(&mut times, 100);
    println!("beside an idle transaction: p50 {:?}, most {worst:?}", percentile(&mut times, 50));
    assert!(worst < Duration::from_secs(2), "{times:?}");
}

#[test]
fn a_writer_that_does_not_wait_for_its_commits_is_read_back() {
    let cluster = own(&{
        let mut options = support::options();
        // The WAL writer flushes seldom: what is acknowledged stays unflushed for long.
        options.primary_conf.push("wal_writer_delay = '2s'".to_owned());
        options
    });
    cluster
        .primary()
        .psql("create table facts (n int); insert into facts values (0); grant all on facts to app")
        .unwrap();
    cluster.wait_caught_up().unwrap();
    let proxy = Tidegate::before(&cluster).start();
    wait_both(&proxy);
    let (mut writer, mut reader) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    let mut on_replicas = 0;
    let ways: [&[&str]; 3] = [
        &["set synchronous_commit = off", "update facts set n = n + 1", "reset synchronous_commit"],
        &["begin; set local synchronous_commit = off", "update facts set n = n + 1", "commit"],
        &["begin; select set_config('synchronous_commit', 'off', true); update facts set n = n + 1; commit"],
    ];
    let mut n = 0;
    for way in ways.iter().cycle().take(30) {
        way.iter().for_each(|sql| drop(writer.ok(sql)));
        n += 1;
        for _ in 0..20 {
            let rows = reader.ok("select n, current_setting('app.node') from facts").rows();
            assert_eq!(rows[0][0].as_deref(), Some(n.to_string().as_str()), "{rows:?} after {way:?}");
            on_replicas += i32::from(rows[0][1].as_deref() != Some("primary"));
        }
    }
    println!("beside synchronous_commit = off: {on_replicas} of 600 reads on replicas");
    assert!(is_in_rotation(&proxy, cluster.replica(0)));
}
