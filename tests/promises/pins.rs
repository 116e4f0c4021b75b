//! What cannot be shared binds a client to its server connection, until it is gone.

use super::support::proxy::RunningProxy;
use super::support::raw::Raw;
use super::{counts, proxy, schema, shared, since, support, wait_both, wait_open};

fn pinned(proxy: &RunningProxy, reason: &str) -> f64 {
    proxy.metric("tidegate_pinned_clients", &[&format!("reason=\"{reason}\"")])
}

fn wait_unpinned(proxy: &RunningProxy) {
    support::wait_until("nobody is pinned", || proxy.metric("tidegate_pinned_clients", &[]) < 0.5);
}

#[test]
fn a_temporary_table_stays_with_its_client() {
    let proxy = proxy("connection_limit=2&tidegate_client_auth=trust");
    wait_both(&proxy);
    let (mut a, mut b) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    a.ok("create temp table scratch (n int)");
    a.ok("insert into scratch values (1)");
    for _ in 0..5 {
        assert_eq!(a.ok("select count(*) from scratch").value(), "1");
        assert_eq!(b.query("select count(*) from scratch").code(), "42P01");
        assert_eq!(b.ok("select 1 /* tidegate: intent=primary */").value(), "1");
    }
    assert!(proxy.metric("tidegate_pinned_clients", &[]) > 0.5);
    a.ok("discard all");
    wait_unpinned(&proxy);
    assert_eq!(a.query("select count(*) from scratch").code(), "42P01");
    wait_open(&proxy);
    a.ok("create temp table scratch (n int)");
    a.terminate();
    wait_unpinned(&proxy);
    for _ in 0..4 {
        assert_eq!(b.query("select count(*) from scratch /* tidegate: intent=primary */").code(), "42P01");
    }
}

#[test]
fn an_advisory_lock_is_held_and_given_back() {
    let proxy = proxy("connection_limit=3&tidegate_client_auth=trust");
    wait_both(&proxy);
    let (mut a, mut b) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    // How Prisma Migrate takes it: never unlocked, the disconnect has to do it.
    a.ok("select pg_advisory_lock(72707369)");
    a.ok("select 1");
    assert_eq!(b.ok("select pg_try_advisory_lock(72707369)").value(), "f");
    a.terminate();
    support::wait_until("the lock is free", || b.ok("select pg_try_advisory_lock(72707369)").value() == "t");
    drop(b);
    let mut c = Raw::app(proxy.address());
    // Without a good-bye, too.
    support::wait_until("the lock is free", || c.ok("select pg_try_advisory_lock(72707369)").value() == "t");
    c.ok("select pg_advisory_unlock(72707369)");
    // Locks of a transaction end with it and bind nobody.
    let mut d = Raw::app(proxy.address());
    d.ok("begin; select pg_advisory_xact_lock(5); commit");
    wait_open(&proxy);
    let before = counts(&proxy);
    d.ok("select 1");
    assert_eq!(since(&proxy, &before), ["replica:fresh"]);
}

#[test]
fn notifications_are_delivered() {
    let schema = schema();
    let proxy = proxy("tidegate_client_auth=trust");
    wait_both(&proxy);
    let (mut listener, mut sender) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    listener.ok(&format!("listen {schema}"));
    support::wait_until("the listener is pinned", || pinned(&proxy, "listen") > 0.5);
    for i in 0..3 {
        sender.ok(&format!("notify {schema}, 'number {i}'"));
        // It arrives while the listener does nothing.
        let message = listener.read();
        assert_eq!(message.tag, b'A');
        assert!(String::from_utf8_lossy(&message.body).contains(&format!("number {i}")), "{message:?}");
        assert_eq!(listener.ok("select 1").value(), "1");
    }
    listener.ok("unlisten *");
    listener.terminate();
    wait_unpinned(&proxy);
}

#[test]
fn cursors_and_statements_of_sql_stay_with_their_client() {
    let proxy = proxy("connection_limit=3&tidegate_client_auth=trust");
    wait_both(&proxy);
    let (mut a, mut b) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    a.ok("declare c cursor with hold for select generate_series(1, 100)");
    assert_eq!(a.ok("fetch 2 from c").rows().len(), 2);
    assert_eq!(b.query("fetch 2 from c").code(), "34000");
    assert_eq!(a.ok("fetch 1 from c").value(), "3");
    a.ok("close c");
    a.ok("prepare p (int) as select $1 + 1");
    for i in 0..5 {
        assert_eq!(a.ok(&format!("execute p({i})")).value(), (i + 1).to_string());
        assert_eq!(b.query("execute p(1)").code(), "26000");
    }
    a.ok("deallocate p");
    assert_eq!(a.query("execute p(1)").code(), "26000");
    a.terminate();
    wait_unpinned(&proxy);
}

#[test]
fn a_pin_does_not_outlive_a_failed_statement() {
    let proxy = proxy("tidegate_client_auth=trust");
    wait_both(&proxy);
    let mut a = Raw::app(proxy.address());
    assert_eq!(a.query("create temp table scratch (n nonsense)").code(), "42704");
    a.ok("begin");
    a.ok("create temp table scratch (n int)");
    a.ok("rollback");
    wait_open(&proxy);
    assert_eq!(a.ok("select 1").value(), "1");
}

/// Statements that begin and end what binds a session, and the reason in between.
const CAUSES: [(&str, &str, &str); 10] = [
    ("temp_table", "create temp table scratch (n int)", "drop table scratch"),
    ("temp_table", "create temp view glance as select 1", "discard temp"),
    (
        "temp_table",
        "create function pg_temp.f() returns int language sql as 'select 1'",
        "drop function pg_temp.f",
    ),
    ("advisory_lock", "select pg_advisory_lock(7)", "select pg_advisory_unlock(7)"),
    ("advisory_lock", "select pg_try_advisory_lock_shared(7)", "select pg_advisory_unlock_all()"),
    ("hold_cursor", "declare c cursor with hold for select 1", "close c"),
    ("hold_cursor", "declare c cursor with hold for select 1", "begin; close all; commit"),
    ("listen", "listen some_channel", "unlisten some_channel"),
    ("prepare", "prepare p as select 1", "deallocate p"),
    (
        "temp_table",
        "do $$ begin create temp table scratch (n int); end $$",
        "do $$ begin drop table scratch; end $$",
    ),
];

#[test]
fn a_pin_ends_with_its_cause() {
    let proxy = proxy("connection_limit=2&tidegate_client_auth=trust");
    wait_both(&proxy);
    let mut a = Raw::app(proxy.address());
    for (reason, begin, end) in CAUSES {
        a.ok(begin);
        support::wait_until(begin, || pinned(&proxy, reason) > 0.5);
        a.ok("select 1");
        assert!(pinned(&proxy, reason) > 0.5, "{begin}");
        a.ok(end);
        wait_unpinned(&proxy);
        wait_open(&proxy);
        let before = counts(&proxy);
        a.ok("select 1");
        assert_eq!(since(&proxy, &before), ["replica:fresh"], "{end}");
        // In a transaction, taken back.
        a.ok("begin");
        a.ok(begin);
        a.ok("rollback");
        if reason != "advisory_lock" && reason != "prepare" {
            wait_unpinned(&proxy);
        }
        a.ok(if reason == "prepare" { "deallocate all" } else { "select pg_advisory_unlock_all()" });
        wait_unpinned(&proxy);
    }
}

#[test]
fn locks_are_counted() {
    let proxy = proxy("connection_limit=3&tidegate_client_auth=trust");
    wait_both(&proxy);
    let (mut a, mut b) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    for lock in ["select pg_advisory_lock(11)", "select pg_advisory_lock(11)", "select pg_advisory_lock(12)"]
    {
        a.ok(lock);
    }
    // A try that got nothing binds nobody.
    assert_eq!(b.ok("select pg_try_advisory_lock(11)").value(), "f");
    b.ok("select 1");
    assert!((pinned(&proxy, "advisory_lock") - 1.0).abs() < 0.1);
    for (unlock, left) in [(11, 1.0), (12, 1.0), (11, 0.0)] {
        assert_eq!(a.ok(&format!("select pg_advisory_unlock({unlock})")).value(), "t");
        a.ok("select 1");
        support::wait_until("the lock is counted", || (pinned(&proxy, "advisory_lock") - left).abs() < 0.1);
    }
    assert_eq!(b.ok("select pg_try_advisory_lock(11)").value(), "t");
    b.ok("select pg_advisory_unlock(11)");
}

#[test]
fn what_functions_leave_stays_with_their_client() {
    let schema = schema();
    shared().primary().psql(&format!(
        "create function {schema}.keep() returns void language plpgsql as $$ begin
             create temp table kept (n int); perform pg_advisory_lock(13); perform set_config('work_mem', '123kB', false);
         end $$; grant usage on schema {schema} to app"
    )).unwrap();
    shared().wait_caught_up().unwrap();
    let proxy = proxy("connection_limit=2&tidegate_client_auth=trust");
    wait_both(&proxy);
    let (mut a, mut b) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    a.ok(&format!("select {schema}.keep()"));
    for _ in 0..3 {
        a.ok("insert into kept values (1)");
        assert_eq!(a.ok("show work_mem").value(), "123kB");
        assert_eq!(b.query("insert into kept values (1)").code(), "42P01");
        assert_eq!(b.ok("select pg_try_advisory_lock(13)").value(), "f");
        assert_ne!(b.ok("show work_mem /* tidegate: intent=primary */").value(), "123kB");
    }
    a.ok("drop table kept; select pg_advisory_unlock(13)");
    wait_unpinned(&proxy);
    assert_eq!(a.ok("show work_mem").value(), "123kB");
}

#[test]
fn a_short_statement_timeout_does_not_keep_a_pin_from_being_seen() {
    let proxy = proxy("connection_limit=2&tidegate_client_auth=trust");
    wait_both(&proxy);
    let mut a = Raw::app(proxy.address());
    a.ok("create temp table scratch (n int)");
    a.ok("set statement_timeout = '1ms'");
    for _ in 0..20 {
        // The question that follows takes about as long as it may.
        let _ = a.query("select pg_try_advisory_lock(17)");
        let _ = a.query("select pg_advisory_unlock_all()");
        let _ = a.query("set work_mem = '77kB'");
    }
    a.ok("set statement_timeout = 0");
    assert_eq!(a.ok("select count(*) from scratch").value(), "0");
    a.ok("drop table scratch");
    a.ok("select pg_advisory_unlock_all()");
    wait_unpinned(&proxy);
}

#[test]
fn a_search_path_with_the_temporary_schema_binds() {
    let proxy = proxy("connection_limit=2&tidegate_client_auth=trust");
    wait_both(&proxy);
    let (mut a, mut b) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    // A connection that has a temporary schema already.
    b.ok("create temp table other (n int); drop table other");
    a.ok("set search_path to 'pg_temp'");
    assert_eq!(a.ok("select current_schema() is null").value(), "f");
    a.ok("create table scratch (n int)");
    for _ in 0..3 {
        a.ok("insert into scratch values (1)");
        assert_eq!(b.query("select * from scratch").code(), "42P01");
    }
    assert!(pinned(&proxy, "temp_path") > 0.5);
    a.ok("drop table scratch");
    a.ok("reset search_path");
    wait_unpinned(&proxy);
}

#[test]
fn a_setting_can_be_made_before_its_library_is_loaded() {
    let proxy = proxy("connection_limit=1&tidegate_client_auth=trust");
    wait_both(&proxy);
    let (mut a, mut b) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    b.ok("do $$ begin null; end $$");
    a.ok("set plpgsql.not_a_setting = 1");
    assert_eq!(a.ok("show plpgsql.not_a_setting").value(), "1");
    assert!(pinned(&proxy, "reserved_setting") > 0.5);
    a.ok("discard all");
    wait_unpinned(&proxy);
    b.ok("do $$ begin null; end $$");
    a.ok("set plpgsql.not_a_setting = 2");
    // Once it has loaded the library itself, the error is its own.
    a.ok("do $$ begin null; end $$");
    assert_eq!(a.query("set plpgsql.not_a_setting = 1").code(), "42602");
    a.terminate();
    wait_unpinned(&proxy);
    // What is no name at all stays an error, and binds nobody.
    assert_eq!(b.query("set \"no-name.x\" = 1").code(), "42602");
    wait_unpinned(&proxy);
    assert_eq!(b.ok("select 1").value(), "1");
}

#[test]
fn pins_are_shown() {
    let proxy = proxy("connection_limit=3&tidegate_client_auth=trust");
    wait_both(&proxy);
    let mut a = Raw::app_with(proxy.address(), &[("application_name", "keeper")]);
    let mut b = Raw::app(proxy.address());
    a.ok("select pg_advisory_lock(19)");
    a.ok("create temp table scratch (n int)");
    let server = a.ok("select pg_backend_pid()").value();
    support::wait_until("both are shown", || b.ok("show pins").rows().len() == 2);
    let rows: Vec<Vec<String>> =
        b.ok("SHOW PINS").rows().into_iter().map(|row| row.into_iter().flatten().collect()).collect();
    for (row, reason) in rows.iter().zip(["advisory_lock", "temp_table"]) {
        assert_eq!(&row[1..5], ["app", "app", "keeper", "127.0.0.1"]);
        assert_eq!((&*row[6], &*row[7]), (&*server, reason));
        assert!(row[8].ends_with("GMT") && row[9].parse::<u64>().unwrap() < 60, "{row:?}");
    }
    assert_eq!(b.extended("show tidegate.pins", &[]).ok().rows().len(), 2);
    let (_, page) = support::metrics::get(proxy.admin(), "/pins");
    assert!(page.starts_with("client_pid\tuser\t") && page.contains("\tadvisory_lock\t"), "{page}");
    a.terminate();
    support::wait_until("they are gone", || b.ok("show pins").rows().is_empty());
}

#[test]
fn long_pins_are_logged_once() {
    let proxy = proxy("tidegate_long_pin=50ms&tidegate_client_auth=trust");
    wait_both(&proxy);
    let (mut a, mut b) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    b.ok("listen some_channel");
    a.ok("create temp table scratch (n int)");
    let told = |reason: &str| {
        proxy
            .stderr()
            .lines()
            .filter(|line| line.contains("keeps a server connection to itself") && line.contains(reason))
            .count()
    };
    support::wait_until("the pin is logged", || told("temp_table") > 0);
    // Those that have been looked at together with a later one have been looked at twice.
    a.ok("select pg_advisory_lock(23)");
    support::wait_until("the other one is logged", || told("advisory_lock") > 0);
    assert_eq!((told("temp_table"), told("listen")), (1, 0), "{}", proxy.stderr());
}

#[test]
fn nobody_is_bound_to_a_replica() {
    let proxy = proxy("tidegate_client_auth=trust");
    wait_both(&proxy);
    let mut a = Raw::app(proxy.address());
    for binds in ["prepare p as select 1", "declare c cursor with hold for select 1"] {
        // The first statement moves the transaction; behind a read it is too late.
        a.ok("begin read only");
        a.ok(binds);
        a.ok("commit");
        a.ok("create temp table scratch (n int); drop table scratch");
        a.ok("discard all");
        support::wait_until("a replica takes the transaction", || {
            a.ok("begin read only");
            let on_replica = a.ok(super::WHERE).value() != "primary";
            if !on_replica {
                // What was made and dropped has not been replayed.
                a.ok("rollback");
            }
            on_replica
        });
        assert_eq!(a.query(binds).code(), "25006");
        a.ok("rollback");
        wait_unpinned(&proxy);
    }
}

#[test]
fn what_was_run_by_a_name_binds_as_well() {
    let proxy = proxy("connection_limit=1&tidegate_client_auth=trust");
    wait_both(&proxy);
    let (mut a, mut b) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    // Prepared in SQL: the lock outlives the statement that took it.
    a.ok("prepare p as select pg_advisory_lock(29)");
    a.ok("execute p");
    a.ok("deallocate p");
    support::wait_until("the lock binds", || pinned(&proxy, "advisory_lock") > 0.5);
    a.ok("select pg_advisory_unlock(29)");
    wait_unpinned(&proxy);
    // Prepared by the protocol.
    a.send(
        &[super::support::raw::parse("q", "select pg_advisory_lock(31)"), super::support::raw::sync()]
            .concat(),
    );
    a.answer().ok();
    a.ok("execute q");
    support::wait_until("the lock binds", || pinned(&proxy, "advisory_lock") > 0.5);
    a.ok("select pg_advisory_unlock(31)");
    wait_unpinned(&proxy);
    assert_eq!(b.ok("select pg_try_advisory_lock(31)").value(), "t");
}
