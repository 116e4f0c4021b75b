//! What the actors know and found: which writes were acknowledged, which reads missed one, what failed.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::report::times;

/// Shared by all actors.
#[derive(Debug)]
pub(super) struct Tally {
    /// By actor: the newest value of its counter whose write was acknowledged.
    acknowledged: Vec<AtomicU64>,
    checked: AtomicU64,
    stale: AtomicU64,
    errors: AtomicU64,
    first_error: OnceLock<String>,
}

impl Tally {
    /// For so many actors; every counter is 0.
    pub(super) fn new(actors: usize) -> Self {
        Self {
            acknowledged: (0..actors).map(|_| AtomicU64::new(0)).collect(),
            checked: AtomicU64::new(0),
            stale: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            first_error: OnceLock::new(),
        }
    }

    /// How many actors there are.
    pub(super) fn actors(&self) -> usize {
        self.acknowledged.len()
    }

    /// The server has acknowledged that the actor's counter is `value`.
    pub(super) fn acknowledge(&self, actor: usize, value: u64) {
        self.acknowledged[actor].fetch_max(value, Ordering::SeqCst);
    }

    /// What a read of the actor's counter must not be older than, if it begins after this.
    pub(super) fn acknowledged(&self, actor: usize) -> u64 {
        self.acknowledged[actor].load(Ordering::SeqCst)
    }

    /// A read that had to see at least `expected` has seen `seen`.
    pub(super) fn check(&self, expected: u64, seen: u64) {
        self.checked.fetch_add(1, Ordering::Relaxed);
        if seen < expected {
            self.stale.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Something failed. The first failure is shown at the end.
    pub(super) fn failed(&self, what: impl Into<String>) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        self.first_error.get_or_init(|| what.into());
    }

    /// Reads whose answer was compared with what had been acknowledged.
    pub(super) fn checked(&self) -> u64 {
        self.checked.load(Ordering::Relaxed)
    }

    /// Reads that missed an acknowledged write.
    pub(super) fn stale(&self) -> u64 {
        self.stale.load(Ordering::Relaxed)
    }

    /// Failures.
    pub(super) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// What is to be said in the end, as an error unless all went well.
    pub(super) fn verdict(&self) -> Result<String, String> {
        let (checked, stale, errors) = (self.checked(), self.stale(), self.errors());
        let mut faults = Vec::new();
        if stale > 0 {
            faults.push(format!("{} missed a write that was acknowledged before", times(stale, "read")));
        }
        if errors > 0 {
            let first = self.first_error.get().map_or("unknown", String::as_str);
            faults.push(format!("{}, the first: {first}", times(errors, "error")));
        }
        if checked == 0 {
            faults.push("no read was checked: it ended too soon to show anything".to_owned());
        }
        if faults.is_empty() {
            return Ok(format!(
                "{} checked, none missed a write acknowledged before it",
                times(checked, "read")
            ));
        }
        Err(faults.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn only_a_value_older_than_what_was_acknowledged_is_stale() {
        let tally = Tally::new(2);
        tally.acknowledge(1, 7);
        assert_eq!((tally.acknowledged(0), tally.acknowledged(1)), (0, 7));
        tally.check(7, 7);
        tally.check(7, 8);
        assert_eq!((tally.checked(), tally.stale()), (2, 0));
        assert!(tally.verdict().is_ok());
        tally.check(7, 6);
        assert_eq!((tally.checked(), tally.stale()), (3, 1));
        assert_eq!(tally.verdict(), Err("1 read missed a write that was acknowledged before".to_owned()));
    }

    #[test]
    fn nothing_checked_or_anything_failed_is_no_success() {
        let tally = Tally::new(1);
        assert!(tally.verdict().is_err());
        tally.check(0, 0);
        tally.failed("the first");
        tally.failed("the second");
        assert_eq!(tally.verdict(), Err("2 errors, the first: the first".to_owned()));
    }
}
