//! Several proxies side by side before one cluster: which promises hold across them, and that one can go.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread;

use super::peers::{Group, named};
use super::support::raw::{Raw, V3_0};
use super::support::wait_until;
use super::{block_on, connect, own_with_facts, schema, shared};

/// Has others stop when it is dropped, also by a failure: they would be waited for without end.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

const STRONG: &str = "/* tidegate: consistency=strong */";

#[test]
fn tokens_and_strong_reads_hold_across_proxies_and_the_level_session_does_not() {
    let cluster = own_with_facts();
    let group = Group::start(3, &cluster);
    let mut clients: Vec<_> = group.proxies.iter().map(|proxy| Raw::app(proxy.address())).collect();
    cluster.replicas().iter().for_each(|replica| replica.pause_replay().unwrap());
    clients[0].ok("update facts set n = 1");
    let token = clients[0].ok("show tidegate.token").value();
    for (number, client) in clients.iter_mut().enumerate() {
        let seen = client.ok("select n from facts").value();
        assert_eq!(seen, if number == 0 { "1" } else { "0" }, "proxy {}", number + 1);
        assert_eq!(client.ok(&format!("select n from facts {STRONG}")).value(), "1");
        let after = format!("select n from facts /* tidegate: after='{token}' */");
        assert_eq!(client.ok(&after).value(), "1");
        client.ok("set tidegate.consistency = 'strong'");
        assert_eq!(client.ok("select n from facts").value(), "1");
        client.ok("reset tidegate.consistency");
    }
    cluster.replicas().iter().for_each(|replica| replica.resume_replay().unwrap());
    wait_until("the replicas have replayed it for all of them", || {
        clients.iter_mut().all(|client| client.ok("select n from facts").value() == "1")
    });
}

/// One client writes and others read, all through the balancer. What was acknowledged before a strong read began, or
/// what a token stands for, is there.
#[test]
fn what_was_acknowledged_through_one_is_read_through_another() {
    let cluster = own_with_facts();
    let group = Group::start(2, &cluster);
    let address = group.balancer.address();
    // Taken in turn: each proxy has one of each kind.
    let [mut writer, mut idle] = [(); 2].map(|()| Raw::app(address));
    let readers: Vec<_> = (0..4).map(|_| Raw::app(address)).collect();
    assert_ne!(named(&writer), named(&idle));
    let (acknowledged, stop) = (AtomicI64::new(0), AtomicBool::new(false));
    let (token, reads, on_replicas) =
        (std::sync::Mutex::new(String::new()), AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        let stops = Stops(&stop);
        for (number, mut reader) in readers.into_iter().enumerate() {
            let (acknowledged, stop, token, reads, on_replicas) =
                (&acknowledged, &stop, &token, &reads, &on_replicas);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let (hint, expected) = if number < 2 {
                        (STRONG.to_owned(), acknowledged.load(Ordering::SeqCst))
                    } else {
                        let token = token.lock().unwrap();
                        let Some((position, n)) = token.split_once(' ') else { continue };
                        (format!("/* tidegate: after='{position}' */"), n.parse().unwrap())
                    };
                    let answer =
                        reader.ok(&format!("select n, current_setting('app.node') from facts {hint}"));
                    let seen: i64 = answer.value().parse().unwrap();
                    assert!(seen >= expected, "reader {number} saw {seen} after {expected}");
                    reads.fetch_add(1, Ordering::Relaxed);
                    let on_replica = answer.rows()[0][1].as_deref() != Some("primary");
                    on_replicas.fetch_add(u64::from(on_replica), Ordering::Relaxed);
                }
            });
        }
        for n in 1..=300 {
            writer.ok(&format!("update facts set n = {n}"));
            acknowledged.store(n, Ordering::SeqCst);
            if n % 10 == 0 {
                let position = writer.ok("show tidegate.token").value();
                *token.lock().unwrap() = format!("{position} {n}");
            }
        }
        wait_until("enough was read", || {
            reads.load(Ordering::Relaxed) > 400 && on_replicas.load(Ordering::Relaxed) > 50
        });
        drop(stops);
    });
    println!(
        "{} reads checked, {} of them on replicas",
        reads.load(Ordering::Relaxed),
        on_replicas.load(Ordering::Relaxed)
    );
    idle.ok("select 1");
}

#[test]
fn prepared_statements_work_through_the_balancer() {
    let group = Group::start(2, shared());
    let url = group.balancer.url();
    block_on(async {
        let tasks: Vec<_> = (0..6_i32)
            .map(|number| {
                let url = url.clone();
                tokio::spawn(async move {
                    let client = connect(&url).await;
                    let statement = client.prepare("select $1::int + $2").await.unwrap();
                    for i in 0..50 {
                        let row = client.query_one(&statement, &[&i, &number]).await.unwrap();
                        assert_eq!(row.get::<_, i32>(0), i + number);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    for proxy in &group.proxies {
        assert!(
            proxy.metric("tidegate_logins_total", &["outcome=\"ok\""]) > 2.5,
            "each has served half of them"
        );
    }
}

#[test]
fn one_that_is_killed_is_noticed_by_its_own_clients_only() {
    let schema = schema();
    shared()
        .primary()
        .psql(&format!("create table {schema}.t (client int, n int); grant all on {schema}.t to app"))
        .unwrap();
    let mut group = Group::start(2, shared());
    let (address, gone) = (group.balancer.address(), group.proxies[0].address());
    let (stop, done, reconnected) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let clients: Vec<_> = (0..8).map(|_| Raw::app(address)).collect();
    let at_first = clients.iter().filter(|client| named(client) == 1).count();
    assert_eq!(at_first, 4);
    let booked = thread::scope(|scope| {
        let stops = Stops(&stop);
        let workers: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(number, mut client)| {
                let (stop, done, reconnected, schema) = (&stop, &done, &reconnected, &schema);
                scope.spawn(move || {
                    let (home, mut acknowledged, mut in_doubt) = (named(&client), 0_u64, 0_u64);
                    while !stop.load(Ordering::Relaxed) {
                        let sql = format!("insert into {schema}.t values ({number}, {acknowledged})");
                        let [write, read] = [sql, format!("select count(*) from {schema}.t")];
                        if tries(&mut client, &write) {
                            acknowledged += 1;
                            if tries(&mut client, &read) {
                                done.fetch_add(1, Ordering::Relaxed);
                                continue;
                            }
                        } else {
                            in_doubt += 1;
                        }
                        assert_eq!(named(&client), 1, "client {number} was at the proxy that goes on");
                        // While it dies it may still take a connection, and reset it.
                        wait_until("the first one is gone", || TcpStream::connect(gone).is_err());
                        client =
                            Raw::log_in(address, V3_0, &[("user", "app"), ("database", "app")], "secret")
                                .unwrap();
                        assert_eq!((home, named(&client)), (1, 2));
                        reconnected.fetch_add(1, Ordering::Relaxed);
                    }
                    (number, acknowledged, in_doubt)
                })
            })
            .collect();
        wait_until("all are at work", || done.load(Ordering::Relaxed) > 100);
        drop(group.proxies.remove(0));
        wait_until("those of the first one are back", || reconnected.load(Ordering::Relaxed) == 4);
        let before = done.load(Ordering::Relaxed);
        wait_until("work goes on", || done.load(Ordering::Relaxed) > before + 100);
        drop(stops);
        workers.into_iter().map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
    });
    for (number, acknowledged, in_doubt) in booked {
        let counted =
            shared().primary().psql(&format!("select count(*) from {schema}.t where client = {number}"));
        let counted: u64 = counted.unwrap().trim().parse().unwrap();
        assert!(
            (acknowledged..=acknowledged + in_doubt).contains(&counted),
            "client {number}: {acknowledged} {counted}"
        );
        assert!(in_doubt <= 1);
    }
    println!(
        "{} clients came back, {} rounds",
        reconnected.load(Ordering::Relaxed),
        done.load(Ordering::Relaxed)
    );
    // A request for a session of the one that is gone fails, and does not hang.
    let begun = std::time::Instant::now();
    Raw::cancel(group.proxies[0].address(), 1 << 21 | 1, &[0; 4]);
    assert!(begun.elapsed() < std::time::Duration::from_secs(5));
}

/// Whether the statement was answered; false when the connection is gone instead.
fn tries(client: &mut Raw, sql: &str) -> bool {
    client.send_anyway(&super::support::raw::query(sql));
    loop {
        match client.try_read() {
            Ok(message) if message.tag == b'E' => panic!("{message:?}"),
            Ok(message) if message.tag == b'Z' => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}
