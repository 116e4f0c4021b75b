//! Clients that come by a Unix socket.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use tidegate::local::LocalCluster;
use tokio_postgres::NoTls;

use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::Raw;
use super::{WHERE, block_on, shared, support, wait_both};

const PORT: &str = "6432";

/// A proxy that listens in the folder, too.
fn start(cluster: &LocalCluster, folder: &Path) -> RunningProxy {
    let address = format!("{}:{PORT}", folder.display());
    // Workers share the socket.
    Tidegate::before(cluster).args(["--listen", &address, "--workers", "3"]).start()
}

fn psql(folder: &Path, password: &str, sql: &str) -> Command {
    let mut psql = Command::new(support::pg_bin().program("psql"));
    psql.args(["-X", "-A", "-t", "-U", "app", "-d", "app", "-p", PORT, "-c", sql]).arg("-h").arg(folder);
    psql.env("PGPASSWORD", password).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    psql
}

/// What is written, without the line end.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Ends the proxy properly: nothing of it is left in the folder.
fn end(mut proxy: RunningProxy, folder: &Path) {
    proxy.signal("TERM");
    assert!(proxy.wait_exit().success());
    assert_eq!(names(folder), [""; 0]);
}

#[test]
fn clients_connect_by_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let proxy = start(shared(), folder);
    assert_eq!(names(folder), [".s.PGSQL.6432", ".s.PGSQL.6432.lock"]);
    wait_both(&proxy);
    support::wait_until("a read goes to a replica", || {
        let Output { status, stdout, stderr } = psql(folder, "secret", WHERE).output().unwrap();
        assert!(status.success(), "{}", text(&stderr));
        text(&stdout).starts_with('r')
    });
    let refused = psql(folder, "wrong", WHERE).output().unwrap();
    assert!(text(&refused.stderr).contains("password authentication failed"), "{}", text(&refused.stderr));
    // Several at once, on whichever worker.
    let schema = super::schema();
    block_on(async {
        let mut config = tokio_postgres::Config::new();
        config.host_path(folder).port(6432).user("app").password("secret").dbname("app");
        let mut clients = Vec::new();
        for _ in 0..8 {
            let (client, connection) = config.connect(NoTls).await.unwrap();
            tokio::spawn(connection);
            clients.push(client);
        }
        clients[0].batch_execute(&format!("create table {schema}.t (n int)")).await.unwrap();
        for (n, client) in (0_i64..).zip(&clients) {
            let count = format!("select count(*) from {schema}.t");
            assert_eq!(client.query_one(&count, &[]).await.unwrap().get::<_, i64>(0), n, "no read is stale");
            client.execute(&format!("insert into {schema}.t values (1)"), &[]).await.unwrap();
        }
        clients[1].batch_execute("create temp table scratch (n int)").await.unwrap();
    });
    end(proxy, folder);
}

#[test]
fn where_they_come_from_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let proxy = start(shared(), folder.path());
    let pinned = "create temp table scratch (n int)";
    let mut idle = psql(folder.path(), "secret", pinned).args(["-c", "select pg_sleep(60)"]).spawn().unwrap();
    let mut raw = Raw::app(proxy.address());
    raw.ok(pinned);
    let addresses = |raw: &mut Raw| -> Vec<_> {
        let mut addresses: Vec<_> =
            raw.ok("show pins").rows().into_iter().filter_map(|row| row[4].clone()).collect();
        addresses.sort();
        addresses
    };
    support::wait_until("both are shown", || addresses(&mut raw).len() == 2);
    assert_eq!(addresses(&mut raw), ["127.0.0.1", "[local]"]);
    idle.kill().unwrap();
    idle.wait().unwrap();
    drop(raw);
    end(proxy, folder.path());
}

#[test]
fn a_statement_is_cancelled_by_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let proxy = start(shared(), folder.path());
    wait_both(&proxy);
    let mark = format!("tide{:08x}", rand::random::<u32>());
    let sql = format!("select pg_sleep(60) /* tidegate: intent=primary */, '{mark}'");
    let psql = psql(folder.path(), "secret", &sql).spawn().unwrap();
    let running = format!(
        "select count(*) from pg_stat_activity where query like '%{mark}%' and pid <> pg_backend_pid()"
    );
    support::wait_until("it runs", || shared().primary().psql(&running).unwrap().trim() == "1");
    let id = psql.id().to_string();
    assert!(Command::new("kill").args(["-s", "INT", &id]).status().unwrap().success());
    let output = psql.wait_with_output().unwrap();
    assert!(text(&output.stderr).contains("canceling statement due to user request"), "{output:?}");
    end(proxy, folder.path());
}

#[test]
fn a_socket_left_behind_is_replaced_and_one_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut killed = start(shared(), folder);
    killed.signal("KILL");
    killed.wait_exit();
    assert_eq!(names(folder).len(), 2, "a process that is killed leaves both files");
    let proxy = start(shared(), folder);
    let answers = || text(&psql(folder, "secret", "select 1").output().unwrap().stdout) == "1";
    assert!(answers());
    let address = format!("{}:{PORT}", folder.display());
    let url = shared().url(tidegate::local::Login::App);
    let mut second = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    second.env_clear().args(["run", "--url", &url, "--listen", &address, "--admin", "off"]);
    let refused = second.output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let said = text(&refused.stderr);
    assert!(said.contains(&format!("cannot listen on {address}: another program does already")), "{said}");
    assert!(answers(), "the first one is not disturbed");
    end(proxy, folder);
}
