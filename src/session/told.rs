//! What a client has been told of its settings.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::greeting::Greeting;

/// What a client has been told of its settings, so that it is told no more than a direct connection would tell it.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// At login; shared by all clients that are alike.
    greeting: Greeting,
    /// The name of the application as the client gave it, in which they are not.
    application: Option<Arc<str>>,
    /// Since then, where it is not the same.
    changed: BTreeMap<Box<str>, Box<str>>,
}

impl Told {
    pub(super) fn at_login(greeting: Greeting, application: Option<String>) -> Self {
        Self { greeting, application: application.map(Into::into), changed: BTreeMap::new() }
    }

    /// Names and values as they were told at login, in the server's order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.greeting.iter().map(|(name, value)| match &self.application {
            Some(application) if name == "application_name" => (name.as_str(), &**application),
            _ => (name.as_str(), value.as_str()),
        })
    }

    /// The client is told this. False when it knows it already.
    pub(super) fn tell(&mut self, name: &str, value: &str) -> bool {
        let at_login = self.iter().any(|told| told == (name, value));
        let known = self.changed.get(name).map_or(at_login, |told| **told == *value);
        if at_login {
            self.changed.remove(name);
        } else if !known {
            self.changed.insert(name.into(), value.into());
        }
        !known
    }

    /// Whether all it was told at login still holds.
    pub(super) fn is_as_at_login(&self) -> bool {
        self.changed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_is_news() {
        let greeting: Greeting = [("TimeZone", "UTC"), ("application_name", "")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let mut told = Told::at_login(greeting, Some("it".to_owned()));
        assert_eq!(told.iter().collect::<Vec<_>>(), [("TimeZone", "UTC"), ("application_name", "it")]);
        assert!(!told.tell("TimeZone", "UTC") && !told.tell("application_name", "it"));
        assert!(told.tell("TimeZone", "Asia/Tokyo") && !told.tell("TimeZone", "Asia/Tokyo"));
        assert!(!told.is_as_at_login());
        assert!(told.tell("TimeZone", "UTC") && told.is_as_at_login());
    }
}
