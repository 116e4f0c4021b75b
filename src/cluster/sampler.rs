//! Asks the primary how far it has flushed.
//!
//! Seldom while every replica has passed the newest mark; every few milliseconds while one has not.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio_postgres::Client;

use super::monitor::ROLE_TRUST;
use super::probe::{ProbeError, bounded};
use super::{Cluster, Node};
use crate::freshness::{Lsn, Sample};

/// Between samples when nothing waits.
const IDLE: Duration = Duration::from_millis(500);
/// Between samples while a mark is outstanding: together with the replicas' own pace this bounds the load.
const BUSY: Duration = Duration::from_millis(3);
/// Between samples when replicas have not moved for a while, however many marks are outstanding.
const STUCK: Duration = Duration::from_millis(25);

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
const NUDGE: &str = "select pg_catalog.pg_logical_emit_message(true, 'tidegate', '')";

/// Samples until the role must be asked for again (`Ok`) or the connection fails.
pub(super) async fn run(cluster: &Cluster, node: &Node, client: &Client) -> Result<(), ProbeError> {
    let flushed = bounded(ANSWER, client.prepare(FLUSHED)).await?;
    let inserted = bounded(ANSWER, client.prepare(INSERTED)).await?;
    let trusted_until = Instant::now() + ROLE_TRUST;
    while Instant::now() < trusted_until {
        let at = cluster.clock.now();
        let question = if cluster.async_commit.load(Ordering::Relaxed) { &inserted } else { &flushed };
        let row = bounded(ANSWER, client.query_one(question, &[])).await?;
        let Some(lsn) = row.try_get::<_, Option<i64>>(1)? else { return Ok(()) };
        let sample = Sample { at, flushed: Lsn(u64::try_from(lsn).unwrap_or(0)) };
        cluster.samples.send_modify(|term| term.sample = Some(sample));
        node.answered(at);
        pause(cluster, node, client, at.0).await?;
    }
    Ok(())
}

/// Waits until the next sample is due.
async fn pause(cluster: &Cluster, node: &Node, client: &Client, sampled_at: u64) -> Result<(), ProbeError> {
    let gap = match (cluster.is_gate_closed(), cluster.mark().0 > sampled_at) {
        (false, _) => IDLE,
        (true, true) => BUSY,
        // The newest mark lies before the last sample: it is the replicas' turn, another sample changes little.
        (true, false) => STUCK,
    };
    if gap != IDLE {
        tokio::time::sleep(BUSY).await;
    }
    tokio::select! {
        () = tokio::time::sleep(gap.saturating_sub(BUSY)) => {}
        () = cluster.demand.notified() => {}
        () = node.woken() => {}
        () = cluster.nudge.notified() => {
            bounded(ANSWER, client.execute(NUDGE, &[])).await?;
        }
    }
    Ok(())
}
