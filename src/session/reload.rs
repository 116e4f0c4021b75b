//! A configuration that changes while the proxy runs, and a list of nodes that does.
//!
//! What sessions go by is never changed under them: a new [`Database`] takes the place of the old one, and each session
//! takes it over between two transactions. Clusters, pools and counters that are as they would be made anew go on.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::console::Administrators;
use super::failure::Failure;
use super::keep::keep_pool;
use super::proxy::{Database, Databases, Proxy};
use super::rules::Ruled;
use super::serve::Session;
use super::timer::Timer;
use crate::cluster::{self, Control, Members};
use crate::config::{DatabaseSettings, NodeSettings, Settings};
use crate::health::Cause;
use crate::pool::Pool;
use crate::routing::NodeId;

/// Pools that nobody tends yet.
type NewPools = Vec<(Arc<Database>, NodeId, Arc<Pool>)>;

impl Proxy {
    /// Starts watching a database's nodes and catalog. On the runtime that carries the monitors.
    pub fn watch(&self, database: &Database) {
        cluster::spawn(&database.cluster, Control::new(&database.settings));
        let (cluster, cancels) = (Arc::clone(&database.cluster), Arc::clone(&self.cancels));
        tokio::spawn(async move {
            let mut abandonments = cluster.abandonments();
            while !cluster.is_over() && abandonments.changed().await.is_ok() {
                cancels.wake_all();
            }
        });
    }

    /// Goes by these settings from now on: databases, users, nodes, and all that belongs to them. On the runtime that
    /// carries the monitors, by one at a time.
    pub fn reload(&self, settings: &Settings) {
        self.log_statements.store(settings.log_statements, Ordering::Relaxed);
        self.peers.follow(&settings.peers);
        self.administrators.store(Arc::new(Administrators::new(&settings.console_users, &self.salts)));
        self.admission.follow(settings);
        let before = Arc::clone(&self.databases());
        let (mut databases, mut lists) = (Databases::new(), Vec::new());
        for now in &settings.databases {
            let same = before.get(&now.name).filter(|before| before.settings.server_name == now.server_name);
            let database = if let Some(same) = same {
                let members = same.cluster.members_for(&now.nodes);
                let followed = same.followed(now, &members, self);
                lists.push((Arc::clone(&same.cluster), members));
                followed.cluster.catalog.vouch(now.vouched());
                followed.cluster.set_limits(now.health);
                followed.cluster.set_control(Control::new(now));
                followed
            } else {
                let database = Database::new(now, self);
                self.watch(&database);
                database
            };
            databases.insert(now.name.clone(), Arc::new(database));
        }
        let new = self.follow(&before, databases);
        for (cluster, members) in lists {
            cluster.replace_members(&members);
        }
        self.keep(&new);
        for (name, gone) in before.iter() {
            let is_kept = self.database(name).is_some_and(|now| Arc::ptr_eq(&now.cluster, &gone.cluster));
            if !is_kept {
                gone.cluster.end();
                gone.guests.end();
            }
        }
    }

    /// The nodes in use of the database that these settings are of; `None` if it is not there, or somebody else names its nodes.
    pub fn nodes_in_use(&self, settings: &DatabaseSettings) -> Option<Vec<NodeSettings>> {
        let running = self.database(&settings.name)?;
        let is_same = running.settings.topology.source == settings.topology.source;
        is_same.then(|| running.cluster.nodes().iter().map(|node| node.settings.clone()).collect())
    }

    /// The database has these nodes from now on. On the runtime that carries the monitors, by one at a time.
    pub fn reshape(&self, name: &str, nodes: &[NodeSettings]) {
        let before = Arc::clone(&self.databases());
        let Some(database) = before.get(name) else { return };
        let members = database.cluster.members_for(nodes);
        let is_same = |now: &Members| now.iter().map(|n| n.id).eq(members.iter().map(|n| n.id));
        if is_same(&database.cluster.nodes()) {
            return;
        }
        let followed = database.followed(&database.settings, &members, self);
        let mut databases = Databases::clone(&before);
        databases.insert(name.to_owned(), Arc::new(followed));
        let new = self.follow(&before, databases);
        // Whoever is sent to a new node has a pool for it by now.
        database.cluster.replace_members(&members);
        self.keep(&new);
    }

    /// Puts these databases in the place of those before, and closes the pools that none of them has. Returns the new ones.
    fn follow(&self, before: &Databases, now: Databases) -> NewPools {
        let pools_before: Vec<_> = pools(before).map(|(_, _, pool)| Arc::clone(pool)).collect();
        self.publish(now);
        let now = Arc::clone(&self.databases());
        let among = |pool: &Arc<Pool>, others: &[Arc<Pool>]| others.iter().any(|o| Arc::ptr_eq(o, pool));
        let new = pools(&now).filter(|(_, _, pool)| !among(pool, &pools_before));
        let new = new.map(|(database, node, pool)| (Arc::clone(database), node, Arc::clone(pool))).collect();
        let pools_now: Vec<_> = pools(&now).map(|(_, _, pool)| Arc::clone(pool)).collect();
        for pool in pools_before.iter().filter(|pool| !among(pool, &pools_now)) {
            pool.close();
            for state in ["idle", "used"] {
                let labels = [("pool", pool.name()), ("state", state)];
                self.stats.gauge("tidegate_pool_connections", &labels).set(0.0);
            }
        }
        for database in before.values() {
            self.forget_nodes(database);
        }
        for database in now.values() {
            database.guests.follow(database);
        }
        new
    }

    /// Tends pools whose nodes are there by now.
    fn keep(&self, new: &NewPools) {
        for (database, node, pool) in new {
            keep_pool(self, database, *node, pool);
        }
    }

    /// Gauges say what was last said: of nodes that are gone, that they are not there. Those that are there are asked anew.
    fn forget_nodes(&self, database: &Database) {
        for node in database.cluster.nodes().iter() {
            for role in ["primary", "replica"] {
                let labels = [("database", &*database.settings.name), ("node", &*node.name), ("role", role)];
                self.stats.gauge("tidegate_node_up", &labels).set(0.0);
            }
            for cause in Cause::ALL {
                let labels = [
                    ("database", &*database.settings.name),
                    ("node", &*node.name),
                    ("reason", cause.label()),
                ];
                self.stats.gauge("tidegate_node_health", &labels).set(0.0);
            }
            let labels = [("database", &*database.settings.name), ("node", &*node.name)];
            self.stats.gauge("tidegate_node_share", &labels).set(0.0);
            for name in ["tidegate_replica_staleness_seconds", "tidegate_replica_catch_up_seconds"] {
                let labels = [("database", &*database.settings.name), ("node", &*node.name)];
                self.stats.gauge(name, &labels).set(f64::NAN);
            }
        }
    }
}

fn pools(databases: &Databases) -> impl Iterator<Item = (&Arc<Database>, NodeId, &Arc<Pool>)> {
    databases.values().flat_map(|database| {
        let pools = database.users.values().flat_map(|user| &user.pools);
        pools.map(move |(node, pool)| (database, *node, pool))
    })
}

impl Session {
    /// Takes over what has changed in the configuration, unless a transaction is open. The usual case: nothing has.
    pub(super) fn keep_up(&mut self) -> Result<(), Failure> {
        if self.edition == self.proxy.edition() || self.leased.is_some() {
            return Ok(());
        }
        self.take_over()
    }

    #[cold]
    fn take_over(&mut self) -> Result<(), Failure> {
        // In this order: what changes in between is taken over the next time.
        self.edition = self.proxy.edition();
        let name = &self.database.settings.name;
        let gone = |what: &str, name: &str| {
            let text = format!("{what} \"{name}\" has been removed from the proxy's configuration");
            Failure::fatal("57P01", text)
        };
        let database = self.proxy.database(name).ok_or_else(|| gone("database", name))?;
        if Arc::ptr_eq(&database, &self.database) {
            return Ok(());
        }
        let user = database.user(&self.user.name).ok_or_else(|| gone("user", &self.user.name))?;
        if self.user.limits != user.limits {
            self.timer = Timer::new(user.limits);
        }
        if !Arc::ptr_eq(&self.database.cluster, &database.cluster) {
            // Other servers, whose clock of freshness has nothing to do with what was seen of the others.
            (self.last_write, self.shown, self.beside, self.located) = Default::default();
        }
        // What a session pool has kept for the client stays good, as long as its server does.
        self.parked.retain(|(node, _)| user.pool(*node).is_some());
        (self.database, self.user) = (database, user);
        (self.standing, self.ruled) = (None, Ruled::default());
        self.lock_settings();
        Ok(())
    }
}
