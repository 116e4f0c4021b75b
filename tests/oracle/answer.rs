//! What a server answers to a simple query, and how two answers differ.

use std::fmt;

use tidegate::wire::{Backend, ErrorFields, TransactionStatus, data_row};

use crate::peer::Message;
use crate::word::Word;

/// An answer up to `ReadyForQuery`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// One for each statement of the text.
    pub results: Vec<ResultSet>,
    /// The first error.
    pub error: Option<Failure>,
    /// The session's state afterwards.
    pub status: TransactionStatus,
    /// What Tidegate says of it.
    pub word: Option<Word>,
    open: ResultSet,
}

/// What one statement returned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultSet {
    columns: Vec<u8>,
    rows: Vec<Vec<u8>>,
    /// What it says it did, such as `SELECT 3`.
    pub tag: String,
}

/// An error as PostgreSQL reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: String,
    pub message: String,
}

impl Failure {
    /// Whether it says that something is not there, or is not what it should be.
    pub fn is_about_names(&self) -> bool {
        ["42", "26", "34", "3F"].iter().any(|class| self.code.starts_with(class))
    }
}

impl Answer {
    /// Adds the next message.
    pub fn take(&mut self, message: &Message<Backend>) {
        match message.kind {
            Backend::RowDescription => self.open.columns = message.body().to_vec(),
            Backend::DataRow | Backend::CopyData => self.open.rows.push(message.body().to_vec()),
            Backend::CommandComplete => {
                let tag = message.body().strip_suffix(b"\0").unwrap_or(message.body());
                self.open.tag = String::from_utf8_lossy(tag).into_owned();
                self.results.push(std::mem::take(&mut self.open));
            }
            Backend::ErrorResponse if self.error.is_none() => {
                let fields = ErrorFields::read(message.body());
                let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                self.error = Some(Failure { code: text(fields.code), message: text(fields.message) });
            }
            Backend::NoticeResponse => self.word = self.word.take().or_else(|| Word::read(message.body())),
            Backend::ReadyForQuery => {
                self.status = TransactionStatus::read(message.body()).unwrap_or_default();
            }
            _ => {}
        }
    }

    /// How `other` differs in what an app sees; the order of rows does not count. `None` when it does not.
    pub fn difference(&self, other: &Self) -> Option<Difference> {
        if self.results.len() != other.results.len() {
            return Some(Difference::Results(self.results.len(), other.results.len()));
        }
        self.results.iter().zip(&other.results).find_map(|(one, other)| one.difference(other))
    }

    /// The first value of the first row.
    pub fn value(&self) -> Option<String> {
        self.texts().into_iter().next()
    }

    /// The first values of all rows of the first result.
    pub fn texts(&self) -> Vec<String> {
        let rows = self.results.first().map_or(&[][..], |result| &result.rows);
        let first = |row: &Vec<u8>| {
            let values = data_row(row).ok()?;
            Some(String::from_utf8_lossy(values.first().copied()??).into_owned())
        };
        rows.iter().filter_map(first).collect()
    }

    /// The rows of the first result, as texts.
    pub fn rows(&self) -> Vec<Vec<Option<String>>> {
        let rows = self.results.first().map_or(&[][..], |result| &result.rows);
        let text = |value: Option<&[u8]>| value.map(|value| String::from_utf8_lossy(value).into_owned());
        rows.iter().map(|row| data_row(row).unwrap().into_iter().map(text).collect()).collect()
    }

    /// What the last statement says it did.
    pub fn last_tag(&self) -> &str {
        self.results.last().map_or("", |result| &result.tag)
    }
}

impl ResultSet {
    fn difference(&self, other: &Self) -> Option<Difference> {
        if self.tag != other.tag {
            return Some(Difference::Tag(self.tag.clone(), other.tag.clone()));
        }
        if self.columns != other.columns {
            return Some(Difference::Columns);
        }
        let (mut ours, mut theirs): (Vec<_>, Vec<_>) =
            (self.rows.iter().collect(), other.rows.iter().collect());
        ours.sort_unstable();
        theirs.sort_unstable();
        let (one, other) = ours.into_iter().zip(theirs).find(|(one, other)| one != other)?;
        Some(Difference::Row(shown(one), shown(other)))
    }
}

/// A row for people: its values, NULL as nothing, separated by `|`.
fn shown(row: &[u8]) -> String {
    let Ok(values) = data_row(row) else { return String::from_utf8_lossy(row).into_owned() };
    let values: Vec<_> =
        values.into_iter().map(|value| String::from_utf8_lossy(value.unwrap_or_default())).collect();
    values.join("|").chars().take(200).collect()
}

/// The first thing in which two answers differ: the primary's, then the standby's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// How many statements were answered.
    Results(usize, usize),
    /// What a statement says it did.
    Tag(String, String),
    /// Names or types of the columns.
    Columns,
    /// A row that only one of them has, and the row that stands in its place.
    Row(String, String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Results(ours, theirs) => write!(f, "{ours} results, {theirs} on the standby"),
            Self::Tag(ours, theirs) => write!(f, "{ours}, {theirs} on the standby"),
            Self::Columns => f.write_str("other columns on the standby"),
            Self::Row(ours, theirs) => write!(f, "({ours}), ({theirs}) on the standby"),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use tidegate::wire::encode;

    use super::*;

    fn answer(rows: &[&str]) -> Answer {
        let mut answer = Answer::default();
        let mut take = |kind, encoded: &dyn Fn(&mut BytesMut)| {
            let mut bytes = BytesMut::new();
            encoded(&mut bytes);
            answer.take(&Message { kind, bytes: bytes.to_vec() });
        };
        take(Backend::RowDescription, &|out| encode::text_columns(out, &["a"]));
        for row in rows {
            take(Backend::DataRow, &|out| encode::text_row(out, &[row]));
        }
        take(Backend::CommandComplete, &|out| {
            encode::command_complete(out, &format!("SELECT {}", rows.len()));
        });
        take(Backend::ReadyForQuery, &|out| encode::ready(out, TransactionStatus::Open));
        answer
    }

    #[test]
    fn the_order_of_rows_does_not_count() {
        assert_eq!(answer(&["1", "2", "2"]).difference(&answer(&["2", "1", "2"])), None);
        let row = Difference::Row("1".to_owned(), "2".to_owned());
        assert_eq!(answer(&["1", "1", "2"]).difference(&answer(&["2", "1", "2"])), Some(row));
        let tag = Difference::Tag("SELECT 1".to_owned(), "SELECT 0".to_owned());
        assert_eq!(answer(&["1"]).difference(&answer(&[])), Some(tag));
    }

    #[test]
    fn an_answer_knows_its_first_value_and_state() {
        assert_eq!(answer(&["7", "8"]).value().as_deref(), Some("7"));
        assert_eq!(answer(&[]).value(), None);
        assert_eq!(answer(&[]).status, TransactionStatus::Open);
        assert_eq!(answer(&["7"]).last_tag(), "SELECT 1");
    }
}
