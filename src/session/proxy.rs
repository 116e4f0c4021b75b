//! What all sessions of one proxy share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;

use super::accounts::Accounts;
use super::admission::Admission;
use super::averages::Averages;
use super::cancel::Cancels;
use super::console::Administrators;
use super::control::Controls;
use super::door::Door;
use super::encryption::Encryption;
use super::gate::Gate;
use super::guests::Guests;
use super::peers::Peers;
use super::pins::PinList;
use super::rules::Rules;
use super::stale::Budget;
use super::statements::Statements;
use super::throttle::Throttles;
use super::user::User;
use crate::auth::Salts;
use crate::cluster::{Clock, Cluster, Members, Node};
use crate::config::{DatabaseSettings, Settings, UserSettings};
use crate::pool::Quota;
use crate::routing::NodeId;
use crate::spans::Spans;
use crate::stats::{CancelStats, DatabaseStats, Logins, Present, Stats};

/// What all sessions of one proxy share.
#[derive(Debug)]
pub struct Proxy {
    databases: ArcSwap<Databases>,
    /// Counts changes of these.
    edition: AtomicU64,
    pub(super) clock: Clock,
    /// Every metric.
    pub stats: Arc<Stats>,
    /// What binds sessions to server connections.
    pub pins: Arc<PinList>,
    /// Sessions there have been.
    pub(super) sessions: AtomicU64,
    pub(super) statements: Statements,
    pub(super) cancels: Arc<Cancels>,
    pub(super) cancel_stats: CancelStats,
    /// The other instances behind the same address.
    pub(super) peers: Peers,
    /// What is kept of passwords, and of those that nobody has.
    pub(super) salts: Arc<Salts>,
    /// What holds for clients before they have logged in.
    pub(super) admission: Admission,
    pub(super) logins: Logins,
    pub(super) log_statements: AtomicBool,
    /// Where spans of statements go, if somebody wants them.
    pub(super) spans: OnceLock<Spans>,
    pub(super) administrators: ArcSwap<Administrators>,
    /// Whether clients' connections are encrypted, and how.
    pub(super) encryption: ArcSwap<Encryption>,
    /// What the console asks of the program.
    pub controls: Controls,
    /// What is in force, as the console shows it.
    pub(super) settings: ArcSwap<Settings>,
    /// What databases have done lately.
    pub(super) averages: Averages,
    /// Becomes true when the proxy is to stop: idle sessions end at once, the others when they are idle.
    pub(super) stopping: watch::Sender<bool>,
    /// Whether clients come in.
    pub door: Door,
}

/// Databases by the name clients ask for.
pub type Databases = HashMap<String, Arc<Database>>;

/// One database of the configuration, as it is until the configuration or the list of its nodes changes. What outlives
/// that is shared by all that follow each other.
#[derive(Debug)]
pub struct Database {
    /// Its settings.
    pub settings: DatabaseSettings,
    /// The nodes that have it.
    pub cluster: Arc<Cluster>,
    /// Its counters.
    pub stats: DatabaseStats,
    /// Who may use it, without the guests.
    pub users: HashMap<String, Arc<User>>,
    pub(super) guests: Arc<Guests>,
    /// What servers are asked about users; `None`: nothing.
    pub(super) accounts: Option<Arc<Accounts>>,
    /// Counts those that follow each other as this database.
    pub(super) generation: u64,
    pub(super) members: Members,
    /// What nobody proves.
    pub(super) salts: Arc<Salts>,
    pub(super) rules: Arc<Rules>,
    pub(super) budget: Budget,
    pub(super) quotas: Vec<(NodeId, Arc<Quota>)>,
    /// Whether its statements pass, and new clients are let in.
    pub gate: Arc<Gate>,
    clients: Arc<AtomicUsize>,
    /// How many lines it may log.
    pub(super) throttles: Arc<Throttles>,
}

/// A client that was admitted to a database; dropping it makes room.
#[derive(Debug)]
pub(super) struct Admitted {
    database: Arc<Database>,
    /// Those of its user.
    user: Arc<AtomicUsize>,
    _present: Present,
}

/// Why a client is not admitted: there are as many as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    Database(usize),
    User(usize),
}

impl Admitted {
    /// One more client of the database as this user, if there may be one.
    pub(super) fn new(database: &Arc<Database>, user: &User) -> Result<Self, Full> {
        let in_database = database.clients.fetch_add(1, Ordering::Relaxed);
        let of_user = user.clients.fetch_add(1, Ordering::Relaxed);
        let admitted = Self {
            database: Arc::clone(database),
            user: Arc::clone(&user.clients),
            _present: Present::new(&database.stats.clients),
        };
        match user.limits.max_client_connections {
            _ if in_database >= database.settings.max_clients => {
                Err(Full::Database(database.settings.max_clients))
            }
            Some(most) if of_user >= most => Err(Full::User(most)),
            _ => Ok(admitted),
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.database.clients.fetch_sub(1, Ordering::Relaxed);
        self.user.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Proxy {
    /// Builds everything the settings ask for; nothing is connected to yet. Deriving keys takes milliseconds a user.
    pub fn new(settings: &Settings, stats: Arc<Stats>, clock: Clock) -> Self {
        let salts = Salts::new(rand::random());
        let proxy = Self {
            databases: ArcSwap::default(),
            edition: AtomicU64::new(0),
            clock,
            logins: Logins::new(&stats),
            cancel_stats: CancelStats::new(&stats),
            stats,
            pins: Arc::default(),
            sessions: AtomicU64::new(0),
            statements: Statements::new(rand::random()),
            cancels: Arc::new(Cancels::new(settings.peer_id)),
            peers: Peers::new(settings.peer_id, &settings.peers),
            admission: Admission::new(settings),
            log_statements: AtomicBool::new(settings.log_statements),
            spans: OnceLock::new(),
            administrators: ArcSwap::from_pointee(Administrators::new(&settings.console_users, &salts)),
            salts: Arc::new(salts),
            encryption: ArcSwap::from_pointee(Encryption::unread(&settings.tls)),
            controls: Controls::default(),
            settings: ArcSwap::from_pointee(settings.clone()),
            averages: Averages::default(),
            stopping: watch::Sender::new(false),
            door: Door::default(),
        };
        let databases = settings.databases.iter();
        let databases = databases.map(|d| (d.name.clone(), Arc::new(Database::new(d, &proxy)))).collect();
        proxy.databases.store(Arc::new(databases));
        proxy
    }

    /// Spans of statements go there from now on. To be called once.
    pub fn send_spans(&self, spans: Spans) {
        let _ = self.spans.set(spans);
    }

    /// The databases there are at this moment.
    pub fn databases(&self) -> Guard<Arc<Databases>> {
        self.databases.load()
    }

    /// The database of this name, if there is one.
    pub fn database(&self, name: &str) -> Option<Arc<Database>> {
        self.databases().get(name).cloned()
    }

    /// Counts changes of the databases and their nodes: a session looks at it before each statement.
    pub(super) fn edition(&self) -> u64 {
        self.edition.load(Ordering::Acquire)
    }

    /// These are the databases from now on. To be called by one at a time.
    pub(super) fn publish(&self, databases: Databases) {
        self.databases.store(Arc::new(databases));
        self.edition.fetch_add(1, Ordering::AcqRel);
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

    /// How many texts of prepared statements are known, and the bytes they take, about.
    pub(super) fn known_texts(&self) -> (usize, usize) {
        self.statements.texts()
    }

    /// Goes by these settings, as the console shows them.
    pub fn shows(&self, settings: &Settings) {
        self.settings.store(Arc::new(settings.clone()));
    }

    /// How many clients wait for something before a server can work for them, by database.
    pub fn waiting_clients(&self) -> HashMap<String, usize> {
        self.cancels.waiting()
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

    pub(super) fn new(settings: &DatabaseSettings, proxy: &Proxy) -> Self {
        let cluster = Arc::new(Cluster::new(settings, proxy.clock));
        let members = Members::clone(&cluster.nodes());
        let stats = DatabaseStats::new(&proxy.stats, &settings.name, names(&members));
        let parts = Parts { cluster, members: &members, stats, budget: Budget::new(settings), before: None };
        Self::from_parts(settings, proxy, parts)
    }

    /// What this database is from now on: by these settings, with these nodes.
    pub(super) fn followed(&self, settings: &DatabaseSettings, members: &Members, proxy: &Proxy) -> Self {
        let before = Some(self);
        let stats = self.stats.with_nodes(names(members));
        let budget = self.budget.adapted(&self.settings, settings);
        let cluster = Arc::clone(&self.cluster);
        Self::from_parts(settings, proxy, Parts { cluster, members, stats, budget, before })
    }

    fn from_parts(settings: &DatabaseSettings, proxy: &Proxy, parts: Parts<'_>) -> Self {
        let Parts { cluster, members, stats, budget, before } = parts;
        if settings.server_settings.iter().any(|(name, _)| name.eq_ignore_ascii_case("synchronous_commit")) {
            cluster.commits_asynchronously();
        }
        let limit = settings.pool.database_connection_limit;
        let kept = before.filter(|before| before.settings.pool.database_connection_limit == limit);
        let quota = |node: &Arc<Node>| {
            let kept = kept.and_then(|before| before.quotas.iter().find(|(id, _)| *id == node.id).cloned());
            kept.or_else(|| Some((node.id, Quota::new(limit?))))
        };
        let quotas: Vec<_> = members.iter().filter_map(quota).collect();
        let accounts = before.and_then(|before| before.accounts.clone()).filter(|kept| kept.is_by(settings));
        let mut database = Self {
            users: HashMap::new(),
            guests: before.map_or_else(Arc::default, |before| Arc::clone(&before.guests)),
            accounts: accounts.or_else(|| Accounts::new(settings)),
            generation: before.map_or(0, |before| before.generation + 1),
            members: Members::clone(members),
            salts: Arc::clone(&proxy.salts),
            stats,
            cluster,
            rules: Arc::new(Rules::new(settings.statement_rules(), |text| proxy.statements.shape(text))),
            budget,
            gate: before.map_or_else(Arc::default, |before| Arc::clone(&before.gate)),
            settings: settings.clone(),
            quotas,
            clients: before.map_or_else(Arc::default, |before| Arc::clone(&before.clients)),
            throttles: before.map_or_else(Arc::default, |before| Arc::clone(&before.throttles)),
        };
        let user = |user: &UserSettings| {
            let before = before.and_then(|before| before.user_before(user));
            (user.name.clone(), database.make_user(user, before))
        };
        let residents = settings.users.iter().filter(|user| settings.is_resident(user));
        database.users = residents.map(user).collect();
        database
    }

    /// A user of this database with its pools. What goes by the same as `before` is kept.
    pub(super) fn make_user(&self, user: &UserSettings, before: Option<(&User, &UserSettings)>) -> Arc<User> {
        Arc::new(User::new(self, user, before))
    }

    /// The user of this name who is configured, or has logged in.
    pub(super) fn user(&self, name: &str) -> Option<Arc<User>> {
        let guest = || self.guests.get(name, self).filter(|_| self.settings.takes_guest(name));
        self.users.get(name).cloned().or_else(guest)
    }

    /// All users who are configured, or have logged in.
    pub(super) fn all_users(&self) -> Vec<Arc<User>> {
        let mut all = self.guests.all(self);
        all.extend(self.users.values().cloned());
        all
    }

    /// Server connections of guests to each node: those that are open, idle among them, and clients that wait.
    pub fn guest_connections(&self) -> Vec<(Arc<Node>, (usize, usize, usize))> {
        let guests = self.guests.all(self);
        let on = |node: &Arc<Node>| {
            let pools = guests.iter().filter_map(|user| user.pool(node.id));
            pools.map(|pool| pool.counts()).fold((0, 0, 0), |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2))
        };
        self.members.iter().map(|node| (Arc::clone(node), on(node))).collect()
    }

    /// The user of this name, and what its settings were.
    fn user_before(&self, user: &UserSettings) -> Option<(&User, &UserSettings)> {
        let settings = self.settings.users.iter().find(|settings| settings.name == user.name)?;
        Some((self.users.get(&user.name)?, settings))
    }
}

/// What a database is made of besides its settings.
struct Parts<'a> {
    cluster: Arc<Cluster>,
    members: &'a Members,
    stats: DatabaseStats,
    budget: Budget,
    /// What it was before.
    before: Option<&'a Database>,
}

/// Numbers and names of nodes.
fn names(members: &Members) -> impl Iterator<Item = (usize, &str)> {
    members.iter().map(|node| (node.id.0, node.name.as_str()))
}
