//! Rules: the operator's word about where statements go.
//!
//! Owns what a rule can say and whom it holds for. Must not know which word wins over which: sessions and the catalog
//! decide that.

mod read;

use super::mistake::Problem;
use super::settings::DatabaseSettings;
use crate::sql::{Intent, Level};

/// One rule of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleSettings {
    /// About functions, whoever calls them.
    Functions(ObjectRule),
    /// About tables and views, whoever reads them.
    Tables(ObjectRule),
    /// About statements: who sends them, and how they read.
    Statements(StatementRule),
}

/// What a rule says about objects of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRule {
    /// The objects, at least one: `name` (in any schema) or `schema.name`, as the catalog has them; `*` stands for any
    /// characters.
    pub names: Vec<Box<str>>,
    /// `replica`: they only read. `primary`: only the primary will do.
    pub intent: Intent,
}

/// What a rule says about statements. It says at least one thing under at least one condition; a condition that is not
/// set has no values, and one with several is met by any of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatementRule {
    /// Who logged in.
    pub users: Vec<String>,
    /// What the client calls itself at the moment.
    pub application_names: Vec<Pattern>,
    /// The statement has the shape of this one. Each is one statement that the grammar understands.
    pub statements: Vec<String>,
    /// Where the statements go.
    pub intent: Option<Intent>,
    /// What they are promised to see.
    pub consistency: Option<Level>,
}

impl StatementRule {
    /// Whether a session of this user and application can meet it.
    pub fn is_for(&self, user: &str, application_name: &str) -> bool {
        let names = &self.application_names;
        (self.users.is_empty() || self.users.iter().any(|name| name == user))
            && (names.is_empty() || names.iter().any(|pattern| pattern.matches(application_name)))
    }
}

/// A text, or the beginning of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// This text.
    Exactly(String),
    /// Any text that begins so.
    StartsWith(String),
}

impl Pattern {
    /// Reads `metabase` or `metabase*`.
    fn read(text: &str) -> Result<Self, Problem> {
        let (pattern, start) = match text.strip_suffix('*') {
            Some(start) => (Self::StartsWith(start.to_owned()), start),
            None => (Self::Exactly(text.to_owned()), text),
        };
        if start.contains('*') {
            let problem = "a * stands before the end of the text";
            return Err(Problem::new(problem, "Write the whole text, or its beginning and one * at the end"));
        }
        Ok(pattern)
    }

    /// Whether `text` is meant.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exactly(whole) => text == whole,
            Self::StartsWith(start) => text.starts_with(start.as_str()),
        }
    }
}

/// Objects that the operator vouches for, or wants on the primary, as [`ObjectRule::names`] writes them. What is on both
/// lists belongs on the primary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VouchedNames {
    /// Any node answers alike.
    pub read: Vec<Box<str>>,
    /// Only the primary will do.
    pub primary: Vec<Box<str>>,
}

impl VouchedNames {
    fn collect<'a>(rules: impl Iterator<Item = &'a ObjectRule>) -> Self {
        let mut vouched = Self::default();
        for rule in rules {
            let list = match rule.intent {
                Intent::Replica => &mut vouched.read,
                Intent::Primary => &mut vouched.primary,
            };
            list.extend(rule.names.iter().cloned());
        }
        vouched
    }
}

impl DatabaseSettings {
    /// What the rules say about functions.
    pub fn vouched_functions(&self) -> VouchedNames {
        VouchedNames::collect(self.rules.iter().filter_map(|rule| match rule {
            RuleSettings::Functions(rule) => Some(rule),
            _ => None,
        }))
    }

    /// What the rules say about tables and views.
    pub fn vouched_tables(&self) -> VouchedNames {
        VouchedNames::collect(self.rules.iter().filter_map(|rule| match rule {
            RuleSettings::Tables(rule) => Some(rule),
            _ => None,
        }))
    }

    /// The rules about statements, in the order in which they are asked.
    pub fn statement_rules(&self) -> impl Iterator<Item = &StatementRule> {
        self.rules.iter().filter_map(|rule| match rule {
            RuleSettings::Statements(rule) => Some(rule),
            _ => None,
        })
    }
}
