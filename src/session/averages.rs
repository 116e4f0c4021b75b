//! What databases have done, in PgBouncer's terms: since the start, and on average lately.
//!
//! The averages are those of the last whole period, so that whoever asks twice in between gets the same; until the first
//! period is over, those since the start.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::lock::lock;
use super::proxy::{Database, Proxy};

/// How long a period is: PgBouncer's `stats_period`.
const PERIOD: Duration = Duration::from_mins(1);

/// What a database has done since the start. Times are in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// Transactions, and statements outside one.
    pub(super) transactions: u64,
    pub(super) statements: u64,
    /// Bytes from clients.
    pub(super) received: u64,
    /// Bytes to clients.
    pub(super) sent: u64,
    pub(super) transaction_micros: u64,
    pub(super) statement_micros: u64,
    /// What clients have waited for server connections.
    pub(super) wait_micros: u64,
}

impl Totals {
    pub(super) fn of(database: &Database) -> Self {
        let statements = database.stats.tally.decisions().map(|(.., count)| count).sum();
        Self { statements, ..Self::default() }
    }

    pub(super) fn plus(&self, other: &Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    /// What was done between `before` and this.
    fn since(&self, before: &Self) -> Self {
        self.with(before, u64::saturating_sub)
    }

    fn with(&self, other: &Self, join: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            transactions: join(self.transactions, other.transactions),
            statements: join(self.statements, other.statements),
            received: join(self.received, other.received),
            sent: join(self.sent, other.sent),
            transaction_micros: join(self.transaction_micros, other.transaction_micros),
            statement_micros: join(self.statement_micros, other.statement_micros),
            wait_micros: join(self.wait_micros, other.wait_micros),
        }
    }

    fn map(&self, each: impl Fn(u64) -> u64) -> Self {
        self.with(self, |value, _| each(value))
    }
}

/// What was done per second, and how long one of it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Average {
    pub(super) per_second: Totals,
    pub(super) transaction_micros: u64,
    pub(super) statement_micros: u64,
}

impl Average {
    fn of(done: &Totals, time: Duration) -> Self {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
        let each = |time: u64, count: u64| time.checked_div(count).unwrap_or(0);
        Self {
            per_second: done.map(|value| value.saturating_mul(1_000) / millis),
            transaction_micros: each(done.transaction_micros, done.transactions),
            statement_micros: each(done.statement_micros, done.statements),
        }
    }

    /// Of several databases together.
    pub(super) fn of_all(all: &[Self]) -> Self {
        let per_second = all.iter().fold(Totals::default(), |sum, one| sum.plus(&one.per_second));
        let each = |time: fn(&Self) -> u64, count: fn(&Totals) -> u64| {
            let weighed: u64 =
                all.iter().map(|one| time(one).saturating_mul(count(&one.per_second))).sum();
            weighed.checked_div(count(&per_second)).unwrap_or(0)
        };
        Self {
            transaction_micros: each(|one| one.transaction_micros, |done| done.transactions),
            statement_micros: each(|one| one.statement_micros, |done| done.statements),
            per_second,
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
        last.unwrap_or_else(|| Average::of(&Totals::of(database), self.begun.elapsed()))
    }

    /// A period is over for all databases.
    fn turn<'a>(&self, now: Instant, all: impl Iterator<Item = (&'a str, Totals)>) {
        let mut windows = lock(&self.windows);
        let before = std::mem::take(&mut *windows);
        *windows = all
            .map(|(name, totals)| {
                let last = match before.get(name) {
                    Some(window) => Average::of(&totals.since(&window.at_begin), now - window.began),
                    None => Average::of(&totals, now - self.begun),
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
                let totals = all.values().map(|database| (&*database.settings.name, Totals::of(database)));
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
        Totals { statements, statement_micros: micros, received: 10 * statements, ..Totals::default() }
    }

    #[test]
    fn averages_are_those_of_the_last_period() {
        let averages = Averages::default();
        let last = || lock(&averages.windows)["app"].last.unwrap_or_default();
        let at = |seconds| averages.begun + Duration::from_secs(seconds);
        averages.turn(at(60), [("app", totals(600, 60_000))].into_iter());
        assert_eq!((last().per_second.statements, last().statement_micros), (10, 100));
        averages.turn(at(120), [("app", totals(600 + 6_000, 60_000 + 120_000))].into_iter());
        assert_eq!((last().per_second.statements, last().per_second.received), (100, 1_000));
        assert_eq!(last().statement_micros, 20);
        averages.turn(at(180), [("app", totals(6_600, 180_000))].into_iter());
        assert_eq!(last(), Average::default(), "nothing was done");
        // A database that is removed is forgotten.
        averages.turn(at(240), std::iter::empty());
        assert!(lock(&averages.windows).is_empty());
    }

    #[test]
    fn times_of_several_databases_are_weighed() {
        let second = Duration::from_secs(1);
        let (fast, slow) = (Average::of(&totals(90, 900), second), Average::of(&totals(10, 10_000), second));
        let all = Average::of_all(&[fast, slow]);
        assert_eq!((all.per_second.statements, all.statement_micros), (100, 109));
        assert_eq!(Average::of_all(&[]), Average::default());
    }
}
