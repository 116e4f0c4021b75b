//! What a report says of one database: where its statements went or would have gone, and what keeps reads from replicas.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::routing::Reason;

/// Causes that are told apart; what comes later is counted as one.
const MOST_BLOCKERS: usize = 1_000;
/// Causes a report lists.
const LISTED: usize = 20;
/// What the causes beyond [`MOST_BLOCKERS`] are called.
const OTHERS: &str = "other causes";

/// What was decided in one database since the start. Counting is lock-free.
#[derive(Debug, Default)]
pub struct Tally {
    on_primary: [AtomicU64; Reason::ALL.len()],
    on_replicas: [AtomicU64; Reason::ALL.len()],
    reads: AtomicU64,
    stale_if_eventual: AtomicU64,
    blockers: Mutex<HashMap<Box<str>, Arc<Blocker>>>,
}

/// Something that keeps statements from replicas.
#[derive(Debug)]
pub struct Blocker {
    count: AtomicU64,
    example: Arc<str>,
}

impl Blocker {
    /// It did so `count` times more.
    pub fn add(&self, count: u64) {
        self.count.fetch_add(count, Ordering::Relaxed);
    }
}

impl Tally {
    /// `count` statements went, or would have gone, to a replica or to the primary for this reason.
    pub fn decided(&self, to_replica: bool, reason: Reason, count: u64) {
        let counters = if to_replica { &self.on_replicas } else { &self.on_primary };
        counters[reason as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// `count` reads were asked for while a healthy replica, taken at random, was behind what they must see, or was not.
    pub fn read(&self, behind: bool, count: u64) {
        self.reads.fetch_add(count, Ordering::Relaxed);
        if behind {
            self.stale_if_eventual.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// The counter of a cause. `example` is the shape of a statement.
    pub fn blocker(&self, cause: &str, example: &Arc<str>) -> Arc<Blocker> {
        let mut blockers = self.blockers.lock().unwrap_or_else(PoisonError::into_inner);
        let known = blockers.contains_key(cause) || blockers.len() < MOST_BLOCKERS;
        let name = if known { cause } else { OTHERS };
        let new = || Arc::new(Blocker { count: AtomicU64::new(0), example: Arc::clone(example) });
        Arc::clone(blockers.entry(name.into()).or_insert_with(new))
    }

    /// How many statements were decided on, by whether they went to a replica, and the reason.
    pub fn decisions(&self) -> impl Iterator<Item = (bool, Reason, u64)> {
        let counters = [(true, &self.on_replicas), (false, &self.on_primary)];
        counters.into_iter().flat_map(|(to_replica, counters)| {
            let count = |reason: Reason| counters[reason as usize].load(Ordering::Relaxed);
            Reason::ALL.into_iter().map(move |reason| (to_replica, reason, count(reason)))
        })
    }

    /// Reads that a replica taken at random would have answered stale.
    pub fn stale_if_eventual(&self) -> u64 {
        self.stale_if_eventual.load(Ordering::Relaxed)
    }

    /// The report, as text. `observing`: the decisions were not carried out.
    pub fn report(&self, database: &str, observing: bool) -> String {
        let mut text = String::new();
        let _ = self.write(&mut text, database, observing);
        text
    }

    fn write(&self, out: &mut String, database: &str, observing: bool) -> fmt::Result {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let sum = |counters: &[AtomicU64]| counters.iter().map(load).sum::<u64>();
        let (replicas, primary) = (sum(&self.on_replicas), sum(&self.on_primary));
        let all = replicas + primary;
        let (mode, went) = if observing { ("observe", "would go") } else { ("route", "went") };
        writeln!(out, "database {database} (mode {mode}): {all} statements")?;
        for (place, counters, total) in
            [("to replicas", &self.on_replicas, replicas), ("to the primary", &self.on_primary, primary)]
        {
            writeln!(out, "  {went} {place}: {total} ({:.1} %)", percent(total, all))?;
            let mut reasons: Vec<_> =
                Reason::ALL.iter().map(|r| (load(&counters[*r as usize]), *r)).collect();
            reasons.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
            for (count, reason) in reasons.into_iter().filter(|(count, _)| *count > 0) {
                writeln!(out, "    {count:>10}  {reason}: {}", reason.meaning())?;
            }
        }
        let (reads, stale) = (load(&self.reads), load(&self.stale_if_eventual));
        writeln!(
            out,
            "  reads a replica taken at random would have answered stale: {stale} of {reads} ({:.1} %)",
            percent(stale, reads)
        )?;
        self.write_blockers(out)
    }

    fn write_blockers(&self, out: &mut String) -> fmt::Result {
        let blockers = self.blockers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut listed: Vec<_> =
            blockers.iter().map(|(cause, b)| (b.count.load(Ordering::Relaxed), cause, b)).collect();
        listed.retain(|(count, ..)| *count > 0);
        listed.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
        if listed.is_empty() {
            return writeln!(out, "  nothing but writes and transactions keeps statements from replicas");
        }
        writeln!(out, "  what keeps statements from replicas:")?;
        for (count, cause, blocker) in listed.into_iter().take(LISTED) {
            writeln!(out, "    {count:>10}  {cause}")?;
            writeln!(out, "                for example: {}", blocker.example)?;
        }
        Ok(())
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_shares_and_what_stands_in_the_way() {
        let tally = Tally::default();
        tally.decided(true, Reason::Fresh, 3);
        tally.decided(false, Reason::Unknown, 1);
        tally.read(true, 1);
        tally.read(false, 3);
        tally.blocker("function f() is VOLATILE", &"select f(?)".into()).add(7);
        tally.blocker("unused", &"select 1".into());
        let text = tally.report("app", true);
        for part in [
            "database app (mode observe): 4 statements",
            "would go to replicas: 3 (75.0 %)",
            "1  unknown: it could not be shown to be a read",
            "stale: 1 of 4 (25.0 %)",
            "7  function f() is VOLATILE",
            "for example: select f(?)",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(!text.contains("unused"));
    }

    #[test]
    fn the_number_of_causes_is_bounded() {
        let tally = Tally::default();
        for i in 0..MOST_BLOCKERS * 2 {
            tally.blocker(&format!("cause {i}"), &"select".into()).add(1);
        }
        assert_eq!(tally.blockers.lock().map_or(0, |b| b.len()), MOST_BLOCKERS + 1);
        assert!(tally.report("app", false).contains(&format!("{MOST_BLOCKERS}  {OTHERS}")));
    }
}
