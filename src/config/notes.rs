//! What was said, in the words in which it was said, and where: for those who want to see what holds and why.

use super::layer::DatabaseLayer;
use super::mistake::Origin;

/// One thing that was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The setting, as the file calls it.
    pub key: String,
    /// The value as it was written; `None` for what is not to be shown.
    pub text: Option<String>,
    /// Where: a file and line, a variable, a flag, or a URL (redacted) and its parameter.
    pub origin: String,
}

/// What was said of one thing. A setting that is a list has a note for each item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes(Vec<Note>);

impl Notes {
    /// Notes a value.
    pub(super) fn say(&mut self, key: &str, text: &str, origin: &Origin) {
        self.0.push(Note { key: key.to_owned(), text: Some(text.to_owned()), origin: origin.to_string() });
    }

    /// Notes that there is a value, which is not to be shown.
    pub(super) fn hide(&mut self, key: &str, origin: &Origin) {
        self.0.push(Note { key: key.to_owned(), text: None, origin: origin.to_string() });
    }

    /// These notes where they say something of a setting, those `below` elsewhere.
    pub(super) fn over(mut self, below: Self) -> Self {
        let more: Vec<Note> =
            below.0.into_iter().filter(|note| self.of(&note.key).next().is_none()).collect();
        self.0.extend(more);
        self
    }

    /// What was said of a setting.
    pub fn of<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Note> {
        self.0.iter().filter(move |note| note.key == key)
    }
}

/// What was said of everything, by whom it was said that counts.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// Of the whole proxy.
    pub top: Notes,
    /// Of each database, in the order of [`super::Settings::databases`].
    pub databases: Vec<DatabaseTrace>,
}

/// What was said of a database.
#[derive(Clone, Debug)]
pub struct DatabaseTrace {
    /// Where it was named.
    pub origin: String,
    /// Where its nodes were named.
    pub nodes: Option<String>,
    /// Its settings.
    pub said: Notes,
    /// Its users' settings, by their names, with where they were named.
    pub users: Vec<(String, String, Notes)>,
    /// Where its rules stand, in their order.
    pub rules: Vec<String>,
}

impl DatabaseTrace {
    pub(super) fn of(layer: &DatabaseLayer) -> Self {
        let users = layer.users.iter();
        Self {
            origin: layer.origin.to_string(),
            nodes: layer.nodes.as_ref().map(|nodes| nodes.origin.to_string()),
            said: layer.said.clone(),
            users: users
                .map(|user| (user.name.clone(), user.origin.to_string(), user.said.clone()))
                .collect(),
            rules: layer.rules.iter().map(|rule| rule.origin.to_string()).collect(),
        }
    }
}
