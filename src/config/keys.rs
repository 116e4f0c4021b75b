//! The names of the settings of a database, in URLs and in files.
//!
//! What libpq or Prisma know too has their name in both places. What only this proxy knows starts with `tidegate_` in a
//! URL, so that a driver that is given the same URL by mistake complains.

use std::path::PathBuf;

use super::accounts;
use super::health;
use super::layer::Tuning;
use super::mistake::Problem;
use super::options;
use super::server_tls;
use super::suggest::nearest;
use super::value::{count, duration, limit, locked, port, positive_duration, switch, word};

const PREFIX: &str = "tidegate_";

/// More than a PostgreSQL server can have (`max_connections`).
const MOST_CONNECTIONS: usize = 262_143;
const MOST_CLIENTS: usize = 1_000_000;

/// Settings named alike in URLs and files.
const SHARED: [&str; 6] =
    ["connection_limit", "pool_timeout", "connect_timeout", "passfile", "application_name", "options"];

/// Settings with [`PREFIX`] in URLs and without it in files.
const OURS: [&str; 37] = [
    "mode",
    "pool_mode",
    "consistency",
    "scope",
    "on_stale",
    LOCKED_SETTINGS,
    "primary_read_limit",
    "primary_read_overflow",
    "client_auth",
    "auth_query",
    "auth_user",
    "auth_file",
    "auth_ttl",
    "user_limit",
    "max_clients",
    "prepared_statements_per_server",
    "startup_timeout",
    "failover_timeout",
    "query_timeout",
    "idle_in_transaction_timeout",
    "client_idle_timeout",
    "server_lifetime",
    "server_idle_timeout",
    "min_connections",
    "max_user_client_connections",
    "long_pin",
    "slow_statement",
    "database_connection_limit",
    "dns_interval",
    "patroni_interval",
    "discover_replicas",
    "discovered_port",
    "slow_start",
    "max_replica_lag",
    "max_error_percent",
    "max_latency_factor",
    "max_holdback",
];

/// Of a database or a user; in a file, a list.
pub(super) const LOCKED_SETTINGS: &str = "locked_settings";

/// Words of a URL that [`super::url`] reads itself.
const PLACES: [&str; 7] = ["host", "port", "user", "password", "dbname", "tidegate_weight", "tidegate_zone"];

/// Parameters of libpq and Prisma that are harmless, with why they mean nothing here.
const IGNORED: [(&str, &str); 16] = [
    ("schema", "a client keeps it in its own URL; for all of them, use options=-c%20search_path%3D…"),
    ("pgbouncer", "prepared statements work through this proxy without it"),
    ("statement_cache_size", "see tidegate_prepared_statements_per_server"),
    ("socket_timeout", "see tidegate_query_timeout"),
    ("max_idle_connection_lifetime", "it is a setting of the client's pool"),
    ("max_connection_lifetime", "it is a setting of the client's pool"),
    ("target_session_attrs", "every node is asked for its role"),
    ("load_balance_hosts", "reads are spread over the replicas anyway"),
    ("fallback_application_name", "use application_name"),
    ("client_encoding", "every client says its own"),
    ("keepalives", "keepalive is always on"),
    ("keepalives_idle", "keepalive is set by the proxy"),
    ("keepalives_interval", "keepalive is set by the proxy"),
    ("keepalives_count", "keepalive is set by the proxy"),
    ("tcp_user_timeout", "a peer that does not read for a while is not gone; keepalive finds one that is"),
    ("gssencmode", "connections to the servers are encrypted by TLS; see sslmode"),
];

/// What became of a parameter.
pub(super) enum Said {
    /// It has a meaning here, which may have been missed.
    Understood(Result<(), Problem>),
    /// It is accepted, and why it means nothing.
    Ignored(&'static str),
}

/// The keys of a `[database.NAME]` table that [`set_from_file`] understands.
pub(super) fn file_keys() -> impl Iterator<Item = &'static str> {
    SHARED.into_iter().chain(OURS).chain(server_tls::KEYS)
}

/// Sets what a URL's parameter says.
pub(super) fn set_from_url(tuning: &mut Tuning, key: &str, value: &str) -> Said {
    if server_tls::knows(key) {
        return Said::Understood(server_tls::set(tuning, key, value));
    }
    if key == "gssencmode" && value == "require" {
        return Said::Understood(Err(no_gssapi()));
    }
    if let Some((_, why)) = IGNORED.iter().find(|(name, _)| *name == key) {
        return Said::Ignored(why);
    }
    let name = match key.strip_prefix(PREFIX) {
        Some(name) if OURS.contains(&name) => name,
        None if SHARED.contains(&key) => key,
        _ => return Said::Understood(Err(unknown_parameter(key))),
    };
    Said::Understood(set(tuning, name, value))
}

/// What a file calls a URL's parameter.
pub(super) fn in_file(key: &str) -> &str {
    key.strip_prefix(PREFIX).unwrap_or(key)
}

/// Sets what a key of a file says.
pub(super) fn set_from_file(tuning: &mut Tuning, key: &str, value: &str) -> Result<(), Problem> {
    set(tuning, key, value)
}

/// Whether text can be shown as the name of a parameter.
pub(super) fn is_plain(key: &str) -> bool {
    (1..=64).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

/// "Unknown, did you mean …?" for a key, given the keys there are.
pub(super) fn unknown(kind: &str, key: &str, known: impl IntoIterator<Item = &'static str>) -> Problem {
    let advice = match nearest(key.to_ascii_lowercase().trim_start_matches(PREFIX), known) {
        Some(near) => format!("Did you mean {near}?"),
        None => "Remove it, or look for its name in config/tidegate.toml".to_owned(),
    };
    Problem::new(format!("there is no {kind} of this name"), advice)
}

fn unknown_parameter(key: &str) -> Problem {
    if OURS.contains(&key) {
        return Problem::new("there is no parameter of this name", format!("Did you mean {PREFIX}{key}?"));
    }
    let ours = OURS.map(|name| format!("{PREFIX}{name}"));
    let known =
        SHARED.into_iter().chain(server_tls::KEYS).chain(PLACES).chain(IGNORED.iter().map(|(name, _)| *name));
    let lowered = key.to_ascii_lowercase();
    let advice = match nearest(&lowered, known.chain(ours.iter().map(String::as_str))) {
        Some(near) => format!("Did you mean {near}?"),
        None => "Remove it; config/tidegate.toml has all names".to_owned(),
    };
    Problem::new("there is no parameter of this name", advice)
}

/// Nobody may believe that a connection is encrypted in a way it is not.
fn no_gssapi() -> Problem {
    Problem::new("connections cannot be encrypted by GSSAPI", "Leave it out, and say sslmode=verify-full")
}

fn set(tuning: &mut Tuning, key: &str, value: &str) -> Result<(), Problem> {
    match key {
        "connection_limit" => tuning.connection_limit = Some(count(value, 1, MOST_CONNECTIONS)?),
        "pool_timeout" => tuning.pool_timeout = Some(duration(value)?),
        "connect_timeout" => tuning.connect_timeout = Some(positive_duration(value)?),
        "passfile" => tuning.passfile = Some(PathBuf::from(value)).filter(|_| !value.is_empty()),
        "application_name" => tuning.application_name = Some(value.to_owned()),
        "options" => tuning.options = Some(options::parse(value)?),
        "mode" => tuning.mode = Some(word(value)?),
        "pool_mode" => tuning.pool_mode = Some(word(value)?),
        "consistency" => tuning.consistency = Some(word(value)?),
        "scope" => tuning.scope = Some(word(value)?),
        "on_stale" => tuning.on_stale = Some(word(value)?),
        LOCKED_SETTINGS => tuning.locked_settings = Some(locked(value)?),
        "primary_read_limit" => tuning.primary_read_limit = Some(count(value, 0, MOST_CONNECTIONS)?),
        "primary_read_overflow" => tuning.primary_read_overflow = Some(word(value)?),
        "client_auth" => tuning.client_auth = Some(word(value)?),
        "auth_query" => tuning.auth_query = Some(accounts::query(value)?),
        "auth_user" => tuning.auth_user = Some(value.to_owned()).filter(|name| !name.is_empty()),
        "auth_file" => tuning.auth_file = Some(value.to_owned()).filter(|path| !path.is_empty()),
        "auth_ttl" => tuning.auth_ttl = Some(limit(value)?),
        "user_limit" => tuning.user_limit = Some(count(value, 1, MOST_CLIENTS)?),
        "max_clients" => tuning.max_clients = Some(count(value, 1, MOST_CLIENTS)?),
        "prepared_statements_per_server" => {
            tuning.prepared_statements_per_server = Some(count(value, 1, MOST_CLIENTS)?);
        }
        "startup_timeout" => tuning.startup_timeout = Some(positive_duration(value)?),
        "failover_timeout" => tuning.failover_timeout = Some(duration(value)?),
        "query_timeout" => tuning.query_timeout = Some(limit(value)?),
        "idle_in_transaction_timeout" => tuning.idle_in_transaction_timeout = Some(limit(value)?),
        "client_idle_timeout" => tuning.client_idle_timeout = Some(limit(value)?),
        "server_lifetime" => tuning.server_lifetime = Some(limit(value)?),
        "server_idle_timeout" => tuning.server_idle_timeout = Some(limit(value)?),
        "database_connection_limit" => {
            tuning.database_connection_limit = Some(count(value, 0, MOST_CONNECTIONS)?);
        }
        "long_pin" => tuning.long_pin = Some(limit(value)?),
        "slow_statement" => tuning.slow_statement = Some(limit(value)?),
        "max_user_client_connections" => {
            tuning.max_user_client_connections = Some(count(value, 0, MOST_CLIENTS)?);
        }
        "min_connections" => tuning.min_connections = Some(count(value, 0, MOST_CONNECTIONS)?),
        "dns_interval" => tuning.dns_interval = Some(limit(value)?),
        "patroni_interval" => tuning.patroni_interval = Some(positive_duration(value)?),
        "discover_replicas" => tuning.discover_replicas = Some(switch(value)?),
        "discovered_port" => tuning.discovered_port = Some(port(value)?),
        "slow_start" => tuning.slow_start = Some(limit(value)?),
        "max_replica_lag" => tuning.max_replica_lag = Some(health::lag(value)?),
        "max_error_percent" => tuning.max_error_percent = Some(health::number(value, 1, 99)?),
        "max_latency_factor" => tuning.max_latency_factor = Some(health::number(value, 2, 1000)?),
        "max_holdback" => tuning.max_holdback = Some(health::holdback(value)?),
        key if server_tls::KEYS.contains(&key) => server_tls::set(tuning, key, value)?,
        _ => return Err(unknown("setting", key, file_keys())),
    }
    Ok(())
}
