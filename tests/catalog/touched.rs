//! The statements of [`super::touching`], each run on a real server: what its counters say was touched must be within
//! what Tidegate says.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};

use tidegate::local::{LocalCluster, Login};
use tidegate::sql::catalog::{Catalog, Tables};
use tidegate::sql::{Class, Statement, Touched};

use super::touching::{TOUCHING, TOUCHING_ALL, Touching};
use super::{Watched, support};
use support::raw::{Raw, V3_0, query, tagged};
use support::touched::{Counters, QUESTION, Real, SETTLE};

/// A superuser's session on the primary.
fn session(cluster: &LocalCluster, database: &str) -> Raw {
    let primary = cluster.primary();
    let url = primary.url(Login::Superuser);
    let password = url.split([':', '@']).nth(2).unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, primary.port()));
    Raw::log_in(address, V3_0, &[("user", "postgres"), ("database", database)], password).unwrap()
}

/// A statement that has been run and undone.
struct Ran {
    said: Statement,
    real: Real,
}

impl Ran {
    fn claim(&self) -> &Touched {
        self.said.touched.as_ref().unwrap()
    }

    fn wrong(&self) -> Vec<String> {
        self.real.beyond(&self.said.class, self.claim())
    }
}

/// Runs a statement in a transaction that is undone. Before it may stand who runs it and by which search path, in brackets;
/// behind it what COPY is sent. Fails with the server's words.
fn run(raw: &mut Raw, text: &str, catalog: &Catalog) -> Result<Ran, String> {
    let (who, text) = match text.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((who, text)) => (who, text),
        None => ("none", text),
    };
    let (text, data) = text.split_once(" <<< ").unwrap_or((text, ""));
    raw.ok("begin");
    let (role, path) = who.split_once(' ').unwrap_or((who, ""));
    raw.ok(&format!("set local role {role}"));
    if !path.is_empty() {
        raw.ok(&format!("set local search_path = {path}"));
    }
    let counters = |raw: &mut Raw| Counters::read(&raw.ok(QUESTION).rows());
    let before = counters(raw);
    raw.send(&query(text));
    if !data.is_empty() {
        raw.until(b"GZ");
        raw.send(&[tagged(b'd', data.as_bytes()), tagged(b'c', &[])].concat());
    }
    if let Some((code, message)) = raw.answer().error() {
        raw.ok("rollback");
        return Err(format!("{code} {message}"));
    }
    raw.ok(SETTLE);
    let after = counters(raw);
    raw.ok("rollback");
    Ok(Ran { said: before.claim(text, catalog), real: before.until(&after, text) })
}

fn make(raw: &mut Raw, name: &str, ddl: &str) {
    raw.ok("set client_min_messages = warning");
    raw.ok(&format!(
        "create schema {name}; grant usage on schema {name} to public; set search_path = {name}"
    ));
    raw.ok(ddl);
}

/// What was found in one database.
#[derive(Default)]
struct Sum {
    wrong: String,
    changed: usize,
    read: usize,
    narrowed: usize,
}

impl Sum {
    fn add(&mut self, ran: &Ran, about: &str, exact: bool) {
        for miss in ran.wrong() {
            writeln!(self.wrong, "{about}: {miss}").unwrap();
        }
        let is_read = ran.said.class == Class::Read;
        let is_known = ran.claim().writes != Tables::Any && (!is_read || ran.claim().reads != Tables::Any);
        if is_known != exact {
            writeln!(self.wrong, "{about}: known exactly: {is_known}: {:?}", ran.claim()).unwrap();
        }
        self.changed += ran.real.changed.len();
        self.read += if is_read { ran.real.read.len() } else { 0 };
        self.narrowed += narrower(ran, about);
    }
}

/// Runs all statements in a database of their own: what else there is can be meant by the words of a function's source.
fn run_all(database: &str, all: &[Touching]) -> Sum {
    let cluster = support::cluster();
    cluster.primary().psql(&format!("create database {database}")).unwrap();
    let mut raw = session(cluster, database);
    for Touching { name, ddl, .. } in all {
        make(&mut raw, name, ddl);
    }
    let watched = Watched::in_database(cluster, Login::Superuser, database);
    let snapshot = watched.fresh();
    let mut sum = Sum::default();
    for Touching { name, known, any, .. } in all {
        raw.ok(&format!("set search_path = {name}"));
        for (text, exact) in known.iter().map(|text| (text, true)).chain(any.iter().map(|text| (text, false)))
        {
            match run(&mut raw, text, &snapshot.catalog) {
                Ok(ran) => sum.add(&ran, &format!("{name}: {text}"), exact),
                Err(error) => writeln!(sum.wrong, "{name}: {text}: {error}").unwrap(),
            }
        }
    }
    watched.stop();
    sum
}

#[test]
fn what_the_server_has_touched_is_within_what_is_said() {
    let Sum { wrong, changed, read, narrowed } = run_all("touching", TOUCHING);
    assert!(wrong.is_empty(), "\n{wrong}");
    // Whoever asks a server that counts nothing finds nothing wrong.
    assert!(
        changed > 100 && read > 30 && narrowed > 80,
        "{changed} changed, {read} read, {narrowed} narrowed"
    );
}

#[test]
fn what_touches_tables_in_every_statement_is_held_against_every_statement() {
    for touching in TOUCHING_ALL {
        let Sum { wrong, changed, read, .. } = run_all(touching.name, std::slice::from_ref(touching));
        assert!(wrong.is_empty() && changed + read >= 5, "{changed} {read}\n{wrong}");
    }
}

/// Takes each table that was touched out of what was said, and has the difference found. Returns how many there were.
fn narrower(ran: &Ran, text: &str) -> usize {
    let without = |tables: &Tables, oid: u32| match tables {
        Tables::Known(known) => Tables::Known(known.iter().copied().filter(|other| *other != oid).collect()),
        Tables::Any => Tables::Any,
    };
    let Touched { reads, writes } = ran.claim();
    let known = |tables: &Tables| *tables != Tables::Any;
    let changed = ran.real.changed.keys().filter(|_| known(writes));
    let is_read = ran.said.class == Class::Read;
    let read = ran.real.read.keys().filter(|_| is_read && known(reads) && known(writes));
    let mut found = 0;
    for oid in changed.chain(read) {
        let less = Touched { reads: without(reads, *oid), writes: without(writes, *oid) };
        assert!(!ran.real.beyond(&ran.said.class, &less).is_empty(), "{text}: nobody missed {oid}");
        found += 1;
    }
    found
}

#[test]
fn what_is_forgotten_is_found() {
    let cluster = support::cluster();
    cluster.primary().psql("create database forgotten").unwrap();
    let mut raw = session(cluster, "forgotten");
    make(
        &mut raw,
        "forgotten",
        "create table t (id int primary key, n int); create table u (id int); create view v as select 1 as id;
         create table p (id int) partition by range (id); create table l (id int);
         insert into t values (1, 1)",
    );
    let watched = Watched::in_database(cluster, Login::Superuser, "forgotten");
    let before = watched.fresh();
    raw.ok("create function audit() returns trigger language plpgsql as
             $$ begin insert into forgotten.u values (1); return null; end $$;
         create trigger x after insert on t for each row execute function audit();
         create table c (id int references t on delete cascade); insert into c values (1);
         create or replace view v as select id from u;
         create table p1 partition of p for values from (1) to (9);
         create rule r as on delete to l do also insert into u values (2)");
    let after = watched.fresh();
    for (text, missing) in [
        ("insert into t values (2)", &["changes u"][..]),
        ("delete from t where id = 1", &["changes c"]),
        ("select * from v", &["reads u"]),
        ("select * from v where false", &["reads u"]),
        ("insert into p values (1)", &["changes p1"]),
        ("select * from p", &["reads p1"]),
        ("delete from l", &["changes u"]),
        ("update t set n = 2", &[]),
    ] {
        let wrong = |raw: &mut Raw, catalog| run(raw, text, catalog).unwrap().wrong();
        assert_eq!(wrong(&mut raw, &after.catalog), [""; 0], "{text}");
        assert_eq!(wrong(&mut raw, &before.catalog), missing, "{text}");
    }
    watched.stop();
}
