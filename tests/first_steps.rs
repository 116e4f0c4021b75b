//! What people meet first: errors that they cause, each with what to do, and a proxy set up from a PgBouncer configuration.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::too_many_lines, reason = "tables are as long as they are")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;

use support::proxy::Tidegate;
use support::raw::{Raw, V3_0};
use tidegate::local::{LocalCluster, LocalNode, Login};

/// The password in every URL, which nothing may show.
const SECRET: &str = "hunter2hunter2";

/// Fails early, so that nobody waits for a primary.
const HASTY: &str = "tidegate_startup_timeout=100ms&connect_timeout=5";

/// A cluster with users and databases that something is wrong with.
fn cluster() -> &'static LocalCluster {
    static READY: OnceLock<&LocalCluster> = OnceLock::new();
    READY.get_or_init(|| {
        let cluster = support::cluster();
        let primary = cluster.primary();
        for sql in [
            &format!("create role known login password '{SECRET}'"),
            &format!("create role crowd login connection limit 0 password '{SECRET}'"),
            &format!("create role kept_out login password '{SECRET}'"),
            &format!("create role unencrypted login password '{SECRET}'"),
            &format!("create role unlisted login password '{SECRET}'"),
            &format!("create role nologin_ password '{SECRET}'"),
            "create database closed",
            "revoke connect on database closed from public",
        ] {
            primary.psql(sql).unwrap();
        }
        let hba = primary.data_dir().join("pg_hba.conf");
        let rules = fs::read_to_string(&hba).unwrap();
        let more = "host all unencrypted 127.0.0.1/32 reject\nhost nothing unlisted 127.0.0.1/32 trust\n";
        // Everybody but one has a line.
        let listed = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["host", "all", "all", address, method] => {
                format!("host all app,postgres,known,crowd,kept_out,nologin_,nobody_ {address} {method}\n")
            }
            _ => format!("{line}\n"),
        };
        let rules: String = rules.lines().map(listed).collect();
        fs::write(&hba, format!("{more}{rules}")).unwrap();
        primary.psql("select pg_reload_conf()").unwrap();
        cluster.wait_caught_up().unwrap();
        cluster
    })
}

/// Something that listens and is no server: it answers what it is asked with this, or hangs up.
fn impostor(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 64];
            let _ = client.read(&mut request);
            let _ = client.write_all(answer);
        }
    });
    port
}

/// What a command said, on both of its outputs, and its exit code.
fn said(command: &str, args: &[String]) -> (i32, String) {
    // One that starts against all expectation is ended.
    let mut tidegate = Command::new("/usr/bin/timeout");
    tidegate.args(["60", env!("CARGO_BIN_EXE_tidegate")]);
    tidegate.env_clear().arg(command).args(args).stdin(Stdio::null());
    if command == "run" && !args.iter().any(|arg| arg == "--listen") {
        tidegate.args(["--listen", "127.0.0.1:0"]);
    }
    if command == "run" {
        tidegate.args(["--admin", "off"]);
    }
    let output = tidegate.output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.code().unwrap(), text.concat())
}

/// A mistake: what it is called, the command line, and what must be said.
type Case = (&'static str, Vec<String>, Vec<&'static str>);

fn url(user: &str, port: u16, database: &str, more: &str) -> Vec<String> {
    vec!["--url".to_owned(), format!("postgres://{user}:{SECRET}@127.0.0.1:{port}/{database}?{HASTY}{more}")]
}

fn cases(taken: SocketAddr, folder: &str) -> Vec<Case> {
    let port = cluster().primary().port();
    let plain = |text: &str| vec!["--url".to_owned(), text.to_owned()];
    let app = |more: &[&str]| {
        let url = cluster().url(Login::App);
        [plain(&url), more.iter().map(|arg| (*arg).to_owned()).collect()].concat()
    };
    vec![
        ("no URL", vec![], vec!["no database is given", "--url", "DATABASE_URL"]),
        (
            "wrong scheme",
            plain(&format!("mysql://a:{SECRET}@h/d")),
            vec!["not a URL of PostgreSQL", "postgres://"],
        ),
        ("no scheme", plain("localhost:5432"), vec!["it is not a URL", "postgres://user:password@host"]),
        (
            "no password",
            plain("postgres://app@127.0.0.1/app"),
            vec!["no password", "PGPASSWORD", "password_file"],
        ),
        (
            "unknown host",
            plain(&format!("postgres://app:{SECRET}@nowhere.invalid/app?{HASTY}")),
            vec!["nowhere.invalid", "The name is not known here", "DNS"],
        ),
        (
            "nothing listens",
            url("app", 1, "app", ""),
            vec!["127.0.0.1:1", "refused", "Nothing listens there"],
        ),
        (
            "no socket",
            plain(&format!("postgres://app:{SECRET}@%2Fnowhere/app?{HASTY}")),
            vec!["There is no such socket", "unix_socket_directories"],
        ),
        (
            "wrong password",
            plain(&format!("postgres://app:{SECRET}@127.0.0.1:{port}/app?{HASTY}")),
            vec!["password authentication failed", "Check the password of app"],
        ),
        (
            "unknown role",
            url("nobody_", port, "app", ""),
            vec!["password authentication failed", "that the role is there"],
        ),
        (
            "may not log in",
            url("nologin_", port, "app", ""),
            vec!["not permitted to log in", "ALTER ROLE nologin_ LOGIN"],
        ),
        (
            "no database",
            url("known", port, "elsewhere", ""),
            vec!["does not exist", "CREATE DATABASE elsewhere", "dbname"],
        ),
        (
            "missing right",
            url("kept_out", port, "closed", ""),
            vec!["permission denied for database", "GRANT CONNECT ON DATABASE closed TO kept_out"],
        ),
        (
            "too many connections",
            url("crowd", port, "app", ""),
            vec!["too many connections", "max_connections", "pg_stat_activity"],
        ),
        ("no rule", url("unlisted", port, "app", ""), vec!["pg_hba.conf", "unlisted", "reload"]),
        (
            "TLS required",
            url("unencrypted", port, "app", "&sslmode=disable"),
            vec!["no encryption", "sslmode=require"],
        ),
        ("no TLS", url("known", port, "app", "&sslmode=require"), vec!["has no TLS", "ssl = on"]),
        (
            "a web server",
            url("app", impostor(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "app", ""),
            vec!["does not speak PostgreSQL's protocol"],
        ),
        (
            "an ssh server",
            url("app", impostor(b"SSH-2.0-x\r\n"), "app", ""),
            vec!["does not speak PostgreSQL's protocol"],
        ),
        ("hangs up", url("app", impostor(b""), "app", ""), vec!["It has hung up", "PostgreSQL's"]),
        (
            "wrong role",
            vec!["--primary".to_owned(), cluster().replica(0).url(Login::App)],
            vec!["declared to be a primary, but it is a replica", "found out"],
        ),
        (
            "no file",
            vec!["--config".to_owned(), "/nowhere/tidegate.toml".to_owned()],
            vec!["/nowhere/tidegate.toml", "cannot be read", "Check the path and who may read it"],
        ),
        (
            "not a file",
            vec!["--config".to_owned(), folder.to_owned()],
            vec!["cannot be read", "who may read it"],
        ),
        (
            "port taken",
            app(&["--listen", &taken.to_string()]),
            vec!["another program does already", "--listen"],
        ),
        ("no such address", app(&["--listen", "192.0.2.1:6432"]), vec!["This machine has no such address"]),
        (
            "no such folder",
            app(&["--listen", "/nowhere/at/all:6432"]),
            vec!["there is no directory", "Create it"],
        ),
        (
            "no address",
            app(&["--listen", "localhost:6432"]),
            vec!["not an IP address with a port", "127.0.0.1:6432"],
        ),
    ]
}

#[test]
fn each_error_that_people_cause_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let cases = cases(taken.local_addr().unwrap(), folder.path().to_str().unwrap());
    let mut wrong = Vec::new();
    for (name, args, parts) in &cases {
        let commands: &[&str] = match *name {
            // Addresses are taken by `run` alone.
            "port taken" | "no such address" => &["run"],
            // `run` logs it, and waits for what is declared.
            "wrong role" => &["check"],
            _ => &["check", "run"],
        };
        for command in commands {
            let (code, text) = said(command, args);
            let is_refused = code == 2 || (code == 1 && *command == "check");
            let missing: Vec<_> = parts.iter().filter(|part| !text.contains(**part)).collect();
            if !is_refused || !missing.is_empty() || text.contains(SECRET) {
                wrong.push(format!(
                    "{name}: {command} ended with {code} and does not say {missing:?}:\n{text}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_missing_and_stops_nothing_is_said_too() {
    let primary = cluster().primary().url(Login::App);
    let replica = cluster().replica(0).url(Login::App);
    let alone = said("check", &["--url".to_owned(), primary.clone()]);
    assert!(
        alone.0 == 0 && alone.1.contains("there is no replica") && alone.1.contains("pg2"),
        "{}",
        alone.1
    );
    let only_replica = said("check", &["--url".to_owned(), replica]);
    assert!(only_replica.0 == 1 && only_replica.1.contains("Name the primary, too"), "{}", only_replica.1);
    let url = |more: &str| {
        let port = cluster().primary().port();
        vec!["--url".to_owned(), format!("postgres://known:{SECRET}@127.0.0.1:{port}/app?{HASTY}&{more}")]
    };
    let blind = said("check", &url("tidegate_discover_replicas=true"));
    assert!(blind.1.contains("GRANT pg_monitor TO known"), "{}", blind.1);
    let asker = said("check", &url("tidegate_auth_query=default"));
    assert!(asker.0 == 1 && asker.1.contains("permission denied for table pg_authid"), "{}", asker.1);
    assert!(asker.1.contains("SECURITY DEFINER"), "{}", asker.1);
}

#[test]
fn an_imported_configuration_lets_its_users_in() {
    let cluster = cluster();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let write = |name: &str, text: &str| {
        fs::write(path(name), text).unwrap();
        fs::set_permissions(path(name), fs::Permissions::from_mode(0o600)).unwrap();
    };
    let primary = cluster.primary();
    let verifier = primary.psql("select rolpassword from pg_authid where rolname = 'known'").unwrap();
    write("userlist.txt", &format!("\"app\" \"secret\"\n\"known\" \"{}\"\n", verifier.trim()));
    let socket = LocalNode::port(primary);
    write(
        "pgbouncer.ini",
        &format!(
            ";; made for this test\n[databases]\napp = host=127.0.0.1 port={socket} pool_size=5\n* = host=127.0.0.1 port={socket}\n\
             [users]\nknown = query_timeout=30\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = 6432\nunix_socket_dir =\n\
             auth_type = scram-sha-256\nauth_file = userlist.txt\nadmin_users = app\npool_mode = transaction\n\
             server_reset_query = DISCARD ALL\nignore_startup_parameters = extra_float_digits\n"
        ),
    );
    let args = ["pgbouncer.ini", "--output", "tidegate.toml", "--database", "postgres"];
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .arg("import")
        .args(args)
        .current_dir(folder.path())
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    let file = path("tidegate.toml").display().to_string();
    let (code, text) = said("check", &["--config".to_owned(), file.clone()]);
    assert_eq!(code, 0, "{text}");
    let proxy = Tidegate::bare().args(["--config", &file]).start();
    for (user, database, password) in
        [("app", "app", "secret"), ("known", "app", SECRET), ("app", "postgres", "secret")]
    {
        let parameters = [("user", user), ("database", database)];
        let mut raw = Raw::log_in(proxy.address(), V3_0, &parameters, password)
            .unwrap_or_else(|refused| panic!("{user} on {database}: {refused:?}"));
        assert_eq!(
            raw.ok("select current_user || ' ' || current_database()").value(),
            format!("{user} {database}")
        );
        assert!(Raw::log_in(proxy.address(), V3_0, &parameters, "guess").is_err(), "{user}");
    }
    // The console, by PgBouncer's name for it.
    let mut console =
        Raw::log_in(proxy.address(), V3_0, &[("user", "app"), ("database", "pgbouncer")], "secret").unwrap();
    assert!(!console.ok("show pools").rows().is_empty());
}
