//! How long what a user's clients do may take, how many there may be, and how many server connections are kept for how long.

use std::time::Duration;

use super::layer::Tuning;

/// The keys of [`LimitSettings`]: what can be said of a database, and of a user otherwise.
pub(super) const KEYS: [&str; 9] = [
    "query_timeout",
    "idle_in_transaction_timeout",
    "client_idle_timeout",
    "server_lifetime",
    "server_idle_timeout",
    "min_connections",
    "long_pin",
    "max_user_client_connections",
    "slow_statement",
];

/// How long what a user's clients do may take, and how long its server connections are kept. `None` means any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// Longest time that a server may work on a statement.
    pub query_timeout: Option<Duration>,
    /// Longest time that a client may leave a transaction open without going on with it.
    pub idle_in_transaction_timeout: Option<Duration>,
    /// Longest time that a client may do nothing outside a transaction.
    pub client_idle_timeout: Option<Duration>,
    /// How old a server connection may get. It is closed when it is not in use.
    pub server_lifetime: Option<Duration>,
    /// How long a server connection may be unused before it is closed.
    pub server_idle_timeout: Option<Duration>,
    /// Server connections that are kept open, per node.
    pub min_connections: usize,
    /// How long a client may be pinned before it is logged.
    pub long_pin: Option<Duration>,
    /// Most client connections at one time; `None` means any number.
    pub max_client_connections: Option<usize>,
    /// A statement that takes this long, from its arrival to the end of its answer, is logged.
    pub slow_statement: Option<Duration>,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            query_timeout: None,
            idle_in_transaction_timeout: None,
            client_idle_timeout: None,
            server_lifetime: Some(Duration::from_hours(1)),
            server_idle_timeout: Some(Duration::from_mins(10)),
            min_connections: 0,
            long_pin: Some(Duration::from_mins(5)),
            max_client_connections: None,
            slow_statement: None,
        }
    }
}

impl LimitSettings {
    /// What was said, and the defaults elsewhere.
    pub(super) fn of(tuning: &Tuning) -> Self {
        let defaults = Self::default();
        Self {
            query_timeout: time(tuning.query_timeout, defaults.query_timeout),
            idle_in_transaction_timeout: time(
                tuning.idle_in_transaction_timeout,
                defaults.idle_in_transaction_timeout,
            ),
            client_idle_timeout: time(tuning.client_idle_timeout, defaults.client_idle_timeout),
            server_lifetime: time(tuning.server_lifetime, defaults.server_lifetime),
            server_idle_timeout: time(tuning.server_idle_timeout, defaults.server_idle_timeout),
            min_connections: tuning.min_connections.unwrap_or(defaults.min_connections),
            long_pin: time(tuning.long_pin, defaults.long_pin),
            max_client_connections: tuning.max_user_client_connections.filter(|most| *most > 0),
            slow_statement: time(tuning.slow_statement, defaults.slow_statement),
        }
    }
}

/// Zero stands for "any time", as people write it.
fn time(said: Option<Duration>, default: Option<Duration>) -> Option<Duration> {
    said.map_or(default, |time| Some(time).filter(|time| !time.is_zero()))
}
