//! What is known of the primary's past: its lineage and its samples.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_postgres::Client;

use super::Cluster;
use super::probe::{ProbeError, bounded};
use crate::freshness::{Foreign, Lineage, Lsn, Position, Sample, Tick, Trail};

/// Longest wait for the primary's answer to where it stands.
const ANSWER: Duration = Duration::from_secs(5);

/// Every role may ask that has been granted the function; none has to be.
const FILE: &str = "select pg_catalog.pg_read_file('pg_wal/' || \
     pg_catalog.lpad(pg_catalog.upper(pg_catalog.to_hex($1::int4)), 8, '0') || '.history')";

/// What is known of the primary's past.
#[derive(Debug, Default)]
pub(super) struct History(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    lineage: Option<Lineage>,
    /// The timeline whose history file was asked for last: what is refused once is refused again, and fills the
    /// server's log.
    asked: u32,
    trail: Trail,
}

/// Why a position cannot be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// It is none of this cluster's.
    #[error("{0}")]
    Foreign(#[from] Foreign),
    /// No server has come so far.
    #[error("it lies ahead of everything the primary has written, which ends at {0}")]
    Ahead(Lsn),
    /// No primary is there to ask.
    #[error("the primary does not answer at the moment")]
    NoPrimary,
}

impl History {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A primary begins, which had replayed `replayed` of the timeline before as a replica.
    pub(super) fn begin(&self, system: &str, timeline: u32, replayed: (u32, Lsn)) {
        let mut known = self.known();
        let new = Lineage::new(system.parse().unwrap_or(0), timeline);
        let lineage = match known.lineage.take() {
            Some(same) if (same.system, same.timeline) == (new.system, new.timeline) => same,
            Some(before) if before.timeline == replayed.0 => new.following(&before, replayed.1),
            _ => new,
        };
        *known = Known { lineage: Some(lineage), trail: Trail::default(), ..*known };
    }

    /// A sample of the primary there is now.
    pub(super) fn sampled(&self, sample: Sample) {
        self.known().trail.sampled(sample);
    }

    /// Asks the primary for its history file, once for each timeline, if it has one and may be asked.
    pub(super) async fn read(&self, client: &Client) {
        let Some(timeline) = self.unasked() else { return };
        let number = i32::try_from(timeline).unwrap_or(i32::MAX);
        let file = async { client.query_one(FILE, &[&number]).await?.try_get::<_, String>(0) };
        match bounded(ANSWER, file).await {
            Ok(file) => {
                let mut known = self.known();
                if let Some(lineage) = known.lineage.take_if(|lineage| lineage.timeline == timeline) {
                    known.lineage = Some(lineage.with_history(&file));
                }
            }
            Err(ProbeError::Postgres(error)) if error.as_db_error().is_some() => tracing::info!(
                timeline, %error,
                "the timeline's history cannot be read: tokens from before the failover hold only as far as the new primary was seen to have replayed"
            ),
            // No answer is no refusal: it is asked again.
            Err(_) => self.known().asked = 0,
        }
    }

    /// The timeline there is now, if its history file was not asked for. The first timeline has none.
    fn unasked(&self) -> Option<u32> {
        let mut known = self.known();
        let timeline = known.lineage.as_ref()?.timeline;
        let before = std::mem::replace(&mut known.asked, timeline);
        (timeline > 1 && before != timeline).then_some(timeline)
    }

    /// A mark for everything up to a position; `None` when the primary was not seen to have come so far.
    fn mark_of(&self, position: Position) -> Result<Option<Tick>, Lost> {
        let known = self.known();
        let lsn = known.lineage.as_ref().ok_or(Lost::NoPrimary)?.place(position)?;
        Ok(known.trail.reached(lsn))
    }
}

impl Cluster {
    /// A mark for everything up to a position. Asks the primary where it stands if it was not seen to have come so far.
    pub async fn mark_of(&self, position: Position) -> Result<Tick, Lost> {
        if let Some(mark) = self.history.mark_of(position)? {
            return Ok(mark);
        }
        self.sample().await.ok_or(Lost::NoPrimary)?;
        if let Some(mark) = self.history.mark_of(position)? {
            return Ok(mark);
        }
        // What was acknowledged elsewhere may not be flushed yet. Now it will be.
        self.nudge.notify_one();
        let sample = self.sample().await.ok_or(Lost::NoPrimary)?;
        self.history.mark_of(position)?.ok_or(Lost::Ahead(sample.flushed))
    }

    /// A position such that whoever waits for it sees everything that was acknowledged before the call.
    pub async fn token(&self) -> Result<Position, Lost> {
        let term = self.term();
        let sample = self.sample().await.ok_or(Lost::NoPrimary)?;
        if self.term() != term {
            // The position may be the former primary's.
            return Err(Lost::NoPrimary);
        }
        let known = self.history.known();
        let lineage = known.lineage.as_ref().ok_or(Lost::NoPrimary)?;
        Ok(Position { system: lineage.system, timeline: lineage.timeline, lsn: sample.flushed })
    }

    /// Where the primary stands, asked after the call.
    async fn sample(&self) -> Option<Sample> {
        let mut samples = self.samples.subscribe();
        let asked = self.want_now();
        let is_new = |term: &super::Term| term.sample.is_some_and(|sample| sample.at >= asked);
        let found = tokio::time::timeout(ANSWER, samples.wait_for(is_new)).await;
        found.ok()?.ok()?.sample
    }
}
