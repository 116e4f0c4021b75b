//! One user of one database.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::alike::Alike;
use super::due::Proven;
use super::greeting::Greetings;
use super::login::Known;
use super::proxy::Database;
use super::sequences::SequenceUsers;
use crate::auth::{Md5Hash, Stored, Verifier, md5};
use crate::cluster::Node;
use crate::config::{DatabaseSettings, LimitSettings, UserSettings, UserTuning};
use crate::pool::{Pool, Terms};
use crate::routing::NodeId;
use crate::server::{Credential, Endpoint, Held, Keyring, ServerAddress};

/// One user of one database.
#[derive(Debug)]
pub struct User {
    pub(super) name: String,
    /// What is kept of its password; `None`: it has none.
    pub(super) verifier: Option<Verifier>,
    /// The same for MD5.
    pub(super) md5: Option<Md5Hash>,
    /// How many clients are logged in as this user.
    pub(super) clients: Arc<AtomicUsize>,
    /// What is known of its password, where that is not the password itself.
    pub(super) keyring: Option<Arc<Keyring>>,
    /// A pool per node.
    pub pools: Vec<(NodeId, Arc<Pool>)>,
    pub(super) greetings: Greetings,
    pub(super) alike: Arc<Alike>,
    pub(super) sequences: Arc<SequenceUsers>,
    pub(super) proven: Arc<Proven>,
    /// What it is promised, where that differs from the database's settings.
    pub(super) tuning: UserTuning,
    /// How long what its clients do may take.
    pub(super) limits: LimitSettings,
}

impl User {
    /// The pool of a node, if the node was there when this was made.
    pub fn pool(&self, node: NodeId) -> Option<&Arc<Pool>> {
        self.pools.iter().find(|(id, _)| *id == node).map(|(_, pool)| pool)
    }

    /// What is known of its password.
    pub(super) fn known(&self) -> Known<'_> {
        Known { verifier: self.verifier.as_ref(), md5: self.md5.as_ref() }
    }

    pub(super) fn new(
        database: &Database,
        user: &UserSettings,
        before: Option<(&User, &UserSettings)>,
    ) -> Self {
        let (Database { members, quotas, salts, .. }, settings) = (database, &database.settings);
        let password = user.password.as_ref();
        let known = before.filter(|(_, settings)| settings.password == user.password);
        let known = known.and_then(|(before, _)| before.verifier.clone());
        let same_stored = before.filter(|(_, settings)| settings.stored == user.stored);
        let keyring = same_stored.and_then(|(before, _)| before.keyring.clone());
        let keyring = password.is_none().then(|| keyring.unwrap_or_else(|| keyring_of(user)));
        let before = before.map(|(before, _)| before);
        let pool = |node: &Arc<Node>| {
            let quota = quotas.iter().find(|(id, _)| *id == node.id).map(|(_, quota)| quota);
            let terms = terms(settings, user);
            let endpoint = endpoint(settings, user, keyring.as_ref(), node);
            // A pool goes on as long as its connections are those that would be made now.
            let kept = before
                .and_then(|before| before.pool(node.id))
                .filter(|pool| *pool.endpoint() == endpoint && pool.has_quota(quota) && pool.adapt(terms));
            let name = || format!("{}@{}/{}", user.name, node.name, settings.server_name);
            let new = || Arc::new(Pool::new(name(), endpoint.clone(), terms, quota));
            (node.id, kept.cloned().unwrap_or_else(new))
        };
        Self {
            name: user.name.clone(),
            verifier: password.map(|p| known.unwrap_or_else(|| salts.verifier(&user.name, p.expose()))),
            md5: password.map(|p| md5(&user.name, p.expose())),
            clients: before.map_or_else(Arc::default, |before| Arc::clone(&before.clients)),
            pools: members.iter().map(pool).collect(),
            greetings: Greetings::default(),
            keyring,
            alike: before.map_or_else(Arc::default, |before| Arc::clone(&before.alike)),
            sequences: before.map_or_else(Arc::default, |before| Arc::clone(&before.sequences)),
            proven: before.map_or_else(Arc::default, |before| Arc::clone(&before.proven)),
            tuning: user.tuning,
            limits: user.limits,
        }
    }
}

/// For what is not the password: an md5 hash logs in by itself, a SCRAM verifier only with what a client shows.
fn keyring_of(user: &UserSettings) -> Arc<Keyring> {
    let keyring = Keyring::default();
    if let Some(Stored::Md5(hash)) = user.stored.as_ref().and_then(|stored| Stored::read(stored.expose())) {
        keyring.learn(Held::Md5(hash));
    }
    Arc::new(keyring)
}

fn endpoint(
    database: &DatabaseSettings,
    user: &UserSettings,
    keyring: Option<&Arc<Keyring>>,
    node: &Node,
) -> Endpoint {
    let keyring = keyring.cloned().map_or(Credential::None, Credential::Keyring);
    Endpoint {
        address: ServerAddress::new(&node.settings, &database.server_tls),
        database: database.server_name.clone(),
        user: user.name.clone(),
        credential: user.password.clone().map_or(keyring, Credential::Password),
        parameters: database.server_settings.clone(),
        connect_timeout: database.pool.connect_timeout,
        prepared_limit: database.prepared_per_server,
    }
}

fn terms(database: &DatabaseSettings, user: &UserSettings) -> Terms {
    Terms {
        limit: database.pool.connection_limit,
        least: user.limits.min_connections,
        wait: database.pool.pool_timeout,
        lifetime: user.limits.server_lifetime,
        idle_timeout: user.limits.server_idle_timeout,
    }
}
