//! Which names a statement uses.

use super::super::{Use, parse};
use crate::sql::Strings;
use crate::sql::catalog::Arguments;

/// The uses in a short form, sorted: `read a.t`, `write t`, `call f/2`, `cast money`, `op +`, `field x`.
fn uses(text: &str) -> Vec<String> {
    let mut found: Vec<String> = parse(text, Strings::Standard)
        .mentions
        .iter()
        .map(|(how, name)| {
            let full = match &name.schema {
                Some(schema) => format!("{schema}.{}", name.name),
                None => name.name.to_string(),
            };
            match how {
                Use::Read => format!("read {full}"),
                Use::Written => format!("write {full}"),
                Use::Called(Arguments::Exactly(count)) => format!("call {full}/{count}"),
                Use::Called(Arguments::Unclear) => format!("call {full}/?"),
                Use::CastTo => format!("cast {full}"),
                Use::Operator => format!("op {full}"),
                Use::Field => format!("field {full}"),
            }
        })
        .collect();
    found.sort();
    found
}

#[test]
fn names_and_how_they_are_used() {
    let table: &[(&str, &[&str])] = &[
        ("select 1", &[]),
        ("select a, b from T, s.\"U\" where a = 1", &["op =", "read s.U", "read t"]),
        ("select f(1, 2), g(), g() from t", &["call f/2", "call g/0", "read t"]),
        ("select count(*), pg_catalog.lower(a) from t", &["call count/0", "read t"]),
        ("select pg_catalog.nosuch(a)", &["call pg_catalog.nosuch/1"]),
        (
            "select f(variadic a), percentile_cont(0.5) within group (order by x) from t",
            &["call f/?", "call percentile_cont/?", "read t"],
        ),
        ("select x::int, x::money, cast(x as s.ty) from t", &["cast money", "cast s.ty", "read t"]),
        ("select t.a, (r).b from t", &["field a", "field b", "read t"]),
        ("select a <-> b from t order by a using <<", &["op <->", "op <<", "read t"]),
        ("select a operator(s.+) 1 from t", &["op s.+", "read t"]),
        ("select 1 = any (select n from t)", &["op =", "read t"]),
        ("insert into t select * from u", &["read t", "read u", "write t"]),
        (
            "update s.t set n = 1 from u where t.id = u.id",
            &["field id", "op =", "read s.t", "read u", "write s.t"],
        ),
        ("delete from t using u", &["read t", "read u", "write t"]),
        ("merge into t using u on true when matched then delete", &["read t", "read u", "write t"]),
        ("explain delete from t", &["read t"]),
        ("explain analyze delete from t", &["read t", "write t"]),
        ("explain select f()", &["call f/0"]),
        (
            "select case a when 1 then 2 end, a between 1 and 2 from t join u using (a)",
            &["op <", "op <=", "op =", "op >", "op >=", "read t", "read u"],
        ),
        ("select * from generate_series(1, 2)", &["call generate_series/2"]),
        ("select * from t join lateral f(t.a) on true", &["call f/1", "field a", "read t"]),
        ("call p(1)", &["call p/1"]),
        ("copy t from stdin", &["read t", "write t"]),
        ("select * from t tablesample system (1)", &["read t"]),
        ("begin; insert into t values (1); select * from u; commit", &["read t", "read u", "write t"]),
    ];
    for (text, expected) in table {
        assert_eq!(uses(text), *expected, "{text}");
    }
}

#[test]
fn what_a_with_clause_names_hides_relations_where_it_does_in_postgresql() {
    let table: &[(&str, &[&str])] = &[
        ("with x as (select 1) select * from x", &[]),
        ("with x as (select 1) select * from s.x", &["read s.x"]),
        // Not recursive: inside, the name is the table's.
        ("with x as (select * from x) select * from x", &["read x"]),
        ("with recursive x as (select 1 union all select * from x) select * from x", &[]),
        ("with a as (select * from b), b as (select * from a) select * from a, b", &["read b"]),
        ("with recursive a as (select * from b), b as (select 1) select * from a", &[]),
        // It ends with its statement.
        ("select (with x as (select 1) select * from x), (select n from x)", &["read x"]),
        ("with x as (select 1) select * from (select * from x) y", &[]),
        ("with x as (select 1) select * from t union select * from x", &["read t"]),
        ("with x as (insert into t values (1) returning n) select * from x", &["read t", "write t"]),
        ("with x as (select 1) insert into x select * from x", &["read x", "write x"]),
        ("with x as (select 1) select 1; select * from x", &["read x"]),
    ];
    for (text, expected) in table {
        assert_eq!(uses(text), *expected, "{text}");
    }
}
