//! A `patroni://` URL before a real Patroni cluster: switchover, failover, members that come and go, under load.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use support::patroni::{Member, PatroniCluster};
use support::proxy::{RunningProxy, Tidegate};
use support::wait_until;

/// Runs async test code on a thread of its own.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

async fn connect(url: &str) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// What the load has done so far.
#[derive(Debug, Default)]
struct Book {
    /// Numbers whose insertion was acknowledged, with when that was.
    acknowledged: Vec<(i32, Instant)>,
    /// Reads answered.
    reads: usize,
    /// Reads that did not show what had been acknowledged before them.
    stale: Vec<String>,
    write_errors: Vec<String>,
    read_errors: Vec<String>,
}

/// Writes a number every few milliseconds, and reads on another connection whether those acknowledged are there.
struct Load {
    book: Arc<Mutex<Book>>,
    stop: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Load {
    fn start(url: &str) -> Self {
        let (book, stop) = (Arc::<Mutex<Book>>::default(), Arc::<AtomicBool>::default());
        let writer = {
            let (url, book, stop) = (url.to_owned(), Arc::clone(&book), Arc::clone(&stop));
            thread::spawn(move || block_on(write(&url, &book, &stop)))
        };
        let reader = {
            let (url, book, stop) = (url.to_owned(), Arc::clone(&book), Arc::clone(&stop));
            thread::spawn(move || block_on(read(&url, &book, &stop)))
        };
        Self { book, stop, threads: vec![writer, reader] }
    }

    /// Waits until something is acknowledged that was sent after now, and returns how long that took.
    fn wait_write(&self) -> Duration {
        let begin = Instant::now();
        // One may be under way: the second from now on was sent after now.
        let count = || self.book.lock().unwrap().acknowledged.iter().filter(|(_, at)| *at > begin).count();
        wait_until("a write is acknowledged", || count() > 1);
        begin.elapsed()
    }

    /// The longest time without an acknowledged write since `from`.
    fn longest_gap(&self, from: Instant) -> Duration {
        let book = self.book.lock().unwrap();
        let times = book.acknowledged.iter().map(|(_, at)| *at).filter(|at| *at >= from);
        let times: Vec<_> = std::iter::once(from).chain(times).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    fn end(self) -> Book {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        Arc::try_unwrap(self.book).unwrap().into_inner().unwrap()
    }
}

async fn write(url: &str, book: &Mutex<Book>, stop: &AtomicBool) {
    let (mut number, mut client) = (0, None);
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let wrote = async {
            if client.is_none() {
                client = Some(connect(url).await?);
            }
            client.as_ref().unwrap().execute("insert into ledger values ($1)", &[&number]).await
        };
        match wrote.await {
            Ok(_) => book.lock().unwrap().acknowledged.push((number, Instant::now())),
            Err(error) => {
                client = client.filter(|client| !client.is_closed());
                book.lock().unwrap().write_errors.push(error.to_string());
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn read(url: &str, book: &Mutex<Book>, stop: &AtomicBool) {
    let mut client = None;
    while !stop.load(Ordering::Relaxed) {
        let known = book.lock().unwrap().acknowledged.last().map_or(0, |(number, _)| *number);
        let answer = async {
            if client.is_none() {
                client = Some(connect(url).await?);
            }
            client.as_ref().unwrap().query_one("select coalesce(max(n), 0) from ledger", &[]).await
        };
        match answer.await {
            Ok(row) => {
                let seen: i32 = row.get(0);
                let mut book = book.lock().unwrap();
                book.reads += 1;
                if seen < known {
                    book.stale.push(format!("{seen} seen, {known} acknowledged"));
                }
            }
            Err(error) => {
                client = client.filter(|client| !client.is_closed());
                book.lock().unwrap().read_errors.push(error.to_string());
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn is_up(proxy: &RunningProxy, member: &Member, role: &str) -> bool {
    proxy.metric("tidegate_node_up", &[&member.label(), &format!("role=\"{role}\"")]) > 0.5
}

/// Whether the proxy's list of nodes, as it was last changed, has this member.
fn is_listed(proxy: &RunningProxy, member: &Member) -> bool {
    let log = proxy.stderr();
    let list = log.lines().rev().find_map(|line| line.split_once("the list of nodes has changed "));
    list.is_none_or(|(_, nodes)| nodes.contains(&format!("127.0.0.1:{}", member.port)))
}

/// Reads that a member has served as a replica.
fn served(proxy: &RunningProxy, member: &Member) -> f64 {
    proxy.metric("tidegate_statements_total", &[&member.label(), "target=\"replica\""])
}

/// A database `app` of the user `app`, with the ledger. The user sees what replicas stream, so that they are used again at
/// once after a failover.
fn fill(cluster: &PatroniCluster, leader: usize) {
    block_on(async {
        let postgres = connect(&cluster.superuser_url(leader, "postgres")).await.unwrap();
        let role = "create role app login password 'secret'; grant pg_monitor to app";
        postgres.batch_execute(role).await.unwrap();
        postgres.batch_execute("create database app owner app").await.unwrap();
        let app = connect(&cluster.superuser_url(leader, "app")).await.unwrap();
        app.batch_execute("create table ledger (n int primary key); grant all on ledger to app")
            .await
            .unwrap();
    });
}

/// Hands the lead over. Returns who has it.
fn switch_over(cluster: &PatroniCluster, proxy: &RunningProxy, load: &Load) -> usize {
    let (begin, former) = (Instant::now(), cluster.leader().unwrap());
    let new = cluster.switch_over();
    wait_until("the new leader is the primary", || is_up(proxy, &cluster.members()[new], "primary"));
    load.wait_write();
    println!("switched over, longest time without a write {:?}", load.longest_gap(begin));
    cluster.wait_streaming();
    wait_until("the former leader serves", || is_up(proxy, &cluster.members()[former], "replica"));
    cluster.wait_standby();
    new
}

/// Kills the leader, which comes back when another one leads.
fn fail_over(cluster: &mut PatroniCluster, proxy: &RunningProxy, load: &Load, leader: usize) {
    let begin = Instant::now();
    cluster.kill(leader);
    let mut new = None;
    wait_until("another member leads", || {
        new = cluster.leader().filter(|new| *new != leader);
        new.is_some()
    });
    let promoted = begin.elapsed();
    let new = &cluster.members()[new.unwrap()];
    wait_until("the new leader is the primary", || is_up(proxy, new, "primary"));
    load.wait_write();
    let gap = load.longest_gap(begin);
    println!("failed over, promoted after {promoted:?}, longest time without a write {gap:?}");
    assert!(gap < promoted + Duration::from_secs(5), "writes go on when there is a primary");
    let gone = &cluster.members()[leader];
    wait_until("the member that is gone has left the list", || !is_listed(proxy, gone));
    assert!(!is_up(proxy, gone, "primary") && !is_up(proxy, gone, "replica"));
    cluster.start_member(leader);
    cluster.wait_streaming();
    wait_until("it is back and serves", || is_up(proxy, &cluster.members()[leader], "replica"));
}

/// A member without load balancing comes and goes.
fn come_and_go(cluster: &mut PatroniCluster, proxy: &RunningProxy) {
    let added = cluster.add("noloadbalance: true");
    wait_until("a new member is found", || is_up(proxy, &cluster.members()[added], "replica"));
    let others = || -> f64 { cluster.members()[..added].iter().map(|member| served(proxy, member)).sum() };
    let before = others();
    wait_until("the others serve reads", || others() > before + 100.0);
    assert!(
        served(proxy, &cluster.members()[added]) < 0.5,
        "a member without load balancing serves no reads"
    );
    cluster.stop(added);
    let gone = &cluster.members()[added];
    wait_until("the member that was stopped has left the list", || !is_listed(proxy, gone));
    assert!(!is_up(proxy, gone, "replica"));
}

/// The numbers in the ledger of the leader.
fn ledger(cluster: &PatroniCluster) -> Vec<i32> {
    block_on(async {
        let client = connect(&cluster.superuser_url(cluster.leader().unwrap(), "app")).await.unwrap();
        let rows = client.query("select n from ledger order by n", &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    })
}

#[test]
fn a_patroni_cluster_is_followed_through_switchover_failover_and_members_that_come_and_go() {
    let mut cluster = PatroniCluster::start(3);
    fill(&cluster, 0);
    let proxy = Tidegate::bare().args(["--url", &cluster.url(), "--log", "info"]).start();
    wait_until("every member is used as what it is", || {
        is_up(&proxy, &cluster.members()[0], "primary")
            && cluster.members()[1..].iter().all(|member| is_up(&proxy, member, "replica"))
    });
    let load = Load::start(&proxy.url());
    wait_until("both replicas serve reads", || {
        cluster.members()[1..].iter().all(|member| served(&proxy, member) > 0.0)
    });
    let leader = switch_over(&cluster, &proxy, &load);
    fail_over(&mut cluster, &proxy, &load, leader);
    come_and_go(&mut cluster, &proxy);
    load.wait_write();

    let book = load.end();
    let there = ledger(&cluster);
    let lost: Vec<_> = book.acknowledged.iter().filter(|(n, _)| there.binary_search(n).is_err()).collect();
    println!("{} writes acknowledged, errors: {:?}", book.acknowledged.len(), book.write_errors);
    println!("{} reads, errors: {:?}", book.reads, book.read_errors);
    assert!(lost.is_empty(), "acknowledged and not there: {lost:?}");
    assert_eq!(book.stale, Vec::<String>::new());
    assert!(book.acknowledged.len() > 100 && book.reads > 100);
}
