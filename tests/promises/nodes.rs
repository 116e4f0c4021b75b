//! Nodes that die and come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::support::proxy::Tidegate;
use super::{block_on, connect, is_in_rotation, label, own, support, wait_both};

/// Reads until told to stop; counts what it did.
async fn reader(url: String, prepared: bool, stop: Arc<AtomicBool>, reads: Arc<AtomicU64>) -> Vec<String> {
    let client = connect(&url).await;
    let sql = "select n from facts where id = 1";
    let statement = client.prepare(sql).await.unwrap();
    let mut errors = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let failed = if prepared {
            client.query_one(&statement, &[]).await.err()
        } else {
            client.simple_query(sql).await.err()
        };
        reads.fetch_add(1, Ordering::Relaxed);
        if let Some(error) = failed {
            errors.push(format!("{error:?}"));
            break;
        }
    }
    errors
}

#[test]
#[allow(clippy::disallowed_methods, reason = "this runtime has threads to block one of")]
fn nobody_sees_a_replica_die_and_it_comes_back_by_itself() {
    let cluster = own(&support::options());
    cluster
        .primary()
        .psql("create table facts (id int primary key, n int); insert into facts values (1, 1); grant all on facts to app")
        .unwrap();
    cluster.wait_caught_up().unwrap();
    let proxy = Tidegate::before(&cluster).start();
    wait_both(&proxy);
    let (stop, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let errors: Vec<String> = block_on(async {
        let readers: Vec<_> = (0..8)
            .map(|i| tokio::spawn(reader(proxy.url(), i % 2 == 0, Arc::clone(&stop), Arc::clone(&reads))))
            .collect();
        tokio::task::block_in_place(|| {
            for victim in [0, 1, 0] {
                let node = cluster.replica(victim);
                let served =
                    || proxy.metric("tidegate_statements_total", &[&label(node), "target=\"replica\""]);
                let before = served();
                support::wait_until("it serves reads", || served() > before + 100.0);
                let begin = Instant::now();
                node.kill().unwrap();
                support::wait_until("the dead node is out", || !is_in_rotation(&proxy, node));
                let out = begin.elapsed();
                node.start().unwrap();
                let begin = Instant::now();
                let before = served();
                support::wait_until("it is back and serves", || {
                    is_in_rotation(&proxy, node) && served() > before
                });
                println!(
                    "{}: out {out:?} after the kill, back {:?} after the start",
                    node.name(),
                    begin.elapsed()
                );
                assert!(out < Duration::from_secs(1), "{out:?}");
            }
        });
        stop.store(true, Ordering::Relaxed);
        let mut errors = Vec::new();
        for reader in readers {
            errors.extend(reader.await.unwrap());
        }
        errors
    });
    println!(
        "{} reads, {} reruns",
        reads.load(Ordering::Relaxed),
        proxy.metric("tidegate_reruns_total", &[])
    );
    assert_eq!(errors, Vec::<String>::new());
}
