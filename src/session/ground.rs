//! What a session's statements are judged on: what names mean in its database and by its `search_path`, and the
//! operator's rules.

use std::hash::BuildHasher;
use std::sync::Arc;

use super::rules::Rules;
use super::serve::Session;
use crate::cluster::catalog::Keeper;
use crate::server::Settings;
use crate::sql::catalog::SearchPath;
use crate::sql::{Leaves, Strings};

/// What a session's statements are judged on.
#[derive(Clone, Debug)]
pub(super) struct Ground {
    pub(super) path: SearchPath,
    /// How texts quote strings.
    pub(super) strings: Strings,
    /// Differs where the database, the path or the quoting does.
    pub(super) key: u64,
    /// The rules of the database.
    pub(super) rules: Arc<Rules>,
}

/// The ground of a session, as long as nothing it was made from has changed.
#[derive(Debug)]
pub(super) struct Standing {
    ground: Arc<Ground>,
    /// Transactions of the session are serializable unless they say otherwise.
    pub(super) serializable: bool,
    settings: Settings,
    generation: u64,
}

/// What may have changed the path, and is not known yet: it happened in a transaction that is still open.
fn moving() -> Leaves {
    Leaves::SETTINGS
        | Leaves::LOCAL_SETTINGS
        | Leaves::UNNAMED_SETTING
        | Leaves::RESET_ALL
        | Leaves::ROLE
        | Leaves::DISCARD_ALL
        | Leaves::ANYTHING
}

impl Ground {
    pub(super) fn new(
        hasher: &impl BuildHasher,
        database: &str,
        path: SearchPath,
        strings: Strings,
        rules: Arc<Rules>,
    ) -> Self {
        Self { key: hasher.hash_one((database, &path, strings, rules.digest)), path, strings, rules }
    }
}

impl Session {
    /// What names mean to the session now.
    pub(super) fn ground(&mut self) -> Arc<Ground> {
        if self.leased.as_ref().is_some_and(|leased| leased.left.intersects(moving())) {
            return self.new_ground(SearchPath::Any);
        }
        let generation = self.database.cluster.catalog.generation();
        let current = &self.settings.current;
        if let Some(standing) = &self.standing
            && standing.generation == generation
            && Arc::ptr_eq(&standing.settings, current)
        {
            return Arc::clone(&standing.ground);
        }
        let ground = self.new_ground(self.search_path(&self.database.cluster.catalog));
        let serializable = if self.settings.current.contains_key("default_transaction_isolation") {
            self.settings.steering.serializable
        } else {
            self.database.cluster.catalog.current().is_serializable(&self.user.name)
        };
        let settings = Arc::clone(&self.settings.current);
        self.standing = Some(Standing { ground: Arc::clone(&ground), serializable, settings, generation });
        ground
    }

    fn new_ground(&self, path: SearchPath) -> Arc<Ground> {
        Arc::new(Ground::new(
            &self.proxy.statements.hasher,
            &self.database.settings.name,
            path,
            self.settings.steering.strings,
            Arc::clone(&self.database.rules),
        ))
    }

    fn search_path(&self, catalog: &Keeper) -> SearchPath {
        let given = |name: &str| self.settings.current.get(name).map(String::as_str);
        let user = given("role").or(given("session_authorization")).unwrap_or(&self.user.name);
        let mut settings = self.database.settings.server_settings.iter();
        let configured = settings.rfind(|(name, _)| name.eq_ignore_ascii_case("search_path"));
        match given("search_path").or(configured.map(|(_, path)| path.as_str())) {
            Some(path) => SearchPath::parse(path, user),
            None if user == self.user.name => catalog.current().default_path(user),
            None => SearchPath::Any,
        }
    }
}
