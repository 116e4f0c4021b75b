//! What strangers can do before they have logged in, and that it is little.

use std::fs;
use std::io::Read;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::{Message, Raw, V3_0, startup, tagged};
use super::{shared, support};

/// A proxy with these settings of the whole, and these of the database.
fn proxy(top: &str, database: &str) -> (RunningProxy, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidegate.toml");
    (start(&file, top, database), folder)
}

fn start(file: &std::path::Path, top: &str, database: &str) -> RunningProxy {
    fs::write(file, text(top, database)).unwrap();
    Tidegate::by_file(file).start()
}

fn text(top: &str, database: &str) -> String {
    format!(
        "listen = '127.0.0.1:0'\nadmin = '127.0.0.1:0'\nconsole_users = ['app']\n{top}\n\
         [database.app]\nnodes = ['127.0.0.1:{}']\nuser.app.password = 'secret'\n{database}\n",
        shared().primary().port()
    )
}

const APP: [(&str, &str); 2] = [("user", "app"), ("database", "app")];
const CONSOLE: [(&str, &str); 2] = [("user", "app"), ("database", "tidegate")];

fn log_in(proxy: &RunningProxy, parameters: &[(&str, &str)], password: &str) -> Result<Raw, Message> {
    Raw::log_in(proxy.address(), V3_0, parameters, password)
}

/// From another address of this machine.
fn log_in_from(source: u8, proxy: &RunningProxy, user: &str, password: &str) -> Result<Raw, Message> {
    let mut raw = Raw::silent_from([127, 0, 0, source].into(), proxy.address());
    raw.send(&startup(V3_0, &[("user", user), ("database", "app")]));
    raw.authenticate(password).map(|()| raw)
}

fn code(refused: Result<Raw, Message>) -> String {
    refused.map(|_| ()).expect_err("a refusal").field(b'C').unwrap()
}

#[test]
fn attack_finding_out_who_is_a_user() {
    let (proxy, _folder) = proxy("auth_failure_limit = 0", "");
    // All that a stranger is told, but for what is random and the name it has said.
    let told = |user: &str| {
        let mut raw = Raw::silent(proxy.address());
        raw.send(&startup(V3_0, &[("user", user), ("database", "app")]));
        let error = raw.authenticate("guess").unwrap_err();
        let mut messages = std::mem::take(&mut raw.greeting);
        assert_eq!(messages.pop().unwrap(), error);
        let challenge = String::from_utf8(messages.pop().unwrap().body[4..].to_vec()).unwrap();
        let (_, salt) = challenge.split_once(",s=").unwrap();
        let text = error.field(b'M').unwrap().replace(&format!("\"{user}\""), "…");
        (messages, salt.to_owned(), error.fields().into_keys().collect::<Vec<_>>(), text)
    };
    let (known, unknown) = (told("app"), told("nob"));
    assert_eq!(told("app"), known, "the same salt each time");
    assert_eq!(told("nob"), unknown, "also of nobody");
    assert_ne!(known.1, unknown.1);
    assert_eq!(known.1.len(), unknown.1.len());
    let iterations = |salt: &str| salt.split_once(",i=").unwrap().1.to_owned();
    assert_eq!(iterations(&known.1), iterations(&unknown.1));
    assert_eq!((&known.0, &known.2, &known.3), (&unknown.0, &unknown.2, &unknown.3));
    // In turns, so that whatever else the machine does hits both.
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..101 {
        for (user, times) in ["app", "nob"].into_iter().zip(&mut times) {
            let begun = Instant::now();
            told(user);
            times.push(begun.elapsed());
        }
    }
    // Generous: what it would show is a derivation of keys, which takes milliseconds.
    let [known, unknown] = times.map(|mut times| {
        times.sort();
        times[50]
    });
    let difference = known.abs_diff(unknown);
    assert!(difference < Duration::from_millis(2), "{known:?} {unknown:?}");
}

#[test]
fn attack_guessing_passwords_from_one_address() {
    let top = "auth_failure_limit = 3\nauth_failure_window = '1min'\nauth_failure_delay = '500ms'";
    let (proxy, _folder) = proxy(top, "");
    for _ in 0..3 {
        assert_eq!(code(log_in_from(2, &proxy, "app", "guess")), "28P01");
    }
    for password in ["guess", "secret"] {
        let begun = Instant::now();
        let outcome = log_in_from(2, &proxy, "app", password);
        assert!(begun.elapsed() >= Duration::from_millis(450), "answered late, right or wrong");
        assert_eq!(outcome.is_ok(), password == "secret", "and nobody is locked out");
    }
    let timed = |source, user, password| {
        let begun = Instant::now();
        let outcome = log_in_from(source, &proxy, user, password);
        (outcome.is_ok(), begun.elapsed() < Duration::from_millis(450))
    };
    assert_eq!(timed(3, "app", "secret"), (true, true), "another address is not meant");
    assert_eq!(timed(2, "app", "secret"), (true, true), "nor who has been here before");
    assert!(!timed(2, "nobody", "guess").1);
    assert!(proxy.metric("tidegate_logins_total", &["outcome=\"refused\"", "reason=\"password\""]) >= 5.0);
}

#[test]
fn attack_guessing_on_many_connections_at_one_time() {
    let top = "auth_failure_limit = 2\nauth_failure_delay = '2s'\nauthentication_timeout = '5s'";
    let (proxy, _folder) = proxy(top, "");
    let guesses: Vec<_> = (0..12)
        .map(|_| {
            let address = proxy.address();
            std::thread::spawn(move || {
                let refused = Raw::log_in(address, V3_0, &APP, "guess").map(|_| ()).unwrap_err();
                (refused.field(b'C').unwrap(), refused.field(b'M').unwrap())
            })
        })
        .collect();
    let told: Vec<_> = guesses.into_iter().map(|guess| guess.join().unwrap()).collect();
    let answered = told.iter().filter(|(code, _)| code == "28P01").count();
    assert!((2..=4).contains(&answered), "{told:?}");
    let (code, text) = told.iter().find(|(code, _)| code != "28P01").unwrap();
    assert_eq!(
        (code.as_str(), text.as_str()),
        ("53300", "too many failed logins from address \"127.0.0.1\"")
    );
    assert!(proxy.metric("tidegate_logins_total", &["reason=\"throttled\""]) >= 8.0);
}

#[test]
fn attack_forged_lines_in_the_log() {
    let (proxy, _folder) = proxy("", "");
    let evil = "app\" reason=none\n2026-01-01T00:00:00Z  INFO tidegate::audit: login accepted user=\"root";
    let parameters = [("user", evil), ("database", "app"), ("application_name", "x\u{1b}[2J")];
    assert_eq!(code(log_in(&proxy, &parameters, "guess")), "28P01");
    log_in(&proxy, &APP, "secret").unwrap();
    support::wait_until("both are logged", || {
        let log = proxy.stderr();
        log.contains("login refused") && log.contains("login accepted user=\"app\"")
    });
    let log = proxy.stderr();
    assert!(!log.contains('\u{1b}'), "{log}");
    assert!(!log.lines().any(|line| line.starts_with("2026-01-01T00:00:00Z")), "{log}");
    let refused = log.lines().find(|line| line.contains("login refused")).unwrap();
    for words in [
        "WARN tidegate::audit",
        "user=\"app\\\" reason",
        "address=127.0.0.1",
        "reason=\"password\"",
        "tls=false",
    ] {
        assert!(refused.contains(words), "{words:?} is missing in {refused}");
    }
    let accepted = log.lines().find(|line| line.contains("login accepted user=\"app\"")).unwrap();
    for words in ["INFO tidegate::audit", "database=\"app\"", "method=\"scram-sha-256\""] {
        assert!(accepted.contains(words), "{words:?} is missing in {accepted}");
    }
}

/// Waits until the other side has hung up; returns what it said before.
fn hung_up(raw: &mut Raw) -> Vec<u8> {
    let mut said = Vec::new();
    let _ = raw.socket().read_to_end(&mut said);
    said
}

#[test]
fn attack_slowloris_by_time() {
    let (proxy, _folder) = proxy("authentication_timeout = '1s'", "");
    let begun = Instant::now();
    let mut silent = Raw::silent(proxy.address());
    let mut half = Raw::silent(proxy.address());
    let packet = startup(V3_0, &APP);
    half.send(&packet[..packet.len() - 1]);
    let mut asked = Raw::silent(proxy.address());
    asked.send(&packet);
    for raw in [&mut silent, &mut half, &mut asked] {
        let said = String::from_utf8_lossy(&hung_up(raw)).into_owned();
        assert!(said.contains("57014") && said.contains("canceling authentication due to timeout"), "{said}");
    }
    let passed = begun.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(15)).contains(&passed), "{passed:?}");
    // Who has logged in has the time it likes.
    let mut app = log_in(&proxy, &APP, "secret").unwrap();
    app.ok("select pg_sleep(1.5)");
    assert!(proxy.metric("tidegate_logins_total", &["reason=\"timeout\""]) >= 3.0);
}

#[test]
fn attack_slowloris_by_number() {
    let (proxy, _folder) = proxy("max_unauthenticated_clients = 5", "");
    let mut early = log_in(&proxy, &APP, "secret").unwrap();
    let mut silent: Vec<_> = (0..20)
        .map(|_| {
            let mut raw = Raw::silent(proxy.address());
            raw.send(&[0]);
            raw
        })
        .collect();
    for raw in &mut silent[..15] {
        assert!(String::from_utf8_lossy(&hung_up(raw)).contains("53300"));
    }
    // While they are there, others come in, and the oldest of them goes.
    log_in(&proxy, &APP, "secret").unwrap().ok("select 1");
    log_in(&proxy, &CONSOLE, "secret").unwrap();
    assert!(String::from_utf8_lossy(&hung_up(&mut silent[15])).contains("53300"));
    early.ok("select 1");
}

#[test]
fn attack_large_messages_before_the_login() {
    let (proxy, _folder) = proxy("", "");
    let mut start = Raw::silent(proxy.address());
    start.send_anyway(&10_001_u32.to_be_bytes());
    start.send_anyway(&[0; 4]);
    assert!(String::from_utf8_lossy(&hung_up(&mut start)).contains("08P01"));
    for length in [1_029_u32, 65_536, 0x3fff_ffff] {
        let mut password = Raw::silent(proxy.address());
        password.send(&startup(V3_0, &APP));
        assert_eq!(password.read().tag, b'R');
        password.send_anyway(&[&b"p"[..], &length.to_be_bytes()].concat());
        hung_up(&mut password);
    }
    let mut other = Raw::silent(proxy.address());
    other.send(&startup(V3_0, &APP));
    assert_eq!(other.read().tag, b'R');
    other.send_anyway(&tagged(b'Q', b"select 1\0"));
    hung_up(&mut other);
    log_in(&proxy, &APP, "secret").unwrap().ok("select 1");
}

#[test]
fn attack_taking_all_connections_of_a_user_or_from_one_address() {
    let top = "max_connections_per_address = 4";
    let (proxy, folder) = proxy(top, "max_user_client_connections = 3");
    let mut three: Vec<_> = (0..3).map(|_| log_in(&proxy, &APP, "secret").unwrap()).collect();
    let refused = log_in(&proxy, &APP, "secret").map(|_| ()).unwrap_err();
    let told = "too many connections for role \"app\" (tidegate_max_user_client_connections=3)";
    assert_eq!(
        (refused.field(b'C').unwrap().as_str(), refused.field(b'M').unwrap().as_str()),
        ("53300", told)
    );
    drop(three.pop());
    support::wait_until("the place is free again", || {
        log_in(&proxy, &APP, "secret").map(|raw| three.push(raw)).is_ok()
    });
    let silent: Vec<_> = (0..2).map(|_| Raw::silent(proxy.address())).collect();
    support::wait_until("the address has as many connections as it may have", || {
        let refused = log_in(&proxy, &APP, "secret").map(|_| ()).unwrap_err().field(b'M').unwrap();
        refused == "too many connections from address \"127.0.0.1\" (max_connections_per_address=4)"
    });
    // Administrators are let in, and others from elsewhere; health checks come by another address.
    log_in(&proxy, &CONSOLE, "secret").unwrap().ok("show clients");
    assert_eq!(code(log_in_from(2, &proxy, "app", "secret")), "53300", "it is still the same user");
    assert!(proxy.metric("tidegate_logins_total", &["reason=\"too_many\""]) >= 3.0);
    drop(silent);

    // Limits are taken over while it runs.
    fs::write(folder.path().join("tidegate.toml"), text("", "")).unwrap();
    proxy.signal("HUP");
    support::wait_until("there are no limits any more", || {
        let all: Vec<_> = (0..6).map(|_| log_in(&proxy, &APP, "secret")).collect();
        all.iter().all(Result::is_ok)
    });
    assert!(proxy.stderr().contains("max_connections_per_address"), "{}", proxy.stderr());
}

#[test]
fn attack_using_up_all_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidegate.toml");
    fs::write(&file, text("", "pool_timeout = '5s'")).unwrap();
    let limited = ["-c", "ulimit -n 200; exec \"$0\" \"$@\""];
    let proxy = Tidegate::by_file(&file).under("sh", limited).start();
    let mut clients = Vec::new();
    let refused = loop {
        match log_in(&proxy, &APP, "secret") {
            Ok(raw) => clients.push(raw),
            Err(refused) => break refused,
        }
        assert!(clients.len() < 200);
    };
    assert_eq!(refused.field(b'C').unwrap(), "53300");
    assert!(clients.len() > 50, "{}", clients.len());
    let _silent: Vec<_> = (0..300).map(|_| Raw::silent(proxy.address())).collect();
    let mut console = log_in(&proxy, &CONSOLE, "secret").unwrap();
    console.ok("show clients");
    assert!(proxy.metrics().contains("tidegate_clients"), "health checks and metrics are answered");
    clients[0].ok("select 1");
    clients.truncate(10);
    support::wait_until("there is room again", || log_in(&proxy, &APP, "secret").is_ok());
}

/// Whether psql gets in with this password, and what it is told.
fn psql(proxy: &RunningProxy, user: &str, password: &str) -> Result<(), String> {
    let mut psql = Command::new(support::pg_bin().program("psql"));
    let (port, source) = (proxy.address().port(), "host=127.0.0.1 dbname=app sslmode=disable");
    psql.env("PGPASSWORD", password).args(["-XAtw", "-c", "select 1", "-d"]);
    let output = psql.arg(format!("{source} port={port} user={user}")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    output.status.success().then_some(()).ok_or(said)
}

#[test]
fn md5_is_there_for_those_who_ask_for_it() {
    let (proxy, _folder) = proxy("", "client_auth = 'md5'");
    let mut raw = Raw::silent(proxy.address());
    raw.send(&startup(V3_0, &APP));
    assert_eq!(raw.read().body[..4], 5_u32.to_be_bytes());
    psql(&proxy, "app", "secret").unwrap();
    for (user, password) in [("app", "guess"), ("app", ""), ("nobody", "secret")] {
        let said = psql(&proxy, user, password).unwrap_err();
        let text = format!("password authentication failed for user \"{user}\"");
        assert!(said.contains(&text) || (password.is_empty() && said.contains("no password")), "{said}");
    }
    // What is no answer at all is no proof.
    for answer in [&b"\0"[..], b"md5\0", b"secret\0", b"", b"md50\0x\0"] {
        let mut raw = Raw::silent(proxy.address());
        raw.send(&startup(V3_0, &APP));
        assert_eq!(raw.read().tag, b'R');
        raw.send(&tagged(b'p', answer));
        let said = raw.until_closed();
        assert!(said.iter().all(|message| message.tag == b'E'), "{answer:?}: {said:?}");
    }
}

#[test]
fn without_a_certificate_nobody_comes_in_where_one_is_asked_for() {
    let (proxy, _folder) = proxy("", "client_auth = 'cert'");
    let said = psql(&proxy, "app", "secret").unwrap_err();
    assert!(said.contains("connection requires a valid client certificate"), "{said}");
}

#[test]
fn the_console_asks_for_a_password_whatever_the_rules_trust() {
    let hba = tempfile::NamedTempFile::new().unwrap();
    let rules =
        "host tidegate app 127.0.0.1/32 trust\nhost app all all trust\nhost pgbouncer all all reject\n";
    fs::write(hba.path(), rules).unwrap();
    let (proxy, _folder) = proxy(&format!("hba_file = '{}'", hba.path().display()), "");
    log_in(&proxy, &APP, "guess").unwrap().ok("select 1");
    assert_eq!(code(log_in(&proxy, &CONSOLE, "guess")), "28P01");
    log_in(&proxy, &CONSOLE, "secret").unwrap().ok("show clients");
    let pgbouncer = [("user", "app"), ("database", "pgbouncer")];
    assert_eq!(code(log_in(&proxy, &pgbouncer, "secret")), "28000");
    // Nobody is told that there is no such user where everybody is trusted.
    assert_eq!(code(log_in(&proxy, &[("user", "nobody"), ("database", "app")], "x")), "28P01");
    assert!(proxy.metric("tidegate_logins_total", &["reason=\"rule\""]) > 0.5);
}
