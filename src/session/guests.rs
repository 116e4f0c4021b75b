//! Guests: users that the configuration does not name. They are there from their first login until nobody has needed them for a
//! while.
//!
//! Nobody becomes one without having proven who it is, so strangers cannot make the proxy hold anything.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use super::failure::Failure;
use super::lock::lock;
use super::login::Known;
use super::proxy::Database;
use super::user::User;
use crate::auth::{ClientKey, Stored};
use crate::config::{DatabaseSettings, UserSettings, UserTuning};
use crate::pool::Pool;
use crate::server::{ConnectError, Held};

/// A guest whom nobody needs goes after so long where `server_idle_timeout` is off.
const REST: Duration = Duration::from_mins(10);

/// The guests of a database. They are shared by all that follow each other as this database.
#[derive(Debug, Default)]
pub(super) struct Guests(Mutex<HashMap<String, Guest>>);

#[derive(Debug)]
struct Guest {
    user: Arc<User>,
    settings: UserSettings,
    /// What is kept of its password, by the last login.
    stored: Arc<Stored>,
    /// The generation of the database that `user` is made for.
    generation: u64,
    /// What it was before, for sessions that have not taken the change over yet.
    former: Vec<Weak<User>>,
    /// Since when nobody has needed it, as far as was seen.
    unused: Option<Instant>,
}

impl Guests {
    /// The guest of this name, as the database is now.
    pub(super) fn get(&self, name: &str, database: &Database) -> Option<Arc<User>> {
        let mut guests = lock(&self.0);
        let guest = guests.get_mut(name)?;
        guest.adapt(database);
        Some(Arc::clone(&guest.user))
    }

    /// Somebody has proven to be the user of this name: what it has shown, or an md5 hash, logs in to the servers.
    pub(super) fn admit(
        &self,
        database: &Database,
        name: &str,
        stored: &Arc<Stored>,
        shown: Option<&ClientKey>,
    ) -> Result<Arc<User>, Failure> {
        let learnt = match (&**stored, shown) {
            (Stored::Scram(verifier), Some(shown)) => Held::Scram(verifier.keys(shown)),
            (Stored::Md5(hash), _) => Held::Md5(hash.clone()),
            (Stored::Scram(_), None) => return Err(nothing_shown(name)),
        };
        let mut guests = lock(&self.0);
        if !guests.contains_key(name) {
            make_room(&mut guests, database)?;
            let settings = settings_of(&database.settings, name);
            let user = database.make_user(&settings, None);
            let generation = database.generation;
            let stored = Arc::clone(stored);
            let guest = Guest { user, settings, stored, generation, former: Vec::new(), unused: None };
            guests.insert(name.to_owned(), guest);
        }
        let Some(guest) = guests.get_mut(name) else { unreachable!("it was there or has been added") };
        guest.adapt(database);
        guest.unused = None;
        if guest.stored != *stored {
            // Whoever had the other password may have been somebody else of this name.
            guest.user.pools.iter().for_each(|(_, pool)| pool.retire());
            guest.stored = Arc::clone(stored);
        }
        guest.user.learn(learnt);
        Ok(Arc::clone(&guest.user))
    }

    /// The server says that nobody of this name may log in: what is known of its password is forgotten. Its sessions go on as
    /// long as their connections do, as on a server.
    pub(super) fn forget(&self, name: &str) {
        if let Some(guest) = lock(&self.0).get(name) {
            guest.user.forget();
        }
    }

    /// All of them, as they are for this database.
    pub(super) fn all(&self, database: &Database) -> Vec<Arc<User>> {
        let mut guests = lock(&self.0);
        guests.values_mut().for_each(|guest| guest.adapt(database));
        guests.values().map(|guest| Arc::clone(&guest.user)).collect()
    }

    /// Another configuration, or another list of nodes: who is no guest any more is forgotten.
    pub(super) fn follow(&self, database: &Database) {
        let mut guests = lock(&self.0);
        guests.retain(|name, guest| {
            if !database.settings.takes_guest(name) {
                guest.end();
                return false;
            }
            guest.adapt(database);
            // What a client has shown is for what it was shown to.
            if database
                .settings
                .stored(name)
                .is_some_and(|now| Stored::read(now.expose()).as_ref() != Some(&guest.stored))
            {
                guest.user.forget();
            }
            true
        });
    }

    /// The database is gone.
    pub(super) fn end(&self) {
        lock(&self.0).drain().for_each(|(_, guest)| guest.end());
    }

    /// Looks after the pools of all, and lets go whom nobody needs any more. To be called now and then.
    pub(super) fn tend(&self, now: Instant) {
        let mut guests = lock(&self.0);
        guests.retain(|name, guest| {
            guest.user.pools.iter().for_each(|(_, pool)| pool.tend());
            if guest.is_needed() {
                guest.unused = None;
                return true;
            }
            let since = *guest.unused.get_or_insert(now);
            let rest = guest.settings.limits.server_idle_timeout.unwrap_or(REST);
            let stays = now.saturating_duration_since(since) < rest;
            if !stays {
                tracing::debug!(user = name, "a user that is not configured is forgotten");
                guest.end();
            }
            stays
        });
    }
}

impl Guest {
    /// Is made anew if the database has changed. What its connections go by stays where it is the same.
    fn adapt(&mut self, database: &Database) {
        if self.generation >= database.generation {
            return;
        }
        let settings = settings_of(&database.settings, &self.user.name);
        let user = database.make_user(&settings, Some((&self.user, &self.settings)));
        let is_kept = |pool: &Arc<Pool>| user.pools.iter().any(|(_, kept)| Arc::ptr_eq(kept, pool));
        self.user.pools.iter().filter(|(_, pool)| !is_kept(pool)).for_each(|(_, pool)| pool.close());
        self.former.retain(|former| former.strong_count() > 0);
        self.former.push(Arc::downgrade(&self.user));
        (self.user, self.settings, self.generation) = (user, settings, database.generation);
    }

    /// Whether somebody is logged in as this user, or about to be.
    fn is_needed(&self) -> bool {
        Arc::strong_count(&self.user) > 1 || self.former.iter().any(|former| former.strong_count() > 0)
    }

    fn end(&self) {
        self.user.forget();
        self.user.pools.iter().for_each(|(_, pool)| pool.close());
    }
}

/// It has proven who it is by something else than its password, and nothing else is known that servers would take.
fn nothing_shown(name: &str) -> Failure {
    Failure::fatal(
        "28000",
        format!("user \"{name}\" cannot be logged in to the servers without its password"),
    )
    .with_hint("Ask for scram-sha-256 from users whose passwords are not in the proxy's configuration.")
}

/// Room for one more guest: whoever was not needed for longest goes.
fn make_room(guests: &mut HashMap<String, Guest>, database: &Database) -> Result<(), Failure> {
    let limit = database.settings.accounts.limit;
    while guests.len() >= limit {
        let idle = guests.iter().filter(|(_, guest)| !guest.is_needed());
        // Who was not seen unused yet has been needed a moment ago.
        let oldest = idle.min_by_key(|(_, guest)| guest.unused.map_or((1, None), |since| (0, Some(since))));
        let Some(name) = oldest.map(|(name, _)| name.clone()) else {
            let text = format!("sorry, too many users already (tidegate_user_limit={limit})");
            return Err(Failure::fatal("53300", text));
        };
        guests.remove(&name).iter().for_each(Guest::end);
    }
    Ok(())
}

/// What holds for a guest: what the configuration says of somebody of this name, or of everybody.
fn settings_of(database: &DatabaseSettings, name: &str) -> UserSettings {
    let said = database.users.iter().find(|user| user.name == name).cloned();
    let mut settings = said.unwrap_or_else(|| UserSettings {
        name: name.to_owned(),
        password: None,
        stored: None,
        tuning: UserTuning::default(),
        limits: database.limits,
    });
    // Connections can be opened once somebody has logged in, and are not kept when everybody has left.
    settings.limits.min_connections = 0;
    settings
}

/// Whom somebody says to be.
pub(super) enum Account {
    /// A user of the configuration.
    Configured(Arc<User>),
    /// Somebody of whom this is kept.
    Guest(Arc<Stored>),
    /// Nobody.
    None,
}

impl Account {
    /// What is known of the password.
    pub(super) fn known(&self) -> Known<'_> {
        match self {
            Self::Configured(user) => user.known(),
            Self::Guest(stored) => match &**stored {
                Stored::Scram(verifier) => Known { verifier: Some(verifier), md5: None },
                Stored::Md5(hash) => Known { verifier: None, md5: Some(hash) },
            },
            Self::None => Known::default(),
        }
    }
}

impl User {
    /// This logs in to servers that keep the same of the password.
    fn learn(&self, learnt: Held) {
        if let Some(keyring) = &self.keyring {
            keyring.learn(learnt);
        }
    }

    /// The primary has refused a login as this user: if it does not take what a client has shown, that is forgotten. A replica
    /// may only be behind.
    pub(super) fn is_refused_by_primary(&self, error: &ConnectError) {
        if error.is_about_the_user() {
            self.forget();
        }
    }

    /// Whether a replica that does not let this user in may only be behind.
    pub(super) fn may_be_ahead(&self, error: &ConnectError) -> bool {
        self.keyring.is_some() && error.is_about_the_user()
    }

    /// What a client has shown is forgotten.
    pub(super) fn forget(&self) {
        self.keyring.iter().for_each(|keyring| keyring.forget());
    }
}
