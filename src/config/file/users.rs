//! `[database.NAME.user.USER]`

use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::note;
use crate::config::consistency::{Locked, UnknownWord};
use crate::config::document::{Walker, entries};
use crate::config::keys;
use crate::config::layer::{Tuning, UserLayer};
use crate::config::limits;
use crate::config::mistake::{Origin, Problem};
use crate::config::notes::Notes;
use crate::config::settings::UserTuning;
use crate::config::value::{self, word};

impl Walker<'_> {
    pub(super) fn users(
        &mut self,
        origin: &Origin,
        database: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Vec<UserLayer> {
        let mut users = Vec::new();
        for (name, value, span) in self.tables(origin, value, "[database.NAME.user.USER]") {
            let origin = self.at(&span).inside(&format!("database.{database}.user.{name}"));
            if let Some(table) = self.table(&origin, value) {
                users.push(self.user(origin, name, table));
            }
        }
        users
    }

    fn user(&mut self, user: Origin, name: &str, table: &DeTable<'_>) -> UserLayer {
        const KEYS: [&str; 6] =
            ["password", "password_file", "consistency", "scope", "on_stale", keys::LOCKED_SETTINGS];
        let mut passwords = Vec::new();
        let (mut tuning, mut limits) = (UserTuning::default(), Tuning::default());
        let mut said = Notes::default();
        for (key, value, span) in entries(table) {
            let (at, origin) = (self.at(&span), self.at(&span).inside(key));
            note(&mut said, key, value, &at);
            match key {
                "consistency" => tuning.consistency = self.one_word(&origin, value),
                "scope" => tuning.scope = self.one_word(&origin, value),
                "on_stale" => tuning.on_stale = self.one_word(&origin, value),
                keys::LOCKED_SETTINGS => tuning.locked_settings = self.locked(&origin, value),
                "password" => passwords.push(self.secret(&origin, value)),
                "password_file" => passwords.push(self.secret_file(&origin, value)),
                _ if limits::KEYS.contains(&key) => {
                    if let Some(text) = self.scalar(&origin, value) {
                        let result = keys::set_from_file(&mut limits, key, &text);
                        self.findings.keep(&origin, result);
                    }
                }
                _ => {
                    let known = KEYS.into_iter().chain(limits::KEYS);
                    self.findings.mistake(&origin, keys::unknown("setting", key, known));
                }
            }
        }
        if passwords.len() > 1 {
            let problem = Problem::new("both password and password_file are given", "Give one of the two");
            self.findings.mistake(&user, problem);
        }
        let password = passwords.pop().flatten().filter(|password| !password.is_empty());
        UserLayer { name: name.to_owned(), password, tuning, limits, said, origin: user }
    }

    /// Names of settings, in a list or in one text.
    pub(super) fn locked(&mut self, origin: &Origin, value: &Spanned<DeValue<'_>>) -> Option<Locked> {
        let names = self.texts(origin, value).join(",");
        self.findings.keep(origin, value::locked(&names))
    }

    fn one_word<T: FromStr<Err = UnknownWord>>(
        &mut self,
        origin: &Origin,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<T> {
        let text = self.scalar(origin, value)?;
        self.findings.keep(origin, word(&text))
    }
}
