//! Levels and scopes: what a read sees, and for whom.

use std::time::Duration;

use tidegate::local::LocalCluster;

use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::{Raw, V3_0};
use super::{own, own_with_facts, support, wait_both};

/// A cluster with a table `facts` of one row, and a proxy.
fn begin(parameters: &str) -> (LocalCluster, RunningProxy) {
    let cluster = own_with_facts();
    let proxy = Tidegate::tuned(&cluster, parameters).start();
    wait_both(&proxy);
    (cluster, proxy)
}

fn pause(cluster: &LocalCluster) {
    cluster.replicas().iter().for_each(|replica| replica.pause_replay().unwrap());
}

fn resume(cluster: &LocalCluster) {
    cluster.replicas().iter().for_each(|replica| replica.resume_replay().unwrap());
}

/// The value of the row, and the node that told it.
fn read(raw: &mut Raw, hint: &str) -> (String, String) {
    let rows = raw.ok(&format!("select n, current_setting('app.node') from facts {hint}")).rows();
    (rows[0][0].clone().unwrap(), rows[0][1].clone().unwrap())
}

#[test]
fn a_strong_read_sees_what_was_written_without_the_proxy() {
    let (cluster, proxy) = begin("");
    let mut raw = Raw::app_with(proxy.address(), &[("options", "-c tidegate.consistency=strong")]);
    let mut on_replicas = 0;
    for i in 1..=200 {
        cluster.primary().psql(&format!("update facts set n = {i}")).unwrap();
        let (n, node) = read(&mut raw, "");
        assert_eq!(n, i.to_string(), "on {node}");
        on_replicas += u32::from(node != "primary");
    }
    println!("strong reads on replicas: {on_replicas} of 200");
    assert!(on_replicas > 100, "{on_replicas}");
    // Replicas that do not replay serve none, and are not waited for again and again.
    pause(&cluster);
    for i in 201..=220 {
        cluster.primary().psql(&format!("update facts set n = {i}")).unwrap();
        assert_eq!(read(&mut raw, ""), (i.to_string(), "primary".to_owned()));
    }
    resume(&cluster);
    support::wait_until("replicas serve strong reads again", || read(&mut raw, "").1 != "primary");
}

#[test]
fn a_bounded_read_sees_nothing_older_than_its_bound() {
    let (cluster, proxy) = begin("tidegate_consistency=bounded(300ms)");
    let mut raw = Raw::app(proxy.address());
    // While replay goes on, an idle cluster is never older than that.
    for _ in 0..50 {
        assert_ne!(read(&mut raw, "").1, "primary");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(raw.ok("show tidegate.last_route").value().contains("reason bounded"));
    pause(&cluster);
    cluster.primary().psql("update facts set n = 1").unwrap();
    support::wait_until("the replicas are too old", || read(&mut raw, "").1 == "primary");
    assert_eq!(read(&mut raw, ""), ("1".to_owned(), "primary".to_owned()));
    assert_ne!(read(&mut raw, "/* tidegate: consistency=bounded(1h) */").1, "primary");
    assert_ne!(read(&mut raw, "/* tidegate: consistency=eventual */").1, "primary");
    resume(&cluster);
    support::wait_until("they are young enough again", || read(&mut raw, "").1 != "primary");
    assert_eq!(read(&mut raw, "").0, "1");
}

#[test]
fn a_write_must_be_seen_by_its_scope() {
    let (cluster, proxy) = begin("");
    let named = |name: &str, options: &str| {
        Raw::app_with(proxy.address(), &[("application_name", name), ("options", options)])
    };
    let (mut writer, mut same, mut other) = (
        named("shop", "-c tidegate.key=tenant-7"),
        named("shop", "-c tidegate.scope=client"),
        named("blog", "-c tidegate.scope=client"),
    );
    let mut alone = named("shop", "-c tidegate.scope=connection");
    let (mut tenant, mut neighbour) =
        (named("x", "-c tidegate.key=tenant-7"), named("x", "-c tidegate.key=tenant-8"));
    let mut all = named("blog", "");
    assert_eq!(tenant.ok("show tidegate.scope").value(), "key");
    pause(&cluster);
    writer.ok("update facts set n = 1");
    for (who, raw, sees) in [
        ("the writer", &mut writer, true),
        ("same process", &mut same, true),
        ("another process", &mut other, false),
        ("another connection", &mut alone, false),
        ("the same key", &mut tenant, true),
        ("another key", &mut neighbour, false),
        ("anybody", &mut all, true),
    ] {
        assert_eq!(read(raw, "").1 == "primary", sees, "{who}");
        assert_eq!(read(raw, "").0, if sees { "1" } else { "0" }, "{who}");
    }
    // Whoever was shown something does not lose sight of it by asking for less.
    assert_eq!(read(&mut all, "/* tidegate: scope=connection */").0, "1");
    assert_eq!(read(&mut other, "/* tidegate: key='tenant-7' */").0, "1");
    assert_eq!(read(&mut other, "").0, "1", "it was shown");
    // A process is told by its name, also when that changes.
    let mut renamed = named("blog", "-c tidegate.scope=client");
    assert_eq!(read(&mut renamed, "").0, "0");
    renamed.ok("set application_name = 'shop'");
    assert_eq!(read(&mut renamed, "").0, "1");
}

#[test]
fn levels_are_settings_like_any_other() {
    let (_cluster, proxy) = begin("tidegate_consistency=session");
    let mut raw = Raw::app_with(proxy.address(), &[("options", "-c tidegate.consistency=eventual")]);
    let show = |raw: &mut Raw, expected: &str| {
        assert_eq!(raw.ok("show tidegate.consistency").value(), expected);
        assert_eq!(raw.extended("show tidegate.consistency", &[]).ok().value(), expected);
    };
    show(&mut raw, "eventual");
    raw.ok("set tidegate.consistency = 'strong'");
    show(&mut raw, "strong");
    raw.ok("begin");
    raw.ok("set local tidegate.consistency = 'bounded(5s)'");
    show(&mut raw, "bounded(5s)");
    raw.ok("savepoint s");
    raw.ok("set local tidegate.consistency = 'primary'");
    show(&mut raw, "primary");
    raw.ok("set local tidegate.scope = 'client'");
    show(&mut raw, "primary");
    raw.ok("rollback to s");
    // The server has gone back; which of both holds is not known here, so the stricter one does.
    show(&mut raw, "primary");
    raw.ok("rollback");
    show(&mut raw, "strong");
    raw.ok("begin");
    raw.ok("set tidegate.consistency = 'session'");
    show(&mut raw, "session");
    raw.ok("rollback");
    show(&mut raw, "strong");
    raw.ok("begin; set tidegate.consistency = 'session'; commit");
    show(&mut raw, "session");
    raw.ok("reset tidegate.consistency");
    show(&mut raw, "eventual");
    raw.ok("set tidegate.consistency = 'primary'");
    raw.ok("discard all");
    show(&mut raw, "eventual");
    for (sql, code) in [
        ("set tidegate.consistency = 'bounded'", "22023"),
        ("set tidegate.consistency = 'bounded(-1s)'", "22023"),
        ("set tidegate.scope = 'tenant'", "22023"),
        ("set tidegate.on_stale = 'wait'", "22023"),
        ("set tidegate.token = 'x'", "55P02"),
        ("set tidegate.consistancy = 'strong'", "42704"),
    ] {
        assert_eq!(raw.query(sql).code(), code, "{sql}");
        // In a transaction it fails as any statement does.
        raw.ok("begin");
        assert_eq!(raw.query(sql).code(), code, "{sql}");
        assert_eq!(raw.query("select 1").code(), "25P02", "{sql}");
        raw.ok("rollback");
    }
    let parameters = [("user", "app"), ("database", "app"), ("options", "-c tidegate.consistency=bounded")];
    assert!(Raw::log_in(proxy.address(), V3_0, &parameters, "secret").is_err());
}

#[test]
fn a_user_can_have_a_level_of_its_own() {
    let cluster = own(&support::options());
    cluster.primary().psql("create role slow login password 'slow'").unwrap();
    cluster.wait_caught_up().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidegate.toml");
    let text = "[database.app]\n[database.app.user.slow]\npassword = 'slow'\nconsistency = 'bounded(7s)'\nscope = 'client'\n\
                on_stale = 'wait(3ms)'\n";
    std::fs::write(&file, text).unwrap();
    let proxy = Tidegate::before(&cluster).args(["--config", file.to_str().unwrap()]).start();
    wait_both(&proxy);
    let log_in = |user: &str, password: &str| {
        Raw::log_in(proxy.address(), V3_0, &[("user", user), ("database", "app")], password).unwrap()
    };
    let (mut slow, mut app) = (log_in("slow", "slow"), log_in("app", "secret"));
    let mut shown = |name: &str| {
        let sql = format!("show tidegate.{name}");
        (slow.ok(&sql).value(), app.ok(&sql).value())
    };
    assert_eq!(shown("consistency"), ("bounded(7s)".to_owned(), "session".to_owned()));
    assert_eq!(shown("scope"), ("client".to_owned(), "database".to_owned()));
    assert_eq!(shown("on_stale"), ("wait(3ms)".to_owned(), "primary".to_owned()));
}

#[test]
fn staleness_is_measured() {
    let (cluster, proxy) = begin("tidegate_consistency=eventual");
    let mut raw = Raw::app(proxy.address());
    pause(&cluster);
    cluster.primary().psql("update facts set n = 1").unwrap();
    let labels = |le: &str| format!("le=\"{le}\"");
    let older = |proxy: &RunningProxy| {
        proxy.metric("tidegate_read_staleness_seconds_count", &[])
            - proxy.metric("tidegate_read_staleness_seconds_bucket", &[&labels("1")])
    };
    support::wait_until("reads are served that are more than a second old", || {
        read(&mut raw, "");
        older(&proxy) > 0.5
    });
    let label = super::label(cluster.replica(0));
    assert!(proxy.metric("tidegate_replica_staleness_seconds", &[&label]) > 1.0);
    assert!(proxy.metric("tidegate_marks_bytes", &[]) > 1000.0);
    raw.ok("update facts set n = 2");
    assert!(proxy.metric("tidegate_open_marks", &[]) >= 1.0);
}
