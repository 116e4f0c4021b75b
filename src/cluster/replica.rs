//! Follows how far one replica has replayed, and moves its horizon.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_postgres::Client;

use super::monitor::ROLE_TRUST;
use super::pace::Budget;
use super::probe::{ANSWER, ProbeError, bounded};
use super::wait_for::WaitFor;
use super::{Cluster, Node, State, Term, What};
use crate::freshness::{Horizon, Lsn, Tick};
use crate::routing::NodeId;

/// Between questions while a sample has not been reached, at least.
const BUSY: Duration = Duration::from_millis(1);
/// Between questions when replay has stood still for `STUCK_AFTER`.
const STUCK: Duration = Duration::from_millis(20);
const STUCK_AFTER: Duration = Duration::from_millis(120);
/// Replay that has not moved for this long, though a sample waits, may wait for the primary to flush.
const STILL: Duration = Duration::from_millis(8);
/// A gap this small (two WAL pages) may be no lag at all: the flush position can stand on a page boundary inside a
/// record that is not complete, and replay then stays below it until the primary flushes again.
const PAGE_GAP: u64 = 16 * 1024;
/// Between questions when nothing waits.
const IDLE: Duration = Duration::from_millis(400);

const REPLAYED: &str = "select pg_catalog.pg_is_in_recovery(), \
     (pg_catalog.pg_last_wal_replay_lsn() - '0/0'::pg_catalog.pg_lsn)::int8";

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
        follow.budget.spend(at);
        node.asked();
        node.vitals.asks(at);
        let row = bounded(ANSWER, client.query_one(&question, &[])).await?;
        node.vitals.answered(at, cluster.clock.now());
        let (true, Some(lsn)) = (row.try_get(0)?, row.try_get::<_, Option<i64>>(1)?) else { return Ok(()) };
        let term = *samples.borrow_and_update();
        if !follow.sampled(term) {
            return Ok(());
        }
        follow.answered(cluster, node, term, Lsn(u64::try_from(lsn).unwrap_or(0)));
        node.answered(at);
        if !follow.until_due(cluster, (node, client), &mut samples, trusted_until).await {
            return Ok(());
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
    budget: Budget,
    /// Whether it is this replica's turn to be asked at once after a sample, while there is one question for each: one
    /// replica is asked when it may just have come so far, the next one when it is sure to.
    asks_early: bool,
    wait_for: WaitFor,
}

impl Follow {
    /// Nothing is known yet; samples of the primary of `cluster` at this moment will count.
    pub(super) fn new(cluster: &Cluster, id: NodeId, version: u32) -> Self {
        let term = cluster.samples.borrow().number;
        Self {
            term,
            horizon: Horizon::default(),
            moved: Instant::now(),
            nudged: None,
            budget: Budget::default(),
            asks_early: id.0.is_multiple_of(2),
            wait_for: WaitFor::of(version),
        }
    }

    /// Whether what is known was learned under the primary there is now.
    pub(super) fn is_current(&self, cluster: &Cluster) -> bool {
        cluster.samples.borrow().number == self.term
    }

    /// Takes the newest sample. False when it comes from another primary: the replica must be asked for its timeline
    /// first.
    fn sampled(&mut self, term: Term) -> bool {
        if term.number != self.term {
            return false;
        }
        if let Some(sample) = term.sample {
            self.horizon.sampled(sample);
        }
        true
    }

    /// Takes the replica's answer to how far it has replayed.
    fn answered(&mut self, cluster: &Cluster, node: &Node, term: Term, lsn: Lsn) {
        if lsn != self.horizon.replayed_lsn() {
            self.moved = Instant::now();
        }
        self.horizon.replayed(lsn, cluster.clock.now());
        node.has_reached(term.timeline, lsn);
        self.publish(cluster, node);
        if node.seen() != State::Replica {
            node.set_state(State::Replica);
            let timeline = node.identity().map_or(term.timeline, |identity| identity.timeline);
            cluster.chronicle.note(&node.name, What::Replica, format!("timeline {timeline}"));
            cluster.arrivals.notify_one();
        }
        self.nudge(cluster);
    }

    fn publish(&self, cluster: &Cluster, node: &Node) {
        let before = node.horizon();
        node.follow(&self.horizon);
        if self.horizon.get() > before {
            cluster.progressed();
        }
    }

    /// Waits until the replica is to be asked again. New samples are taken meanwhile: one that the replica has reached
    /// already moves the horizon without a question. False when the role must be asked for.
    async fn until_due(
        &mut self,
        cluster: &Cluster,
        (node, client): (&Node, &Client),
        samples: &mut watch::Receiver<Term>,
        latest: Instant,
    ) -> bool {
        let mut due = Instant::now() + self.pause(cluster.clock.now());
        loop {
            let until = due.min(latest);
            tokio::select! {
                () = self.next_look(cluster, client, until) => return true,
                () = node.woken() => return true,
                _ = samples.changed() => {}
            }
            let term = *samples.borrow_and_update();
            self.asks_early = !self.asks_early;
            if !self.sampled(term) {
                return false;
            }
            self.publish(cluster, node);
            if self.horizon.next().is_some() {
                due = due.min(Instant::now() + self.delay(cluster));
            }
        }
    }

    /// Waits until `until`, or until the replica itself says that it has come to what waits.
    async fn next_look(&mut self, cluster: &Cluster, client: &Client, until: Instant) {
        let is_stuck = self.still(cluster.clock.now()) > STUCK_AFTER;
        if let Some(next) = self.horizon.next().filter(|_| !is_stuck)
            && self.wait_for.reached(client, next.flushed).await
        {
            return;
        }
        tokio::time::sleep_until(until.into()).await;
    }

    /// How long to wait after an answer.
    fn pause(&self, now: Tick) -> Duration {
        match self.horizon.next() {
            None => IDLE,
            Some(_) if self.still(now) > STUCK_AFTER => STUCK,
            Some(_) => BUSY.max(Duration::from_nanos(self.budget.wait(now))),
        }
    }

    /// How long to wait after a new sample, which the replica may reach in the next moment.
    fn delay(&self, cluster: &Cluster) -> Duration {
        let now = cluster.clock.now();
        let is_urgent = cluster.urgent.load(Ordering::Relaxed) > self.horizon.get().0;
        if is_urgent || self.budget.is_ample(now) {
            return Duration::ZERO;
        }
        let least = if self.asks_early { Duration::ZERO } else { BUSY };
        least.max(Duration::from_nanos(self.budget.wait(now)))
    }

    /// For how long replay has stood still although a sample waits.
    fn still(&self, now: Tick) -> Duration {
        let waited = self.horizon.next().map_or(0, |next| now.since(next.at));
        self.moved.elapsed().min(Duration::from_nanos(waited))
    }

    /// Asks the primary to flush, once for each position replay is stuck at, when that may be all it waits for.
    fn nudge(&mut self, cluster: &Cluster) {
        let (Some(next), at) = (self.horizon.next(), self.horizon.replayed_lsn()) else { return };
        let near = next.flushed.0.saturating_sub(at.0) <= PAGE_GAP;
        let may_be_unflushed = cluster.async_commit.load(Ordering::Relaxed);
        if self.still(cluster.clock.now()) > STILL && self.nudged != Some(at) && (near || may_be_unflushed) {
            self.nudged = Some(at);
            cluster.nudge.notify_one();
        }
    }
}
