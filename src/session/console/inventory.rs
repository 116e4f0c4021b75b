//! What there is to operate on: databases, nodes and pools by their names.

use std::sync::Arc;

use super::answer::Refusal;
use super::command::{NodeName, shown};
use crate::cluster::Node;
use crate::config::nearest;
use crate::pool::Pool;
use crate::session::proxy::{Database, Proxy};
use crate::session::user::User;

/// A user's connections to a node.
pub(super) struct Share {
    pub(super) user: Arc<User>,
    pub(super) node: Arc<Node>,
    pub(super) pool: Arc<Pool>,
}

/// A node of a database.
pub(super) type Member = (Arc<Database>, Arc<Node>);

/// All databases, by name.
pub(super) fn databases(proxy: &Proxy) -> Vec<Arc<Database>> {
    let mut all: Vec<_> = proxy.databases().values().cloned().collect();
    all.sort_by(|a, b| a.settings.name.cmp(&b.settings.name));
    all
}

/// The database of this name.
pub(super) fn database(proxy: &Proxy, name: &str) -> Result<Arc<Database>, Refusal> {
    let all = databases(proxy);
    if let Some(found) = all.iter().find(|database| database.settings.name == name) {
        return Ok(Arc::clone(found));
    }
    let names = all.iter().map(|database| database.settings.name.as_str());
    Err(Refusal::new("3D000", format!("there is no database {}", shown(name))).with_hint(known(name, names)))
}

/// The database of this name, or all.
pub(super) fn chosen(proxy: &Proxy, name: Option<&str>) -> Result<Vec<Arc<Database>>, Refusal> {
    match name {
        Some(name) => Ok(vec![database(proxy, name)?]),
        None => Ok(databases(proxy)),
    }
}

/// The nodes of this name, each with its database. The port may be left out where that is clear.
pub(super) fn nodes(proxy: &Proxy, name: &NodeName) -> Result<Vec<Member>, Refusal> {
    let databases = chosen(proxy, name.database.as_deref())?;
    let all: Vec<_> = databases
        .iter()
        .flat_map(|database| {
            let nodes = Arc::clone(&database.cluster.nodes());
            nodes.iter().map(|node| (Arc::clone(database), Arc::clone(node))).collect::<Vec<_>>()
        })
        .collect();
    let of = |is_meant: &dyn Fn(&str) -> bool| -> Vec<_> {
        all.iter().filter(|(_, node)| is_meant(&node.name)).cloned().collect()
    };
    let exactly = of(&|full| full == name.node);
    let found = if exactly.is_empty() {
        of(&|full| full.rsplit_once(':').is_some_and(|(host, _)| host == name.node))
    } else {
        exactly
    };
    let mut names: Vec<&str> = found.iter().map(|(_, node)| node.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    match names.len() {
        1 => Ok(found),
        0 => {
            let mut names: Vec<&str> = all.iter().map(|(_, node)| node.name.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            Err(Refusal::new("42704", format!("there is no node {}", shown(&name.node)))
                .with_hint(known(&name.node, names.into_iter())))
        }
        _ => Err(Refusal::new("42704", format!("{} can be several nodes", shown(&name.node)))
            .with_hint(format!("Give its port: {}.", names.join(", ")))),
    }
}

/// All pools of a database, by user and node.
pub(super) fn pools(database: &Database) -> Vec<Share> {
    let mut users = database.all_users();
    users.sort_by(|a, b| a.name.cmp(&b.name));
    users.iter().flat_map(|user| shares(database, user)).collect()
}

fn shares(database: &Database, user: &Arc<User>) -> impl Iterator<Item = Share> {
    user.pools.iter().filter_map(|(id, pool)| {
        Some(Share { user: Arc::clone(user), node: database.cluster.node(*id)?, pool: Arc::clone(pool) })
    })
}

/// The name of the node that a pool of this user connects to.
pub(super) fn node_of(database: &Database, user: &Arc<User>, pool: &Arc<Pool>) -> String {
    let found = shares(database, user).find(|share| Arc::ptr_eq(&share.pool, pool));
    found.map(|share| share.node.name.clone()).unwrap_or_default()
}

/// What there is instead of `wanted`.
fn known<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    match nearest(wanted, names.iter().copied()) {
        Some(near) => format!("Did you mean {near}?"),
        None => format!("There are: {}.", names.join(", ")),
    }
}
