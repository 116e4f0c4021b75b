//! What the console says, as messages of the protocol.

use std::borrow::Cow;

use bytes::BytesMut;

use super::command::{Command, Mistake};
use super::show;
use crate::wire::{Severity, encode};

/// What a command gives.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// As many cells each as the command [has columns](columns).
    pub(super) rows: Vec<Vec<String>>,
    /// Remarks for people.
    pub(super) notices: Vec<String>,
}

/// Why a command was not carried out, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    code: &'static str,
    message: String,
    hint: Cow<'static, str>,
}

impl Refusal {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: Cow::Borrowed("") }
    }

    /// With advice what to do.
    pub(super) fn with_hint(self, hint: impl Into<Cow<'static, str>>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        encode::error(out, Severity::Error, self.code, &self.message, &self.hint, "");
    }
}

impl From<Mistake> for Refusal {
    fn from(mistake: Mistake) -> Self {
        Self::new("42601", mistake.message).with_hint(mistake.hint)
    }
}

/// The columns of the rows that a command gives; none if it gives no rows.
pub(super) fn columns(command: &Command) -> &'static [&'static str] {
    match command {
        Command::Show(table) => show::columns(*table),
        _ => &[],
    }
}

/// What the rows are like.
pub(super) fn describe(out: &mut BytesMut, columns: &[&str]) {
    if columns.is_empty() {
        encode::no_data(out);
    } else {
        encode::text_columns(out, columns);
    }
}

/// The rows, and that this is all.
pub(super) fn write(out: &mut BytesMut, answer: &Answer, tag: &str) {
    for notice in &answer.notices {
        encode::notice(out, notice, "");
    }
    for row in &answer.rows {
        let cells: Vec<&str> = row.iter().map(String::as_str).collect();
        encode::text_row(out, &cells);
    }
    encode::command_complete(out, tag);
}
