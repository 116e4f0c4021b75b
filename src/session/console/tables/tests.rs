use super::*;
use crate::session::console::cell::Kind;

#[test]
fn moments_are_written_as_pgbouncer_writes_them() {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_769_903_999);
    assert_eq!(moment(at), "2026-01-31 23:59:59 UTC");
    assert_eq!(moment(SystemTime::UNIX_EPOCH), "1970-01-01 00:00:00 UTC");
}

#[test]
fn no_two_tables_and_no_two_columns_of_one_have_one_name() {
    for (index, table) in TABLES.iter().enumerate() {
        assert_eq!(TABLES.iter().position(|other| other == table), Some(index), "{table:?}");
        for (index, column) in table.columns.iter().enumerate() {
            let first = table.columns.iter().position(|other| other.name == column.name);
            assert_eq!(first, Some(index), "{table:?}: {}", column.name);
        }
    }
    assert_eq!(named("POOLS").map(|table| table.columns[2].kind), Some(Kind::Int4));
    assert_eq!(named("pools"), None);
}
