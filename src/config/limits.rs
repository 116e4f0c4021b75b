//! How long what a user's clients do may take.

use std::time::Duration;

use super::layer::Tuning;

/// The keys of [`LimitSettings`]: what can be said of a database, and of a user otherwise.
pub(super) const KEYS: [&str; 3] = ["query_timeout", "idle_in_transaction_timeout", "client_idle_timeout"];

/// How long what a user's clients do may take. `None` means any time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitSettings {
    /// Longest time that a server may work on a statement.
    pub query_timeout: Option<Duration>,
    /// Longest time that a client may leave a transaction open without going on with it.
    pub idle_in_transaction_timeout: Option<Duration>,
    /// Longest time that a client may do nothing outside a transaction.
    pub client_idle_timeout: Option<Duration>,
}

impl LimitSettings {
    /// What was said, and the defaults elsewhere.
    pub(super) fn of(tuning: &Tuning) -> Self {
        Self {
            query_timeout: time(tuning.query_timeout),
            idle_in_transaction_timeout: time(tuning.idle_in_transaction_timeout),
            client_idle_timeout: time(tuning.client_idle_timeout),
        }
    }
}

/// Zero stands for "any time", as people write it.
fn time(said: Option<Duration>) -> Option<Duration> {
    said.filter(|time| !time.is_zero())
}
