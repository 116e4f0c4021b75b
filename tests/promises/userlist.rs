//! Users from a file as PgBouncer has it.

use super::auth_query::{alter, code, is_itself_everywhere, log_in, told_at_the_end};
use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::{Raw, V3_0};
use super::support::{self, wait_until};
use super::{own, role, shared, wait_both};
use tidegate::local::{LocalCluster, LocalNode};

/// A proxy whose only configured user is `app`, with a list of users.
struct Listed {
    proxy: RunningProxy,
    folder: tempfile::TempDir,
}

impl Listed {
    fn start(cluster: &LocalCluster, list: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("userlist.txt"), list).unwrap();
        let nodes: Vec<_> =
            cluster.replicas().iter().chain([cluster.primary()]).map(LocalNode::port).collect();
        let nodes: Vec<_> = nodes.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
        let text = format!(
            "{}[database.app]\nnodes = [{}]\nuser.app.password = 'secret'\nauth_file = 'userlist.txt'\n",
            more,
            nodes.join(", ")
        );
        let file = folder.path().join("tidegate.toml");
        std::fs::write(&file, text).unwrap();
        let proxy = Tidegate::bare().args(["--log", "info", "--config", file.to_str().unwrap()]).start();
        wait_both(&proxy);
        Self { proxy, folder }
    }

    fn reload(&self, list: &str) {
        let said = || self.proxy.stderr().lines().filter(|line| line.contains("configuration")).count();
        let before = said();
        std::fs::write(self.folder.path().join("userlist.txt"), list).unwrap();
        self.proxy.signal("HUP");
        wait_until("the list is read again", || said() > before);
    }
}

fn kept(name: &str) -> String {
    let sql = format!("select rolpassword from pg_authid where rolname = '{name}'");
    shared().primary().psql(&sql).unwrap().trim().to_owned()
}

#[test]
fn passwords_and_verifiers() {
    let (plain, verifier, quoted) = (role(), role(), format!("{} \"q\"", role()));
    alter(&format!("create role \"{}\" login password 'a \"b\" c'", quoted.replace('"', "\"\"")));
    let line = |name: &str, password: &str| {
        format!("\"{}\" \"{}\"\n", name.replace('"', "\"\""), password.replace('"', "\"\""))
    };
    let list = [
        "; users\n\n".to_owned(),
        line(&plain, "secret"),
        line(&verifier, &kept(&verifier)),
        line(&quoted, "a \"b\" c"),
        line("promise_empty", ""),
    ];
    let it = Listed::start(shared(), &list.concat(), "");
    for (name, password) in [(&plain, "secret"), (&verifier, "secret"), (&quoted, "a \"b\" c")] {
        let mut raw = log_in(&it.proxy, name, password).unwrap();
        is_itself_everywhere(&mut raw, name);
        assert_eq!(code(log_in(&it.proxy, name, "guess")), "28P01");
        assert_eq!(code(log_in(&it.proxy, name, "")), "28P01");
    }
    // A stolen verifier is no password, and neither is nothing.
    assert_eq!(code(log_in(&it.proxy, &verifier, &kept(&verifier))), "28P01");
    assert_eq!(code(log_in(&it.proxy, "promise_empty", "")), "28P01");
}

#[test]
fn a_list_is_read_again() {
    let (stays, changes, goes, comes) = (role(), role(), role(), role());
    let line = |name: &str| format!("\"{name}\" \"{}\"\n", kept(name));
    let it = Listed::start(shared(), &[line(&stays), line(&changes), line(&goes)].concat(), "");
    let mut sessions: Vec<Raw> =
        [&stays, &changes, &goes].map(|name| log_in(&it.proxy, name, "secret").unwrap()).into();
    assert_eq!(code(log_in(&it.proxy, &comes, "secret")), "28P01");
    alter(&format!("alter role {changes} password 'better'"));
    it.reload(&[line(&stays), line(&changes), line(&comes)].concat());
    for (name, password) in [(&stays, "secret"), (&changes, "better"), (&comes, "secret")] {
        is_itself_everywhere(&mut log_in(&it.proxy, name, password).unwrap(), name);
    }
    assert_eq!(code(log_in(&it.proxy, &changes, "secret")), "28P01");
    assert_eq!(code(log_in(&it.proxy, &goes, "secret")), "28P01");
    sessions[0].ok("select 1");
    sessions[1].ok("select 1");
    assert_eq!(told_at_the_end(&mut sessions[2]), "57P01");
    // A bad list changes nothing, and shows nothing.
    it.reload(&[line(&stays), "\"x\" SECRET\n".to_owned()].concat());
    assert!(log_in(&it.proxy, &comes, "secret").is_ok());
    let log = it.proxy.stderr();
    assert!(log.contains("line 2 of") && !log.contains("SECRET") && !log.contains("SCRAM-SHA"), "{log}");
}

#[test]
fn a_verifier_that_is_not_the_servers_lets_nobody_onto_the_server() {
    let (name, other) = (role(), role());
    // Both have the same password, but not the same verifier.
    let it = Listed::start(shared(), &format!("\"{name}\" \"{}\"\n", kept(&other)), "");
    let refused = log_in(&it.proxy, &name, "secret").err().expect("a refusal");
    assert_eq!(refused.field(b'C').unwrap(), "28P01");
    assert!(refused.field(b'M').unwrap().contains("in another form"), "{refused:?}");
}

#[test]
fn the_console_takes_who_is_listed() {
    let name = role();
    let list = format!("\"{name}\" \"{}\"\n", kept(&name));
    let it = Listed::start(shared(), &list, &format!("console_users = ['{name}']\n"));
    let console = |password: &str| {
        Raw::log_in(it.proxy.address(), V3_0, &[("user", name.as_str()), ("database", "tidegate")], password)
    };
    assert!(!console("secret").unwrap().ok("show pools").rows().is_empty());
    assert_eq!(code(console("guess")), "28P01");
    // Guests are among the users whose pools are shown.
    log_in(&it.proxy, &name, "secret").unwrap().ok("select 1");
    let pools = console("secret").unwrap().ok("show pools").rows();
    assert!(pools.iter().any(|row| row.contains(&Some(name.clone()))), "{pools:?}");
}

#[test]
fn an_md5_hash_logs_in_to_servers_that_ask_for_md5() {
    let cluster = own(&support::options());
    for node in cluster.replicas().iter().chain([cluster.primary()]) {
        let hba = node.data_dir().join("pg_hba.conf");
        let rules = std::fs::read_to_string(&hba).unwrap();
        std::fs::write(&hba, format!("host all old 127.0.0.1/32 md5\n{rules}")).unwrap();
        node.psql("select pg_reload_conf()").unwrap();
    }
    cluster.primary().psql("set password_encryption = md5; create role old login password 'secret'").unwrap();
    cluster.wait_caught_up().unwrap();
    let hash = cluster.primary().psql("select rolpassword from pg_authid where rolname = 'old'").unwrap();
    let list = format!("\"old\" \"{}\"\n", hash.trim());
    let it = Listed::start(&cluster, &list, "");
    // By SCRAM nobody proves anything to a hash, as in PostgreSQL.
    assert_eq!(code(log_in(&it.proxy, "old", "secret")), "28P01");
    wait_until("the operator is told", || it.proxy.stderr().contains("keeps an md5 hash"));
    drop(it);
    let nodes: Vec<_> = cluster.replicas().iter().chain([cluster.primary()]).map(LocalNode::port).collect();
    let hosts: Vec<_> = nodes.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let url = format!("postgres://app:secret@{}/app?tidegate_client_auth=trust", hosts.join(","));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidegate.toml");
    std::fs::write(&file, format!("[database.app]\nurl = '{url}'\nuser.old.password = '{}'\n", hash.trim()))
        .unwrap();
    let proxy = Tidegate::bare().args(["--config", file.to_str().unwrap()]).start();
    wait_both(&proxy);
    is_itself_everywhere(&mut log_in(&proxy, "old", "").unwrap(), "old");
}
