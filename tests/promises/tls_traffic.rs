//! What passes through TLS: everything that passes without, in the same order, however slowly a client takes it.

use std::process::{Command, Output};

use tidegate::local::LocalCluster;

use super::replication::replicating;
use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::{Raw, bind, execute, parse, query, sync, tagged};
use super::support::tls::{Authority, Folder};
use super::tls_clients::{Site, client_program};
use super::{schema, shared, support, wait_both};

/// Waits until the server that runs a statement with this comment waits for whoever is to take what it says.
fn wait_stands(comment: &str, event: &str) {
    let sql = format!(
        "select count(*) from pg_stat_activity where query like '%{comment}%' and pid <> pg_backend_pid() and wait_event = '{event}'"
    );
    let nodes = || shared().replicas().iter().chain([shared().primary()]);
    support::wait_until("a server stands", || nodes().any(|node| node.psql(&sql).unwrap().trim() != "0"));
}

#[test]
fn large_results_pass_to_a_client_that_reads_late() {
    const ROWS: usize = 40_000;
    let site = Site::with(&[]);
    wait_both(&site.proxy);
    let mut client = site.client();
    for hint in ["tls_late_replica", "tidegate: intent=primary */ /* tls_late_primary"] {
        let sql = format!(
            "select g, repeat(chr(65 + g % 26), 1000) /* {hint} */ from generate_series(1, {ROWS}) g"
        );
        client.send(&[query(&sql), query("select 'next'")].concat());
        wait_stands(hint.rsplit(' ').next().unwrap(), "ClientWrite");
        let answer = client.answer().ok();
        let rows = answer.rows();
        assert_eq!(rows.len(), ROWS);
        for (number, row) in (1..).zip(&rows) {
            let letter = char::from(b'A' + u8::try_from(number % 26).unwrap());
            assert_eq!(row[0].as_deref(), Some(number.to_string().as_str()));
            assert!(
                row[1].as_ref().is_some_and(|text| text.len() == 1000 && text.chars().all(|c| c == letter))
            );
        }
        assert_eq!(client.answer().value(), "next");
    }
}

#[test]
fn copies_pass_in_both_directions_to_those_who_are_slow() {
    const ROWS: usize = 30_000;
    let schema = schema();
    let site = Site::with(&[]);
    let mut client = site.client();
    client.ok(&format!("create table {schema}.t (n int, x text)"));
    // In: the server does not take anything, as the table is locked.
    let mut holder = Raw::app(site.proxy.address());
    holder.ok(&format!("begin; lock table {schema}.t in access exclusive mode"));
    client.send(&query(&format!("copy {schema}.t from stdin /* {schema} */")));
    wait_stands(&schema, "relation");
    let sends = std::thread::spawn(move || {
        let filler = "x".repeat(1000);
        for n in 0..ROWS {
            client.send(&tagged(b'd', format!("{n}\t{filler}\n").as_bytes()));
        }
        client.send(&tagged(b'c', b""));
        client
    });
    assert_eq!(Raw::app(site.proxy.address()).ok("select 1").value(), "1");
    holder.ok("commit");
    let mut client = sends.join().unwrap();
    assert_eq!(client.answer().ok().tags(), "GCZ");
    let sums = format!("select count(*), sum(n), sum(length(x)) from {schema}.t");
    let sum = ROWS * (ROWS - 1) / 2;
    let expected = [ROWS, sum, ROWS * 1000].map(|number| Some(number.to_string()));
    assert_eq!(client.ok(&sums).rows(), [expected]);
    // Out: the client does not.
    client.send(&query(&format!("copy (select * from {schema}.t order by n) to stdout /* {schema} */")));
    wait_stands(&schema, "ClientWrite");
    let answer = client.answer().ok();
    let lines: Vec<_> = answer.0.iter().filter(|message| message.tag == b'd').collect();
    assert_eq!(lines.len(), ROWS);
    for (n, line) in lines.iter().enumerate() {
        assert!(line.body.starts_with(format!("{n}\txxx").as_bytes()) && line.body.ends_with(b"x\n"));
    }
}

#[test]
fn psql_copies_a_table_out_and_in_again() {
    let schema = schema();
    let site = Site::with(&[]);
    let says = |sql: &str| site.psql_says("sslmode=require", sql);
    says(&format!("create table {schema}.t as select g, md5(g::text) from generate_series(1, 50000) g"));
    let file = site.folder.path().join("copied");
    says(&format!("\\copy {schema}.t to '{}'", file.display()));
    says(&format!("create table {schema}.u (like {schema}.t)"));
    says(&format!("\\copy {schema}.u from '{}'", file.display()));
    assert_eq!(says(&format!("select count(*) from {schema}.t natural join {schema}.u")), "50000");
}

#[test]
fn messages_of_the_proxys_own_come_after_what_a_slow_client_has_not_taken() {
    const ROWS: usize = 30_000;
    let site = Site::with(&[]);
    let mut client = site.client();
    client.ok("begin");
    let sql = format!("select repeat('x', 1000) /* tls_own_word */ from generate_series(1, {ROWS})");
    // Questions that the proxy answers, and errors that it makes, behind an answer that waits.
    let unknown = [bind("", "nothing", &[]), execute(""), sync()].concat();
    client.send(&[query(&sql), query("show tidegate.last_route"), unknown, query("rollback")].concat());
    wait_stands("tls_own_word", "ClientWrite");
    assert_eq!(client.answer().ok().rows().len(), ROWS);
    assert!(!client.answer().ok().rows().is_empty());
    assert_eq!(client.answer().code(), "26000");
    client.answer().ok();
    assert_eq!(client.ok("select 1").value(), "1");
}

#[test]
fn a_statement_that_is_run_again_drops_nothing_of_the_answer_before() {
    // The proxy finds out that a plan is stale while the answer before waits, in several sizes: where it waits differs.
    let schema = schema();
    let site = Site::with(&[]);
    for (round, client) in [site.client(), Raw::app(site.proxy.address())].into_iter().enumerate() {
        let mut client = client;
        client
            .ok(&format!("create table {schema}.t{round} (n int); insert into {schema}.t{round} values (1)"));
        client.ok("create temp table pins (n int)");
        client.send(&[parse("p", &format!("select * from {schema}.t{round}")), sync()].concat());
        client.answer().ok();
        for step in 1..=12_usize {
            client.send(&[bind("", "p", &[]), execute(""), sync()].concat());
            client.answer().ok();
            let alter = format!("alter table {schema}.t{round} add column c{step} int");
            Raw::app(site.proxy.address()).ok(&alter);
            let rows = step * 600;
            let sql = format!("select repeat('x', 1000) from generate_series(1, {rows})");
            client.send(&[query(&sql), bind("", "p", &[]), execute(""), sync()].concat());
            // Something else passes meanwhile.
            Raw::app(site.proxy.address()).ok("select pg_sleep(0.02)");
            assert_eq!(client.answer().ok().rows().len(), rows, "step {step}");
            assert_eq!(client.answer().ok().rows().len(), 1, "step {step}");
        }
    }
}

#[test]
fn pgbench_works_in_tls() {
    let schema = schema();
    let site = Site::with(&[]);
    let script = format!(
        "select count(*) from {schema}.t;\nbegin;\nupdate {schema}.t set n = n + 1 where id = :client_id;\nselect n from {schema}.t where id = :client_id;\nend;\n"
    );
    Raw::app(site.proxy.address())
        .ok(&format!("create table {schema}.t as select g as id, 0 as n from generate_series(0, 7) g"));
    let script = site.folder.write("script.sql", &script);
    for protocol in ["simple", "extended", "prepared"] {
        let string = format!(
            "host=localhost hostaddr=127.0.0.1 port={} user=app dbname=app sslmode=verify-full sslrootcert={}",
            site.proxy.address().port(),
            site.folder.path().join("ours.crt").display()
        );
        let mut pgbench = client_program("pgbench", site.folder.path());
        pgbench
            .args(["-n", "-M", protocol, "-c", "4", "-j", "2", "-t", "50", "-f"])
            .arg(&script)
            .arg(&string);
        let text = succeeds(&mut pgbench);
        assert!(text.contains("actually processed: 200/200"), "{text}");
    }
    assert_eq!(Raw::app(site.proxy.address()).ok(&format!("select sum(n) from {schema}.t")).value(), "600");
}

/// What the program prints. It must succeed.
#[track_caller]
fn succeeds(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8_lossy(&stdout).into_owned()
}

/// A proxy in front of the cluster, with a certificate.
fn encrypting(cluster: &LocalCluster, folder: &Folder) -> RunningProxy {
    let pair = Authority::new("ours").server(folder, "server", &["localhost"]);
    Tidegate::before(cluster)
        .args(["--ssl", "require", "--ssl-cert-file", pair.certificate(), "--ssl-key-file", pair.key()])
        .start()
}

#[test]
fn a_base_backup_passes_in_tls() {
    let (cluster, folder) = (replicating(0), Folder::default());
    let proxy = encrypting(&cluster, &folder);
    cluster.primary().psql("insert into t select generate_series(1, 200000)").unwrap();
    let target = folder.path().join("backup");
    let string = format!("host=127.0.0.1 port={} user=app sslmode=require", proxy.address().port());
    let mut backup = client_program("pg_basebackup", folder.path());
    succeeds(backup.args(["-d", &string, "-Xstream", "-c", "fast", "-N", "-D"]).arg(&target));
    succeeds(client_program("pg_verifybackup", folder.path()).arg(&target));
}
