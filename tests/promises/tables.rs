//! A write closes the replicas for reads of what it may have written to, and for no others.

use tidegate::local::LocalCluster;

use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::Raw;
use super::{own, support, wait_both};

const TABLES: &str = "
create table a (id int primary key, n int);
create table b (id int primary key, n int);
create view over_a as select * from a where n >= 0;
create table parent (id int primary key);
create table child (id int primary key, parent int references parent on delete cascade);
create table audited (id int);
create table audit (id int);
create function note() returns trigger language plpgsql as 'begin insert into audit values (new.id); return new; end';
create trigger note after insert on audited for each row execute function note();
create table stamped (id int, at timestamptz);
create function stamp() returns trigger language plpgsql as 'begin new.at := now(); return new; end';
create trigger stamp before insert on stamped for each row execute function stamp();
create table part (id int, n int) partition by range (id);
create table part_low partition of part for values from (0) to (100);
create table part_high partition of part for values from (100) to (200);
create table base (id int);
create table derived () inherits (base);
create function sneak() returns int language plpgsql as 'begin insert into b values (77, 0) on conflict do nothing; return 1; end';
insert into a values (1, 0);
insert into b values (1, 0);
insert into parent values (1), (2);
insert into child values (1, 1), (2, 2);
";

/// A cluster with tables, replay paused, and a proxy whose replicas have seen all that was there before.
fn paused() -> (LocalCluster, RunningProxy) {
    let cluster = own(&support::options());
    cluster.primary().psql(TABLES).unwrap();
    cluster
        .primary()
        .psql("grant all on all tables in schema public to app; grant create on schema public to app")
        .unwrap();
    cluster.wait_caught_up().unwrap();
    let proxy = Tidegate::before(&cluster).start();
    wait_both(&proxy);
    cluster.replicas().iter().for_each(|replica| replica.pause_replay().unwrap());
    (cluster, proxy)
}

/// Whether a read of `table` goes to a replica at this moment.
fn is_open(raw: &mut Raw, table: &str) -> bool {
    raw.ok(&format!("select count(*) from {table}"));
    let route = raw.ok("show tidegate.last_route").value();
    assert!(route.contains("reason fresh") || route.contains("reason stale"), "{route}");
    route.starts_with("to: replica")
}

/// What reads are made of.
const ALL: [&str; 13] = [
    "a",
    "b",
    "over_a",
    "parent",
    "child",
    "audited",
    "audit",
    "stamped",
    "part",
    "part_low",
    "part_high",
    "base",
    "derived",
];

/// Which of them are open.
fn open(raw: &mut Raw) -> Vec<&'static str> {
    ALL.into_iter().filter(|table| is_open(raw, table)).collect()
}

/// Everything but these.
fn all_but(closed: &[&str]) -> Vec<&'static str> {
    ALL.into_iter().filter(|table| !closed.contains(table)).collect()
}

#[test]
fn a_write_closes_what_it_may_have_written_to_and_nothing_else() {
    let (_cluster, proxy) = paused();
    let (mut writer, mut reader) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    let mut closed: Vec<&str> = Vec::new();
    let steps: [(&str, &[&str]); 7] = [
        ("update a set n = n + 1 where id = 1", &["a", "over_a"]),
        ("insert into stamped values (1)", &["stamped"]),
        ("insert into part values (150, 1)", &["part", "part_low", "part_high"]),
        ("insert into derived values (1)", &["base", "derived"]),
        ("insert into audited values (1)", &["audited", "audit"]),
        ("delete from parent where id = 1", &["parent", "child"]),
        ("insert into b values (2, 2) on conflict (id) do update set n = excluded.n", &["b"]),
    ];
    assert_eq!(open(&mut reader), all_but(&closed));
    for (write, closes) in steps {
        writer.ok(write);
        closed.extend(closes);
        let now_open = open(&mut reader);
        assert!(closes.iter().all(|table| !now_open.contains(table)), "after {write}: {now_open:?} are open");
        if write.contains("audited") {
            // A trigger that writes may write to anything.
            assert_eq!(now_open, Vec::<&str>::new(), "after {write}");
            break;
        }
        assert_eq!(now_open, all_but(&closed), "after {write}");
        // The writer's own session sees it in the same way.
        assert_eq!(open(&mut writer), all_but(&closed), "the writer, after {write}");
    }
}

#[test]
fn a_cascade_closes_the_tables_it_reaches() {
    let (_cluster, proxy) = paused();
    let (mut writer, mut reader) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    writer.ok("delete from parent where id = 1");
    assert_eq!(open(&mut reader), all_but(&["parent", "child"]));
    ["begin", "update b set n = 5 where id = 1", "savepoint s"]
        .into_iter()
        .for_each(|sql| drop(writer.ok(sql)));
    assert_eq!(open(&mut reader), all_but(&["parent", "child"]), "nothing is acknowledged yet");
    ["rollback to s", "commit"].into_iter().for_each(|sql| drop(writer.ok(sql)));
    assert_eq!(open(&mut reader), all_but(&["parent", "child", "b"]));
}

#[test]
fn what_may_do_anything_closes_everything() {
    for write in [
        "create table fresh (n int)",
        "select sneak()",
        "do 'begin update b set n = 9; end'",
        "truncate audit",
    ] {
        let (_cluster, proxy) = paused();
        let (mut writer, mut reader) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
        assert!(is_open(&mut reader, "a"));
        writer.ok(write);
        // After DDL, reads go to the primary for another reason until the catalog is read again.
        support::wait_until("the catalog is read", || {
            reader.ok("select count(*) from a");
            !reader.ok("show tidegate.last_route").value().contains("reason catalog")
        });
        let expected = if write.starts_with("truncate") { open(&mut reader) } else { Vec::new() };
        assert!(!expected.contains(&"audit"));
        assert_eq!(open(&mut reader), expected, "after {write}");
    }
}

#[test]
fn while_the_catalog_may_be_changed_nothing_is_certain() {
    let (_cluster, proxy) = paused();
    let (mut writer, mut reader) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    let mut ddl = Raw::app(proxy.address());
    writer.ok("update a set n = n + 1");
    assert_eq!(open(&mut reader), all_but(&["a", "over_a"]));
    // What a view reads, and what a trigger writes, may be another thing in the next moment.
    ddl.ok("begin");
    ddl.ok("create table fresh (n int)");
    assert_eq!(open(&mut reader), Vec::<&str>::new(), "reads");
    // Whether it changed anything is not known from outside, so its end closes everything, too.
    ddl.ok("rollback");
    support::wait_until("the catalog is read", || {
        reader.ok("select count(*) from b");
        !reader.ok("show tidegate.last_route").value().contains("reason catalog")
    });
    assert_eq!(open(&mut reader), Vec::<&str>::new(), "afterwards");
}

#[test]
fn a_transaction_that_reads_only_must_see_all_tables() {
    let (_cluster, proxy) = paused();
    let (mut writer, mut reader) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    writer.ok("update b set n = 7 where id = 1");
    assert!(is_open(&mut reader, "a"));
    // Its first statement may be about another table than its snapshot is used for in the end.
    reader.ok("begin isolation level repeatable read read only");
    reader.ok("select n from a");
    assert_eq!(reader.ok("select n from b where id = 1").value(), "7");
    reader.ok("commit");
}

#[test]
fn every_way_to_commit_sets_a_mark() {
    let (_cluster, proxy) = paused();
    let ways: [&[&str]; 6] = [
        &["begin; update a set n = n + 1", "commit and chain"],
        &["begin", "update a set n = n + 1", "end"],
        &["update a set n = n + 1; select 1"],
        &["begin", "savepoint s", "update a set n = n + 1", "release s", "commit"],
        &["with w as (update a set n = n + 1 returning n) select n from w"],
        &["copy a from stdin"],
    ];
    let mut reader = Raw::app(proxy.address());
    for way in ways {
        let mut writer = Raw::app(proxy.address());
        let fresh = reader.ok("select max(n) from a /* tidegate: intent=primary */").value();
        for sql in way {
            if sql.starts_with("copy") {
                writer.send(&super::support::raw::query(sql));
                writer.until(b"G");
                writer.send(&super::support::raw::tagged(b'd', b"500\t500\n"));
                writer.send(&super::support::raw::tagged(b'c', b""));
                writer.answer().ok();
            } else {
                writer.ok(sql);
            }
        }
        let after = reader.ok("select max(n) from a").value();
        assert_ne!(after, fresh, "after {way:?}");
    }
}
