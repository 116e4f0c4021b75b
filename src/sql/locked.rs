//! Which of the settings `tidegate.…` are the operator's alone.
//!
//! A locked setting has the operator's value whatever a session or a statement says. Those that can only ask for more
//! (`after`) or only tell of decisions (`trace`) cannot be locked.

use std::fmt;
use std::str::FromStr;

use super::hint::Hints;
use super::words::{UnknownWord, words};

words! {
    /// A setting that can be locked, by its name without `tidegate.`.
    pub enum Lockable {
        /// Where statements go.
        Intent = "intent",
        /// What a read is promised.
        Consistency = "consistency",
        /// Whose writes a read must see.
        Scope = "scope",
        /// Of whose writes scope `key` speaks.
        Key = "key",
        /// What is done when no replica is fresh enough.
        OnStale = "on_stale",
    }
}

impl Lockable {
    /// Every one of them, in the order of the documentation.
    pub const ALL: [Self; 5] = [Self::Intent, Self::Consistency, Self::Scope, Self::Key, Self::OnStale];
}

/// A set of locked settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Locked(u8);

impl Locked {
    /// Whether none is locked.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this one is locked.
    pub fn contains(self, setting: Lockable) -> bool {
        self.0 & bit(setting) != 0
    }

    /// Those that are locked.
    pub fn iter(self) -> impl Iterator<Item = Lockable> {
        Lockable::ALL.into_iter().filter(move |setting| self.contains(*setting))
    }

    /// What hints may still ask for.
    #[must_use]
    pub fn allowed(self, hints: &Hints) -> Hints {
        let free = |setting| !self.contains(setting);
        Hints {
            intent: hints.intent.filter(|_| free(Lockable::Intent)),
            consistency: hints.consistency.filter(|_| free(Lockable::Consistency)),
            scope: hints.scope.filter(|_| free(Lockable::Scope)),
            key: hints.key.clone().filter(|_| free(Lockable::Key)),
            on_stale: hints.on_stale.filter(|_| free(Lockable::OnStale)),
            after: hints.after.clone(),
            log: hints.log,
            trace: hints.trace,
        }
    }
}

fn bit(setting: Lockable) -> u8 {
    1 << setting as u8
}

impl FromIterator<Lockable> for Locked {
    fn from_iter<T: IntoIterator<Item = Lockable>>(settings: T) -> Self {
        Self(settings.into_iter().fold(0, |all, setting| all | bit(setting)))
    }
}

/// Names with commas between them; nothing at all locks nothing.
impl FromStr for Locked {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::parse::<Lockable>).collect()
    }
}

impl fmt::Display for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(Lockable::as_str).collect();
        f.write_str(&names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Intent, Level, OnStale, Scope};

    #[test]
    fn names_read_back() {
        let all: Locked = Lockable::ALL.into_iter().collect();
        assert_eq!("intent,consistency, scope ,key,ON_STALE".parse(), Ok(all));
        assert_eq!(all.to_string().parse(), Ok(all));
        assert_eq!("".parse(), Ok(Locked::default()));
        assert!("consistency,after".parse::<Locked>().is_err() && "trace".parse::<Locked>().is_err());
        assert!(Lockable::ALL.iter().map(|s| s.as_str()).eq(Lockable::WORDS.iter().copied()));
    }

    #[test]
    fn only_what_is_locked_is_taken_from_hints() {
        let hints = Hints {
            intent: Some(Intent::Replica),
            consistency: Some(Level::Eventual),
            scope: Some(Scope::Connection),
            key: Some("a".into()),
            on_stale: Some(OnStale::Error),
            after: Some("1/1/0/1".into()),
            ..Hints::default()
        };
        assert_eq!(Locked::default().allowed(&hints), hints);
        let all: Locked = Lockable::ALL.into_iter().collect();
        assert_eq!(all.allowed(&hints), Hints { after: hints.after.clone(), ..Hints::default() });
        let locked: Locked = "consistency".parse().unwrap_or_default();
        assert_eq!(locked.allowed(&hints), Hints { consistency: None, ..hints });
    }
}
