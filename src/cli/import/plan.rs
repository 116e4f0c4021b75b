//! What an import comes to: a file of settings, files with secrets, and what is to be said.

use std::fmt::Write as _;

use zeroize::Zeroizing;

use super::ini::Place;
use crate::cli::toml_text::{key, list, text};

/// A value as TOML has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A number.
    Number(u64),
    /// Several texts.
    List(Vec<String>),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(value) => f.write_str(&text(value)),
            Self::Number(value) => write!(f, "{value}"),
            Self::List(values) => f.write_str(&list(values)),
        }
    }
}

/// Settings of one section, each at most once.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Settings(Vec<(&'static str, Value)>);

impl Settings {
    /// Sets a value, in the place of one that is there.
    pub fn set(&mut self, name: &'static str, value: Value) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, slot)) => *slot = value,
            None => self.0.push((name, value)),
        }
    }

    /// Sets what is not there yet.
    pub fn fill(&mut self, others: &Self) {
        for (name, value) in &others.0 {
            if self.get(name).is_none() {
                self.0.push((name, value.clone()));
            }
        }
    }

    /// What is set.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Takes one away.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| *known != name);
    }

    fn write(&self, out: &mut String) {
        for (name, value) in &self.0 {
            let _ = writeln!(out, "{name} = {value}");
        }
    }
}

/// A user of a database.
#[derive(Debug)]
pub struct User {
    /// Its name.
    pub name: String,
    /// What is said of it.
    pub settings: Settings,
}

/// A database.
#[derive(Debug)]
pub struct Database {
    /// As clients call it.
    pub name: String,
    /// What is said of it.
    pub settings: Settings,
    /// Its users; the first one asks the proxy's own questions.
    pub users: Vec<User>,
}

impl Database {
    /// What is said of a user, who is added if need be.
    pub fn user(&mut self, name: &str) -> &mut Settings {
        let index = self.users.iter().position(|user| user.name == name).unwrap_or_else(|| {
            self.users.push(User { name: name.to_owned(), settings: Settings::default() });
            self.users.len() - 1
        });
        &mut self.users[index].settings
    }
}

/// A file with a password in it.
pub struct SecretFile {
    /// Its name, beside the file of settings.
    pub name: String,
    /// What it holds.
    pub content: Zeroizing<String>,
}

/// What has become of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// It was translated.
    Taken,
    /// It is so without being said.
    Same,
    /// It has no meaning here.
    Unneeded,
    /// There is nothing like it.
    Missing,
    /// A person must look at it.
    Look,
}

/// What has become of one setting. Neither part holds a password.
#[derive(Debug)]
pub struct Line {
    /// What has become of it.
    pub group: Group,
    /// Its name, and of what it is a setting.
    pub name: String,
    /// Where it was said; `None`: nowhere.
    pub place: Option<Place>,
    /// What it has become, or why nothing.
    pub text: String,
}

/// What an import comes to.
#[derive(Default)]
pub struct Plan {
    /// Settings of the whole proxy.
    pub top: Settings,
    /// Peers by their numbers.
    pub peers: Vec<(u64, String)>,
    /// Databases, in the order of the file.
    pub databases: Vec<Database>,
    /// Files with passwords.
    pub secrets: Vec<SecretFile>,
    /// What is to be said, in the order of the file.
    pub report: Vec<Line>,
}

impl Plan {
    /// Notes what has become of a setting.
    pub fn say(
        &mut self,
        group: Group,
        name: impl Into<String>,
        place: Option<&Place>,
        text: impl Into<String>,
    ) {
        self.report.push(Line { group, name: name.into(), place: place.cloned(), text: text.into() });
    }

    /// The file of settings.
    pub fn toml(&self) -> String {
        let mut out = String::from(
            "# Made by \"tidegate import\" from a configuration of PgBouncer.\n\
             # Every setting there is, with its default: config/tidegate.toml and docs/configuration.md.\n\n",
        );
        self.top.write(&mut out);
        if !self.peers.is_empty() {
            out.push_str("\n[peers]\n");
            for (number, address) in &self.peers {
                let _ = writeln!(out, "{number} = {}", text(address));
            }
        }
        for database in &self.databases {
            let name = key(&database.name);
            let _ = writeln!(out, "\n[database.{name}]");
            database.settings.write(&mut out);
            for (index, user) in database.users.iter().enumerate() {
                let _ = writeln!(out, "\n[database.{name}.user.{}]", key(&user.name));
                if index == 0 {
                    out.push_str("# The first user: who asks the proxy's own questions to the servers.\n");
                }
                user.settings.write(&mut out);
            }
        }
        out
    }
}
