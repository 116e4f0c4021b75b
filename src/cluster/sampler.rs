//! Asks the primary how far it has flushed.
//!
//! Seldom while every replica has passed the newest mark; at once after a write, and every few milliseconds while there
//! are more; back to back while somebody waits.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio_postgres::Client;

use super::monitor::ROLE_TRUST;
use super::pace::Budget;
use super::probe::{ProbeError, bounded};
use super::{Cluster, Node, State};
use crate::freshness::{Lsn, Sample, Tick};

/// Between samples when nothing waits.
const IDLE: Duration = Duration::from_millis(500);
/// So many samples without a read in between, and nobody is served by more of them soon.
pub(super) const QUIET: u32 = 8;
/// Between samples when it is the replicas' turn (the primary was asked after the newest mark was set), or nobody reads.
const REPLICAS_TURN: Duration = Duration::from_millis(25);
/// Between samples while somebody waits for one: those who come in the meantime share the next.
const SHARED: Duration = Duration::from_millis(1);

/// Longest wait for the primary's answer. A primary that is slow is still the only one there is: reads leave it for
/// the replicas or wait with it, and nothing is gained by calling it lost.
const ANSWER: Duration = Duration::from_secs(10);

/// The flush position is what replicas can be expected to have; the insert position can run ahead for ever (an
/// idle open transaction), and is needed only where commits are acknowledged before they are flushed.
const FLUSHED: &str = "select pg_catalog.pg_is_in_recovery(), case when not pg_catalog.pg_is_in_recovery() \
     then (pg_catalog.pg_current_wal_flush_lsn() - '0/0'::pg_catalog.pg_lsn)::int8 end";
const INSERTED: &str = "select pg_catalog.pg_is_in_recovery(), case when not pg_catalog.pg_is_in_recovery() \
     then (pg_catalog.pg_current_wal_insert_lsn() - '0/0'::pg_catalog.pg_lsn)::int8 end";
/// Commits a record, so that everything before it is flushed and can be replayed to its end.
pub(super) const NUDGE: &str = "select pg_catalog.pg_logical_emit_message(true, 'tidegate', '')";

/// Samples until the role must be asked for again (`Ok`) or the connection fails.
pub(super) async fn run(cluster: &Cluster, node: &Node, client: &Client) -> Result<(), ProbeError> {
    let flushed = bounded(ANSWER, client.prepare(FLUSHED)).await?;
    let inserted = bounded(ANSWER, client.prepare(INSERTED)).await?;
    let trusted_until = Instant::now() + ROLE_TRUST;
    let mut budget = Budget::default();
    let reign = cluster.term();
    cluster.history.read(client).await;
    // A connection to it that failed has made it suspect: it is asked who it is at once.
    while Instant::now() < trusted_until && node.seen() == State::Primary {
        let at = cluster.clock.now();
        budget.spend(at);
        node.asked();
        let question = if cluster.async_commit.load(Ordering::Relaxed) { &inserted } else { &flushed };
        let row = bounded(ANSWER, client.query_one(question, &[])).await?;
        let Some(lsn) = row.try_get::<_, Option<i64>>(1)? else { return Ok(()) };
        let sample = Sample { at, flushed: Lsn(u64::try_from(lsn).unwrap_or(0)) };
        if !cluster.publish(sample, reign) {
            return Ok(());
        }
        cluster.unread.fetch_add(1, Ordering::Relaxed);
        node.answered(at);
        until_due(cluster, node, client, at, budget).await?;
    }
    Ok(())
}

/// Waits until the next sample is due.
async fn until_due(
    cluster: &Cluster,
    node: &Node,
    client: &Client,
    sampled_at: Tick,
    budget: Budget,
) -> Result<(), ProbeError> {
    loop {
        let pause = cluster.pause(sampled_at, budget);
        if pause.is_zero() {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => return Ok(()),
            () = cluster.demand.notified() => {}
            () = cluster.hurry.notified() => {}
            () = node.woken() => return Ok(()),
            () = cluster.nudge.notified() => {
                node.asked();
                bounded(ANSWER, client.execute(NUDGE, &[])).await?;
                return Ok(());
            }
        }
    }
}

impl Cluster {
    /// Publishes a sample of the primary that reigned when term `reign` began. False when that is over: a position of
    /// one primary says nothing about another.
    fn publish(&self, sample: Sample, reign: u64) -> bool {
        self.samples.send_if_modified(|term| {
            let reigns = term.number == reign;
            if reigns {
                term.sample = Some(sample);
                self.history.sampled(sample);
            }
            reigns
        })
    }

    /// How long the next sample has time, if nobody asks for one.
    fn pause(&self, sampled_at: Tick, budget: Budget) -> Duration {
        let now = self.clock.now();
        let since = Duration::from_nanos(now.since(sampled_at));
        if self.urgent.load(Ordering::SeqCst) > sampled_at.0 {
            return SHARED.saturating_sub(since);
        }
        if self.has_news(sampled_at) {
            let wait = Duration::from_nanos(budget.wait(now));
            let is_quiet = self.unread.load(Ordering::Relaxed) >= QUIET;
            return if is_quiet { REPLICAS_TURN.saturating_sub(since).max(wait) } else { wait };
        }
        self.is_dozing.store(true, Ordering::SeqCst);
        if self.has_news(sampled_at) {
            // It came before anybody could know that nobody listened.
            return Duration::from_nanos(budget.wait(now));
        }
        if self.is_gate_closed() { REPLICAS_TURN } else { IDLE }
    }

    /// Whether an instant is wanted that the newest sample cannot stand for, and a replica could come to.
    fn has_news(&self, sampled_at: Tick) -> bool {
        self.wanted.load(Ordering::SeqCst) > sampled_at.0
            && self.nodes().iter().any(|n| n.state() == State::Replica)
    }
}
