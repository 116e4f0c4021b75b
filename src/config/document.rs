//! A TOML document with the place of everything in it.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Findings, Origin, Problem};
use super::secret::Secret;

/// A key with its value and where both are.
pub(super) type Entry<'t, 'i> = (&'t str, &'t Spanned<DeValue<'i>>, Range<usize>);

/// A document being read, and what was found in it.
pub(super) struct Walker<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
    pub(super) findings: &'a mut Findings,
    /// Whether a password or the like stands in it.
    pub(super) holds_secret: bool,
}

impl Walker<'_> {
    /// The entries of a table that must hold tables.
    pub(super) fn tables<'t, 'i>(
        &mut self,
        origin: &Origin,
        value: &'t Spanned<DeValue<'i>>,
        form: &str,
    ) -> Vec<Entry<'t, 'i>> {
        if let DeValue::Table(table) = value.get_ref() {
            return entries(table);
        }
        self.wrong_type(origin, value.get_ref(), &format!("a section {form}"));
        Vec::new()
    }

    pub(super) fn table<'t, 'i>(
        &mut self,
        origin: &Origin,
        value: &'t Spanned<DeValue<'i>>,
    ) -> Option<&'t DeTable<'i>> {
        if let DeValue::Table(table) = value.get_ref() {
            return Some(table);
        }
        self.wrong_type(origin, value.get_ref(), "a section in brackets");
        None
    }

    /// One text or several.
    pub(super) fn texts(&mut self, origin: &Origin, value: &Spanned<DeValue<'_>>) -> Vec<String> {
        match value.get_ref() {
            DeValue::Array(array) => array.iter().filter_map(|item| self.scalar(origin, item)).collect(),
            _ => self.scalar(origin, value).into_iter().collect(),
        }
    }

    /// A single value as text: numbers and switches mean the same with quotation marks and without.
    pub(super) fn scalar(&mut self, origin: &Origin, value: &Spanned<DeValue<'_>>) -> Option<String> {
        match value.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Integer(number) => Some(number.to_string()),
            DeValue::Boolean(switch) => Some(switch.to_string()),
            other => {
                self.wrong_type(origin, other, "a text, a number, true or false");
                None
            }
        }
    }

    /// A single value that may have a fraction.
    pub(super) fn fraction(&mut self, origin: &Origin, value: &Spanned<DeValue<'_>>) -> Option<String> {
        match value.get_ref() {
            DeValue::Float(number) => Some(number.as_str().to_owned()),
            _ => self.scalar(origin, value),
        }
    }

    /// A single value of which no copy is to stay behind.
    pub(super) fn secret(&mut self, origin: &Origin, value: &Spanned<DeValue<'_>>) -> Option<Secret> {
        let secret = match value.get_ref() {
            DeValue::String(text) => Secret::new(&**text),
            _ => Secret::new(self.scalar(origin, value)?),
        };
        self.holds_secret |= !secret.is_empty();
        Some(secret)
    }

    pub(super) fn wrong_type(&mut self, origin: &Origin, value: &DeValue<'_>, wanted: &str) {
        let problem = Problem::new(
            format!("a value of type {} cannot stand here", value.type_str()),
            format!("Write {wanted}"),
        );
        self.findings.mistake(origin, problem);
    }

    /// `tidegate.toml:12`
    pub(super) fn at(&self, span: &Range<usize>) -> Origin {
        let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
        let line = before.split(|&byte| byte == b'\n').count();
        Origin::new(format!("{}:{line}", self.path.display()))
    }
}

/// The entries of a table in the order of the file.
pub(super) fn entries<'t, 'i>(table: &'t DeTable<'i>) -> Vec<Entry<'t, 'i>> {
    let mut entries: Vec<Entry<'t, 'i>> =
        table.iter().map(|(key, value)| (key.get_ref().as_ref(), value, key.span())).collect();
    entries.sort_by_key(|(_, _, span)| span.start);
    entries
}
