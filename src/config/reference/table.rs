//! The form of every setting, and the meaning of those that the shipped file shows by example only.

use super::Form::{
    AddressOrOff, CollectorOrOff, Listen, Numbered, OneOrZero, Path, Secret, Server, Servers, Share, Switch,
    Text, Texts, Time, TimeOrOff, Url, Whole, WholeOrOff, Word, Words,
};
use super::Section::{Database, Node, Peers, Proxy, Rule, Sni, User};
use super::{Form, Section};
use crate::config::admin::AdminOpen;
use crate::config::consistency::{Level, Lockable, OnStale, Overflow, Scope};
use crate::config::node::Role;
use crate::config::server_tls::{ChannelBinding, SslMode, SslNegotiation};
use crate::config::settings::{ClientAuth, LogFormat, Mode, PoolMode};
use crate::config::tls::{Ssl, TlsVersion};
use crate::sql::Intent;

/// Settings of the whole proxy that a reload does not take over.
pub const NEEDS_RESTART: [&str; 7] =
    ["listen", "admin", "workers", "peer_id", "log_format", "otlp_endpoint", "trace_sample"];

/// A row of the table.
pub(super) struct Row {
    pub(super) section: Section,
    pub(super) name: &'static str,
    pub(super) form: Form,
    /// Empty where the shipped file says it.
    pub(super) meaning: &'static str,
}

const fn row(section: Section, name: &'static str, form: Form) -> Row {
    Row { section, name, form, meaning: "" }
}

const fn told(section: Section, name: &'static str, form: Form, meaning: &'static str) -> Row {
    Row { section, name, form, meaning }
}

const LEVEL: Form = Word(Level::WORDS);
const ON_STALE: Form = Word(OnStale::WORDS);
const SERVER_TLS: Form = Word(TlsVersion::WORDS);
const CONNECTIONS: u32 = 262_143;
const CLIENTS: u32 = 1_000_000;

pub(super) const ROWS: &[Row] = &[
    row(Proxy, "listen", Listen),
    row(Proxy, "admin", AddressOrOff),
    row(Proxy, "admin_token", Secret),
    row(Proxy, "admin_token_file", Path),
    row(Proxy, "admin_open", Word(AdminOpen::WORDS)),
    row(Proxy, "workers", Whole(1, 1024)),
    row(Proxy, "locality", Text),
    row(Proxy, "log", Text),
    row(Proxy, "log_format", Word(LogFormat::WORDS)),
    row(Proxy, "log_statements", Switch),
    row(Proxy, "otlp_endpoint", CollectorOrOff),
    row(Proxy, "trace_sample", Share),
    row(Proxy, "shutdown_timeout", Time),
    row(Proxy, "console_users", Texts),
    row(Proxy, "console_password", Secret),
    row(Proxy, "console_password_file", Path),
    row(Proxy, "shutdown_delay", Time),
    row(Proxy, "upgrade_timeout", Time),
    row(Proxy, "ssl", Word(Ssl::WORDS)),
    row(Proxy, "ssl_cert_file", Path),
    row(Proxy, "ssl_key_file", Path),
    row(Proxy, "ssl_ca_file", Path),
    row(Proxy, "ssl_crl_file", Path),
    row(Proxy, "ssl_min_protocol_version", Word(TlsVersion::WORDS)),
    row(Proxy, "peer_id", Whole(1, 1023)),
    row(Proxy, "hba_file", Path),
    row(Proxy, "ident_file", Path),
    row(Proxy, "authentication_timeout", Time),
    row(Proxy, "auth_failure_limit", Whole(0, CLIENTS)),
    row(Proxy, "auth_failure_window", Time),
    row(Proxy, "auth_failure_delay", Time),
    row(Proxy, "max_unauthenticated_clients", Whole(1, CLIENTS)),
    row(Proxy, "max_connections_per_address", Whole(0, CLIENTS)),
    told(Peers, "NUMBER", Numbered, "The address of the instance of this number, which leads to it alone."),
    told(
        Sni,
        "cert_file",
        Path,
        "The certificate that clients are shown who ask for this name, in PEM format.",
    ),
    told(Sni, "key_file", Path, "Its private key."),
    row(Database, "url", Url),
    row(Database, "nodes", Servers),
    row(Database, "dbname", Text),
    row(Database, "connection_limit", Whole(1, CONNECTIONS)),
    row(Database, "pool_timeout", Time),
    row(Database, "connect_timeout", Time),
    row(Database, "passfile", Path),
    row(Database, "application_name", Text),
    row(Database, "options", Text),
    row(Database, "sslmode", Word(SslMode::WORDS)),
    row(Database, "sslrootcert", Path),
    row(Database, "sslcrl", Path),
    row(Database, "sslcert", Path),
    row(Database, "sslkey", Path),
    row(Database, "channel_binding", Word(ChannelBinding::WORDS)),
    row(Database, "sslnegotiation", Word(SslNegotiation::WORDS)),
    row(Database, "ssl_min_protocol_version", SERVER_TLS),
    row(Database, "ssl_max_protocol_version", SERVER_TLS),
    row(Database, "sslsni", OneOrZero),
    row(Database, "mode", Word(Mode::WORDS)),
    row(Database, "pool_mode", Word(PoolMode::WORDS)),
    row(Database, "consistency", LEVEL),
    row(Database, "scope", Word(Scope::WORDS)),
    row(Database, "on_stale", ON_STALE),
    row(Database, "locked_settings", Words(Lockable::WORDS)),
    row(Database, "primary_read_limit", Whole(0, CONNECTIONS)),
    row(Database, "primary_read_overflow", Word(Overflow::WORDS)),
    row(Database, "client_auth", Word(ClientAuth::WORDS)),
    row(Database, "auth_query", Text),
    row(Database, "auth_user", Text),
    row(Database, "auth_ttl", TimeOrOff),
    row(Database, "auth_file", Path),
    row(Database, "user_limit", Whole(1, CLIENTS)),
    row(Database, "max_clients", Whole(1, CLIENTS)),
    row(Database, "prepared_statements_per_server", Whole(1, CLIENTS)),
    row(Database, "startup_timeout", Time),
    row(Database, "failover_timeout", Time),
    row(Database, "query_timeout", TimeOrOff),
    row(Database, "idle_in_transaction_timeout", TimeOrOff),
    row(Database, "client_idle_timeout", TimeOrOff),
    row(Database, "server_lifetime", TimeOrOff),
    row(Database, "server_idle_timeout", TimeOrOff),
    row(Database, "long_pin", TimeOrOff),
    row(Database, "slow_statement", TimeOrOff),
    row(Database, "max_user_client_connections", Whole(0, CLIENTS)),
    row(Database, "min_connections", Whole(0, CONNECTIONS)),
    row(Database, "database_connection_limit", Whole(0, CONNECTIONS)),
    row(Database, "dns_interval", TimeOrOff),
    row(Database, "patroni_interval", Time),
    row(Database, "discover_replicas", Switch),
    row(Database, "discovered_port", Whole(0, 65_535)),
    row(Database, "slow_start", TimeOrOff),
    row(Database, "max_replica_lag", TimeOrOff),
    row(Database, "max_error_percent", WholeOrOff(1, 99)),
    row(Database, "max_latency_factor", WholeOrOff(2, 1000)),
    row(Database, "max_holdback", Time),
    told(Node, "address", Server, "Where the server is. An item that is a text is this alone."),
    told(
        Node,
        "role",
        Word(Role::WORDS),
        "What it must be when the proxy starts. Without it, what it says it is.",
    ),
    told(
        Node,
        "weight",
        Whole(0, 1000),
        "How much of the reads it gets as a replica, beside the others; 0: none, ever. Without it, 1.",
    ),
    told(Node, "zone", Text, "Where it is, to be held against locality. Without it, nowhere."),
    told(
        User,
        "password",
        Secret,
        "Its password, or, but for the first user, the SCRAM verifier that pg_authid has.",
    ),
    told(User, "password_file", Path, "A file with that, in the place of password."),
    row(User, "consistency", LEVEL),
    row(User, "scope", Word(Scope::WORDS)),
    row(User, "on_stale", ON_STALE),
    row(User, "locked_settings", Words(Lockable::WORDS)),
    row(User, "query_timeout", TimeOrOff),
    row(User, "idle_in_transaction_timeout", TimeOrOff),
    row(User, "client_idle_timeout", TimeOrOff),
    row(User, "server_lifetime", TimeOrOff),
    row(User, "server_idle_timeout", TimeOrOff),
    row(User, "min_connections", Whole(0, CONNECTIONS)),
    row(User, "long_pin", TimeOrOff),
    row(User, "slow_statement", TimeOrOff),
    row(User, "max_user_client_connections", Whole(0, CLIENTS)),
    told(Rule, "user", Texts, "It holds for who logged in as this user, or one of these."),
    told(
        Rule,
        "application_name",
        Texts,
        "It holds while the client calls itself so; * at the end stands for any characters.",
    ),
    told(
        Rule,
        "statement",
        Texts,
        "It holds for every statement of the shape of this one: literals do not matter.",
    ),
    told(Rule, "function", Texts, "It is about this function, whoever calls it: name or schema.name."),
    told(Rule, "table", Texts, "It is about this table or view, whoever reads it: name or schema.name."),
    told(
        Rule,
        "intent",
        Word(Intent::WORDS),
        "Where statements go; of a function or table: whether it only reads.",
    ),
    told(Rule, "consistency", LEVEL, "What a read is promised. Not with function or table."),
];
