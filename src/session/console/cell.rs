//! Values of the console's tables, and how they stand in rows.

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};

use crate::wire::ColumnType;

/// What a column holds. Drivers convert values by it, so it is what PgBouncer says where PgBouncer has the column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Int4,
    Int8,
    Numeric,
    Float8,
    /// Bytes. There are none to show.
    Bytea,
}

impl Kind {
    pub(super) fn of_wire(self) -> ColumnType {
        let (oid, len) = match self {
            Self::Text => return ColumnType::TEXT,
            Self::Int4 => (23, 4),
            Self::Int8 => (20, 8),
            Self::Numeric => (1700, -1),
            Self::Float8 => (701, 8),
            Self::Bytea => (17, -1),
        };
        ColumnType { oid, len }
    }
}

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

pub(super) const fn text(name: &'static str) -> Column {
    Column { name, kind: Kind::Text }
}

pub(super) const fn int4(name: &'static str) -> Column {
    Column { name, kind: Kind::Int4 }
}

pub(super) const fn int8(name: &'static str) -> Column {
    Column { name, kind: Kind::Int8 }
}

pub(super) const fn numeric(name: &'static str) -> Column {
    Column { name, kind: Kind::Numeric }
}

pub(super) const fn float8(name: &'static str) -> Column {
    Column { name, kind: Kind::Float8 }
}

pub(super) const fn bytea(name: &'static str) -> Column {
    Column { name, kind: Kind::Bytea }
}

/// The columns of one list behind those of another.
pub(super) const fn joined<const A: usize, const B: usize, const N: usize>(
    first: [Column; A],
    second: [Column; B],
) -> [Column; N] {
    assert!(A + B == N, "as many as both have");
    let mut all = [text(""); N];
    let mut at = 0;
    while at < N {
        all[at] = if at < A { first[at] } else { second[at - A] };
        at += 1;
    }
    all
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Null,
    Text(Cow<'static, str>),
    Number(u64),
    /// Of columns that are [`Kind::Float8`].
    Fraction(f64),
}

/// As many cells as its table has columns.
pub(super) type Row = Vec<Cell>;

/// A row of values of whatever kind.
macro_rules! row {
    ($($value:expr),* $(,)?) => { vec![$($crate::session::console::cell::Cell::from($value)),*] };
}

pub(super) use row;

impl From<&'static str> for Cell {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        Self::Fraction(number)
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Cell {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<u16> for Cell {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

impl From<usize> for Cell {
    fn from(number: usize) -> Self {
        Self::Number(u64::try_from(number).unwrap_or(u64::MAX))
    }
}

/// A switch is 1 or 0, as at PgBouncer.
impl From<bool> for Cell {
    fn from(is_on: bool) -> Self {
        Self::Number(is_on.into())
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl Cell {
    /// Its bytes in a row, as a column of this kind has them; `None` is NULL. What is too large for a column is the
    /// largest that fits, in either form.
    pub(super) fn bytes(&self, kind: Kind, is_binary: bool) -> Option<Cow<'_, [u8]>> {
        let number = match self {
            Self::Null => return None,
            Self::Text(text) => return Some(Cow::Borrowed(text.as_bytes())),
            Self::Fraction(number) if is_binary => return Some(Cow::Owned(number.to_be_bytes().into())),
            Self::Fraction(number) => return Some(Cow::Owned(number.to_string().into_bytes())),
            Self::Number(number) => *number,
        };
        let most = match kind {
            Kind::Int4 => u64::from(i32::MAX.unsigned_abs()),
            Kind::Int8 => i64::MAX.unsigned_abs(),
            Kind::Text | Kind::Numeric | Kind::Float8 | Kind::Bytea => u64::MAX,
        };
        let number = number.min(most);
        Some(Cow::Owned(match kind {
            Kind::Int4 if is_binary => i32::try_from(number).unwrap_or(i32::MAX).to_be_bytes().into(),
            Kind::Int8 if is_binary => number.to_be_bytes().into(),
            Kind::Numeric if is_binary => numeric_bytes(number),
            _ => number.to_string().into_bytes(),
        }))
    }
}

/// A whole number as `numeric_send` writes it: digits to the base 10000, the highest first.
fn numeric_bytes(mut number: u64) -> Vec<u8> {
    const BASE: u64 = 10_000;
    let mut digits = Vec::new();
    while number > 0 {
        digits.push(u16::try_from(number % BASE).unwrap_or(0));
        number /= BASE;
    }
    let mut out = BytesMut::new();
    let count = u16::try_from(digits.len()).unwrap_or(0);
    out.put_u16(count);
    // The weight of the first digit; no sign; nothing behind the point.
    out.put_u16(count.saturating_sub(1));
    out.put_u16(0);
    out.put_u16(0);
    digits.iter().rev().for_each(|digit| out.put_u16(*digit));
    out.to_vec()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn bytes(cell: &Cell, kind: Kind, is_binary: bool) -> Option<Vec<u8>> {
        cell.bytes(kind, is_binary).map(Cow::into_owned)
    }

    #[test]
    fn values_are_what_their_columns_say() {
        let number = Cell::from(123_456_789_u64);
        for kind in [Kind::Text, Kind::Int4, Kind::Int8, Kind::Numeric] {
            assert_eq!(bytes(&number, kind, false).unwrap(), b"123456789", "{kind:?}");
            assert_eq!(bytes(&Cell::Null, kind, true), None);
        }
        assert_eq!(bytes(&number, Kind::Int4, true).unwrap(), 123_456_789_i32.to_be_bytes());
        assert_eq!(bytes(&number, Kind::Int8, true).unwrap(), 123_456_789_i64.to_be_bytes());
        assert_eq!(bytes(&"ä".into(), Kind::Text, true).unwrap(), "ä".as_bytes());
        for is_binary in [true, false] {
            let most = bytes(&u64::MAX.into(), Kind::Int4, is_binary).unwrap();
            let wanted = if is_binary { i32::MAX.to_be_bytes().to_vec() } else { b"2147483647".to_vec() };
            assert_eq!(most, wanted);
        }
        assert_eq!(bytes(&u64::MAX.into(), Kind::Int8, true).unwrap(), i64::MAX.to_be_bytes());
        assert_eq!(bytes(&66.7.into(), Kind::Float8, false).unwrap(), b"66.7");
        assert_eq!(bytes(&66.7.into(), Kind::Float8, true).unwrap(), 66.7_f64.to_be_bytes());
    }

    /// Written down from what PostgreSQL's `numeric_send` gives.
    #[test]
    fn numeric_is_as_postgresql_sends_it() {
        let of = |number: u64| bytes(&number.into(), Kind::Numeric, true).unwrap();
        assert_eq!(of(0), [0; 8]);
        assert_eq!(of(7), [0, 1, 0, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(of(12_345), [0, 2, 0, 1, 0, 0, 0, 0, 0, 1, 0x09, 0x29]);
        assert_eq!(of(10_000), [0, 2, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(of(u64::MAX).len(), 8 + 2 * 5);
    }
}
