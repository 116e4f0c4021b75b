//! The settings of one session, and how they get onto a server connection.
//!
//! What a session has set is learned from the server itself: after a statement that may have changed settings has
//! been committed, the server is asked which settings its session has now. Before a connection serves a session
//! whose settings differ from those in force on it, the difference is applied.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use super::ask::Answer;
use super::need::key;
use super::own::{mistake, switch};
use crate::freshness::{Group, Position};
use crate::server::{Connection, Settings};
use crate::sql::{Intent, Level, Lockable, Locked, Logged, OnStale, Scope, Strings};

/// What the names of the proxy's own settings begin with.
pub(super) const OWN_PREFIX: &str = "tidegate.";
/// Start-up parameters that are not settings.
const NOT_SETTINGS: [&str; 4] = ["user", "database", "replication", "options"];
/// Values of `synchronous_commit` with which a commit is flushed before it is acknowledged.
const FLUSHED: [&str; 7] = ["on", "true", "yes", "1", "local", "remote_write", "remote_apply"];
/// Encodings in which a byte of a character can look like an ASCII character.
const UNSAFE_ENCODINGS: [&str; 8] =
    ["sjis", "shift_jis_2004", "shiftjis2004", "big5", "gbk", "gb18030", "uhc", "johab"];

/// The settings of one session.
#[derive(Clone, Debug, Default)]
pub(super) struct SessionSettings {
    /// Given at start-up: what RESET returns to.
    pub(super) base: Settings,
    /// In force now.
    pub(super) current: Settings,
    /// Custom settings (`app.user`) the session has named: the server does not list them by itself.
    custom: BTreeSet<Box<str>>,
    /// What the settings say to this proxy.
    pub(super) steering: Steering,
    by_default: Steering,
    in_transaction: InTransaction,
    /// What the operator alone decides.
    pub(super) locked: Locked,
}

/// What an open transaction has made of the settings `tidegate.…`.
#[derive(Clone, Debug, Default)]
struct InTransaction {
    /// By name without the prefix; `None` for the default.
    values: BTreeMap<Box<str>, Option<Box<str>>>,
    /// Savepoints were set or gone back to, so that some of them may not hold any more.
    has_savepoints: bool,
}

/// What the settings `tidegate.…`, and some of PostgreSQL's own, say to this proxy.
#[allow(clippy::struct_excessive_bools, reason = "independent facts, each from a setting of its own")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Steering {
    pub(super) intent: Option<Intent>,
    pub(super) level: Option<Level>,
    pub(super) scope: Option<Scope>,
    /// Of scope `key`.
    pub(super) key: Option<Group>,
    pub(super) on_stale: Option<OnStale>,
    /// A position that every read must see.
    pub(super) after: Option<Position>,
    /// The client wants to be told of every decision.
    pub(super) trace: bool,
    /// What the log is to say of its statements.
    pub(super) log: Logged,
    /// Statement texts must not be read: their encoding is not one that the lexer follows.
    pub(super) unreadable: bool,
    /// How statement texts quote strings.
    pub(super) strings: Strings,
    /// Transactions are serializable unless they say otherwise: no standby takes them.
    pub(super) serializable: bool,
    /// Commits may be acknowledged before they are flushed.
    pub(super) async_commit: bool,
    /// `search_path` names the temporary schema.
    pub(super) temp_path: bool,
}

impl SessionSettings {
    /// From a client's start-up parameters; the error names what is malformed.
    pub(super) fn at_startup(parameters: &[(String, String)]) -> Result<Self, String> {
        let mut base = BTreeMap::new();
        let options = parameters.iter().filter(|(name, _)| name == "options");
        for (name, value) in options.flat_map(|(_, text)| options_list(text)) {
            if value.is_none() {
                return Err(format!("invalid start-up option \"{name}\": only -c name=value is supported"));
            }
            base.insert(name, value.unwrap_or_default());
        }
        for (name, value) in parameters.iter().filter(|(name, _)| !NOT_SETTINGS.contains(&name.as_str())) {
            base.insert(name.to_ascii_lowercase(), value.clone());
        }
        let mut own = base.iter().filter_map(|(name, value)| Some((name.strip_prefix("tidegate.")?, value)));
        if let Some(failure) = own.find_map(|(name, value)| mistake(name, value)) {
            return Err(failure.message);
        }
        let custom = base.keys().filter(|n| n.contains('.')).map(|n| n.as_str().into()).collect();
        let base = Arc::new(base);
        let steering = Steering::of(&base);
        Ok(Self {
            current: Arc::clone(&base),
            base,
            custom,
            steering,
            by_default: Steering::default(),
            in_transaction: InTransaction::default(),
            locked: Locked::default(),
        })
    }

    /// What the application calls itself.
    pub(super) fn application(&self) -> &str {
        self.current.get("application_name").map(String::as_str).unwrap_or_default()
    }

    /// A setting `tidegate.name` as it is in force; `None` where the session does not say.
    pub(super) fn own(&self, name: &str) -> Option<&str> {
        if Lockable::parse(name).is_some_and(|setting| self.locked.contains(setting)) {
            return None;
        }
        match self.in_transaction.values.get(name) {
            Some(value) => value.as_deref(),
            None => self.current.get(&format!("tidegate.{name}")).map(String::as_str),
        }
        .filter(|value| !value.is_empty())
    }

    /// From now on the operator alone decides on these.
    pub(super) fn lock(&mut self, locked: Locked) {
        if self.locked != locked {
            self.locked = locked;
            self.steer();
        }
    }

    /// An open transaction has given a setting `tidegate.name` this value, or its default.
    pub(super) fn set_in_transaction(&mut self, name: &str, value: Option<&str>) {
        let value = value.or_else(|| self.base.get(&format!("tidegate.{name}")).map(String::as_str));
        self.in_transaction.values.insert(name.into(), value.map(Into::into));
        self.steer();
    }

    /// The transaction is over: what it has left behind is learned from the server.
    pub(super) fn end_transaction(&mut self) {
        if !self.in_transaction.values.is_empty() {
            self.in_transaction = InTransaction::default();
            self.steer();
        }
    }

    /// The transaction may have gone back to before some of its settings.
    pub(super) fn savepoint(&mut self) {
        if !self.in_transaction.values.is_empty() {
            self.in_transaction.has_savepoints = true;
            self.steer();
        }
    }

    /// What the server reports to a client of these settings: it may have defaults of its own.
    pub(super) fn reported<'a>(&mut self, reported: impl Iterator<Item = (&'a str, &'a str)>) {
        let defaults = reported.map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned())).collect();
        self.by_default = Steering::of(&defaults);
        self.steer();
    }

    /// Reads off what the settings say; where they say nothing of how texts are written, the server's defaults count.
    fn steer(&mut self) {
        self.steering = Steering::of(&self.current);
        let InTransaction { values, has_savepoints } = &self.in_transaction;
        if !values.is_empty() {
            let mut settings = (*self.current).clone();
            for (name, value) in values {
                settings.insert(format!("tidegate.{name}"), value.as_deref().unwrap_or_default().to_owned());
            }
            let inside = Steering::of(&settings);
            self.steering = if *has_savepoints { self.steering.or_stricter(inside) } else { inside };
        }
        self.steering.silence(self.locked);
        self.steering.unreadable |= self.by_default.unreadable;
        if !self.current.contains_key("standard_conforming_strings") {
            self.steering.strings = self.by_default.strings;
        }
    }

    /// The custom settings among `names` are to be asked for from now on.
    pub(super) fn named(&mut self, names: &[Box<str>]) {
        self.custom.extend(names.iter().filter(|n| n.contains('.')).cloned());
    }

    /// The question which settings the session has. Fully qualified: the session's `search_path` is its own affair.
    pub(super) fn question(&self, user: &str) -> String {
        let mut sql = String::from(
            "select name, setting from pg_catalog.pg_settings \
             where source operator(pg_catalog.=) 'session' and not name operator(pg_catalog.~~) 'transaction\\_%' \
             union all select 'role', r from pg_catalog.current_setting('role') r \
             where r operator(pg_catalog.<>) 'none' \
             union all select 'session_authorization', session_user::pg_catalog.text where ",
        );
        let _ = write!(sql, "session_user::pg_catalog.text operator(pg_catalog.<>) {}", literal(user));
        for name in &self.custom {
            let literal = literal(name);
            let _ = write!(
                sql,
                " union all select {literal}, v from pg_catalog.current_setting({literal}, true) v"
            );
            // To a setting that was never set, empty is the same as not there.
            if !self.base.contains_key(&**name) {
                sql.push_str(" where v operator(pg_catalog.<>) ''");
            }
        }
        sql
    }

    /// Takes the server's answer: what is in force there is the session's, and what it lacks of the settings given
    /// at start-up was reset, which means those.
    pub(super) fn learn(&mut self, answer: &Answer, connection: &mut Connection, resets: &Resets<'_>) {
        let found: BTreeMap<String, String> = answer.rows.iter().filter_map(|row| pair(row)).collect();
        let mut current = (*self.base).clone();
        current
            .extend(found.iter().filter(|(n, v)| !resets.covers(n, v)).map(|(n, v)| (n.clone(), v.clone())));
        if current != *self.current {
            self.current = Arc::new(current);
            self.steer();
        }
        // All of it, whatever the session is taken to have: what the connection has must not reach the next one.
        connection.settings =
            if found == *self.current { Arc::clone(&self.current) } else { Arc::new(found) };
    }
}

/// What a segment has reset, as far as its text tells.
pub(super) struct Resets<'a> {
    /// By name.
    pub(super) named: &'a [Box<str>],
    /// And everything else.
    pub(super) all: bool,
    pub(super) outcome: Outcome,
}

/// What became of a segment that has reset settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// What was reset may have been taken back.
    Failed,
}

impl Resets<'_> {
    /// Whether a setting that the server lists with this value was reset. One that was reset and then set until the end of the
    /// transaction counts as set, to PostgreSQL; a custom setting that was reset is empty, and may be empty without that.
    fn covers(&self, name: &str, value: &str) -> bool {
        let is_empty = value.is_empty() && name.contains('.');
        let named = self.named.iter().any(|reset| **reset == *name);
        named && (is_empty || self.outcome == Outcome::Done) || self.all && is_empty
    }
}

fn pair(row: &[Option<String>]) -> Option<(String, String)> {
    match row {
        // PostgreSQL lists IntervalStyle, and a client may have given intervalstyle: one setting, one name.
        [Some(name), Some(value)] => Some((name.to_ascii_lowercase(), value.clone())),
        _ => None,
    }
}

impl Steering {
    /// What is locked says nothing.
    fn silence(&mut self, locked: Locked) {
        for setting in locked.iter() {
            match setting {
                Lockable::Intent => self.intent = None,
                Lockable::Consistency => self.level = None,
                Lockable::Scope => self.scope = None,
                Lockable::Key => self.key = None,
                Lockable::OnStale => self.on_stale = None,
            }
        }
    }

    /// Where nobody knows which of both holds. What only one of them says competes with the default, whatever that is.
    fn or_stricter(self, inside: Self) -> Self {
        let level = match (self.level, inside.level) {
            (None, None) => None,
            (Some(one), Some(other)) => Some(one.and(other)),
            (Some(only), None) | (None, Some(only)) => Some(only.and(Level::Strong)),
        };
        let scope = match (self.scope, inside.scope) {
            (None, None) => None,
            (Some(one), Some(other)) => Some(one.and(other)),
            (Some(_), None) | (None, Some(_)) => Some(Scope::Database),
        };
        Self { level, scope, after: inside.after.or(self.after), ..inside }
    }

    fn of(settings: &BTreeMap<String, String>) -> Self {
        let get = |name: &str| settings.get(name).map(String::as_str);
        let encoding = get("client_encoding").unwrap_or_default().to_ascii_lowercase();
        let standard = get("standard_conforming_strings").map(|v| v.eq_ignore_ascii_case("on"));
        Self {
            intent: get("tidegate.intent").and_then(Intent::parse),
            level: get("tidegate.consistency").and_then(Level::parse),
            scope: get("tidegate.scope").and_then(Scope::parse),
            key: get("tidegate.key").filter(|key| !key.is_empty()).map(key),
            on_stale: get("tidegate.on_stale").and_then(OnStale::parse),
            after: get("tidegate.after").and_then(|token| token.parse().ok()),
            trace: get("tidegate.trace").is_some_and(switch),
            log: get("tidegate.log").and_then(Logged::parse).unwrap_or_default(),
            serializable: get("default_transaction_isolation")
                .is_some_and(|v| v.eq_ignore_ascii_case("serializable")),
            async_commit: get("synchronous_commit")
                .is_some_and(|v| !FLUSHED.contains(&v.to_ascii_lowercase().as_str())),
            strings: if standard == Some(false) { Strings::Escaped } else { Strings::Standard },
            temp_path: get("search_path").is_some_and(|path| path.to_ascii_lowercase().contains("pg_temp")),
            unreadable: UNSAFE_ENCODINGS.contains(&encoding.as_str()),
        }
    }
}

/// Whether `connection` has the settings in force that `wanted` lists.
fn agree(connection: &Connection, wanted: &Settings) -> bool {
    Arc::ptr_eq(&connection.settings, wanted) || connection.settings == *wanted
}

/// The statements that turn the settings in force on `connection` into `wanted`; one string, one transaction.
pub(super) fn difference(connection: &Connection, wanted: &Settings) -> String {
    let mut sql = String::new();
    if agree(connection, wanted) {
        return sql;
    }
    let gone = |name: &str| connection.settings.contains_key(name) && !wanted.contains_key(name);
    // Who the session is there may not be allowed to set the rest, and changing it makes the server forget the role.
    let is_somebody = connection.settings.keys().any(|name| is_identity(name));
    if is_somebody {
        sql.push_str("reset session authorization;reset role;");
    }
    for name in connection.settings.keys().filter(|n| gone(n) && !is_identity(n)) {
        let _ = write!(sql, "reset {};", quoted(name));
    }
    let differs = |name: &str, value: &String| {
        connection.settings.get(name) != Some(value) || is_somebody && is_identity(name)
    };
    set(&mut sql, wanted, differs);
    sql
}

/// The statements that clear what unread code can have left on a connection and nobody can ask for, and set what is
/// `wanted`.
pub(super) fn renewal(wanted: &Settings) -> String {
    let mut sql = String::from("reset session authorization;reset role;discard sequences;reset all;");
    set(&mut sql, wanted, |_, _| true);
    sql
}

fn set(sql: &mut String, wanted: &Settings, differs: impl Fn(&str, &String) -> bool) {
    // Who the session is goes last: it may no longer be allowed to set the rest.
    let plain = wanted.iter().filter(|(n, _)| !is_identity(n));
    let identity = ["session_authorization", "role"].into_iter().filter_map(|n| wanted.get_key_value(n));
    for (name, value) in plain.chain(identity).filter(|(n, v)| differs(n, v)) {
        let _ = write!(sql, "select pg_catalog.set_config({},{},false);", literal(name), literal(value));
    }
}

/// The name of a setting as SQL takes it.
pub(super) fn quoted(name: &str) -> String {
    let parts: Vec<_> = name.split('.').map(|part| format!("\"{}\"", part.replace('"', "\"\""))).collect();
    parts.join(".")
}

/// Whether the setting says who the session is.
pub(super) fn is_identity(name: &str) -> bool {
    name == "role" || name == "session_authorization"
}

/// A string literal that means the same whatever `standard_conforming_strings` says.
pub(super) fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Splits `options` as PostgreSQL does: white space separates, a backslash takes the next character as it is.
/// `-c name=value`, `-cname=value` and `--name=value` are settings; anything else has no value.
fn options_list(text: &str) -> Vec<(String, Option<String>)> {
    let mut words = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, words.last_mut()) {
            ('\\', Some(word)) => word.extend(chars.next()),
            (c, _) if c.is_ascii_whitespace() => words.push(String::new()),
            (c, Some(word)) => word.push(c),
            (_, None) => {}
        }
    }
    let mut words = words.into_iter().filter(|w| !w.is_empty());
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        let setting = match (word.strip_prefix("--"), word.strip_prefix("-c")) {
            (None, Some("")) => words.next().unwrap_or_default(),
            (Some(rest), _) | (None, Some(rest)) => rest.to_owned(),
            (None, None) => String::new(),
        };
        found.push(match setting.split_once('=') {
            Some((name, value)) => (name.replace('-', "_").to_ascii_lowercase(), Some(value.to_owned())),
            None => (word, None),
        });
    }
    found
}

#[cfg(test)]
mod tests;
