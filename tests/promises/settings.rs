//! Settings follow the client, not the server connection.

use super::support::raw::Raw;
use super::{WHERE, proxy, schema, shared, wait_both, wait_open};

/// One server connection per node, shared by everybody.
const ONE: &str = "connection_limit=1&tidegate_client_auth=trust";

/// What `show` says on the primary and on a replica.
#[track_caller]
fn assert_shows(raw: &mut Raw, name: &str, expected: &str) {
    let ask = format!("select current_setting('{name}', true)");
    let primary = raw.ok(&format!("{ask} /* tidegate: intent=primary */")).value();
    let replica = raw.ok(&format!("{ask} /* tidegate: consistency=eventual */")).value();
    let seen = [primary, replica].map(|v| if v == "NULL" { String::new() } else { v });
    assert_eq!(seen, [expected, expected], "{name} on the primary and on a replica");
}

#[test]
fn settings_do_not_leak_and_are_not_lost() {
    let proxy = proxy(ONE);
    wait_both(&proxy);
    let (mut a, mut b) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    let defaults =
        [("search_path", "\"$user\", public"), ("TimeZone", "UTC"), ("app.user_id", ""), ("work_mem", "4MB")];
    let own = [
        ("search_path", "pg_catalog, x"),
        ("TimeZone", "Asia/Tokyo"),
        ("app.user_id", "it's \\ 42"),
        ("work_mem", "5MB"),
    ];
    for (name, value) in &own {
        let value = if *name == "search_path" {
            (*value).to_owned()
        } else {
            format!("'{}'", value.replace('\'', "''"))
        };
        a.ok(&format!("set {name} = {value}"));
    }
    for _ in 0..3 {
        own.iter().for_each(|(name, value)| assert_shows(&mut a, name, value));
        defaults.iter().for_each(|(name, value)| assert_shows(&mut b, name, value));
    }
    // A third that comes later, and one whose neighbour has gone.
    defaults.iter().for_each(|(name, value)| assert_shows(&mut Raw::app(proxy.address()), name, value));
    a.terminate();
    defaults.iter().for_each(|(name, value)| assert_shows(&mut b, name, value));
}

#[test]
fn what_is_set_in_a_transaction_shares_its_fate() {
    let proxy = proxy(ONE);
    wait_both(&proxy);
    let (mut a, mut b) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    let steps = [
        ("begin; set app.x = '1'; rollback", ""),
        ("begin; set local app.x = '2'; commit", ""),
        ("begin; set app.x = '3'; commit", "3"),
        ("begin; set app.x = '4'; savepoint s; set app.x = '5'; rollback to s; commit", "4"),
        ("begin; set app.x = '6'; savepoint s; set app.x = '7'; release s; rollback", "4"),
        ("begin; set app.x = '8'; set local app.x = '9'; commit", "8"),
        ("select set_config('app.x', '10', false)", "10"),
        ("select set_config('app.x', '11', true)", "10"),
        ("begin; select set_config('app.x', '12', false); rollback", "10"),
        ("set app.x to default", ""),
        ("set session app.x = '13'", "13"),
        ("reset app.x", ""),
        ("set app.x = '14'; set work_mem = '6MB'", "14"),
        ("reset all", ""),
        ("discard all", ""),
    ];
    for (sql, expected) in steps {
        a.ok(sql);
        assert_shows(&mut b, "app.x", "");
        let ask = "select current_setting('app.x', true)";
        for _ in 0..2 {
            assert_shows(&mut a, "app.x", expected);
        }
        let _ = ask;
    }
    assert_shows(&mut a, "work_mem", "4MB");
    // The same one message at a time, so that the transaction spans many.
    for sql in ["begin", "set app.x = '16'", "savepoint s", "set app.x = '17'", "rollback to s", "commit"] {
        a.ok(sql);
    }
    assert_shows(&mut a, "app.x", "16");
    a.ok("begin");
    a.ok("set app.x = '18'");
    assert_eq!(a.query("select 1/0").code(), "22012");
    assert_eq!(a.query("commit").tags(), "CZ");
    assert_shows(&mut a, "app.x", "16");
    // Through the extended protocol.
    a.extended("set app.x = '19'", &[]).ok();
    assert_shows(&mut a, "app.x", "19");
    a.extended("select set_config('app.x', $1, false)", &["20"]).ok();
    assert_shows(&mut a, "app.x", "20");
    assert_shows(&mut b, "app.x", "");
}

#[test]
fn what_a_function_sets_does_not_leak() {
    let proxy = proxy(ONE);
    wait_both(&proxy);
    let (mut a, mut b) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    a.ok("do $$ begin perform set_config('app.x', '15', false); perform set_config('work_mem', '7MB', false); end $$");
    assert_shows(&mut b, "app.x", "");
    assert_shows(&mut b, "work_mem", "4MB");
}

#[test]
fn what_a_function_sets_is_not_lost() {
    let proxy = proxy(ONE);
    wait_both(&proxy);
    let mut a = Raw::app(proxy.address());
    a.ok("do $$ begin perform set_config('work_mem', '7MB', false); end $$");
    assert_shows(&mut a, "work_mem", "7MB");
}

#[test]
fn reset_returns_to_what_was_given_at_start_up() {
    let proxy = proxy(ONE);
    wait_both(&proxy);
    let options = [
        ("options", "-c IntervalStyle=iso_8601 -c app.tenant=seven -c search_path=a,\\ b"),
        ("DateStyle", "German, DMY"),
        ("application_name", "it"),
    ];
    let mut a = Raw::app_with(proxy.address(), &options);
    let mut b = Raw::app(proxy.address());
    let given = [
        ("IntervalStyle", "iso_8601"),
        ("DateStyle", "German, DMY"),
        ("app.tenant", "seven"),
        ("search_path", "a, b"),
        ("application_name", "it"),
    ];
    assert_eq!(a.reported["IntervalStyle"], "iso_8601");
    assert_eq!(a.reported["DateStyle"], "German, DMY");
    assert_eq!(a.reported["application_name"], "it");
    for undo in [
        "",
        "reset all",
        "discard all",
        "reset intervalstyle; reset datestyle; reset app.tenant; reset search_path; reset application_name",
    ] {
        if !undo.is_empty() {
            a.ok("set intervalstyle = 'postgres'; set datestyle = 'SQL'; set app.tenant = '8'; set search_path = c; set application_name = 'z'");
            assert_shows(&mut a, "IntervalStyle", "postgres");
            for sql in undo.split("; ") {
                a.ok(sql);
            }
        }
        given.iter().for_each(|(name, value)| assert_shows(&mut a, name, value));
        assert_shows(&mut b, "IntervalStyle", "postgres");
        assert_shows(&mut b, "app.tenant", "");
    }
    // A bad one is PostgreSQL's own error.
    let error = Raw::log_in(
        proxy.address(),
        super::support::raw::V3_0,
        &[("user", "app"), ("database", "app"), ("options", "-c IntervalStyle=nope")],
        "secret",
    );
    assert_eq!(error.err().unwrap().field(b'C').unwrap(), "22023");
}

#[test]
fn changed_settings_are_reported() {
    let proxy = proxy(ONE);
    wait_both(&proxy);
    let (mut a, mut b) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    a.ok("set timezone = 'Asia/Tokyo'");
    assert_eq!(a.reported["TimeZone"], "Asia/Tokyo");
    b.ok("select 1");
    assert_eq!(b.reported["TimeZone"], "UTC");
    assert_eq!(a.reported["in_hot_standby"], "off");
    a.ok("reset timezone");
    assert_eq!(a.reported["TimeZone"], "UTC");
}

#[test]
fn row_level_security_by_a_setting_holds() {
    let schema = schema();
    let sql = format!(
        "set role app; set search_path = {schema}; create table t (owner text);
         insert into t select i::text from generate_series(1, 4) i;
         alter table t enable row level security; alter table t force row level security;
         create policy p on t using (owner = current_setting('app.user_id', true));"
    );
    shared().primary().psql(&sql).unwrap();
    shared().wait_caught_up().unwrap();
    let proxy = proxy(ONE);
    wait_both(&proxy);
    let mut clients: Vec<_> = (0..4).map(|_| Raw::app(proxy.address())).collect();
    for (i, client) in clients.iter_mut().enumerate().skip(1) {
        client.ok(&format!("set app.user_id = '{i}'"));
    }
    let read = format!("select string_agg(owner, ',') from {schema}.t");
    for round in 0..30 {
        for (i, client) in clients.iter_mut().enumerate() {
            let hint = if round % 2 == 0 { "intent=primary" } else { "consistency=eventual" };
            let seen = client.ok(&format!("{read} /* tidegate: {hint} */")).value();
            let expected = if i == 0 { "NULL".to_owned() } else { i.to_string() };
            assert_eq!(seen, expected, "client {i}, {hint}");
        }
    }
}

#[test]
fn a_role_follows_its_client() {
    let role = format!("promise_role_{:08x}", rand::random::<u32>());
    shared().primary().psql(&format!("create role {role}; grant {role} to app")).unwrap();
    shared().wait_caught_up().unwrap();
    let proxy = proxy(ONE);
    wait_both(&proxy);
    let (mut a, mut b) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    let who = [
        "select current_user /* tidegate: intent=primary */",
        "select current_user /* tidegate: consistency=eventual */",
    ];
    a.ok(&format!("set role {role}"));
    for _ in 0..2 {
        for sql in who {
            assert_eq!(a.ok(sql).value(), role);
            assert_eq!(b.ok(sql).value(), "app");
        }
    }
    a.ok(&format!("begin; set local role {role}; commit; reset role"));
    for sql in who {
        assert_eq!(a.ok(sql).value(), "app");
    }
    a.ok(&format!("set role {role}"));
    a.ok("discard all");
    assert_eq!(a.ok(who[0]).value(), "app");
    wait_open(&proxy);
    assert_ne!(b.ok(WHERE).value(), "primary");
}

#[test]
fn settings_come_along_with_the_statement() {
    let proxy = proxy("connection_limit=1&tidegate_client_auth=trust");
    wait_both(&proxy);
    let mut clients: Vec<_> = (0..3).map(|_| Raw::app(proxy.address())).collect();
    for (i, client) in clients.iter_mut().enumerate() {
        client.ok(&format!("set app.tenant = '{i}'"));
        client.ok(&format!("set work_mem = '{}kB'", 100 + i));
        client.ok(&format!("set search_path = 'tenant_{i}'"));
    }
    let asked =
        "select current_setting('app.tenant'), current_setting('work_mem'), current_setting('search_path')";
    for round in 0..6 {
        for (i, client) in clients.iter_mut().enumerate() {
            let row = [i.to_string(), format!("{}kB", 100 + i), format!("tenant_{i}")];
            let expected = [row.map(Some).to_vec()];
            for place in ["", " /* tidegate: intent=primary */"] {
                let text = format!("{asked}{place}");
                assert_eq!(client.ok(&text).rows(), expected, "round {round}");
                assert_eq!(client.extended(&text, &[]).ok().rows(), expected);
                // An error does not take them away.
                assert_eq!(client.extended(&format!("select 1/0{place}"), &[]).code(), "22012");
                assert_eq!(client.ok(&text).rows(), expected);
            }
            client.ok("begin");
            assert_eq!(client.ok(asked).rows(), expected);
            client.ok("commit");
        }
    }
}
