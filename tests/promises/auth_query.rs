//! Users that only the servers know.

use std::time::{Duration, Instant};

use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::{Message, Raw, V3_0, query, startup};
use super::support::{self, wait_until};
use super::{WHERE, role, shared, wait_both};
use tidegate::local::{LocalCluster, Login};

/// On the primary.
const PRIMARY: &str = " /* tidegate: intent=primary */";

/// A proxy that is told of no user but the superuser, and asks for the others.
pub(super) fn asking(cluster: &LocalCluster, parameters: &str) -> Tidegate {
    let url = format!("{}?tidegate_auth_query=default&{parameters}", cluster.url(Login::Superuser));
    let mut tidegate = Tidegate::bare().args(["--primary", &url]);
    for replica in cluster.replicas() {
        tidegate = tidegate.args(["--replica", &replica.url(Login::Superuser)]);
    }
    tidegate
}

fn started(parameters: &str) -> RunningProxy {
    let proxy = asking(shared(), parameters).start();
    wait_both(&proxy);
    proxy
}

pub(super) fn log_in(proxy: &RunningProxy, user: &str, password: &str) -> Result<Raw, Message> {
    Raw::log_in(proxy.address(), V3_0, &[("user", user), ("database", "app")], password)
}

/// SQLSTATE of a refusal.
#[track_caller]
pub(super) fn code(result: Result<Raw, Message>) -> String {
    result.err().expect("a refusal").field(b'C').unwrap()
}

/// SQLSTATE of what a client is told whose session ends with its next statement.
pub(super) fn told_at_the_end(raw: &mut Raw) -> String {
    raw.send(&query("select 1"));
    raw.until_closed().pop().unwrap().field(b'C').unwrap()
}

/// Runs it on the primary, and waits until the replicas have it.
pub(super) fn alter(sql: &str) {
    shared().primary().psql(sql).unwrap();
    shared().wait_caught_up().unwrap();
}

/// Who it is on every node.
pub(super) fn is_itself_everywhere(raw: &mut Raw, name: &str) {
    let whoami = "select current_user || ' ' || session_user";
    let wanted = format!("{name} {name}");
    assert_eq!(raw.ok(&format!("{whoami}{PRIMARY}")).value(), wanted);
    let mut seen = std::collections::BTreeSet::new();
    wait_until("both replicas have said who it is", || {
        let row = raw.ok("select current_setting('app.node'), current_user, session_user").rows().remove(0);
        assert_eq!(row[1..], [Some(name.to_owned()), Some(name.to_owned())]);
        seen.extend(row[0].clone());
        seen.contains("r1") && seen.contains("r2")
    });
}

#[test]
fn who_is_made_by_sql_is_itself_on_every_node() {
    let proxy = started("");
    for name in [role(), role()] {
        let mut raw = log_in(&proxy, &name, "secret").unwrap();
        is_itself_everywhere(&mut raw, &name);
    }
    assert_eq!(Raw::app(proxy.address()).ok("select current_user").value(), "app");
}

#[test]
fn who_may_not_log_in_looks_like_nobody() {
    let proxy = started("");
    let names: Vec<String> = (0..6).map(|_| role()).collect();
    let [past, nologin, none, md5, gone, wrong] = names.as_slice() else { unreachable!() };
    alter(&format!(
        "alter role {past} valid until '2001-01-01'; alter role {nologin} nologin; alter role {none} password null; \
         set password_encryption = md5; alter role {md5} password 'secret'; drop role {gone}"
    ));
    let fields = |name: &str, password: &str| {
        let mut fields = log_in(&proxy, name, password).err().expect("a refusal").fields();
        let text = fields[&b'M'].replace(name, "nobody");
        fields.insert(b'M', text);
        fields
    };
    let stranger = fields("promise_no_such_role", "secret");
    assert_eq!(stranger[&b'C'], "28P01");
    for name in [past, nologin, none, md5, gone] {
        assert_eq!(fields(name, "secret"), stranger, "{name}");
    }
    assert_eq!(fields(wrong, "guess"), stranger);
    // What the server keeps is no password.
    let kept =
        shared().primary().psql(&format!("select rolpassword from pg_authid where rolname = '{wrong}'"));
    assert_eq!(fields(wrong, kept.unwrap().trim()), stranger, "a stolen verifier logs in");
    assert!(log_in(&proxy, wrong, "secret").is_ok());
    // Valid for a while yet, and without end.
    alter(&format!(
        "alter role {past} valid until '2999-01-01'; alter role {nologin} login valid until 'infinity'"
    ));
    wait_until("they may log in again", || {
        [past, nologin].iter().all(|name| log_in(&proxy, name, "secret").is_ok())
    });
}

#[test]
fn a_new_password_works_at_once_and_the_old_one_no_more() {
    let proxy = started("");
    let name = role();
    let mut before = log_in(&proxy, &name, "secret").unwrap();
    before.ok("select 1");
    alter(&format!("alter role {name} password 'better'"));
    let begun = Instant::now();
    wait_until("the new password works", || log_in(&proxy, &name, "better").is_ok());
    // An answer is believed for a second.
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(code(log_in(&proxy, &name, "secret")), "28P01");
    // Sessions go on, as PostgreSQL's do, with what the new login has shown.
    is_itself_everywhere(&mut before, &name);
    alter(&format!("alter role {name} nologin"));
    wait_until("nobody can log in any more", || log_in(&proxy, &name, "better").is_err());
    assert_eq!(before.ok("select current_user").value(), name, "a session that has a connection goes on");
}

#[test]
fn every_login_can_be_asked_for() {
    let proxy = started("tidegate_auth_ttl=0");
    let name = role();
    log_in(&proxy, &name, "secret").unwrap();
    for number in 0..5 {
        let password = format!("number {number}");
        shared().primary().psql(&format!("alter role {name} password '{password}'")).unwrap();
        assert_eq!(code(log_in(&proxy, &name, "secret")), "28P01");
        assert!(log_in(&proxy, &name, &password).is_ok(), "{number}");
    }
    shared().primary().psql(&format!("alter role {name} valid until '2001-01-01'")).unwrap();
    assert_eq!(code(log_in(&proxy, &name, "number 4")), "28P01");
}

#[test]
fn somebody_else_of_the_same_name_gets_no_connection_of_the_former() {
    let proxy = started("");
    let name = role();
    let number = "select usesysid from pg_stat_activity where pid = pg_backend_pid()";
    let mut former = log_in(&proxy, &name, "secret").unwrap();
    let of_former = former.ok(&format!("{number}{PRIMARY}")).value();
    alter(&format!("drop role {name}; create role {name} login password 'other'"));
    wait_until("the next of this name logs in", || log_in(&proxy, &name, "other").is_ok());
    let mut next = log_in(&proxy, &name, "other").unwrap();
    for _ in 0..20 {
        assert_ne!(next.ok(&format!("{number}{PRIMARY}")).value(), of_former);
    }
}

/// A superuser of one's own that asks, in a proxy with this query.
fn asked_by(name: &str, text: &str) -> RunningProxy {
    let query = percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC);
    let parameters = format!("tidegate_auth_user={name}&tidegate_auth_query={query}");
    let primary = format!("postgres://app:secret@127.0.0.1:{}/app?{parameters}", shared().primary().port());
    let proxy = Tidegate::bare().args(["--primary", &primary]).env("PGPASSWORD", "secret").start();
    wait_until("the primary serves", || log_in(&proxy, "app", "secret").is_ok());
    proxy
}

#[test]
fn cve_2025_12819_a_search_path_at_start_up_does_not_say_who_comes_in() {
    let (asker, victim, evil) = (role(), role(), role());
    // The attacker may make objects, and the role that asks has been given a bad search_path, too.
    alter(&format!(
        "alter role {asker} superuser; create schema {evil} authorization {evil}; \
         alter role {asker} set search_path = {evil}, pg_catalog; grant usage on schema {evil} to public; \
         alter role {evil} password 'guess'; create table {evil}.pg_authid as select '{victim}'::name as rolname, \
         (select rolpassword from pg_catalog.pg_authid where rolname = '{evil}') as rolpassword; \
         create table {evil}.pg_roles as select '{victim}'::name as rolname, true as rolcanlogin, null::timestamptz as rolvaliduntil; \
         grant select on all tables in schema {evil} to public"
    ));
    let proxy = asked_by(&asker, "select rolname, rolpassword from pg_authid where rolname = $1");
    let path = format!("{evil},pg_catalog");
    let options = format!("-c search_path={path}");
    for more in [("search_path", path.as_str()), ("options", options.as_str())] {
        let parameters = [("user", victim.as_str()), ("database", "app"), more];
        for _ in 0..3 {
            let guessed = Raw::log_in(proxy.address(), V3_0, &parameters, "guess");
            assert_eq!(code(guessed), "28P01", "{more:?}");
            // What the client asks for holds for its own statements.
            let mut raw = Raw::log_in(proxy.address(), V3_0, &parameters, "secret").unwrap();
            assert_eq!(raw.ok("show search_path").value().replace(' ', ""), path);
        }
    }
}

#[test]
fn cve_2025_2291_a_query_that_forgets_valid_until_lets_nobody_in_for_that() {
    let (asker, past, nologin) = (role(), role(), role());
    alter(&format!(
        "alter role {past} valid until '2001-01-01'; alter role {nologin} nologin; \
         create function {asker}(text, out name, out text) language sql security definer set search_path = pg_catalog \
         as 'select rolname, rolpassword from pg_authid where rolname = $1'; \
         revoke all on function {asker}(text) from public; grant execute on function {asker}(text) to {asker}"
    ));
    let proxy = asked_by(&asker, &format!("select * from public.{asker}($1)"));
    for name in [&past, &nologin] {
        assert_eq!(code(log_in(&proxy, name, "secret")), "28P01");
    }
    // One row of nothing is nobody.
    assert_eq!(code(log_in(&proxy, "promise_no_such_role", "secret")), "28P01");
    // The function serves everybody else, and its role needs no rights but on it.
    assert_eq!(log_in(&proxy, &role(), "secret").unwrap().ok("select 1").value(), "1");
}

#[test]
fn sql_in_a_user_name_is_a_name() {
    let proxy = started("");
    let tag = role();
    let long = format!("{tag}{}", "ü".repeat((63 - tag.len()) / 2));
    let names = ["' or '1'='1", "\"; drop table x; --", "\\", "$1", "%s", " ", "\u{202e}", "NULL", "ключ"];
    let names: Vec<String> = names.iter().map(|name| format!("{tag}{name}")).chain([long]).collect();
    for name in &names {
        assert_eq!(code(log_in(&proxy, name, "secret")), "28P01", "{name}");
    }
    for name in &names {
        alter(&format!("create role \"{}\" login password 'secret'", name.replace('"', "\"\"")));
    }
    for name in &names {
        wait_until("who is there now logs in", || log_in(&proxy, name, "secret").is_ok());
        let mut raw = log_in(&proxy, name, "secret").unwrap();
        assert_eq!(raw.ok("select session_user").value(), *name);
    }
    // Longer than a name can be, whatever it begins with.
    for name in [format!("{}x", names.last().unwrap()), "x".repeat(9_000)] {
        assert_eq!(code(log_in(&proxy, &name, "secret")), "28P01");
    }
}

#[test]
fn a_query_that_fails_is_not_a_wrong_password() {
    let slow =
        "select rolname, rolpassword from pg_catalog.pg_authid, pg_catalog.pg_sleep(60) where rolname = $1";
    let table = [
        ("select rolname from pg_catalog.pg_authid where rolname = $1", "there are 1 columns"),
        (
            "select rolname, rolpassword, 1 from pg_catalog.pg_authid where rolname = $1",
            "there are 3 columns",
        ),
        ("select 'postgres'::text, rolpassword from pg_catalog.pg_authid where rolname = $1", "another name"),
        ("select rolname, rolpassword from pg_catalog.pg_authid where $1 <> ''", "unexpected number of rows"),
        ("select rolname, oid from pg_catalog.pg_authid where rolname = $1", "column 2 is no text"),
        ("select 1/(length($1) * 0), 1", "division by zero"),
        ("this is $1", "syntax error"),
        (slow, "no answer within 1s"),
    ];
    let (asker, name) = (role(), role());
    alter(&format!("alter role {asker} superuser"));
    std::thread::scope(|scope| {
        for (query, reason) in table {
            let (asker, name) = (&asker, &name);
            scope.spawn(move || {
                let more = if query == slow { "&connect_timeout=1" } else { "" };
                let proxy = asked_by(&format!("{asker}{more}"), query);
                let refused = log_in(&proxy, name, "secret").err().expect(query);
                assert_eq!(refused.field(b'C').unwrap(), "57P03", "{query}");
                assert!(!format!("{refused:?}").contains("SCRAM"), "{refused:?}");
                wait_until("the log says why", || {
                    proxy
                        .stderr()
                        .lines()
                        .any(|line| line.contains("auth_query failed") && line.contains(reason))
                });
                assert!(!proxy.stderr().contains("SCRAM-SHA"));
                // Who is configured does not depend on it.
                assert!(log_in(&proxy, "app", "secret").is_ok());
            });
        }
    });
}

#[test]
fn who_tries_ten_thousand_names_takes_two_connections_and_nobodys_turn() {
    let proxy = asking(shared(), "application_name=promise_names").start();
    wait_both(&proxy);
    let name = role();
    log_in(&proxy, &name, "secret").unwrap();
    let asks = |node: &tidegate::local::LocalNode| -> usize {
        let sql = "select count(*) from pg_stat_activity where application_name = 'tidegate auth_query'";
        node.psql(sql).unwrap().trim().parse().unwrap()
    };
    let others = asks(shared().primary());
    std::thread::scope(|scope| {
        let attackers: Vec<_> = (0..4)
            .map(|attacker| {
                let address = proxy.address();
                scope.spawn(move || {
                    for number in 0..2_500 {
                        let user = format!("nobody_{attacker}_{number}");
                        let mut raw = Raw::silent(address);
                        raw.send(&startup(V3_0, &[("user", &user), ("database", "app")]));
                        // It is asked to prove itself like everybody.
                        assert_eq!(raw.read().tag, b'R');
                    }
                })
            })
            .collect();
        while attackers.iter().any(|attacker| !attacker.is_finished()) {
            let begun = Instant::now();
            log_in(&proxy, &name, "secret").unwrap();
            assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        }
    });
    // Other tests have proxies of their own on these servers.
    let mine = "select count(*) from pg_stat_activity where application_name = 'promise_names'";
    let pooled: usize = shared().primary().psql(mine).unwrap().trim().parse().unwrap();
    assert!(pooled <= 20, "{pooled}");
    support::wait_until("few connections ask", || asks(shared().primary()) <= others + 2 * 8);
    let guests: Vec<String> = console_pools(&proxy);
    assert!(guests.iter().all(|user| !user.starts_with("nobody")), "{guests:?}");
}

/// Whose pools the proxy has.
fn console_pools(proxy: &RunningProxy) -> Vec<String> {
    let metrics = proxy.metrics();
    assert!(metrics.contains("pool=\"*@"), "guests are counted together: {metrics}");
    let pools = metrics.lines().filter_map(|line| line.split_once("pool=\"")?.1.split('@').next());
    pools.map(str::to_owned).collect()
}

#[test]
fn a_role_that_a_replica_does_not_know_yet_reads_on_the_primary() {
    let cluster = super::own(&support::options());
    let proxy = asking(&cluster, "").start();
    wait_both(&proxy);
    cluster.replicas().iter().for_each(|replica| replica.pause_replay().unwrap());
    cluster.primary().psql("create role late login password 'secret'").unwrap();
    let mut raw = log_in(&proxy, "late", "secret").unwrap();
    for _ in 0..5 {
        assert_eq!(raw.ok("select current_user").value(), "late");
        assert_eq!(raw.ok(WHERE).value(), "primary");
    }
    cluster.replicas().iter().for_each(|replica| replica.resume_replay().unwrap());
    wait_until("the replicas know it", || raw.ok(WHERE).value() != "primary");
    // Without a primary, a replica is asked.
    cluster.primary().stop(tidegate::local::StopMode::Immediate).unwrap();
    wait_until("a role logs in by way of a replica", || log_in(&proxy, "late", "secret").is_ok());
    assert_eq!(code(log_in(&proxy, "late", "guess")), "28P01");
}

#[test]
fn logical_replication_of_a_guest() {
    let proxy = started("");
    let name = role();
    alter(&format!("alter role {name} replication"));
    for replication in ["database", "true"] {
        let parameters = [("user", name.as_str()), ("database", "app"), ("replication", replication)];
        let mut raw = Raw::log_in(proxy.address(), V3_0, &parameters, "secret").unwrap();
        assert_eq!(raw.ok("IDENTIFY_SYSTEM").rows().len(), 1);
        // Physical replication names no database.
        let parameters = [("user", name.as_str()), ("replication", "true")];
        let named = Raw::log_in(
            proxy.address(),
            V3_0,
            &[&parameters[..], &[("database", "replication")]].concat(),
            "secret",
        );
        assert_eq!(named.unwrap().ok("IDENTIFY_SYSTEM").rows().len(), 1);
    }
}
