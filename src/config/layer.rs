//! What one source said: everything optional, later laid over what weaker sources said.

use std::path::PathBuf;
use std::time::Duration;

use super::consistency::{Level, Locked, OnStale, Overflow, Scope};
use super::mistake::Origin;
use super::node::NodeSettings;
use super::notes::Notes;
use super::rule::RuleSettings;
use super::secret::Secret;
use super::server_tls::{ChannelBinding, SslAccept, SslMode, SslNegotiation, Version};
use super::settings::{ClientAuth, Mode, PoolMode, UserTuning};
use super::topology::Place;

/// Declares a struct of optional values that can be laid over another one.
macro_rules! layer {
    ($(#[$meta:meta])* pub(super) struct $name:ident { $($field:ident: $type:ty,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub(super) struct $name {
            $(pub(super) $field: Option<$type>,)+
        }

        impl $name {
            /// This layer where it says something, `below` elsewhere.
            pub(super) fn over(self, below: Self) -> Self {
                Self { $($field: self.$field.or(below.$field),)+ }
            }

            /// The names of the values that both layers say differently.
            #[allow(dead_code, reason = "not every layer is compared")]
            pub(super) fn conflicts(&self, other: &Self) -> Vec<&'static str> {
                let mut names = Vec::new();
                $(if let (Some(ours), Some(theirs)) = (&self.$field, &other.$field) {
                    if ours != theirs {
                        names.push(stringify!($field));
                    }
                })+
                names
            }
        }
    };
}

pub(super) use layer;

layer! {
    /// What can be said about a database besides where it is and who may connect.
    pub(super) struct Tuning {
        connection_limit: usize,
        // Zero stands for "any number".
        database_connection_limit: usize,
        // Zero stands for "for ever", as people write it.
        pool_timeout: Duration,
        connect_timeout: Duration,
        passfile: PathBuf,
        application_name: String,
        options: Vec<(String, String)>,
        sslmode: SslMode,
        sslnegotiation: SslNegotiation,
        // An empty name is none, as with libpq.
        sslrootcert: String,
        sslcert: String,
        sslkey: String,
        sslcrl: String,
        sslsni: bool,
        ssl_min_protocol_version: Version,
        ssl_max_protocol_version: Version,
        channel_binding: ChannelBinding,
        sslaccept: SslAccept,
        ssl: bool,
        mode: Mode,
        pool_mode: PoolMode,
        consistency: Level,
        scope: Scope,
        on_stale: OnStale,
        locked_settings: Locked,
        // Zero stands for "any number".
        primary_read_limit: usize,
        primary_read_overflow: Overflow,
        client_auth: ClientAuth,
        // Empty stands for "off".
        auth_query: String,
        auth_user: String,
        auth_file: String,
        auth_ttl: Duration,
        user_limit: usize,
        max_clients: usize,
        prepared_statements_per_server: usize,
        startup_timeout: Duration,
        failover_timeout: Duration,
        // Zero stands for "any time" in these.
        query_timeout: Duration,
        idle_in_transaction_timeout: Duration,
        client_idle_timeout: Duration,
        server_lifetime: Duration,
        server_idle_timeout: Duration,
        long_pin: Duration,
        slow_statement: Duration,
        min_connections: usize,
        // Zero stands for "any number".
        max_user_client_connections: usize,
        // Zero stands for "never".
        dns_interval: Duration,
        patroni_interval: Duration,
        discover_replicas: bool,
        // Zero stands for "that of the node they stream from".
        discovered_port: u16,
        // Zero stands for "off" in these.
        slow_start: Duration,
        max_replica_lag: Duration,
        max_error_percent: usize,
        max_latency_factor: usize,
        max_holdback: Duration,
    }
}

/// Where a database is, and who said so.
#[derive(Clone, Debug)]
pub(super) struct NodesLayer {
    pub(super) nodes: Vec<NodeSettings>,
    /// What is at these addresses.
    pub(super) place: Place,
    pub(super) origin: Origin,
}

/// Someone who may connect, and who said so.
#[derive(Clone, Debug)]
pub(super) struct UserLayer {
    pub(super) name: String,
    pub(super) password: Option<Secret>,
    pub(super) tuning: UserTuning,
    /// Of this, only [`super::limits::KEYS`] can be said of a user.
    pub(super) limits: Tuning,
    /// What was said of it, in which words.
    pub(super) said: Notes,
    pub(super) origin: Origin,
}

/// A rule, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct RuleLayer {
    pub(super) rule: RuleSettings,
    pub(super) origin: Origin,
}

/// What one source said about one database.
#[derive(Clone, Debug)]
pub(super) struct DatabaseLayer {
    /// Whether a piece could not be read, so that its absence is no second mistake.
    pub(super) broken: bool,
    pub(super) origin: Origin,
    pub(super) server_name: Option<String>,
    pub(super) nodes: Option<NodesLayer>,
    pub(super) users: Vec<UserLayer>,
    /// Only a file has rules.
    pub(super) rules: Vec<RuleLayer>,
    pub(super) tuning: Tuning,
    /// What was said of it, in which words.
    pub(super) said: Notes,
}

impl DatabaseLayer {
    pub(super) fn new(origin: Origin) -> Self {
        Self {
            broken: false,
            origin,
            server_name: None,
            nodes: None,
            users: Vec::new(),
            rules: Vec::new(),
            tuning: Tuning::default(),
            said: Notes::default(),
        }
    }

    /// This layer where it says something, `below` elsewhere. Users are joined by name, this layer's first.
    pub(super) fn over(mut self, below: Self) -> Self {
        self.rules.extend(below.rules);
        Self {
            broken: self.broken || below.broken,
            origin: self.origin,
            server_name: self.server_name.or(below.server_name),
            nodes: self.nodes.or(below.nodes),
            users: join_users(self.users, below.users),
            rules: self.rules,
            tuning: self.tuning.over(below.tuning),
            said: self.said.over(below.said),
        }
    }
}

fn join_users(mut above: Vec<UserLayer>, below: Vec<UserLayer>) -> Vec<UserLayer> {
    for user in below {
        match above.iter_mut().find(|known| known.name == user.name) {
            Some(known) => {
                known.password = known.password.take().or(user.password);
                let (ours, theirs) = (known.tuning, user.tuning);
                known.tuning = UserTuning {
                    consistency: ours.consistency.or(theirs.consistency),
                    scope: ours.scope.or(theirs.scope),
                    on_stale: ours.on_stale.or(theirs.on_stale),
                    locked_settings: ours.locked_settings.or(theirs.locked_settings),
                };
                known.limits = std::mem::take(&mut known.limits).over(user.limits);
                known.said = std::mem::take(&mut known.said).over(user.said);
            }
            None => above.push(user),
        }
    }
    above
}
