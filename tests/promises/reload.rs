//! A configuration that is read again while clients are at work.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tempfile::TempDir;
use tidegate::local::LocalNode;

use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::{Answer, Raw, V3_0, query};
use super::support::wait_until;
use super::{WHERE, block_on, connect, is_in_rotation, role, shared, wait_both, wait_open};

/// A proxy, and the file it goes by.
struct Reloaded {
    proxy: RunningProxy,
    file: PathBuf,
    _folder: TempDir,
}

impl Reloaded {
    fn start(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tidegate.toml");
        std::fs::write(&file, text).unwrap();
        let proxy = Tidegate::bare().args(["--log", "info", "--config", file.to_str().unwrap()]).start();
        Self { proxy, file, _folder: folder }
    }

    /// Puts `text` in the file's place and has it read; returns when that is done.
    fn reload(&self, text: &str) {
        let before = self.said("configuration");
        std::fs::write(&self.file, text).unwrap();
        self.proxy.signal("HUP");
        wait_until("the configuration is read again", || self.said("configuration") > before);
    }

    /// How often it has said this.
    fn said(&self, what: &str) -> usize {
        self.proxy.stderr().lines().filter(|line| line.contains(what)).count()
    }
}

/// A file with the primary of the shared cluster, so many of its replicas, and more lines about the database.
fn file(replicas: usize, more: &str) -> String {
    let cluster = shared();
    let nodes = [cluster.primary()].into_iter().chain(cluster.replicas().iter().take(replicas));
    let nodes: Vec<_> = nodes.map(|node| format!("\"127.0.0.1:{}\"", node.port())).collect();
    format!("[database.app]\nnodes = [{}]\nuser.app.password = 'secret'\n{more}", nodes.join(", "))
}

/// Connections that a proxy's sessions have on a node, by this application name.
fn connections(node: &LocalNode, name: &str) -> String {
    let sql = format!("select count(*) from pg_stat_activity where application_name = '{name}'");
    node.psql(&sql).unwrap().trim().to_owned()
}

#[test]
fn nodes_are_added_and_removed_under_a_client() {
    let named = "application_name = 'reload_nodes'\n";
    let it = Reloaded::start(&file(0, named));
    let mut client = Raw::app(it.proxy.address());
    client.ok("begin");
    assert_eq!(client.query(WHERE).value(), "primary");
    it.reload(&file(2, named));
    assert_eq!(client.query(WHERE).value(), "primary", "a transaction stays where it is");
    client.ok("commit");
    wait_both(&it.proxy);
    wait_until("the client that was there before is served by a replica", || {
        client.query(WHERE).value() != "primary"
    });
    let gone = shared().replica(1);
    assert_ne!(connections(gone, "reload_nodes"), "0");
    it.reload(&file(1, named));
    for _ in 0..50 {
        assert_ne!(client.query(WHERE).value(), gone.name());
    }
    assert!(!is_in_rotation(&it.proxy, gone) && is_in_rotation(&it.proxy, shared().replica(0)));
    wait_until("its connections are closed", || connections(gone, "reload_nodes") == "0");
    it.reload(&file(2, named));
    wait_both(&it.proxy);
}

#[test]
fn limits_and_levels_hold_from_the_next_transaction() {
    let it = Reloaded::start(&file(2, "connection_limit = 1\npool_timeout = '1s'\n"));
    let [mut first, mut second] = [(); 2].map(|()| Raw::app(it.proxy.address()));
    first.ok("begin; create temp table reload_t (n int)");
    assert_eq!(second.query("begin").code(), "53300");
    it.reload(&file(2, "connection_limit = 2\npool_timeout = '1s'\nconsistency = 'primary'\n"));
    second.ok("begin");
    first.ok("insert into reload_t values (1); commit");
    second.ok("commit");
    wait_open_not(&it.proxy, &mut second);
    it.reload(&file(2, ""));
    wait_open(&it.proxy);
}

/// At level `primary` nothing is read from a replica.
fn wait_open_not(_: &RunningProxy, client: &mut Raw) {
    for _ in 0..20 {
        assert_eq!(client.query(WHERE).value(), "primary");
    }
}

/// What a client is told whose session ends with its next statement.
fn told_at_the_end(client: &mut Raw) -> String {
    client.send(&query("select 1"));
    let told = client.until_closed().pop().unwrap();
    assert_eq!(told.field(b'C').as_deref(), Some("57P01"));
    told.field(b'M').unwrap()
}

#[test]
fn users_and_databases_come_and_go() {
    let user = role();
    let with_user = format!("user.{user}.password = 'secret'\n");
    let it = Reloaded::start(&file(1, &with_user));
    let address = it.proxy.address();
    let mut stays = Raw::app(address);
    let mut goes =
        Raw::log_in(address, V3_0, &[("user", user.as_str()), ("database", "app")], "secret").unwrap();
    goes.ok("select 1");
    goes.ok("begin");
    let other = file(1, "").replace("[database.app]", "[database.other]\ndbname = 'app'");
    it.reload(&(file(1, "") + &other));
    goes.ok("select 1");
    assert_eq!(goes.query("commit").status(), 'I', "the transaction may end");
    assert!(told_at_the_end(&mut goes).contains(&user));
    let refused =
        Raw::log_in(address, V3_0, &[("user", user.as_str()), ("database", "app")], "secret").err().unwrap();
    assert_eq!(refused.field(b'C').as_deref(), Some("28P01"));
    let mut other = Raw::log_in(address, V3_0, &[("user", "app"), ("database", "other")], "secret").unwrap();
    wait_until("the new database serves", || other.query("select 1").error().is_none());
    it.reload(&file(1, ""));
    assert!(told_at_the_end(&mut other).contains("other"));
    stays.ok("select 1");
}

#[test]
fn what_cannot_be_used_changes_nothing_and_what_needs_a_restart_is_said() {
    let it = Reloaded::start(&file(2, ""));
    wait_both(&it.proxy);
    let mut client = Raw::app(it.proxy.address());
    it.reload("[database.app]\nnodes = 7\nconnection_limit = 'many'\n");
    assert_eq!(it.said("stays in force"), 1, "{}", it.proxy.stderr());
    wait_until("it serves as before", || client.query(WHERE).value() != "primary");
    it.reload(&("listen = '127.0.0.1:1'\nworkers = 3\n".to_owned() + &file(2, "")));
    // Both are given on the command line too, which counts more: only the workers differ.
    assert!(it.said("workers: needs a restart") == 1 && it.said("listen") == 0, "{}", it.proxy.stderr());
    it.reload(&file(2, ""));
    assert_eq!(it.said("nothing has changed"), 2, "{}", it.proxy.stderr());
}

#[test]
fn the_console_reloads_and_says_what_came_of_it() {
    let console = "console_users = ['app']\n".to_owned();
    let it = Reloaded::start(&(console.clone() + &file(1, "")));
    let login = [("user", "app"), ("database", "tidegate")];
    let mut ops = Raw::log_in(it.proxy.address(), V3_0, &login, "secret").unwrap();
    let mut reload = |text: String| {
        std::fs::write(&it.file, text).unwrap();
        ops.query("RELOAD")
    };
    let said = |answer: &Answer| format!("{answer:?}");
    assert!(said(&reload(console.clone() + &file(2, "")).ok()).contains("database app: changed"));
    wait_both(&it.proxy);
    let mistaken = reload(console.clone() + &file(2, "connection_limit = 'many'\n"));
    assert!(said(&mistaken).contains("whole number"), "{mistaken:?}");
    assert!(
        said(&reload(console + "workers = 7\n" + &file(2, "")).ok()).contains("workers: needs a restart")
    );
    // Who may use it is what the configuration says.
    let said = format!("{:?}", reload(file(2, "")).ok());
    assert!(said.contains("console_users: changed"), "{said}");
    assert!(Raw::log_in(it.proxy.address(), V3_0, &login, "secret").is_err());
}

#[test]
fn a_password_that_changes_is_the_one_that_counts() {
    let user = role();
    let password = |word: &str| file(2, &format!("user.{user}.password = '{word}'\n"));
    let it = Reloaded::start(&password("secret"));
    let address = it.proxy.address();
    let log_in =
        |word: &str| Raw::log_in(address, V3_0, &[("user", user.as_str()), ("database", "app")], word);
    let mut before = log_in("secret").unwrap();
    before.ok("select 1");
    shared().primary().psql(&format!("alter role {user} password 'other'")).unwrap();
    shared().wait_caught_up().unwrap();
    it.reload(&password("other"));
    assert!(log_in("secret").is_err());
    log_in("other").unwrap().ok("select 1");
    before.ok("select 1");
    assert!(!it.proxy.stderr().contains("'other'"));
}

#[test]
fn reloading_in_a_loop_disturbs_nobody() {
    let it = Reloaded::start(&file(2, ""));
    wait_both(&it.proxy);
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let errors = block_on(async {
        let clients: Vec<_> = (0..8)
            .map(|number| {
                let (url, stop, done) = (it.proxy.url(), Arc::clone(&stop), Arc::clone(&done));
                tokio::spawn(async move {
                    let client = connect(&url).await;
                    let statement = client.prepare("select $1::int + 1").await.unwrap();
                    let mut errors = String::new();
                    while !stop.load(Ordering::Relaxed) {
                        let outcome = match number % 3 {
                            0 => client.query_one(&statement, &[&1]).await.map(drop),
                            1 => client.batch_execute("begin; select 1; select 2; commit").await,
                            _ => client.simple_query("select 1").await.map(drop),
                        };
                        if let Err(error) = outcome {
                            let _ = writeln!(errors, "{error:?}");
                            break;
                        }
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                    errors
                })
            })
            .collect();
        #[allow(clippy::disallowed_methods, reason = "this runtime has threads to block one of")]
        tokio::task::block_in_place(|| {
            for turn in 0..30 {
                let before = done.load(Ordering::Relaxed);
                let more =
                    format!("connection_limit = {}\nprepared_per_server = {}\n", 3 + turn % 5, 50 + turn);
                it.reload(&file(turn % 3, &more));
                wait_until("clients go on", || done.load(Ordering::Relaxed) > before + 200);
            }
        });
        stop.store(true, Ordering::Relaxed);
        let mut errors = String::new();
        for client in clients {
            errors += &client.await.unwrap();
        }
        errors
    });
    assert_eq!(errors, "", "{}", it.proxy.stderr());
}
