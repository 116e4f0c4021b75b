//! Settings `tidegate.…` that the operator has locked: they have the operator's value, whatever a client says.
//!
//! A client that would change one by its name is told so. What nobody sees coming (a value set by code, a name made when
//! the statement runs, what was set before the lock) is simply not listened to; neither are hints, which other people's
//! software writes.

use super::failure::Failure;
use super::known::Known;
use super::own::mistake;
use super::rules::Defaults;
use super::serve::Session;
use super::settings::OWN_PREFIX;
use crate::sql::{Class, Intent, Level, Lockable, Locked, OnStale, Own, Scope};

impl Session {
    /// The locks that hold by the configuration the session goes by.
    fn locked(&self) -> Locked {
        self.user.tuning.locked_settings.unwrap_or(self.database.settings.locked_settings)
    }

    /// Takes the locks over from the configuration.
    pub(super) fn lock_settings(&mut self) {
        let locked = self.locked();
        self.settings.lock(locked);
    }

    /// Takes the locks over, and refuses a client that would be against them from its start.
    pub(super) fn lock_from_start(&mut self) -> Result<(), Failure> {
        self.lock_settings();
        let locked = self.settings.locked;
        if locked.is_empty() {
            return Ok(());
        }
        let given = |setting: Lockable| {
            let value = self.settings.base.get(&format!("{OWN_PREFIX}{setting}"))?;
            Some((setting, value.clone()))
        };
        let given: Vec<_> = locked.iter().filter_map(given).collect();
        self.stand_under_rules();
        match given.iter().find(|(setting, value)| !self.is_in_force(*setting, value)) {
            Some((setting, _)) => Err(self.denied(*setting).into_fatal()),
            None => Ok(()),
        }
    }

    /// Why a statement is refused that would change a locked setting, as far as its text tells. Going back to the default is
    /// no change, and neither is a SET, by itself, to what is in force.
    pub(super) fn locked_change(&mut self, known: &Known) -> Option<Failure> {
        let locked = self.settings.locked;
        if locked.is_empty() {
            return None;
        }
        let of = |name: &str| {
            let setting = Lockable::parse(name.strip_prefix(OWN_PREFIX)?)?;
            locked.contains(setting).then_some(setting)
        };
        let setting = known.statement.set_names().iter().find_map(|name| of(name))?;
        if let Class::Own(own) = &known.statement.class
            && let Own::Set { name, value, .. } = &**own
            && (mistake(name, value).is_some() || self.is_in_force(setting, value))
        {
            // What is no value at all is a mistake first.
            return None;
        }
        Some(self.denied(setting))
    }

    /// Whether a value of a locked setting is the operator's.
    fn is_in_force(&self, setting: Lockable, value: &str) -> bool {
        let Defaults { intent, level, scope, on_stale, .. } = self.defaults(None);
        match setting {
            Lockable::Intent => Intent::parse(value) == intent,
            Lockable::Consistency => Level::parse(value) == Some(level),
            Lockable::Scope => Scope::parse(value) == Some(scope),
            Lockable::Key => value.is_empty(),
            Lockable::OnStale => OnStale::parse(value) == Some(on_stale),
        }
    }

    fn denied(&mut self, setting: Lockable) -> Failure {
        let value = self.in_force(setting.as_str());
        let value = if value.is_empty() { "nothing".to_owned() } else { format!("\"{value}\"") };
        let text =
            format!("permission denied to set parameter \"{OWN_PREFIX}{setting}\": it is locked to {value}");
        Failure::error("42501", text).with_hint(
            "The operator of the proxy decides on it (locked_settings). RESET is allowed, and so is SET to the value it has.",
        )
    }
}
