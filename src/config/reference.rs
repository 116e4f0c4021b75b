//! What every setting of the file is: its form, its default, whether a reload takes it over, and what it means.
//!
//! Forms stand here, defaults and meanings in `config/tidegate.toml`, which is part of the program. Tests hold that every
//! setting that is read has a row, and that what a form calls right is read.

mod page;
mod schema;
mod shipped;
mod table;

#[cfg(test)]
mod tests;

pub use page::page;
pub use schema::schema;
pub use table::NEEDS_RESTART;

use self::shipped::Described;

/// A section of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// In front of all sections: the whole proxy.
    Proxy,
    /// `[peers]`
    Peers,
    /// `[sni."NAME"]`
    Sni,
    /// `[database.NAME]`
    Database,
    /// An item of `nodes`.
    Node,
    /// `[database.NAME.user.USER]`
    User,
    /// `[[database.NAME.rule]]`
    Rule,
}

impl Section {
    /// As the file writes it.
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Proxy => "The whole proxy",
            Self::Peers => "[peers]",
            Self::Sni => "[sni.\"NAME\"]",
            Self::Database => "[database.NAME]",
            Self::Node => "An item of nodes",
            Self::User => "[database.NAME.user.USER]",
            Self::Rule => "[[database.NAME.rule]]",
        }
    }
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Any text.
    Text,
    /// One text or several.
    Texts,
    /// A path, from the folder of the file on.
    Path,
    /// What is never shown.
    Secret,
    /// A URL of PostgreSQL or Patroni.
    Url,
    /// `true` or `false`.
    Switch,
    /// `1` or `0`.
    OneOrZero,
    /// A whole number between two, both included.
    Whole(u32, u32),
    /// The same, or `off`.
    WholeOrOff(u32, u32),
    /// A number from 0 to 1.
    Share,
    /// A time.
    Time,
    /// A time, or `off`.
    TimeOrOff,
    /// One of these words; what stands in brackets in them is a time, and can be another one.
    Word(&'static [&'static str]),
    /// Several of these words.
    Words(&'static [&'static str]),
    /// Addresses to listen on.
    Listen,
    /// An address to listen on, or `off`.
    AddressOrOff,
    /// The URL of a collector of spans, or `off`.
    CollectorOrOff,
    /// The address of a server, or of a peer.
    Server,
    /// A list of servers.
    Servers,
    /// A whole number as the name of a key.
    Numbered,
}

/// A setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Where it stands.
    pub section: Section,
    /// Its key there.
    pub name: &'static str,
    /// How it is written.
    pub form: Form,
    /// What it is without being said, as the file writes it; `None`: nothing.
    pub default: Option<&'static str>,
    /// What could be said, where there is no default.
    pub example: Option<&'static str>,
    /// What it means, in a sentence or more.
    pub meaning: String,
}

impl Setting {
    /// Whether a change is taken over by a reload.
    pub fn is_reloaded(&self) -> bool {
        self.section != Section::Proxy || !NEEDS_RESTART.contains(&self.name)
    }
}

/// Every setting there is, in the order of the table.
pub fn settings() -> Vec<Setting> {
    let described = shipped::described();
    let find =
        |section: Section, name: &str| described.iter().find(|d| d.section == section && d.name == name);
    table::ROWS
        .iter()
        .map(|row| {
            // What can be said of a user means the same as of its database.
            let is_user = row.section == Section::User;
            let found = find(if is_user { Section::Database } else { row.section }, row.name);
            let said =
                |take: fn(&Described) -> Option<&'static str>| found.and_then(take).filter(|_| !is_user);
            Setting {
                section: row.section,
                name: row.name,
                form: row.form,
                default: said(|d| d.default),
                example: said(|d| d.example),
                meaning: match row.meaning {
                    "" => found.map(|d| d.meaning.clone()).unwrap_or_default(),
                    meaning => meaning.to_owned(),
                },
            }
        })
        .collect()
}

/// How a setting is written; `None` if there is none of this name.
pub fn form(section: Section, name: &str) -> Option<Form> {
    table::ROWS.iter().find(|row| row.section == section && row.name == name).map(|row| row.form)
}
