//! How long the statements of one database take, and what PgBouncer's `SHOW STATS` counts.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Histogram;
use crate::routing::Reason;

/// A part of a segment, or the whole of it, that a server has answered in full.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    /// The server was a replica.
    pub on_replica: bool,
    /// Why it went there.
    pub reason: Reason,
    /// Statements in it.
    pub statements: u64,
    /// From the arrival of its message to the last byte of the answer.
    pub total: Duration,
    /// Of that: until it was sent to the server. It was read, and waited for freshness, a connection, a primary, or
    /// for the database to be resumed.
    pub unsent: Duration,
}

/// What was counted since the start, in PgBouncer's terms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Transactions, and statements outside one, that have ended: `total_xact_count`.
    pub transactions: u64,
    /// Statements that a server has answered: `total_query_count`.
    pub statements: u64,
    /// Bytes from clients: `total_received`.
    pub received: u64,
    /// Bytes to clients: `total_sent`.
    pub sent: u64,
    /// From the arrival of its first statement to the end of its last answer, over all transactions:
    /// `total_xact_time`.
    pub transaction_time: Duration,
    /// From arrival to the last byte of the answer, over all statements: `total_query_time`. Those of one pipeline take
    /// their time together, and it counts once.
    pub statement_time: Duration,
    /// Of that: before they were sent to a server, `total_wait_time`.
    pub wait_time: Duration,
}

/// Counters of one database. Counting is lock-free.
#[derive(Debug)]
pub struct Timing {
    /// By role, then by reason.
    times: [[Histogram; Reason::ALL.len()]; 2],
    transactions: AtomicU64,
    statements: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    transaction_nanos: AtomicU64,
    statement_nanos: AtomicU64,
    unsent_nanos: AtomicU64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            times: std::array::from_fn(|_| std::array::from_fn(|_| Histogram::default())),
            transactions: AtomicU64::default(),
            statements: AtomicU64::default(),
            received: AtomicU64::default(),
            sent: AtomicU64::default(),
            transaction_nanos: AtomicU64::default(),
            statement_nanos: AtomicU64::default(),
            unsent_nanos: AtomicU64::default(),
        }
    }
}

impl Timing {
    /// A server has answered; there is at least one statement. The statements of a pipeline are answered together: each
    /// takes an even share.
    pub fn took(&self, took: Took) {
        let total = nanos(took.total);
        let times = &self.times[usize::from(took.on_replica)][took.reason as usize];
        times.add(total / took.statements.max(1), took.statements);
        self.statements.fetch_add(took.statements, Ordering::Relaxed);
        self.statement_nanos.fetch_add(total, Ordering::Relaxed);
        self.unsent_nanos.fetch_add(nanos(took.unsent), Ordering::Relaxed);
    }

    /// A transaction, or a statement outside one, has ended after so long.
    pub fn transacted(&self, time: Duration) {
        self.transactions.fetch_add(1, Ordering::Relaxed);
        self.transaction_nanos.fetch_add(nanos(time), Ordering::Relaxed);
    }

    /// So many bytes have come from a client and gone to it.
    pub fn moved(&self, received: u64, sent: u64) {
        self.received.fetch_add(received, Ordering::Relaxed);
        self.sent.fetch_add(sent, Ordering::Relaxed);
    }

    /// What was counted until now.
    pub fn totals(&self) -> Totals {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let time = |counter: &AtomicU64| Duration::from_nanos(load(counter));
        Totals {
            transactions: load(&self.transactions),
            statements: load(&self.statements),
            received: load(&self.received),
            sent: load(&self.sent),
            transaction_time: time(&self.transaction_nanos),
            statement_time: time(&self.statement_nanos),
            wait_time: time(&self.unsent_nanos),
        }
    }

    /// The histograms that are not empty, as [`Histogram::write`] writes them. `labels` is like `database="app"`.
    pub fn write(&self, out: &mut String, name: &str, labels: &str) {
        let mut line = String::new();
        for (target, times) in ["primary", "replica"].into_iter().zip(&self.times) {
            for (reason, times) in Reason::ALL.iter().zip(times).filter(|(_, times)| !times.is_empty()) {
                line.clear();
                let _ = write!(line, "{labels},target=\"{target}\",reason=\"{}\"", reason.label());
                times.write(out, name, &line);
            }
        }
    }
}

/// In nanoseconds: what is longer than 584 years is cut.
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipelines_time_counts_once_and_its_statements_one_by_one() {
        let timing = Timing::default();
        let took = Took {
            on_replica: true,
            reason: Reason::Fresh,
            statements: 4,
            total: Duration::from_millis(8),
            unsent: Duration::from_millis(1),
        };
        timing.took(took);
        timing.took(Took { on_replica: false, reason: Reason::Write, statements: 1, ..took });
        timing.transacted(Duration::from_millis(9));
        timing.moved(10, 20);
        let expected = Totals {
            transactions: 1,
            statements: 5,
            received: 10,
            sent: 20,
            transaction_time: Duration::from_millis(9),
            statement_time: Duration::from_millis(16),
            wait_time: Duration::from_millis(2),
        };
        assert_eq!(timing.totals(), expected);
        let mut text = String::new();
        timing.write(&mut text, "t", "database=\"app\"");
        for line in [
            "t_bucket{database=\"app\",target=\"replica\",reason=\"fresh\",le=\"0.002\"} 4",
            "t_sum{database=\"app\",target=\"replica\",reason=\"fresh\"} 0.008",
            "t_count{database=\"app\",target=\"replica\",reason=\"fresh\"} 4",
            "t_bucket{database=\"app\",target=\"primary\",reason=\"write\",le=\"0.005\"} 0",
            "t_count{database=\"app\",target=\"primary\",reason=\"write\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("stale"), "empty histograms are left out");
    }
}
