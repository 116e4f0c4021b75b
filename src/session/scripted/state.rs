//! What a scripted server session has: settings, transactions, and what binds whoever uses it.

use std::collections::{BTreeMap, BTreeSet};

use crate::wire::TransactionStatus;

/// Settings that are reported, as PostgreSQL spells them.
const REPORTED: [&str; 6] = [
    "application_name",
    "client_encoding",
    "DateStyle",
    "standard_conforming_strings",
    "TimeZone",
    "in_hot_standby",
];

const DEFAULTS: [(&str, &str); 12] = [
    ("application_name", ""),
    ("client_encoding", "UTF8"),
    ("datestyle", "ISO"),
    ("standard_conforming_strings", "on"),
    ("timezone", "UTC"),
    ("in_hot_standby", "off"),
    ("work_mem", "4MB"),
    ("search_path", "public"),
    ("lock_timeout", "0"),
    ("statement_timeout", "0"),
    ("role", "none"),
    ("session_authorization", "app"),
];

/// What a transaction can take back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Undoable {
    session: BTreeMap<String, String>,
    local: BTreeMap<String, String>,
    temps: BTreeSet<String>,
    channels: BTreeSet<String>,
}

/// What a scripted server session has.
#[derive(Debug)]
pub(super) struct State {
    defaults: BTreeMap<String, String>,
    now: Undoable,
    before: Option<Undoable>,
    savepoints: Vec<(String, Undoable)>,
    reported: BTreeMap<&'static str, String>,
    pub(super) status: TransactionStatus,
    /// Of the transaction that is open.
    pub(super) read_only: bool,
}

impl State {
    /// A session that begins with these settings.
    pub(super) fn new(startup: &[(String, String)]) -> Self {
        let mut defaults: BTreeMap<_, _> =
            DEFAULTS.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        for (name, value) in startup.iter().filter(|(name, _)| name != "user" && name != "database") {
            defaults.insert(name.to_ascii_lowercase(), value.clone());
        }
        Self {
            defaults,
            now: Undoable::default(),
            before: None,
            savepoints: Vec::new(),
            reported: BTreeMap::new(),
            status: TransactionStatus::Idle,
            read_only: false,
        }
    }

    /// Custom settings are there from the beginning, and empty. (In PostgreSQL they are once they were set, which shows that
    /// sessions share a connection, and nothing else.)
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let set = self.now.local.get(name).or_else(|| self.now.session.get(name));
        let value = set.or_else(|| self.defaults.get(name)).cloned();
        value.or_else(|| name.contains('.').then(String::new))
    }

    /// The settings that were set and not reset, of those that PostgreSQL lists.
    pub(super) fn listed(&self) -> Vec<(String, String)> {
        let mut all = self.now.session.clone();
        all.extend(self.now.local.clone());
        all.retain(|name, _| !name.contains('.') && name != "role" && name != "session_authorization");
        all.into_iter().collect()
    }

    /// Whether the setting was set and not reset.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.now.local.contains_key(name) || self.now.session.contains_key(name)
    }

    /// False: there is no such setting.
    pub(super) fn set(&mut self, name: &str, value: String, local: bool) -> bool {
        if self.get(name).is_none() {
            return false;
        }
        if local {
            self.now.local.insert(name.to_owned(), value);
        } else {
            self.now.local.remove(name);
            self.now.session.insert(name.to_owned(), value);
        }
        true
    }

    pub(super) fn reset(&mut self, name: &str) -> bool {
        self.now.local.remove(name);
        self.now.session.remove(name);
        self.get(name).is_some()
    }

    pub(super) fn reset_all(&mut self) {
        self.now.local.retain(|name, _| name == "role" || name == "session_authorization");
        self.now.session.retain(|name, _| name == "role" || name == "session_authorization");
    }

    pub(super) fn discard_all(&mut self) {
        self.now = Undoable::default();
    }

    pub(super) fn temps(&mut self) -> &mut BTreeSet<String> {
        &mut self.now.temps
    }

    pub(super) fn channels(&mut self) -> &mut BTreeSet<String> {
        &mut self.now.channels
    }

    /// A command begins: with it a transaction, if there is none.
    pub(super) fn touch(&mut self) {
        self.before.get_or_insert_with(|| self.now.clone());
    }

    pub(super) fn commit(&mut self) {
        self.now.local.clear();
        self.end();
    }

    pub(super) fn roll_back(&mut self) {
        if let Some(before) = self.before.take() {
            self.now = before;
        }
        self.now.local.clear();
        self.end();
    }

    fn end(&mut self) {
        self.before = None;
        self.savepoints.clear();
        self.read_only = false;
        self.status = TransactionStatus::Idle;
    }

    pub(super) fn savepoint(&mut self, name: &str) {
        self.savepoints.push((name.to_owned(), self.now.clone()));
    }

    /// False: there is no such savepoint.
    pub(super) fn release(&mut self, name: &str) -> bool {
        let at = self.savepoints.iter().rposition(|(savepoint, _)| savepoint == name);
        at.map(|at| self.savepoints.truncate(at)).is_some()
    }

    /// False: there is no such savepoint.
    pub(super) fn roll_back_to(&mut self, name: &str) -> bool {
        let Some(at) = self.savepoints.iter().rposition(|(savepoint, _)| savepoint == name) else {
            return false;
        };
        self.savepoints.truncate(at + 1);
        self.now = self.savepoints[at].1.clone();
        self.status = TransactionStatus::Open;
        true
    }

    /// Reported settings that have other values than were reported last.
    pub(super) fn reports(&mut self) -> Vec<(&'static str, String)> {
        let mut changed = Vec::new();
        for name in REPORTED {
            let value = self.get(&name.to_ascii_lowercase()).unwrap_or_default();
            if self.reported.get(name) != Some(&value) {
                self.reported.insert(name, value.clone());
                changed.push((name, value));
            }
        }
        changed
    }

    /// Whether nothing is there that another session must not find, but for settings.
    pub(super) fn is_clean(&self) -> bool {
        self.status == TransactionStatus::Idle
            && self.before.is_none()
            && self.now.local.is_empty()
            && self.now.temps.is_empty()
            && self.now.channels.is_empty()
    }
}
