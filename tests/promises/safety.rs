//! What a replica cannot do runs where it can, and errors are PostgreSQL's own.

use std::thread;
use std::time::Duration;

use tidegate::local::Login;

use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::{Message, Raw};
use super::{counts, own, proxy, schema, shared, since, support, wait_both, wait_open};

fn fill(schema: &str) {
    let sql = format!(
        "set role app; set search_path = {schema};
         create table log (n int); create table t (n int primary key); insert into t values (1);
         create table u (n int); insert into u values (5);
         create function w() returns int language sql volatile
             as 'insert into {schema}.log values (1) returning n';
         create function f() returns int language sql stable as 'select {schema}.w()';
         create function liar() returns int language sql volatile
             as 'insert into {schema}.log values (1) returning n';
         comment on function liar() is 'tidegate: read';
         create view v as select {schema}.liar() as n;"
    );
    shared().primary().psql(&sql).unwrap();
    shared().wait_caught_up().unwrap();
}

/// Runs a read twice and says where each went, and what both returned.
fn twice(proxy: &RunningProxy, sql: &str, extended: bool) -> Vec<(String, Vec<String>)> {
    let mut raw = Raw::app(proxy.address());
    (0..2)
        .map(|_| {
            wait_open(proxy);
            let before = counts(proxy);
            let answer = if extended { raw.extended(sql, &[]) } else { raw.query(sql) };
            (answer.value(), since(proxy, &before))
        })
        .collect()
}

#[test]
fn what_a_replica_refuses_is_answered_by_the_primary_and_remembered() {
    let schema = schema();
    fill(&schema);
    let proxy = proxy("tidegate_client_auth=trust");
    // Behind the back of the proxy, which has read the catalog.
    shared().primary().psql(&format!("alter table {schema}.u set unlogged")).unwrap();
    shared().wait_caught_up().unwrap();
    let reads = [
        (format!("select n from {schema}.v"), "1", "replica:fresh"),
        (format!("select {schema}.f() /* tidegate: intent=replica */"), "1", "replica:intent_replica"),
        (format!("select n from {schema}.u"), "5", "replica:fresh"),
    ];
    let mut refused = 0;
    for (sql, value, first) in &reads {
        for extended in [false, true] {
            // Another shape each time: what was learned of the first must not help the second.
            let sql = if extended { sql.replace("select ", "select  all ") } else { sql.clone() };
            let seen = twice(&proxy, &sql, extended);
            assert_eq!(seen[0].0, *value, "{sql}");
            // The catalog may have been read meanwhile, and knows the table for what it is now.
            let is_known = refused > 0 && seen[0].1 == ["primary:unknown"];
            if !is_known {
                refused += 1;
                assert_eq!(seen[0].1, ["primary:refused_before", first], "{sql}, extended: {extended}");
            }
            assert_eq!(seen[1].0, *value, "{sql}");
            // The catalog is asked again meanwhile.
            let then = ["primary:refused_before", "primary:unknown"];
            assert!(matches!(&seen[1].1[..], [one] if then.contains(&&**one)), "{sql}: {:?}", seen[1].1);
        }
        let reruns = proxy.metric("tidegate_reruns_total", &["cause=\"needs_primary\""]);
        assert_eq!(reruns.to_string(), refused.to_string());
    }
    assert!(refused >= 4, "the functions are what the catalog does not know of: {refused}");
    let mut raw = Raw::app(proxy.address());
    let written =
        raw.ok(&format!("select count(*) from {schema}.log /* tidegate: intent=primary */")).value();
    assert_eq!(written, "8", "each of the eight calls wrote once");
}

#[test]
fn what_was_written_by_a_read_is_not_missed() {
    let schema = schema();
    fill(&schema);
    let proxy = proxy("");
    let (mut a, mut b) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    wait_open(&proxy);
    for i in 1..=50 {
        a.ok(&format!("select n from {schema}.v"));
        assert_eq!(b.ok(&format!("select count(*) from {schema}.log")).value(), i.to_string());
    }
}

#[test]
fn a_read_only_transaction_on_a_replica_that_writes_gets_postgresqls_error() {
    let schema = schema();
    fill(&schema);
    let proxy = proxy("");
    wait_open(&proxy);
    let mut raw = Raw::app(proxy.address());
    raw.ok("begin read only");
    let answer = raw.query(&format!("insert into {schema}.t values (2)"));
    assert_eq!((answer.code().as_str(), answer.status()), ("25006", 'E'));
    assert_eq!(raw.query("select 1").code(), "25P02");
    assert_eq!(raw.query("commit").tags(), "CZ");
    assert_eq!(raw.ok("select 1").status(), 'I');
}

/// The fields of an error, without the place in the server's source.
fn words(error: &Message) -> Vec<(char, String)> {
    let fields = error.fields().into_iter().map(|(name, text)| (char::from(name), text));
    fields.filter(|(name, _)| !"FLR".contains(*name)).collect()
}

#[test]
fn errors_are_postgresqls_own() {
    let schema = schema();
    fill(&schema);
    let proxy = proxy("");
    let direct_address = ([127, 0, 0, 1], shared().primary().port()).into();
    assert!(shared().url(Login::App).contains("app:secret"));
    let (mut direct, mut through) = (Raw::app(direct_address), Raw::app(proxy.address()));
    wait_open(&proxy);
    let table = [
        ("42P01", format!("select * from {schema}.nothing")),
        ("22012", format!("select 1 / (n - n) from {schema}.t")),
        ("23505", format!("insert into {schema}.t values (1)")),
        ("42601", "selec 1".to_owned()),
        ("42883", "select no_such_function(1)".to_owned()),
        ("22P02", "select 'x'::int".to_owned()),
        ("42703", format!("select nope from {schema}.t")),
        ("25P01", format!("{schema}.x")),
    ];
    for (code, sql) in &table {
        for extended in [false, true] {
            let ask = |raw: &mut Raw| {
                let answer = if extended { raw.extended(sql, &[]) } else { raw.query(sql) };
                let error = answer.0.iter().find(|m| m.tag == b'E').cloned().unwrap();
                (answer.tags(), words(&error))
            };
            let (expected, seen) = (ask(&mut direct), ask(&mut through));
            assert_eq!(seen, expected, "{sql}, extended: {extended}");
            assert!(*code == "25P01" || seen.1.contains(&('C', (*code).to_owned())), "{seen:?}");
        }
    }
}

#[test]
fn a_recovery_conflict_is_not_seen() {
    let mut options = support::options();
    options.replica_conf.push("max_standby_streaming_delay = '20ms'".to_owned());
    let cluster = own(&options);
    let fill = "create table facts (n int) with (autovacuum_enabled = off);
                insert into facts select generate_series(1, 1000); alter table facts owner to app";
    cluster.primary().psql(fill).unwrap();
    cluster.wait_caught_up().unwrap();
    let proxy = Tidegate::before(&cluster).start();
    let read = "select count(*), current_setting('app.node') from facts, (select pg_sleep(1)) s";
    // Each takes from the replica what a query in progress there still needs.
    for conflict in ["delete from facts where n % 2 = 0; vacuum facts", "vacuum full facts", "truncate facts"]
    {
        wait_both(&proxy);
        let address = proxy.address();
        let client = thread::spawn(move || Raw::app(address).query(read));
        let running = "select count(*) from pg_stat_activity where state = 'active' and query like 'select count(*), current%'";
        support::wait_until("a replica runs the read", || {
            cluster.replicas().iter().any(|r| r.psql(running).unwrap().trim() == "1")
        });
        cluster.primary().psql(conflict).unwrap();
        let answer = client.join().unwrap();
        assert_eq!(answer.error(), None, "{conflict}");
        println!("{conflict}: answered by {:?}", answer.rows()[0]);
    }
    assert!(proxy.metric("tidegate_reruns_total", &["cause=\"conflict\""]) >= 2.0, "{}", proxy.metrics());
    thread::sleep(Duration::ZERO);
}

#[test]
fn what_a_replica_has_not_heard_of_yet_is_asked_of_the_primary() {
    let cluster = own(&support::options());
    let proxy = Tidegate::before(&cluster).start();
    wait_both(&proxy);
    cluster.replicas().iter().for_each(|replica| replica.pause_replay().unwrap());
    // Not through the proxy, so no mark is set, and at this level none would count.
    let sql = "create table fresh (n int); insert into fresh values (7); grant all on fresh to app";
    cluster.primary().psql(sql).unwrap();
    for extended in [false, true] {
        let mut app = Raw::app(proxy.address());
        app.ok("set tidegate.consistency = 'eventual'");
        let missing = || proxy.metric("tidegate_reruns_total", &["cause=\"missing\""]);
        let before = missing();
        support::wait_until("the catalog knows the table, and a replica was asked in vain", || {
            let answer = if extended {
                app.extended("select n from fresh", &[])
            } else {
                app.query("select n from fresh")
            };
            assert_eq!(answer.value(), "7");
            missing() > before
        });
        // What is nowhere is PostgreSQL's to say.
        assert_eq!(app.query("select nosuch from fresh").code(), "42703");
        assert_eq!(app.ok("select 1").value(), "1");
    }
    cluster.replicas().iter().for_each(|replica| replica.resume_replay().unwrap());
}
