//! What databases have done lately, on average, in PgBouncer's terms.
//!
//! The averages are those of the last whole period, so that whoever asks twice in between gets the same; until the first
//! period is over, those since the start.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::lock::lock;
use super::proxy::{Database, Proxy};
use crate::stats::Totals;

/// How long a period is: PgBouncer's `stats_period`.
const PERIOD: Duration = Duration::from_mins(1);

/// What was done per second, and how long one of it took. Times are in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Average {
    /// Transactions per second, and statements outside one.
    pub(super) transactions: u64,
    /// Statements per second.
    pub(super) statements: u64,
    /// Bytes from clients per second.
    pub(super) received: u64,
    /// Bytes to clients per second.
    pub(super) sent: u64,
    /// What a transaction took.
    pub(super) transaction_time: u64,
    /// What a statement took.
    pub(super) statement_time: u64,
    /// What clients have waited per second.
    pub(super) wait_time: u64,
}

/// A time in whole microseconds.
pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Average {
    /// Of what was done between two looks, so far apart.
    fn between(before: &Totals, after: &Totals, time: Duration) -> Self {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
        let done = |of: fn(&Totals) -> u64| of(after).saturating_sub(of(before));
        let per_second = |of: fn(&Totals) -> u64| done(of).saturating_mul(1_000) / millis;
        let each =
            |time: fn(&Totals) -> u64, of: fn(&Totals) -> u64| done(time).checked_div(done(of)).unwrap_or(0);
        Self {
            transactions: per_second(|totals| totals.transactions),
            statements: per_second(|totals| totals.statements),
            received: per_second(|totals| totals.received),
            sent: per_second(|totals| totals.sent),
            transaction_time: each(|totals| micros(totals.transaction_time), |totals| totals.transactions),
            statement_time: each(|totals| micros(totals.statement_time), |totals| totals.statements),
            wait_time: per_second(|totals| micros(totals.wait_time)),
        }
    }

    /// Of several databases together.
    pub(super) fn of_all(all: &[Self]) -> Self {
        let sum = |of: fn(&Self) -> u64| all.iter().map(of).sum::<u64>();
        let weighed = |time: fn(&Self) -> u64, of: fn(&Self) -> u64| {
            let all = all.iter().map(|one| time(one).saturating_mul(of(one))).sum::<u64>();
            all.checked_div(sum(of)).unwrap_or(0)
        };
        Self {
            transactions: sum(|one| one.transactions),
            statements: sum(|one| one.statements),
            received: sum(|one| one.received),
            sent: sum(|one| one.sent),
            transaction_time: weighed(|one| one.transaction_time, |one| one.transactions),
            statement_time: weighed(|one| one.statement_time, |one| one.statements),
            wait_time: sum(|one| one.wait_time),
        }
    }
}

/// A database's period that is under way.
#[derive(Debug)]
struct Window {
    began: Instant,
    at_begin: Totals,
    /// Of the period before.
    last: Option<Average>,
}

/// What databases have done lately.
#[derive(Debug)]
pub(super) struct Averages {
    begun: Instant,
    windows: Mutex<HashMap<String, Window>>,
}

impl Default for Averages {
    fn default() -> Self {
        Self { begun: Instant::now(), windows: Mutex::default() }
    }
}

impl Averages {
    /// What a database has done on average in the last period.
    pub(super) fn of(&self, database: &Database) -> Average {
        let last = lock(&self.windows).get(&database.settings.name).and_then(|window| window.last);
        let since_start =
            || Average::between(&Totals::default(), &database.stats.totals(), self.begun.elapsed());
        last.unwrap_or_else(since_start)
    }

    /// A period is over for all databases.
    fn turn<'a>(&self, now: Instant, all: impl Iterator<Item = (&'a str, Totals)>) {
        let mut windows = lock(&self.windows);
        let before = std::mem::take(&mut *windows);
        *windows = all
            .map(|(name, totals)| {
                let last = match before.get(name) {
                    Some(window) => Average::between(&window.at_begin, &totals, now - window.began),
                    None => Average::between(&Totals::default(), &totals, now - self.begun),
                };
                (name.to_owned(), Window { began: now, at_begin: totals, last: Some(last) })
            })
            .collect();
    }
}

/// Begins a new period again and again, until the proxy is to stop.
pub(super) async fn keep(proxy: Arc<Proxy>) {
    let mut stopping = proxy.stopping.subscribe();
    let mut turns = tokio::time::interval_at(tokio::time::Instant::now() + PERIOD, PERIOD);
    loop {
        tokio::select! {
            at = turns.tick() => {
                let all = Arc::clone(&proxy.databases());
                let totals = all.values().map(|database| (&*database.settings.name, database.stats.totals()));
                proxy.averages.turn(at.into_std(), totals);
            }
            _ = stopping.wait_for(|stop| *stop) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(statements: u64, micros: u64) -> Totals {
        let statement_time = Duration::from_micros(micros);
        Totals { statements, statement_time, received: 10 * statements, ..Totals::default() }
    }

    #[test]
    fn averages_are_those_of_the_last_period() {
        let averages = Averages::default();
        let last = || lock(&averages.windows)["app"].last.unwrap_or_default();
        let at = |seconds| averages.begun + Duration::from_secs(seconds);
        averages.turn(at(60), [("app", totals(600, 60_000))].into_iter());
        assert_eq!((last().statements, last().statement_time), (10, 100));
        averages.turn(at(120), [("app", totals(600 + 6_000, 60_000 + 120_000))].into_iter());
        assert_eq!((last().statements, last().received), (100, 1_000));
        assert_eq!(last().statement_time, 20);
        averages.turn(at(180), [("app", totals(6_600, 180_000))].into_iter());
        assert_eq!(last(), Average::default(), "nothing was done");
        // A database that is removed is forgotten.
        averages.turn(at(240), std::iter::empty());
        assert!(lock(&averages.windows).is_empty());
    }

    #[test]
    fn times_of_several_databases_are_weighed() {
        let of = |totals| Average::between(&Totals::default(), &totals, Duration::from_secs(1));
        let all = Average::of_all(&[of(totals(90, 900)), of(totals(10, 10_000))]);
        assert_eq!((all.statements, all.statement_time), (100, 109));
        assert_eq!(Average::of_all(&[]), Average::default());
    }
}
