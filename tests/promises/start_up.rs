//! What a client gives at start-up is what RESET returns to, and what it has been told of its settings is true.
//! Random sequences of such statements are in `tests/settings_model.rs`.

use super::support::raw::{Raw, parse, sync};
use super::{proxy, wait_both};

/// One server connection per node, shared by everybody.
const ONE: &str = "connection_limit=1&tidegate_client_auth=trust";

const TOKYO: &[(&str, &str)] =
    &[("TimeZone", "Asia/Tokyo"), ("options", "-c app.tenant=seven -c search_path=a,\\ b")];

#[test]
fn reset_in_a_transaction_returns_to_the_value_from_start_up() {
    let proxy = proxy(ONE);
    let mut a = Raw::app_with(proxy.address(), TOKYO);
    a.ok("set timezone = 'UTC'; set search_path = c; set app.tenant = '8'");
    for undo in ["reset timezone; reset search_path; reset app.tenant", "reset all"] {
        a.ok("begin");
        undo.split("; ").for_each(|sql| drop(a.ok(sql)));
        assert_eq!(a.ok("show timezone").value(), "Asia/Tokyo");
        assert_eq!(a.ok("show search_path").value(), "a, b");
        assert_eq!(a.ok("show app.tenant").value(), "seven");
        assert_eq!(a.reported["TimeZone"], "Asia/Tokyo");
        a.ok("rollback");
        assert_eq!(a.ok("show timezone").value(), "UTC");
        assert_eq!(a.reported["TimeZone"], "UTC");
    }
    a.ok("begin");
    a.ok("set local timezone to default");
    assert_eq!(a.ok("show timezone").value(), "Asia/Tokyo");
    a.ok("commit");
    assert_eq!(a.ok("show timezone").value(), "UTC");
}

#[test]
fn a_reset_takes_no_snapshot() {
    let proxy = proxy(ONE);
    let mut a = Raw::app_with(proxy.address(), TOKYO);
    a.ok("begin; reset timezone");
    a.ok("set transaction isolation level serializable");
    assert_eq!(a.ok("show timezone").value(), "Asia/Tokyo");
    a.ok("rollback");
}

#[test]
fn a_client_is_told_once_what_a_reset_returns_to() {
    let proxy = proxy(ONE);
    let mut a = Raw::app_with(proxy.address(), TOKYO);
    let told = |raw: &mut Raw, sql: &str| {
        let answer = raw.ok(sql);
        answer.0.iter().filter(|m| m.tag == b'S').map(|m| m.body.clone()).collect::<Vec<_>>()
    };
    let tokyo = [b"TimeZone\0Asia/Tokyo\0".to_vec()];
    for reset in [
        "reset timezone",
        "reset all",
        "discard all",
        "begin; reset timezone; commit",
        "reset timezone; set local timezone = 'Asia/Tokyo'",
    ] {
        // To the server's own value: the server has nothing to report when that is reset.
        assert_eq!(told(&mut a, "set timezone = 'UTC'"), [b"TimeZone\0UTC\0".to_vec()]);
        assert_eq!(told(&mut a, reset), tokyo, "{reset}");
        assert!(told(&mut a, reset).is_empty(), "{reset}: nothing has changed");
        a.ok("set timezone = 'Europe/Berlin'");
        assert_eq!(told(&mut a, reset), tokyo, "{reset}");
    }
}

#[test]
fn a_custom_setting_may_be_set_to_nothing() {
    let proxy = proxy(ONE);
    let mut a = Raw::app_with(proxy.address(), TOKYO);
    for sql in ["set app.tenant = ''", "begin; set app.tenant = ''; commit", "reset timezone"] {
        a.ok(sql);
        assert_eq!(a.ok("select current_setting('app.tenant')").value(), "", "{sql}");
    }
    a.ok("reset app.tenant");
    assert_eq!(a.ok("select current_setting('app.tenant')").value(), "seven");
}

#[test]
fn a_custom_setting_is_followed_wherever_in_a_pipeline_it_is_set() {
    let proxy = proxy(ONE);
    let mut a = Raw::app(proxy.address());
    a.pipeline(["begin", "select set_config('app.late', 'x', false)", "commit"]).ok();
    let mut b = Raw::app(proxy.address());
    b.ok("set app.late = 'other'");
    assert_eq!(a.ok("select current_setting('app.late')").value(), "x");
}

#[test]
fn a_setting_made_by_execute_is_followed_and_reset_by_it() {
    let proxy = proxy(ONE);
    let mut a = Raw::app_with(proxy.address(), TOKYO);
    for (name, sql) in [("set", "set app.run = 'mine'"), ("reset", "reset timezone")] {
        a.send(&[parse(name, sql), sync()].concat());
        a.answer().ok();
    }
    a.ok("execute set");
    Raw::app(proxy.address()).ok("set app.run = 'other'");
    assert_eq!(a.ok("begin; commit; select current_setting('app.run')").value(), "mine");
    a.ok("set timezone = 'America/Lima'");
    a.ok("execute reset");
    assert_eq!(a.ok("show timezone").value(), "Asia/Tokyo");
    Raw::app(proxy.address()).ok("set timezone = 'Europe/Berlin'");
    assert_eq!(a.ok("show timezone").value(), "Asia/Tokyo");
}

#[test]
fn a_setting_that_a_function_makes_is_what_the_client_was_told() {
    let proxy = proxy(ONE);
    wait_both(&proxy);
    let schema = super::schema();
    let mut a = Raw::app_with(proxy.address(), TOKYO);
    a.ok(&format!(
        "create function {schema}.zone() returns void language plpgsql as
         $$ begin perform set_config('timezone', 'America/Lima', false); end $$"
    ));
    a.ok(&format!("select {schema}.zone()"));
    assert_eq!(a.reported["TimeZone"], "America/Lima");
    Raw::app(proxy.address()).ok("show timezone");
    assert_eq!(a.ok("show timezone").value(), "America/Lima");
}

#[test]
fn a_role_survives_another_session_authorization() {
    let name = format!("promise_role_{:08x}", rand::random::<u32>());
    let [one, two] = [format!("{name}_one"), format!("{name}_two")];
    let cluster =
        super::own(&tidegate::local::Options { app_is_superuser: true, ..super::support::options() });
    cluster.primary().psql(&format!("create role {one}; create role {two}; grant {two} to {one}")).unwrap();
    let proxy = super::support::proxy::Tidegate::tuned(&cluster, ONE).start();
    let (mut a, mut b) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    a.ok(&format!("set log_statement = 'ddl'; set session authorization {one}; set role {two}"));
    b.ok(&format!("set role {two}"));
    for _ in 0..2 {
        let who = "select session_user || ' ' || current_user /* tidegate: intent=primary */";
        assert_eq!(a.ok(who).value(), format!("{one} {two}"));
        assert_eq!(a.ok("show log_statement").value(), "ddl");
        assert_eq!(b.ok(who).value(), format!("app {two}"));
        assert_eq!(b.ok("show log_statement").value(), "none");
    }
}
