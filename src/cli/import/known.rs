//! Every setting of PgBouncer's manual, and what becomes of it.
//!
//! <https://www.pgbouncer.org/config.html>, up to version 1.24 and what came after it, and what Debian's file has.

use self::Fate::{Missing, Taken, Unneeded};

/// What becomes of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is translated.
    Taken,
    /// It has no meaning here, and why.
    Unneeded(&'static str),
    /// There is nothing like it; what to do. With one of these values it does nothing, so that nothing is lost.
    Missing(&'static [&'static str], &'static str),
}

/// A setting by its name in the manual.
pub type Known = (&'static str, Fate);

const OFF: &[&str] = &["", "0", "0.0"];
const ALWAYS: &[&str] = &[];
const LOGS: &str =
    "logs go to standard error, where systemd or the container takes them: log = \"info\" shows logins";
const SOCKET: &str = "connections are kept alive, and buffers grow with what is in them";
const CIPHERS: &str = "the ciphers and curves are those of rustls, all of which are sound";
const RESET: &str =
    "settings that a client has made follow it to its next server connection and to nobody else's";
const CHECKS: &str = "every server is watched, and a read that meets a broken connection is run again";
const RESERVE: &str = "there is no reserve: raise connection_limit (of the database) by so many";
const TRANSACTION: &str = "let the servers do it (PostgreSQL 17 and later): options = \"-c transaction_timeout=30s\"; or use \
                           idle_in_transaction_timeout";

/// Section `[pgbouncer]`.
pub const PROXY: &[Known] = &[
    ("logfile", Unneeded(LOGS)),
    ("pidfile", Unneeded("it stays in the foreground; systemd knows its process")),
    ("listen_addr", Taken),
    ("listen_port", Taken),
    ("unix_socket_dir", Taken),
    ("unix_socket_mode", Missing(&["0777", "777"], "close the socket's directory to whom it is not for")),
    ("unix_socket_group", Missing(&[""], "close the socket's directory to whom it is not for")),
    ("user", Unneeded("the user is whoever starts it: User= in the unit of systemd")),
    ("pool_mode", Taken),
    ("max_client_conn", Taken),
    ("default_pool_size", Taken),
    ("min_pool_size", Taken),
    ("reserve_pool_size", Missing(OFF, RESERVE)),
    ("reserve_pool_timeout", Unneeded("there is no reserve to wait for")),
    ("max_db_connections", Taken),
    ("max_db_client_connections", Taken),
    (
        "max_user_connections",
        Missing(OFF, "connection_limit bounds a user's connections per database and node"),
    ),
    ("max_user_client_connections", Taken),
    ("server_round_robin", Unneeded("reads are spread over the replicas, whichever connection is used")),
    ("track_extra_parameters", Unneeded("every setting of a client follows it")),
    (
        "ignore_startup_parameters",
        Unneeded("clients may give any setting at start-up, and get what they ask for"),
    ),
    ("peer_id", Taken),
    ("disable_pqexec", Missing(OFF, "nothing forbids simple queries here")),
    (
        "application_name_add_host",
        Missing(OFF, "SHOW CLIENTS at the console says who has which server connection"),
    ),
    ("conffile", Unneeded("the file is named by --config")),
    ("service_name", Unneeded("it is about Windows")),
    ("job_name", Unneeded("it is about Windows")),
    ("stats_period", Unneeded("/metrics has counters, from which the monitoring makes averages")),
    ("max_prepared_statements", Taken),
    ("scram_iterations", Unneeded("verifiers are made by PostgreSQL (its setting scram_iterations)")),
    ("auth_type", Taken),
    ("auth_hba_file", Taken),
    ("auth_ident_file", Taken),
    ("auth_file", Taken),
    ("auth_user", Taken),
    ("auth_query", Taken),
    (
        "auth_dbname",
        Missing(&[""], "auth_query is asked in the database itself: install its function there, too"),
    ),
    (
        "auth_ldap_options",
        Missing(&[""], "there is no LDAP: use auth_query, and let PostgreSQL know the users"),
    ),
    ("syslog", Unneeded(LOGS)),
    ("syslog_ident", Unneeded(LOGS)),
    ("syslog_facility", Unneeded(LOGS)),
    ("log_connections", Unneeded(LOGS)),
    ("log_disconnections", Unneeded(LOGS)),
    ("log_pooler_errors", Unneeded(LOGS)),
    ("log_stats", Unneeded("/metrics has the figures")),
    ("verbose", Unneeded("log = \"debug\" says more")),
    ("admin_users", Taken),
    (
        "stats_users",
        Missing(
            &[""],
            "whoever may use the console may do everything there: add them to console_users, or let \
                                    them read /metrics at the admin address (admin_open = \"metrics\")",
        ),
    ),
    ("server_reset_query", Unneeded(RESET)),
    ("server_reset_query_always", Unneeded(RESET)),
    ("server_check_delay", Unneeded(CHECKS)),
    ("server_check_query", Unneeded(CHECKS)),
    (
        "server_fast_close",
        Unneeded("RECONNECT at the console replaces connections as soon as their transactions are over"),
    ),
    ("server_lifetime", Taken),
    ("server_idle_timeout", Taken),
    ("server_connect_timeout", Taken),
    (
        "server_login_retry",
        Unneeded(
            "a server that does not answer is asked again four times a second by the monitor, not by clients",
        ),
    ),
    ("client_login_timeout", Taken),
    ("autodb_idle_timeout", Unneeded("databases are named, and stay")),
    ("pool_idle_timeout", Unneeded("counters never go back")),
    ("dns_max_ttl", Taken),
    ("dns_nxdomain_ttl", Unneeded("names are looked up by dns_interval, whatever came of it last time")),
    ("dns_zone_check_period", Unneeded("names are looked up by dns_interval")),
    ("resolv_conf", Missing(&[""], "names are looked up as the system does it: change /etc/resolv.conf")),
    ("query_wait_notify", Unneeded("clients that wait are in SHOW POOLS and in the metrics")),
    ("login_notify_message", Missing(&[""], "nothing is said at login")),
    ("client_tls_sslmode", Taken),
    ("client_tls_key_file", Taken),
    ("client_tls_cert_file", Taken),
    ("client_tls_ca_file", Taken),
    ("client_tls_protocols", Taken),
    ("client_tls_ciphers", Unneeded(CIPHERS)),
    ("client_tls13_ciphers", Unneeded(CIPHERS)),
    ("client_tls_ecdhcurve", Unneeded(CIPHERS)),
    ("client_tls_dheparams", Unneeded(CIPHERS)),
    ("server_tls_sslmode", Taken),
    ("server_tls_ca_file", Taken),
    ("server_tls_key_file", Taken),
    ("server_tls_cert_file", Taken),
    ("server_tls_protocols", Taken),
    ("server_tls_ciphers", Unneeded(CIPHERS)),
    ("server_tls13_ciphers", Unneeded(CIPHERS)),
    ("query_timeout", Taken),
    ("query_wait_timeout", Taken),
    ("suspend_timeout", Unneeded("a new version takes over without clients being suspended (SIGUSR2)")),
    ("cancel_wait_timeout", Unneeded("a cancel request does not wait for a connection of the pool")),
    ("client_idle_timeout", Taken),
    ("idle_transaction_timeout", Taken),
    ("transaction_timeout", Missing(OFF, TRANSACTION)),
    ("pkt_buf", Unneeded(SOCKET)),
    (
        "max_packet_size",
        Unneeded(
            "messages that never are long in earnest are refused when they are, others are passed on piece by piece",
        ),
    ),
    ("listen_backlog", Unneeded(SOCKET)),
    ("sbuf_loopcnt", Unneeded("no client keeps others waiting")),
    ("so_reuseport", Unneeded("one process uses several cores: workers")),
    ("tcp_defer_accept", Unneeded(SOCKET)),
    ("tcp_socket_buffer", Unneeded(SOCKET)),
    ("tcp_keepalive", Unneeded(SOCKET)),
    ("tcp_keepcnt", Unneeded(SOCKET)),
    ("tcp_keepidle", Unneeded(SOCKET)),
    ("tcp_keepintvl", Unneeded(SOCKET)),
    ("tcp_user_timeout", Unneeded(SOCKET)),
];

/// Section `[databases]`.
pub const DATABASE: &[Known] = &[
    ("dbname", Taken),
    ("host", Taken),
    ("port", Taken),
    ("user", Taken),
    ("password", Taken),
    ("auth_user", Taken),
    ("auth_query", Taken),
    (
        "auth_dbname",
        Missing(&[""], "auth_query is asked in the database itself: install its function there, too"),
    ),
    ("pool_size", Taken),
    ("min_pool_size", Taken),
    ("reserve_pool_size", Missing(OFF, RESERVE)),
    ("reserve_pool", Missing(OFF, RESERVE)),
    ("connect_query", Taken),
    ("pool_mode", Taken),
    ("query_wait_timeout", Taken),
    (
        "load_balance_hosts",
        Unneeded("which host is the primary is found out by asking, and reads are spread over the others"),
    ),
    (
        "target_session_attrs",
        Unneeded("which host is the primary is found out by asking, and each statement goes where it must"),
    ),
    ("max_db_connections", Taken),
    ("max_db_client_connections", Taken),
    ("server_lifetime", Taken),
    ("client_encoding", Unneeded("every client says its own, and gets it")),
    ("datestyle", Taken),
    ("timezone", Taken),
];

/// Section `[users]`.
pub const USER: &[Known] = &[
    ("pool_size", Missing(ALWAYS, "connection_limit is the same for all users of a database")),
    ("reserve_pool_size", Missing(OFF, RESERVE)),
    ("pool_mode", Missing(ALWAYS, "pool_mode is the same for all users of a database")),
    (
        "max_user_connections",
        Missing(OFF, "connection_limit bounds a user's connections per database and node"),
    ),
    ("query_timeout", Taken),
    ("query_wait_timeout", Missing(ALWAYS, "pool_timeout is the same for all users of a database")),
    ("idle_transaction_timeout", Taken),
    ("transaction_timeout", Missing(OFF, TRANSACTION)),
    ("client_idle_timeout", Taken),
    ("max_user_client_connections", Taken),
];

/// Section `[peers]`.
pub const PEER: &[Known] =
    &[("host", Taken), ("port", Taken), ("pool_size", Unneeded("cancel requests to peers need no pool"))];

/// What becomes of a setting; `None` if the manual has none of this name.
pub fn fate(table: &[Known], name: &str) -> Option<Fate> {
    table.iter().find(|(known, _)| *known == name).map(|(_, fate)| *fate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_stands_once_and_says_something() {
        for table in [PROXY, DATABASE, USER, PEER] {
            for (index, (name, fate)) in table.iter().enumerate() {
                assert!(table[..index].iter().all(|(other, _)| other != name), "{name}");
                if let Unneeded(why) | Missing(_, why) = fate {
                    assert!(!why.is_empty() && !why.ends_with('.'), "{name}");
                }
            }
        }
        // As many as were found; one that is lost by mistake is noticed.
        assert_eq!([PROXY, DATABASE, USER, PEER].map(<[Known]>::len), [101, 23, 10, 3]);
    }
}
