//! What a replica may do before it is taken out, and how it comes back.

use std::time::Duration;

/// What a replica may do before it is taken out, and how it comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long its share of the reads takes to grow from a tenth to the whole; zero: it is whole at once.
    pub slow_start: Duration,
    /// How old its state may be; `None`: as old as it likes.
    pub max_lag: Option<Duration>,
    /// How many of a hundred transactions may fail for a fault of the server's; `None`: all.
    pub max_error_percent: Option<u32>,
    /// How many times as long as the others it may take to answer; `None`: as long as it likes.
    pub latency_factor: Option<u32>,
    /// Longest time that one which was out again and again is held back.
    pub max_holdback: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            slow_start: Duration::from_secs(10),
            max_lag: None,
            max_error_percent: Some(50),
            latency_factor: Some(5),
            max_holdback: Duration::from_mins(1),
        }
    }
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
