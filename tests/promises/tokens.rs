//! Tokens carry what must be seen to other connections, processes and proxies.

use tidegate::local::{LocalCluster, StopMode};

use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::{Raw, V3_0};
use super::{own_with_facts, support, wait_both, wait_open};

fn start(cluster: &LocalCluster) -> RunningProxy {
    let proxy = Tidegate::before(cluster).start();
    wait_both(&proxy);
    proxy
}

fn token(raw: &mut Raw) -> String {
    raw.ok("show tidegate.token").value()
}

fn route(raw: &mut Raw) -> String {
    raw.ok("show tidegate.last_route").value()
}

#[test]
fn a_token_is_honoured_by_another_proxy_in_every_form() {
    let cluster = own_with_facts();
    let (web, job) = (start(&cluster), start(&cluster));
    let (mut writer, mut reader) = (Raw::app(web.address()), Raw::app(job.address()));
    let mut n = 0;
    let mut write = |writer: &mut Raw| {
        n += 1;
        writer.ok("update facts set n = n + 1");
        (n.to_string(), token(writer))
    };
    cluster.replicas().iter().for_each(|replica| replica.pause_replay().unwrap());
    let (expected, position) = write(&mut writer);
    // The other proxy knows nothing of the write, and says so: this is what tokens are for.
    assert_eq!(reader.ok("select n from facts").value(), "0");
    assert!(route(&mut reader).starts_with("to: replica"));
    assert_eq!(
        reader.ok(&format!("select n from facts /* tidegate: after='{position}' */")).value(),
        expected
    );
    assert_eq!(reader.ok(&format!("select n from facts /*after='{position}'*/")).value(), expected);
    assert_eq!(
        reader.extended(&format!("/* tidegate: after={position} */ select n from facts"), &[]).ok().value(),
        expected
    );
    reader.ok(&format!("set tidegate.after = '{position}'"));
    assert_eq!(reader.ok("select n from facts").value(), expected);
    assert_eq!(reader.ok("show tidegate.after").value(), position);
    reader.ok("reset tidegate.after");
    assert_eq!(reader.ok("show tidegate.after").value(), "");
    let options = format!("-c tidegate.after={position}");
    let mut started = Raw::app_with(job.address(), &[("options", &options)]);
    assert_eq!(started.ok("select n from facts").value(), expected);
    reader.ok(&format!("begin read only /* tidegate: after='{position}' */"));
    assert_eq!(reader.ok("select n from facts").value(), expected);
    reader.ok("commit");
    // With replay going on, replicas serve such reads, and earlier tokens cost nothing.
    cluster.replicas().iter().for_each(|replica| replica.resume_replay().unwrap());
    wait_open(&job);
    support::wait_until("a replica has come to the token", || {
        assert_eq!(
            reader.ok(&format!("select n from facts /* tidegate: after='{position}' */")).value(),
            expected
        );
        route(&mut reader).starts_with("to: replica")
    });
    for _ in 0..100 {
        let (expected, position) = write(&mut writer);
        let sql = format!("select n from facts /* tidegate: after='{position}', on_stale=wait(1s) */");
        assert_eq!(reader.ok(&sql).value(), expected);
    }
    assert!(job.metric("tidegate_statements_total", &["target=\"replica\"", "reason=\"fresh\""]) > 50.0);
}

#[test]
fn what_is_no_token_of_this_cluster_is_refused() {
    let cluster = own_with_facts();
    let proxy = start(&cluster);
    let mut raw = Raw::app(proxy.address());
    let own = token(&mut raw);
    let (system, rest) = own.split_once('/').unwrap();
    let (_, lsn) = rest.split_once('/').unwrap();
    let refused: [(String, &str, &str); 6] = [
        ("nonsense".to_owned(), "22023", "not a token"),
        (format!("{own}0000000"), "22023", "not a token"),
        (format!("1{}/1/{lsn}", &system[..system.len() - 1]), "57T02", "of the system"),
        (format!("{system}/2/{lsn}"), "57T02", "not in the history of timeline 1"),
        (format!("{system}/1/FFFFFFFF/FFFFFFFF"), "57T02", "lies ahead"),
        (format!("{system}/1/0/0"), "22023", "not a token"),
    ];
    for (token, code, words) in refused {
        for sql in [
            format!("set tidegate.after = '{token}'"),
            format!("select n from facts /* tidegate: after='{token}' */"),
        ] {
            let (said, text) = raw.query(&sql).error().unwrap_or_else(|| panic!("{sql} was accepted"));
            assert_eq!(said, code, "{sql}: {text}");
            assert!(text.contains(words), "{sql}: {text}");
        }
        // In a transaction it fails like any statement, and the server knows.
        raw.ok("begin");
        assert_eq!(raw.query(&format!("select n from facts /* tidegate: after='{token}' */")).status(), 'E');
        raw.ok("rollback");
        let options = format!("-c tidegate.after={token}");
        let parameters = [("user", "app"), ("database", "app"), ("options", options.as_str())];
        match Raw::log_in(proxy.address(), V3_0, &parameters, "secret") {
            Ok(mut raw) => assert_eq!(raw.query("select n from facts").code(), code),
            Err(_) => assert_eq!(code, "22023"),
        }
    }
    assert_eq!(raw.ok("select n from facts").value(), "0", "the session goes on");
}

#[test]
fn a_token_survives_a_failover_unless_what_it_stands_for_was_lost() {
    let cluster = own_with_facts();
    let proxy = start(&cluster);
    let mut raw = Raw::app(proxy.address());
    raw.ok("update facts set n = 1");
    let kept = token(&mut raw);
    let new = cluster.replica(0);
    // Everybody must have it, and the proxy must know.
    support::wait_until("both replicas have it", || {
        wait_both(&proxy);
        cluster.replicas().iter().all(|r| r.psql("select n from facts").unwrap().trim() == "1")
    });
    for replica in cluster.replicas() {
        replica.psql("alter system set primary_conninfo = ''; select pg_reload_conf()").unwrap();
        support::wait_until("it receives nothing", || {
            replica.psql("select count(*) from pg_stat_wal_receiver").unwrap().trim() == "0"
        });
    }
    raw.ok("update facts set n = 2");
    let lost = token(&mut raw);
    cluster.primary().stop(StopMode::Immediate).unwrap();
    new.promote().unwrap();
    cluster.replica(1).follow(new).unwrap();
    support::wait_until("the new primary is found", || {
        proxy.metric("tidegate_node_up", &[&super::label(new), "role=\"primary\""]) > 0.5
    });
    let mut raw = Raw::app(proxy.address());
    let read = |raw: &mut Raw, token: &str| {
        raw.query(&format!("select n from facts /* tidegate: after='{token}' */"))
    };
    support::wait_until("reads work again", || raw.query("select 1").error().is_none());
    assert_eq!(read(&mut raw, &kept).ok().value(), "1");
    let (code, text) = read(&mut raw, &lost).error().expect("the lost write is not passed over");
    assert_eq!(code, "57T02", "{text}");
    raw.ok("update facts set n = 3");
    let next = token(&mut raw);
    assert_eq!(next.split('/').nth(1), Some("2"), "{next}");
    assert_eq!(read(&mut raw, &next).ok().value(), "3");
    // With the history file it is known exactly. The control user must be allowed to read it.
    new.psql("grant execute on function pg_read_file(text) to app").unwrap();
    let nodes: Vec<String> =
        cluster.replicas().iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
    let url = format!("postgres://app:secret@{}/app", nodes.join(","));
    let other = Tidegate::bare().args(["--url", &url]).start();
    support::wait_until("the history is read", || {
        let mut raw = Raw::app(other.address());
        read(&mut raw, &kept).error().is_none()
    });
    let mut raw = Raw::app(other.address());
    let (code, text) = read(&mut raw, &lost).error().expect("the lost write is not passed over");
    assert!(code == "57T02" && text.contains("where the primary's history left timeline 1"), "{text}");
}
