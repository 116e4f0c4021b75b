//! Panics provoked in sessions on a real server: what they end, and what goes on.
//!
//! The places that panic are there in unit tests only, so no program has a way to provoke one.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client as Driver, NoTls, SimpleQueryMessage};

use super::super::client::Client;
use super::*;
use crate::cluster::Clock;
use crate::config::{Given, Secret, Sources, load};
use crate::local::{LocalCluster, Login, Options, binaries};
use crate::net::Bound;
use crate::session::{Proxy, accept, bind};
use crate::stats::Stats;

const TAKE: &str = "provoke a panic";
const LOCKED: &str = "provoke a panic under a lock";
const REPLIES: &str = "provoke/a/panic";

fn is_in(said: &[u8], what: &str) -> bool {
    said.windows(what.len()).any(|part| part == what.as_bytes())
}

/// Where a session takes what its client has sent.
pub(in crate::session) fn provoke_in_take(session: &Session, client: &Client) {
    let _held = is_in(&client.inbox, LOCKED).then(|| session.proxy.cancels.hold());
    assert!(!is_in(&client.inbox, TAKE), "this panic was provoked by a test");
}

/// Where it looks at what a server has sent.
pub(in crate::session) fn provoke_in_replies(session: &Session) {
    let inbox = session.leased.as_ref().map(|leased| &leased.lease.inbox);
    assert!(!inbox.is_some_and(|inbox| is_in(inbox, REPLIES)), "this panic was provoked by a test");
}

/// A proxy in this process, on one thread, with a primary behind it.
struct Stage {
    proxy: Arc<Proxy>,
    url: String,
    // Stopped when this is dropped.
    _cluster: LocalCluster,
}

impl Stage {
    async fn set() -> Self {
        let cluster = tokio::task::spawn_blocking(|| {
            let chosen = std::env::var_os("TIDEGATE_TEST_PG").map(PathBuf::from);
            let bin = binaries::find(chosen.as_deref()).unwrap();
            LocalCluster::start(&Options { replicas: 0, ..Options::new(bin) }).unwrap()
        });
        let cluster = cluster.await.unwrap();
        let url = Some(Secret::new(cluster.url(Login::App)));
        let settings =
            load(&Sources { flags: Given { url, ..Given::default() }, ..Sources::default() }).unwrap();
        let proxy = Arc::new(Proxy::new(&settings, Arc::new(Stats::default()), Clock::start()));
        let database = proxy.database("app").unwrap();
        proxy.watch(&database);
        database.cluster.primary_within(Duration::from_secs(30)).await.unwrap();
        let listener = bind(([127, 0, 0, 1], 0).into()).unwrap();
        let url = format!("postgres://app:secret@{}/app", listener.local_addr().unwrap());
        tokio::spawn(accept(Arc::clone(&proxy), Bound::Tcp(listener)));
        Self { proxy, url, _cluster: cluster }
    }

    async fn connect(&self) -> Driver {
        let (driver, connection) = tokio_postgres::connect(&self.url, NoTls).await.unwrap();
        tokio::spawn(connection);
        driver
    }

    fn panics(&self) -> u64 {
        let text = self.proxy.stats.render();
        let line = text.lines().find_map(|line| line.strip_prefix("tidegate_panics_total "));
        line.map_or(0, |count| count.parse().unwrap())
    }

    /// Waits until so many clients are there by every count.
    async fn wait_clients(&self, expected: usize) {
        let begun = Instant::now();
        let gauge = format!("tidegate_clients{{database=\"app\"}} {expected}");
        loop {
            let slots = self.proxy.cancels.hold().0;
            let counted = self.proxy.database("app").unwrap().clients();
            let shown = self.proxy.stats.render().lines().any(|line| line == gauge);
            if shown && (slots, counted) == (expected, expected) {
                return;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "{slots} slots, {counted} clients, {gauge}: {shown}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn value(driver: &Driver, sql: &str) -> String {
    let messages = driver.simple_query(sql).await.unwrap();
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    row.unwrap().to_owned()
}

/// The statement's session ends, and its client is told.
async fn ends(driver: &Driver, sql: &str) {
    let error = driver.simple_query(sql).await.unwrap_err();
    let told = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error:?}"));
    assert_eq!((told.code(), told.severity()), (&SqlState::INTERNAL_ERROR, "FATAL"), "{told:?}");
    let after = driver.simple_query("select 1").await.unwrap_err();
    assert!(after.is_closed(), "{after:?}");
}

#[tokio::test]
async fn a_panic_ends_its_session_and_no_other() {
    let stage = Stage::set().await;
    let neighbour = stage.connect().await;
    value(&neighbour, "begin; create table written (n int); commit; select 1").await;
    let held = "select 1 from pg_locks where relation = 'written'::regclass";

    ends(&stage.connect().await, &format!("select '{TAKE}'")).await;
    stage.wait_clients(1).await;
    assert_eq!(stage.panics(), 1);

    // With a transaction open: it is undone, its locks are gone, and nobody gets its connection.
    let writer = stage.connect().await;
    let backend = value(&writer, "begin; insert into written values (1); select pg_backend_pid()").await;
    assert_ne!(value(&neighbour, &format!("select count(*) from ({held}) as locks")).await, "0");
    ends(&writer, &format!("select '{TAKE}'")).await;
    stage.wait_clients(1).await;
    let gone = format!("select count(*) from pg_stat_activity where pid = {backend}");
    let begun = Instant::now();
    while value(&neighbour, &gone).await != "0" {
        assert!(begun.elapsed() < Duration::from_secs(20), "its server connection is still there");
    }
    assert_eq!(value(&neighbour, &format!("select count(*) from ({held}) as locks")).await, "0");
    assert_eq!(value(&neighbour, "select count(*) from written").await, "0");

    // While the server works, and with part of the answer there but nothing delivered.
    let reader = stage.connect().await;
    ends(&reader, "select repeat('provoke/a' || '/panic', 2)").await;
    stage.wait_clients(1).await;
    assert_eq!(stage.panics(), 3);
    assert_eq!(value(&neighbour, "select 'goes on'").await, "goes on");
}

#[tokio::test]
async fn half_a_row_is_followed_by_nothing() {
    let stage = Stage::set().await;
    let reader = stage.connect().await;
    let sql = "select repeat('x', 1000000) || repeat('provoke/a' || '/panic', 100)";
    let error = reader.simple_query(sql).await.unwrap_err();
    assert!(error.as_db_error().is_none(), "{error:?}");
    stage.wait_clients(0).await;
    assert_eq!(stage.panics(), 1);
    assert_eq!(value(&stage.connect().await, "select 1").await, "1");
}

#[tokio::test]
async fn a_lock_that_was_held_is_taken_by_others() {
    let stage = Stage::set().await;
    let neighbour = Arc::new(stage.connect().await);
    ends(&stage.connect().await, &format!("select '{LOCKED}'")).await;
    stage.wait_clients(1).await;
    let sleeps = tokio::spawn({
        let neighbour = Arc::clone(&neighbour);
        async move { neighbour.simple_query("select pg_sleep(30)").await.unwrap_err() }
    });
    while !sleeps.is_finished() {
        neighbour.cancel_token().cancel_query(NoTls).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(sleeps.await.unwrap().code(), Some(&SqlState::QUERY_CANCELED));
    assert_eq!(value(&stage.connect().await, "select 1").await, "1");
    assert_eq!(stage.panics(), 1);
}
