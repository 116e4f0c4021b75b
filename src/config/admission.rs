//! What those may do who have not logged in yet, and how many connections an address may have.

use std::time::Duration;

use super::mistake::Problem;
use super::top::TopLayer;
use super::value::duration;

/// As in PostgreSQL.
const AUTHENTICATION_TIMEOUT: [Duration; 2] = [Duration::from_secs(1), Duration::from_mins(10)];

/// What those may do who have not logged in yet, and how many connections an address may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdmissionSettings {
    /// Longest time from the first byte to the proof of who the client is.
    pub authentication_timeout: Duration,
    /// When an address has failed too often; `None`: never.
    pub failures: Option<FailureLimits>,
    /// Most connections at one time that have not logged in yet, at least 1.
    pub max_unauthenticated_clients: usize,
    /// Most connections of an address at one time; `None` means any number.
    pub max_connections_per_address: Option<usize>,
}

/// When an address has failed to log in too often, and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureLimits {
    /// So many failures, at least 1,
    pub limit: usize,
    /// within this time, which is not 0,
    pub window: Duration,
    /// let further attempts be answered one by one, each so long after the one before.
    pub delay: Duration,
}

impl Default for FailureLimits {
    fn default() -> Self {
        Self { limit: 20, window: Duration::from_mins(1), delay: Duration::from_secs(1) }
    }
}

impl Default for AdmissionSettings {
    fn default() -> Self {
        Self {
            authentication_timeout: Duration::from_mins(1),
            failures: Some(FailureLimits::default()),
            max_unauthenticated_clients: 1_000,
            max_connections_per_address: None,
        }
    }
}

impl AdmissionSettings {
    /// What was said, and the defaults elsewhere.
    pub(super) fn of(top: &TopLayer) -> Self {
        let (defaults, failures) = (Self::default(), FailureLimits::default());
        let limits = FailureLimits {
            limit: top.auth_failure_limit.unwrap_or(failures.limit),
            window: top.auth_failure_window.unwrap_or(failures.window),
            delay: top.auth_failure_delay.unwrap_or(failures.delay),
        };
        Self {
            authentication_timeout: top.authentication_timeout.unwrap_or(defaults.authentication_timeout),
            failures: Some(limits).filter(|limits| limits.limit > 0),
            max_unauthenticated_clients: top
                .max_unauthenticated_clients
                .unwrap_or(defaults.max_unauthenticated_clients),
            max_connections_per_address: top.max_connections_per_address.filter(|most| *most > 0),
        }
    }
}

/// How long a login may take.
pub(super) fn authentication_timeout(text: &str) -> Result<Duration, Problem> {
    let [least, most] = AUTHENTICATION_TIMEOUT;
    let time = duration(text)?;
    if (least..=most).contains(&time) {
        return Ok(time);
    }
    let problem = format!("{text} is not from 1s to 10min");
    Err(Problem::new(problem, "A client must have the time to log in, and none may wait for long without"))
}
