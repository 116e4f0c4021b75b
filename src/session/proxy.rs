//! What all sessions of one proxy share.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::watch;

use super::alike::Alike;
use super::cancel::Cancels;
use super::door::Door;
use super::due::Proven;
use super::greeting::Greetings;
use super::pins::PinList;
use super::rules::Rules;
use super::scram::Verifier;
use super::sequences::SequenceUsers;
use super::stale::Budget;
use super::statements::Statements;
use crate::cluster::{Clock, Cluster};
use crate::config::{DatabaseSettings, LimitSettings, NodeSettings, Settings, UserSettings, UserTuning};
use crate::pool::{Pool, Quota, Terms};
use crate::server::Endpoint;
use crate::stats::{DatabaseStats, Logins, Present, Stats};

/// What all sessions of one proxy share.
#[derive(Debug)]
pub struct Proxy {
    /// Databases by the name clients ask for.
    pub databases: HashMap<String, Arc<Database>>,
    /// Every metric.
    pub stats: Arc<Stats>,
    /// What binds sessions to server connections.
    pub pins: Arc<PinList>,
    /// Sessions there have been.
    pub(super) sessions: AtomicU64,
    pub(super) statements: Statements,
    pub(super) cancels: Arc<Cancels>,
    pub(super) mock: Verifier,
    pub(super) logins: Logins,
    pub(super) log_statements: bool,
    /// Becomes true when the proxy is to stop: idle sessions end at once, the others when they are idle.
    pub(super) stopping: watch::Sender<bool>,
    /// Whether clients come in.
    pub door: Door,
}

/// One database of the configuration.
#[derive(Debug)]
pub struct Database {
    /// Its settings.
    pub settings: DatabaseSettings,
    /// The nodes that have it.
    pub cluster: Arc<Cluster>,
    /// Its counters.
    pub stats: DatabaseStats,
    /// Who may use it.
    pub users: HashMap<String, Arc<User>>,
    pub(super) rules: Arc<Rules>,
    pub(super) budget: Budget,
    clients: AtomicUsize,
}

/// A client that was admitted to a database; dropping it makes room.
#[derive(Debug)]
pub(super) struct Admitted {
    database: Arc<Database>,
    _present: Present,
}

impl Admitted {
    /// `None` when the database has as many clients as it may have.
    pub(super) fn new(database: &Arc<Database>) -> Option<Self> {
        let before = database.clients.fetch_add(1, Ordering::Relaxed);
        let admitted =
            Self { database: Arc::clone(database), _present: Present::new(&database.stats.clients) };
        (before < database.settings.max_clients).then_some(admitted)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.database.clients.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One user of one database.
#[derive(Debug)]
pub struct User {
    pub(super) name: String,
    /// `None`: anybody may log in as this user (`client_auth` = trust).
    pub(super) verifier: Option<Verifier>,
    /// A pool per node, by [`crate::routing::NodeId`].
    pub pools: Vec<Arc<Pool>>,
    pub(super) greetings: Greetings,
    pub(super) alike: Alike,
    pub(super) sequences: SequenceUsers,
    pub(super) proven: Proven,
    /// What it is promised, where that differs from the database's settings.
    pub(super) tuning: UserTuning,
    /// How long what its clients do may take.
    pub(super) limits: LimitSettings,
}

impl Proxy {
    /// Builds everything the settings ask for; nothing is connected to yet. Deriving keys takes milliseconds a user.
    pub fn new(settings: &Settings, stats: Arc<Stats>, clock: Clock) -> Self {
        let statements = Statements::new(rand::random());
        let database = |d| Arc::new(Database::new(d, &stats, clock, &statements));
        let databases = settings.databases.iter().map(|d| (d.name.clone(), database(d))).collect();
        Self {
            databases,
            logins: Logins::new(&stats),
            stats,
            pins: Arc::default(),
            sessions: AtomicU64::new(0),
            statements,
            cancels: Arc::default(),
            mock: Verifier::derive(&format!("{:x}", rand::random::<u128>())),
            log_statements: settings.log_statements,
            stopping: watch::Sender::new(false),
            door: Door::default(),
        }
    }

    /// The shapes of statements that a replica has refused: they run on the primary until the catalog changes.
    pub fn learned(&self) -> Vec<Arc<str>> {
        self.statements.learned()
    }

    /// Forgets which shapes replicas have refused; returns how many there were.
    pub fn forget_learned(&self) -> usize {
        self.statements.forget_learned()
    }

    /// How many shapes of statements are known, and the bytes they take, about.
    pub fn known_shapes(&self) -> (usize, usize) {
        self.statements.size()
    }

    /// Asks every session to end as soon as it is outside a transaction.
    pub fn stop(&self) {
        self.door.close();
        self.stopping.send_replace(true);
        self.cancels.end_all();
    }

    /// Ends every session, whatever it does. To be asked after [`Proxy::stop`].
    pub fn cut_off(&self) {
        self.cancels.cut_all();
    }

    /// Cancels what the session with this key runs. A wrong key is ignored.
    pub async fn cancel(&self, key: &crate::wire::CancelKey) {
        self.cancels.cancel(key).await;
    }
}

impl Database {
    /// Clients logged in.
    pub fn clients(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    fn new(settings: &DatabaseSettings, stats: &Arc<Stats>, clock: Clock, statements: &Statements) -> Self {
        let cluster = Arc::new(Cluster::new(settings, clock));
        let nodes: Vec<String> = cluster.nodes.iter().map(|n| n.name.clone()).collect();
        if settings.server_settings.iter().any(|(name, _)| name.eq_ignore_ascii_case("synchronous_commit")) {
            cluster.commits_asynchronously();
        }
        let quotas: Vec<_> =
            settings.nodes.iter().map(|_| settings.pool.database_connection_limit.map(Quota::new)).collect();
        let users = settings.users.iter();
        Self {
            users: users.map(|u| (u.name.clone(), Arc::new(User::new(settings, u, &quotas)))).collect(),
            stats: DatabaseStats::new(stats, &settings.name, &nodes),
            cluster,
            rules: Arc::new(Rules::new(settings.statement_rules(), |text| statements.shape(text))),
            budget: Budget::new(settings),
            settings: settings.clone(),
            clients: AtomicUsize::new(0),
        }
    }
}

impl User {
    fn new(database: &DatabaseSettings, user: &UserSettings, quotas: &[Option<Arc<Quota>>]) -> Self {
        let nodes = database.nodes.iter().zip(quotas);
        let trusted = database.client_auth == crate::config::ClientAuth::Trust;
        let password = user.password.as_ref().filter(|_| !trusted);
        Self {
            name: user.name.clone(),
            verifier: password.map(|p| Verifier::derive(p.expose())),
            pools: nodes.map(|(node, quota)| pool(database, user, node, quota.as_ref())).collect(),
            greetings: Greetings::default(),
            alike: Alike::default(),
            sequences: SequenceUsers::default(),
            proven: Proven::default(),
            tuning: user.tuning,
            limits: user.limits,
        }
    }
}

fn pool(
    database: &DatabaseSettings,
    user: &UserSettings,
    node: &NodeSettings,
    quota: Option<&Arc<Quota>>,
) -> Arc<Pool> {
    let endpoint = Endpoint {
        host: node.host.clone(),
        port: node.port,
        database: database.server_name.clone(),
        user: user.name.clone(),
        password: user.password.clone(),
        parameters: database.server_settings.clone(),
        connect_timeout: database.pool.connect_timeout,
        prepared_limit: database.prepared_per_server,
    };
    let name = format!("{}@{node}/{}", user.name, database.server_name);
    let terms = Terms {
        limit: database.pool.connection_limit,
        least: user.limits.min_connections,
        wait: database.pool.pool_timeout,
        lifetime: user.limits.server_lifetime,
        idle_timeout: user.limits.server_idle_timeout,
    };
    Arc::new(Pool::new(name, endpoint, terms, quota))
}
