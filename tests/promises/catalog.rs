//! The catalog decides, and what changes it is noticed before the next read.

use super::support::proxy::RunningProxy;
use super::support::raw::Raw;
use super::{counts, proxy, schema, shared, since, support, wait_open};

/// Where a statement goes and why, when nothing written before keeps it from replicas.
fn goes(proxy: &RunningProxy, app: &mut Raw, sql: &str, extended: bool) -> Vec<String> {
    wait_open(proxy);
    let before = counts(proxy);
    if extended {
        app.extended(sql, &[]).ok()
    } else {
        app.ok(sql)
    };
    since(proxy, &before)
}

/// Waits until a statement goes where it belongs: the catalog is read again after DDL.
fn wait_goes(proxy: &RunningProxy, app: &mut Raw, sql: &str, expected: &str) {
    support::wait_until(&format!("{sql} goes to {expected}"), || goes(proxy, app, sql, false) == [expected]);
}

#[test]
fn a_function_that_begins_to_write_is_never_tried_on_a_replica() {
    let s = schema();
    let proxy = proxy("");
    let mut app = Raw::app(proxy.address());
    app.ok(&format!("create table {s}.log (n int)"));
    let function = |body: &str| {
        format!("create or replace function {s}.f() returns bigint language sql {body}; select 1")
    };
    app.ok(&function("stable as 'select 0::bigint'"));
    let (call, hidden) = (format!("select {s}.f()"), format!("select n from {s}.v"));
    app.ok(&format!("create view {s}.v as select {s}.f() as n"));
    app.send(&super::support::raw::parse("named", &hidden));
    app.send(&super::support::raw::sync());
    app.answer().ok();
    for round in 0..5 {
        app.ok(&function("stable as 'select 0::bigint'"));
        wait_goes(&proxy, &mut app, &call, "replica:fresh");
        wait_goes(&proxy, &mut app, &hidden, "replica:fresh");
        app.ok(&function(&format!("volatile as 'insert into {s}.log values (1) returning n::bigint'")));
        // Not after a while: at once.
        app.ok(&hidden);
        app.run("named", &[]).ok();
        app.ok(&call);
        let written = app.ok(&format!("select count(*) from {s}.log")).value();
        assert_eq!(written, (3 * (round + 1)).to_string());
    }
    assert_eq!(proxy.metric("tidegate_reruns_total", &[]).to_string(), "0", "no replica was tried in vain");
}

#[test]
fn what_a_name_means_depends_on_the_search_path() {
    let (a, b) = (schema(), schema());
    let proxy = proxy("");
    let mut app = Raw::app(proxy.address());
    app.ok(&format!("create table {a}.t (n int); create unlogged table {b}.t (n int)"));
    app.ok(&format!("create function {b}.lower(text) returns text language sql volatile as 'select $1'"));
    for extended in [false, true] {
        app.ok(&format!("set search_path = {a}"));
        support::wait_until("the catalog knows the tables", || {
            goes(&proxy, &mut app, "select n from t", extended) == ["replica:fresh"]
        });
        assert_eq!(goes(&proxy, &mut app, "select lower('X')", extended), ["replica:fresh"]);
        app.ok(&format!("set search_path = {b}"));
        assert_eq!(goes(&proxy, &mut app, "select n from t", extended), ["primary:unknown"]);
        assert_eq!(goes(&proxy, &mut app, "select lower('X')", extended), ["primary:unknown"]);
        app.ok(&format!("set search_path = {a}, {b}"));
        assert_eq!(goes(&proxy, &mut app, "select n from t", extended), ["replica:fresh"]);
        assert_eq!(goes(&proxy, &mut app, "select lower('X')", extended), ["primary:unknown"]);
        app.ok("reset search_path");
        assert_eq!(goes(&proxy, &mut app, &format!("select n from {b}.t"), extended), ["primary:unknown"]);
    }
}

#[test]
fn tables_made_behind_the_proxys_back_are_found_when_they_are_asked_for() {
    let s = schema();
    let proxy = proxy("");
    let mut app = Raw::app(proxy.address());
    wait_open(&proxy);
    shared().primary().psql(&format!("create table {s}.new (n int); grant all on {s}.new to app")).unwrap();
    shared().wait_caught_up().unwrap();
    let sql = format!("select n from {s}.new");
    assert_eq!(goes(&proxy, &mut app, &sql, false), ["primary:unknown"]);
    wait_goes(&proxy, &mut app, &sql, "replica:fresh");
}

#[test]
fn a_comment_on_a_function_vouches_for_it() {
    let s = schema();
    let proxy = proxy("");
    let mut app = Raw::app(proxy.address());
    app.ok(&format!("create function {s}.total() returns int language plpgsql as 'begin return 7; end'"));
    let sql = format!("select {s}.total()");
    wait_goes(&proxy, &mut app, &sql, "primary:unknown");
    app.ok(&format!("comment on function {s}.total() is 'tidegate: read; it only adds up'"));
    wait_goes(&proxy, &mut app, &sql, "replica:fresh");
    app.ok(&format!("comment on function {s}.total() is null"));
    wait_goes(&proxy, &mut app, &sql, "primary:unknown");
}

#[test]
fn the_chain_of_causes_is_told() {
    let s = schema();
    let proxy = proxy("");
    let mut app = Raw::app(proxy.address());
    app.ok(&format!(
        "create table {s}.t (n int); create function {s}.audit(int) returns int language plpgsql as 'begin return $1; end';
         create view {s}.inner_view as select {s}.audit(n) as n from {s}.t;
         create view {s}.outer_view as select n from {s}.inner_view"
    ));
    let explain = format!("explain (route) select * from {s}.outer_view join {s}.t using (n)");
    let expected = format!(
        "class: unknown: the statement needs the primary: function {s}.audit(integer) is VOLATILE, \
         used by view {s}.inner_view, used by view {s}.outer_view"
    );
    let mut lines = Vec::new();
    support::wait_until("the catalog knows the views", || {
        lines = app.ok(&explain).rows().into_iter().map(|row| row[0].clone().unwrap()).collect();
        lines.contains(&expected)
    });
    // Whatever audit() reads may be read.
    assert!(lines.contains(&"reads: any table, as far as is known".to_owned()), "{lines:#?}");
    let plain = app.ok(&format!("explain (route) insert into {s}.t select n + 1 from {s}.t")).rows();
    let plain: Vec<_> = plain.into_iter().map(|row| row[0].clone().unwrap()).collect();
    assert!(
        plain.contains(&format!("reads: {s}.t")) && plain.contains(&format!("writes: {s}.t")),
        "{plain:#?}"
    );
}

#[test]
fn strings_with_backslashes_are_read_as_the_session_writes_them() {
    let s = schema();
    let proxy = proxy("");
    let mut app = Raw::app(proxy.address());
    app.ok(&format!("create table {s}.t (v text)"));
    app.ok("set standard_conforming_strings = off; set escape_string_warning = off");
    wait_goes(&proxy, &mut app, &format!("select '\\'' from {s}.t"), "replica:fresh");
    let write = format!("select 'a\\'; select ' from {s}.t; insert into {s}.t values ('\\'')");
    assert_eq!(goes(&proxy, &mut app, &write, false), ["primary:write"]);
    let pin = "select '\\'/*', pg_backend_pid() --*/'";
    assert_eq!(goes(&proxy, &mut app, pin, false), ["primary:unknown"]);
}

#[test]
fn where_bytes_can_look_like_other_characters_only_plain_texts_are_read() {
    let s = schema();
    let proxy = proxy("");
    let mut app = Raw::app(proxy.address());
    app.ok(&format!("create table {s}.t (v text)"));
    app.ok("set client_encoding = sjis");
    wait_goes(&proxy, &mut app, &format!("select v from {s}.t"), "replica:fresh");
    // The second byte of this letter is a backslash in ASCII.
    wait_open(&proxy);
    let before = counts(&proxy);
    app.send(&super::support::raw::tagged(b'Q', b"select '\x83\x5c'\0"));
    app.answer().ok();
    assert_eq!(since(&proxy, &before), ["primary:unknown"]);
}
