//! What the console says, as messages of the protocol.

use std::borrow::Cow;

use bytes::BytesMut;

use super::cell::{Column, Row, text};
use super::command::{Command, Mistake};
use crate::wire::{ResultFormats, Severity, encode};

/// What a command gives.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// As many cells each as the command [has columns](columns).
    pub(super) rows: Vec<Row>,
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
pub(super) fn columns(command: &Command) -> Cow<'static, [Column]> {
    match command {
        Command::Show(table) => Cow::Borrowed(table.columns),
        Command::ShowParameter(name, _) => Cow::Owned(vec![text(name)]),
        _ => Cow::Borrowed(&[]),
    }
}

/// What the rows are like, and the forms of their values.
pub(super) fn describe(out: &mut BytesMut, columns: &[Column], formats: &ResultFormats) {
    if columns.is_empty() {
        return encode::no_data(out);
    }
    let columns = columns.iter().enumerate();
    encode::columns(
        out,
        columns.map(|(index, column)| (column.name, column.kind.of_wire(), formats.is_binary(index))),
    );
}

/// The rows of a command, and that this is all.
pub(super) fn write(out: &mut BytesMut, answer: &Answer, command: &Command, formats: &ResultFormats) {
    for notice in &answer.notices {
        encode::notice(out, notice, "");
    }
    let columns = columns(command);
    for row in &answer.rows {
        let cells: Vec<_> = columns
            .iter()
            .zip(row)
            .enumerate()
            .map(|(index, (column, cell))| cell.bytes(column.kind, formats.is_binary(index)))
            .collect();
        encode::row(out, cells.iter().map(Option::as_deref));
    }
    encode::command_complete(out, command.tag());
}
