//! The checked settings: what the rest of the program is built from.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::access::AccessRules;
use super::accounts::AccountSettings;
use super::admin::AdminOpen;
use super::admission::AdmissionSettings;
use super::consistency::{Level, Locked, OnStale, Overflow, Scope};
use super::console::ConsoleUser;
use super::endpoint::{Endpoint, Share};
use super::limits::LimitSettings;
use super::listen::ListenAddress;
use super::node::NodeSettings;
use super::peers::{PeerId, PeerSettings};
use super::rule::RuleSettings;
use super::secret::Secret;
use super::server_tls::ServerTls;
use super::tls::TlsSettings;
use super::topology::TopologySettings;
use crate::health::Limits;
use crate::sql::words::words;

/// Where clients connect unless told otherwise.
pub(super) const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 6432);
/// Where health and metrics are unless told otherwise.
pub(super) const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 6433);
pub(super) const DEFAULT_LOG: &str = "warn";
pub(super) const DEFAULT_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);
pub(super) const DEFAULT_SHUTDOWN_DELAY: Duration = Duration::ZERO;
pub(super) const DEFAULT_UPGRADE_TIMEOUT: Duration = Duration::from_mins(10);
pub(super) const DEFAULT_STARTUP_TIMEOUT: Duration = Duration::from_secs(10);
pub(super) const DEFAULT_MAX_CLIENTS: usize = 10_000;
pub(super) const DEFAULT_PREPARED_PER_SERVER: usize = 500;

/// Everything the proxy was told, checked. Made by [`super::load()`] only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Addresses on which clients are accepted, at least one, none twice.
    pub listen: Vec<ListenAddress>,
    /// Address of health and metrics; `None` when it is off.
    pub admin: Option<SocketAddr>,
    /// What the admin address shows without credentials, where that was said.
    pub admin_open: Option<AdminOpen>,
    /// What the admin address asks for before it shows the rest.
    pub admin_token: Option<Secret>,
    /// Number of worker threads; `None` means decided at start from the cores there are.
    pub workers: Option<usize>,
    /// The zone that the proxy runs in: replicas of the same one are preferred.
    pub locality: Option<String>,
    /// Log filter in the syntax of `tracing_subscriber::EnvFilter`.
    pub log: String,
    /// How lines of the log are written.
    pub log_format: LogFormat,
    /// Where spans of statements are sent; `None`: there are none.
    pub spans: Option<SpanSettings>,
    /// The databases clients can ask for, at least one, each with its own name.
    pub databases: Vec<DatabaseSettings>,
    /// What was accepted but means nothing here, or is risky: one sentence each, to be shown once at start.
    pub warnings: Vec<String>,
    /// Longest time that a shutdown waits for clients to finish their transactions.
    pub shutdown_timeout: Duration,
    /// How long clients are still accepted after a shutdown was asked for, while readiness says no.
    pub shutdown_delay: Duration,
    /// Longest time that a process serves the clients it has after another one has taken its place.
    pub upgrade_timeout: Duration,
    /// Whether logs may contain the text of statements. When false, literals are never logged.
    pub log_statements: bool,
    /// Who may use the console; none twice.
    pub console_users: Vec<ConsoleUser>,
    /// The number of this instance among its peers; `None` when it has none.
    pub peer_id: Option<PeerId>,
    /// Instances that stand beside this one, which may be among them; none twice.
    pub peers: Vec<PeerSettings>,
    /// TLS towards clients.
    pub tls: TlsSettings,
    /// Who may come in from where; `None`: what `client_auth` of the databases says holds for everybody.
    pub access: Option<AccessRules>,
    /// What those may do who have not logged in yet.
    pub admission: AdmissionSettings,
    /// Settings of which only the effect is kept, as they were said, for people.
    pub said: Vec<(&'static str, String)>,
}

/// One database as clients see it, and the cluster behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseSettings {
    /// The name clients ask for.
    pub name: String,
    /// The name of the database on the servers.
    pub server_name: String,
    /// The primary and its replicas as far as they are known, none twice: the hosts that were named, until the source
    /// of `topology` has been asked.
    pub nodes: Vec<NodeSettings>,
    /// Where the list of nodes comes from.
    pub topology: TopologySettings,
    /// Who may connect, at least one, none twice. The first logs in for the proxy's own questions to the servers.
    pub users: Vec<UserSettings>,
    /// Users besides these.
    pub accounts: AccountSettings,
    /// What holds for a user of whom nothing else is said.
    pub limits: LimitSettings,
    /// Whether reads are sent to replicas, or it is only counted which ones would be.
    pub mode: Mode,
    /// How server connections are lent.
    pub pool: PoolSettings,
    /// How they are encrypted.
    pub server_tls: ServerTls,
    /// What a read is promised unless its session says otherwise.
    pub consistency: Level,
    /// Who must see a write.
    pub scope: Scope,
    /// Where a read goes when no replica is fresh enough.
    pub on_stale: OnStale,
    /// What of the three, and of intents and keys, no client changes.
    pub locked_settings: Locked,
    /// Most reads that run on the primary at one time because no replica was fresh enough; `None` means any number.
    pub primary_read_limit: Option<usize>,
    /// What becomes of those beyond that.
    pub primary_read_overflow: Overflow,
    /// How clients prove who they are.
    pub client_auth: ClientAuth,
    /// Most client connections to this database at one time, at least 1.
    pub max_clients: usize,
    /// Most named prepared statements kept on one server connection, at least 1.
    pub prepared_per_server: usize,
    /// Longest time that start waits for a primary of this database to be found, before it goes on without.
    pub startup_timeout: Duration,
    /// Session settings given to every server connection at its start: (name, value), no name twice.
    pub server_settings: Vec<(String, String)>,
    /// When replicas are taken out, and how they come back.
    pub health: Limits,
    /// What the operator says about where statements go; of two that say something, the first counts.
    pub rules: Vec<RuleSettings>,
    /// Settings of which only the effect is kept, as they were said, for people.
    pub said: Vec<(&'static str, String)>,
}

/// Someone who may connect to a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserSettings {
    /// The role's name, the same for clients and on the servers.
    pub name: String,
    /// Its password, for clients to prove and for the proxy to log in with.
    pub password: Option<Secret>,
    /// What is kept in the place of a password: a SCRAM verifier or an md5 hash, as `pg_authid` has it. `None` with a password.
    /// Without either, the user is looked up, or nobody proves anything ([`ClientAuth::Trust`]).
    pub stored: Option<Secret>,
    /// What differs from the database's settings.
    pub tuning: UserTuning,
    /// How long what its clients do may take, and how many connections it has.
    pub limits: LimitSettings,
}

/// What a user is promised, where that differs from what the database says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserTuning {
    /// What a read is promised.
    pub consistency: Option<Level>,
    /// Who must see a write.
    pub scope: Option<Scope>,
    /// Where a read goes when no replica is fresh enough.
    pub on_stale: Option<OnStale>,
    /// What its clients do not change.
    pub locked_settings: Option<Locked>,
}

/// How server connections are lent to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// For how long a client keeps a server connection.
    pub mode: PoolMode,
    /// Most server connections per node and user, at least 1.
    pub connection_limit: usize,
    /// Most server connections per node, for all users together; `None` means any number.
    pub database_connection_limit: Option<usize>,
    /// Longest time that a client waits for a server connection; `None` means for ever.
    pub pool_timeout: Option<Duration>,
    /// Longest time that opening one server connection may take, authentication included.
    pub connect_timeout: Duration,
    /// Longest time that a statement which needs the primary waits for one.
    pub failover_timeout: Duration,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            mode: PoolMode::Transaction,
            connection_limit: 20,
            database_connection_limit: None,
            pool_timeout: Some(Duration::from_secs(20)),
            connect_timeout: Duration::from_secs(5),
            failover_timeout: Duration::from_secs(30),
        }
    }
}

/// Spans of statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanSettings {
    /// The collector.
    pub endpoint: Endpoint,
    /// The share of statements that get a span although they belong to no trace of the application, from 0 to 1.
    pub sample: Share,
}

words! {
    /// How lines of the log are written.
    #[derive(Default)]
    pub enum LogFormat {
        /// For people.
        #[default]
        Text = "text",
        /// A JSON object in each.
        Json = "json",
    }
}

words! {
    /// Whether decisions are carried out.
    #[derive(Default)]
    pub enum Mode {
        /// They are.
        #[default]
        Route = "route",
        /// Everything goes to the primary; what would have gone elsewhere is counted.
        Observe = "observe",
    }
}

words! {
    /// For how long a client keeps a server connection.
    #[derive(Default)]
    pub enum PoolMode {
        /// For one transaction, or longer where something pins it.
        #[default]
        Transaction = "transaction",
        /// Until the client disconnects.
        Session = "session",
    }
}

words! {
    /// How clients prove who they are.
    #[derive(Default)]
    pub enum ClientAuth {
        /// SCRAM-SHA-256 with the user's password.
        #[default]
        Scram = "scram",
        /// MD5 with the user's password, or SCRAM-SHA-256 where only a SCRAM verifier is known.
        Md5 = "md5",
        /// By a certificate that names the user.
        Cert = "cert",
        /// As the rules of `hba_file` say.
        Hba = "hba",
        /// Not at all: whoever reaches the listener is let in.
        Trust = "trust",
    }
}

impl ClientAuth {
    /// Whether a user without a password could never log in.
    pub(super) fn needs_password(self) -> bool {
        matches!(self, Self::Scram | Self::Md5)
    }
}
