//! Settings that are changed while the proxy runs, without a file: by `SET` at the console.

use std::time::Duration;

use super::mistake::{Problem, quoted};
use super::settings::{DatabaseSettings, Settings};
use super::suggest::nearest;
use super::top::filter;
use super::value::{count, duration, limit, switch, word};
use super::{keys, top};

/// Most of anything that is counted, as in a file.
const MOST: usize = 1_000_000;

/// A value for a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjustment {
    /// The setting's name, in any case of letters.
    pub key: String,
    /// Its value, as it would stand in the file, without quotation marks.
    pub value: String,
    /// The database it is for; `None`: all.
    pub database: Option<String>,
}

/// Why a setting does not get a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct NotAdjusted {
    /// What is wrong, without a full stop.
    pub problem: String,
    /// What to do about it, without a full stop.
    pub advice: String,
}

impl From<Problem> for NotAdjusted {
    fn from(Problem { problem, advice }: Problem) -> Self {
        Self { problem, advice }
    }
}

/// What takes a value: the whole proxy, or a database.
enum Takes {
    Top(fn(&mut Settings, &str) -> Result<(), Problem>),
    Database(fn(&mut DatabaseSettings, &str) -> Result<(), Problem>),
}

/// Sets a time of a database, and of its users that have no other.
macro_rules! time {
    ($field:ident) => {
        Takes::Database(|database, value| {
            let time = Some(limit(value)?).filter(|time| !time.is_zero());
            let before = database.limits.$field;
            database.limits.$field = time;
            let users = database.users.iter_mut().map(|user| &mut user.limits.$field);
            users.filter(|own| **own == before).for_each(|own| *own = time);
            Ok(())
        })
    };
}

/// Sets a time of the whole proxy.
macro_rules! top_time {
    ($field:ident) => {
        Takes::Top(|settings, value| {
            settings.$field = duration(value)?;
            Ok(())
        })
    };
}

/// What can be set, in the order in which it is listed.
const ADJUSTABLE: [(&str, Takes); 19] = [
    ("log", Takes::Top(|settings, value| keep(&mut settings.log, filter(value)))),
    ("log_statements", Takes::Top(|settings, value| keep(&mut settings.log_statements, switched(value)))),
    ("shutdown_timeout", top_time!(shutdown_timeout)),
    ("shutdown_delay", top_time!(shutdown_delay)),
    ("upgrade_timeout", top_time!(upgrade_timeout)),
    ("mode", Takes::Database(|database, value| keep(&mut database.mode, word(value)))),
    ("on_stale", Takes::Database(|database, value| keep(&mut database.on_stale, word(value)))),
    (
        "primary_read_limit",
        Takes::Database(|database, value| {
            let most = count(value, 0, MOST)?;
            database.primary_read_limit = Some(most).filter(|most| *most > 0);
            Ok(())
        }),
    ),
    (
        "connection_limit",
        Takes::Database(|database, value| {
            // More than a server of PostgreSQL can have makes no sense.
            keep(&mut database.pool.connection_limit, count(value, 1, 262_143))
        }),
    ),
    (
        "max_clients",
        Takes::Database(|database, value| keep(&mut database.max_clients, count(value, 1, MOST))),
    ),
    (
        "pool_timeout",
        Takes::Database(|database, value| {
            database.pool.pool_timeout = Some(duration(value)?).filter(|time: &Duration| !time.is_zero());
            Ok(())
        }),
    ),
    (
        "failover_timeout",
        Takes::Database(|database, value| keep(&mut database.pool.failover_timeout, duration(value))),
    ),
    ("query_timeout", time!(query_timeout)),
    ("idle_in_transaction_timeout", time!(idle_in_transaction_timeout)),
    ("client_idle_timeout", time!(client_idle_timeout)),
    ("server_lifetime", time!(server_lifetime)),
    ("server_idle_timeout", time!(server_idle_timeout)),
    ("long_pin", time!(long_pin)),
    ("slow_statement", time!(slow_statement)),
];

fn keep<T>(place: &mut T, value: Result<T, Problem>) -> Result<(), Problem> {
    *place = value?;
    Ok(())
}

/// A switch, also as PgBouncer writes it.
fn switched(text: &str) -> Result<bool, Problem> {
    match text {
        "1" => Ok(true),
        "0" => Ok(false),
        _ => switch(text),
    }
}

/// The names of all settings that can be.
pub fn adjustable() -> impl Iterator<Item = &'static str> {
    ADJUSTABLE.iter().map(|(key, _)| *key)
}

impl Settings {
    /// Gives a setting a value. If that cannot be, nothing changes.
    pub fn adjust(&mut self, wanted: &Adjustment) -> Result<(), NotAdjusted> {
        let key = wanted.key.to_ascii_lowercase();
        let known = ADJUSTABLE.iter().find(|(known, _)| *known == key);
        let Some((key, takes)) = known else { return Err(unknown(&key).into()) };
        let mut adjusted = self.clone();
        match (takes, &wanted.database) {
            (Takes::Top(_), Some(_)) => {
                let problem = format!("{key} is a setting of the whole proxy");
                return Err(Problem::new(problem, "Leave out OF and the database").into());
            }
            (Takes::Top(set), None) => set(&mut adjusted, &wanted.value)?,
            (Takes::Database(set), None) => {
                for database in &mut adjusted.databases {
                    set(database, &wanted.value)?;
                }
            }
            (Takes::Database(set), Some(name)) => {
                let Some(database) = adjusted.databases.iter_mut().find(|database| database.name == *name)
                else {
                    return Err(self.no_database(name).into());
                };
                set(database, &wanted.value)?;
            }
        }
        *self = adjusted;
        Ok(())
    }

    fn no_database(&self, name: &str) -> Problem {
        let names: Vec<&str> = self.databases.iter().map(|database| database.name.as_str()).collect();
        Problem::new(
            format!("there is no database {}", quoted(name)),
            format!("There are: {}", names.join(", ")),
        )
    }
}

/// Why a setting is none of those that can be set.
fn unknown(key: &str) -> Problem {
    let listed = || adjustable().collect::<Vec<_>>().join(", ");
    let is_setting = keys::file_keys().chain(top::KEYS).chain(top::SECRETS).any(|known| known == key);
    if is_setting {
        let problem = format!("{key} cannot be changed by SET");
        return Problem::new(
            problem,
            format!("Change it in the file and say RELOAD; SET changes {}", listed()),
        );
    }
    let advice = match nearest(key, adjustable()) {
        Some(near) => format!("Did you mean {near}?"),
        None => format!("SET changes {}", listed()),
    };
    Problem::new(format!("there is no setting {}", quoted(key)), advice)
}

#[cfg(test)]
mod tests {
    use super::super::load::{Given, Sources, load};
    use super::super::secret::Secret;
    use super::*;

    fn settings() -> Settings {
        let url = "postgres://app:secret@pg1/app?tidegate_query_timeout=30s";
        let env = Given { url: Some(Secret::new(url)), ..Given::default() };
        load(&Sources { env, ..Sources::default() }).unwrap_or_else(|mistakes| panic!("{mistakes}"))
    }

    fn adjust(settings: &mut Settings, key: &str, value: &str, database: Option<&str>) -> Result<(), String> {
        let database = database.map(str::to_owned);
        let wanted = Adjustment { key: key.to_owned(), value: value.to_owned(), database };
        settings.adjust(&wanted).map_err(|refused| format!("{}. {}", refused.problem, refused.advice))
    }

    #[test]
    fn what_can_be_set_is_set() {
        for (key, value) in [
            ("log", "warn,tidegate::session=debug"),
            ("LOG_STATEMENTS", "1"),
            ("shutdown_timeout", "7s"),
            ("shutdown_delay", "7"),
            ("upgrade_timeout", "7min"),
            ("mode", "observe"),
            ("on_stale", "wait(5ms)"),
            ("primary_read_limit", "7"),
            ("connection_limit", "7"),
            ("max_clients", "7"),
            ("pool_timeout", "0"),
            ("failover_timeout", "7s"),
            ("Query_Timeout", "7s"),
            ("idle_in_transaction_timeout", "7s"),
            ("client_idle_timeout", "7s"),
            ("server_lifetime", "off"),
            ("server_idle_timeout", "7s"),
            ("long_pin", "7s"),
            ("slow_statement", "200ms"),
        ] {
            let (before, mut after) = (settings(), settings());
            assert_eq!(adjust(&mut after, key, value, None), Ok(()), "{key}");
            assert_ne!(before, after, "{key}");
        }
    }

    #[test]
    fn users_with_a_value_of_their_own_keep_it() {
        let mut all = settings();
        let own = all.databases[0].users[0].clone();
        let mut other = super::super::UserSettings { name: "slow".to_owned(), ..own };
        other.limits.query_timeout = Some(Duration::from_hours(1));
        all.databases[0].users.push(other);
        assert_eq!(adjust(&mut all, "query_timeout", "5s", Some("app")), Ok(()));
        let times = all.databases[0].users.iter().map(|user| user.limits.query_timeout.map(|t| t.as_secs()));
        assert_eq!(times.collect::<Vec<_>>(), [Some(5), Some(3600)]);
        assert_eq!(all.databases[0].limits.query_timeout, Some(Duration::from_secs(5)));
    }

    #[test]
    fn what_cannot_be_set_changes_nothing_and_says_why() {
        for (key, value, database, words) in [
            ("query_timeut", "5s", None, "there is no setting \"query_timeut\". Did you mean query_timeout?"),
            ("nonsense", "5", None, "SET changes log, log_statements"),
            ("listen", "127.0.0.1:1", None, "listen cannot be changed by SET. Change it in the file"),
            ("pool_mode", "session", None, "pool_mode cannot be changed by SET"),
            ("admin_token", "x", None, "admin_token cannot be changed by SET"),
            ("query_timeout", "soon", None, "\"soon\" is not a duration"),
            ("query_timeout", "5s", Some("other"), "there is no database \"other\". There are: app"),
            ("log", "info", Some("app"), "log is a setting of the whole proxy"),
            ("log", "wran", None, "Did you mean warn?"),
            ("mode", "obsreve", None, "Did you mean observe?"),
            ("connection_limit", "0", None, "is not a whole number from 1"),
        ] {
            let mut all = settings();
            let refused = adjust(&mut all, key, value, database).expect_err(key);
            assert!(refused.contains(words), "{key}: {refused}");
            assert_eq!(all, settings(), "{key}");
        }
    }
}
