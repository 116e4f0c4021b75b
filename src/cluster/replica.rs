//! Follows how far one replica has replayed, and moves its horizon.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio_postgres::Client;

use super::monitor::ROLE_TRUST;
use super::probe::{ANSWER, ProbeError, bounded};
use super::{Cluster, Node, State, Term};
use crate::freshness::{Horizon, Lsn};

/// Between questions while a sample has not been reached.
const BUSY: Duration = Duration::from_millis(3);
/// Between questions when replay has stood still for `STILL`.
const STUCK: Duration = Duration::from_millis(20);
/// Replay that has not moved for this long, though a sample waits, is stuck.
const STILL: Duration = Duration::from_millis(15);
/// A gap this small (two WAL pages) may be no lag at all: the flush position can stand on a page boundary inside a
/// record that is not complete, and replay then stays below it until the primary flushes again.
const PAGE_GAP: u64 = 16 * 1024;

const REPLAYED: &str = "select pg_catalog.pg_is_in_recovery(), \
     (pg_catalog.pg_last_wal_replay_lsn() - '0/0'::pg_catalog.pg_lsn)::int8";

/// Between questions when nothing waits.
const IDLE: Duration = Duration::from_millis(400);

/// Follows replay until the role must be asked for again (`Ok`) or the connection fails.
pub(super) async fn run(
    cluster: &Cluster,
    node: &Node,
    client: &Client,
    follow: &mut Follow,
) -> Result<(), ProbeError> {
    let question = bounded(ANSWER, client.prepare(REPLAYED)).await?;
    let mut samples = cluster.samples.subscribe();
    let trusted_until = Instant::now() + ROLE_TRUST;
    while Instant::now() < trusted_until {
        let at = cluster.clock.now();
        let row = bounded(ANSWER, client.query_one(&question, &[])).await?;
        let (true, Some(lsn)) = (row.try_get(0)?, row.try_get::<_, Option<i64>>(1)?) else { return Ok(()) };
        let term = *samples.borrow_and_update();
        if !follow.answered(cluster, node, term, Lsn(u64::try_from(lsn).unwrap_or(0))) {
            return Ok(());
        }
        node.answered(at);
        let pace = follow.pace();
        if pace < IDLE {
            tokio::time::sleep(pace).await;
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(IDLE) => {}
            _ = samples.changed() => {}
            () = node.woken() => {}
        }
    }
    Ok(())
}

/// What is known of a replica's replay while one control connection lasts.
pub(super) struct Follow {
    term: u64,
    horizon: Horizon,
    moved: Instant,
    nudged: Option<Lsn>,
}

impl Follow {
    /// Nothing is known yet; samples of the primary of `cluster` at this moment will count.
    pub(super) fn new(cluster: &Cluster) -> Self {
        let term = cluster.samples.borrow().number;
        Self { term, horizon: Horizon::default(), moved: Instant::now(), nudged: None }
    }

    /// Whether what is known was learned under the primary there is now.
    pub(super) fn is_current(&self, cluster: &Cluster) -> bool {
        cluster.samples.borrow().number == self.term
    }

    /// Takes the replica's answer and the newest sample. False when the sample comes from another primary: the
    /// replica must be asked for its timeline first.
    fn answered(&mut self, cluster: &Cluster, node: &Node, term: Term, lsn: Lsn) -> bool {
        if term.number != self.term {
            return false;
        }
        if lsn != self.horizon.replayed_lsn() {
            self.moved = Instant::now();
        }
        if let Some(sample) = term.sample {
            self.horizon.sampled(sample);
        }
        self.horizon.replayed(lsn);
        node.set_horizon(self.horizon.get(), lsn);
        if node.state() != State::Replica {
            node.set_state(State::Replica);
        }
        self.nudge(cluster, lsn);
        true
    }

    fn pace(&self) -> Duration {
        match self.horizon.next() {
            None => IDLE,
            Some(_) if self.moved.elapsed() > STILL * 8 => STUCK,
            Some(_) => BUSY,
        }
    }

    /// Asks the primary to flush, once for each position replay is stuck at, when that may be all it waits for.
    fn nudge(&mut self, cluster: &Cluster, at: Lsn) {
        let Some(next) = self.horizon.next() else { return };
        let near = next.flushed.0.saturating_sub(at.0) <= PAGE_GAP;
        let may_be_unflushed = cluster.async_commit.load(Ordering::Relaxed);
        if self.moved.elapsed() > STILL && self.nudged != Some(at) && (near || may_be_unflushed) {
            self.nudged = Some(at);
            cluster.nudge.notify_one();
        }
    }
}
