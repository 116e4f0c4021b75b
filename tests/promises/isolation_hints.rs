//! Hints, and settings that steer, give no right, and what only looks like a hint is none.

use super::support::raw::Raw;
use super::{proxy, schema, shared, wait_open};

#[test]
fn a_hint_or_a_setting_gives_no_right() {
    let schema = schema();
    let sql = format!(
        "create table {schema}.secret (n int); insert into {schema}.secret values (1); revoke all on {schema}.secret from public, app"
    );
    shared().primary().psql(&sql).unwrap();
    shared().wait_caught_up().unwrap();
    let proxy = proxy("tidegate_client_auth=trust");
    wait_open(&proxy);
    let mut raw = Raw::app(proxy.address());
    let statements = [
        format!("select * from {schema}.secret"),
        format!("insert into {schema}.secret values (2)"),
        "select pg_reload_conf()".to_owned(),
    ];
    for hint in [
        "intent=primary",
        "intent=replica",
        "consistency=eventual",
        "consistency=primary",
        "scope=connection",
        "intent=replica, consistency=eventual, key=any",
    ] {
        for sql in &statements {
            for text in [format!("/* tidegate: {hint} */ {sql}"), format!("{sql} /* tidegate: {hint} */")] {
                assert_eq!(raw.query(&text).code(), "42501", "{text}");
                assert_eq!(raw.extended(&text, &[]).code(), "42501", "{text}");
            }
        }
    }
    for (name, value) in
        [("intent", "replica"), ("intent", "primary"), ("consistency", "eventual"), ("scope", "connection")]
    {
        raw.ok(&format!("set tidegate.{name} = '{value}'"));
        for sql in &statements {
            assert_eq!(raw.query(sql).code(), "42501", "{name} = {value}: {sql}");
        }
    }
    // What certainly writes is written, whatever was wished for it.
    raw.ok("create temp table own_table (n int)");
    raw.ok("insert into own_table values (1) /* tidegate: intent=replica */");
    assert_eq!(raw.ok("select count(*) from own_table").value(), "1");
}

#[test]
fn a_hint_in_a_literal_steers_nothing() {
    let proxy = proxy("tidegate_client_auth=trust");
    wait_open(&proxy);
    let mut raw = Raw::app(proxy.address());
    let texts = [
        "select '/* tidegate: intent=primary */'",
        "select 'it''s /* tidegate: intent=primary */'",
        "select $$/* tidegate: intent=primary */$$",
        "select $a$ $$ /* tidegate: intent=primary */ $a$",
        "select E'\\'/* tidegate: intent=primary */'",
        "select U&'\\0061/* tidegate: intent=primary */'",
        "select 1 as \"/* tidegate: intent=primary */\"",
        "select 1 -- /* tidegate: intent=primary */",
        "select 1 /* /* tidegate: intent=primary */ */",
        "select 1 /* a */ + '1' /* '/* tidegate: intent=primary */' */",
        "select '/*intent=''primary''*/'",
        "select $$ 1 /*intent='primary'*/$$",
    ];
    let went = |raw: &mut Raw, text: &str| {
        let before = super::counts(&proxy);
        raw.ok(text);
        super::since(&proxy, &before).join(" ")
    };
    for text in texts {
        assert_eq!(went(&mut raw, text), "replica:fresh", "{text}");
    }
    assert_eq!(went(&mut raw, "select '' /* tidegate: intent=primary */"), "primary:intent_primary");
    // A backslash ends no string, or does: as the session says.
    raw.ok("set standard_conforming_strings = off");
    raw.ok("set escape_string_warning = off");
    assert_eq!(went(&mut raw, "select 'a\\'/* tidegate: intent=primary */'"), "replica:fresh");
    assert_eq!(went(&mut raw, "select 'a\\\\'/* tidegate: intent=primary */"), "primary:intent_primary");
    raw.ok("reset standard_conforming_strings");
    assert_eq!(went(&mut raw, "select 'a\\'/* tidegate: intent=primary */"), "primary:intent_primary");
}
