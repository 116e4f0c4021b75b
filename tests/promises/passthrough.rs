//! Logging in to the servers with what the client's own login has shown.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::auth_query::{alter, asking, code, is_itself_everywhere, log_in, told_at_the_end};
use super::support::proxy::RunningProxy;
use super::support::raw::Raw;
use super::support::wait_until;
use super::{role, shared, wait_both};
use tidegate::local::LocalNode;

fn started(parameters: &str) -> RunningProxy {
    let proxy = asking(shared(), parameters).start();
    wait_both(&proxy);
    proxy
}

#[test]
fn a_pool_of_one_user_never_serves_another() {
    let proxy = started("connection_limit=1&tidegate_database_connection_limit=2");
    let names: Vec<String> = (0..4).map(|_| role()).collect();
    std::thread::scope(|scope| {
        for name in &names {
            let proxy = &proxy;
            scope.spawn(move || {
                for round in 0..5 {
                    let mut raw = log_in(proxy, name, "secret").unwrap();
                    for number in 0..20 {
                        let place = if number % 2 == 0 { " /* tidegate: intent=primary */" } else { "" };
                        let row =
                            raw.ok(&format!("select current_user, session_user{place}")).rows().remove(0);
                        assert_eq!(row, [Some(name.clone()), Some(name.clone())], "{round}");
                    }
                }
            });
        }
    });
}

/// A verifier as PostgreSQL makes them, with so many iterations.
fn verifier(password: &str, iterations: u32) -> String {
    let salt = rand::random::<[u8; 16]>();
    let sign = |key: &[u8], text: &[u8]| -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(text);
        mac.finalize().into_bytes().into()
    };
    let mut last = sign(password.as_bytes(), &[&salt[..], &1u32.to_be_bytes()].concat());
    let mut salted = last;
    for _ in 1..iterations {
        last = sign(password.as_bytes(), &last);
        salted.iter_mut().zip(last).for_each(|(a, b)| *a ^= b);
    }
    let stored = BASE64.encode(Sha256::digest(sign(&salted, b"Client Key")));
    let server = BASE64.encode(sign(&salted, b"Server Key"));
    format!("SCRAM-SHA-256${iterations}:{}${stored}:{server}", BASE64.encode(salt))
}

#[test]
fn iterations_and_saslprep_are_the_servers_and_the_clients_matter() {
    let proxy = started("");
    let (many, few, soft, odd) = (role(), role(), role(), role());
    alter(&format!("alter role {many} password '{}'", verifier("secret", 20_000)));
    alter(&format!("alter role {few} password '{}'", verifier("secret", 1)));
    // A soft hyphen is nothing, a wide space is a space.
    alter(&format!(
        "alter role {soft} password 'se\u{ad}c\u{2003}ret'; alter role {odd} password 'пароль ☃ \u{1f600}'"
    ));
    for (name, password) in
        [(&many, "secret"), (&few, "secret"), (&soft, "sec ret"), (&odd, "пароль ☃ \u{1f600}")]
    {
        let mut raw = log_in(&proxy, name, password).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        is_itself_everywhere(&mut raw, name);
        assert_eq!(code(log_in(&proxy, name, "guess")), "28P01");
    }
}

#[test]
fn keys_and_connections_are_forgotten_when_nobody_needs_them() {
    let proxy = asking(shared(), "tidegate_server_idle_timeout=1s&application_name=promise_rest")
        .args(["--log", "debug"])
        .start();
    wait_both(&proxy);
    let name = role();
    let mut raw = log_in(&proxy, &name, "secret").unwrap();
    is_itself_everywhere(&mut raw, &name);
    let forgotten =
        || proxy.stderr().lines().any(|line| line.contains("is forgotten") && line.contains(&name));
    let connections = || {
        let sql = format!("select count(*) from pg_stat_activity where usename = '{name}'");
        shared().primary().psql(&sql).unwrap().trim().to_owned()
    };
    wait_until("idle connections are closed", || connections() == "0");
    assert!(!forgotten(), "it has a session");
    assert_eq!(raw.ok("select current_user").value(), name);
    raw.terminate();
    wait_until("it is forgotten", forgotten);
    assert_eq!(log_in(&proxy, &name, "secret").unwrap().ok("select current_user").value(), name);
}

#[test]
fn as_many_users_as_there_may_be() {
    let proxy = started("tidegate_user_limit=2");
    let names = [role(), role(), role()];
    // Waiting for it has left nobody here but the user of the tests, if that.
    let first = log_in(&proxy, &names[0], "secret").unwrap();
    let _second = log_in(&proxy, &names[1], "secret").unwrap();
    let refused = log_in(&proxy, &names[2], "secret").err().expect("a refusal");
    assert_eq!(refused.field(b'C').unwrap(), "53300");
    assert!(refused.field(b'M').unwrap().contains("user_limit=2"), "{refused:?}");
    // Who cannot prove who it is is not told.
    assert_eq!(code(log_in(&proxy, &names[2], "guess")), "28P01");
    first.terminate();
    wait_until("there is room again", || log_in(&proxy, &names[2], "secret").is_ok());
}

#[test]
fn what_is_logged_and_counted_shows_no_secret() {
    let proxy = asking(shared(), "").args(["--log", "trace"]).start();
    wait_both(&proxy);
    let name = role();
    alter(&format!("alter role {name} password 'hush-hush'"));
    let kept = shared()
        .primary()
        .psql(&format!("select rolpassword from pg_authid where rolname = '{name}'"))
        .unwrap();
    wait_until("it logs in", || log_in(&proxy, &name, "hush-hush").is_ok());
    let _ = log_in(&proxy, &name, "guess");
    let kept = kept.trim();
    let (salt, keys) = kept.rsplit_once('$').unwrap();
    let (stored, server) = keys.split_once(':').unwrap();
    let said = proxy.stderr() + &proxy.metrics();
    for secret in ["hush-hush", kept, salt, stored, server] {
        assert!(!said.contains(secret), "{secret}");
    }
}

/// Who asks in the test below.
const ASKER: &str = "promise_asker";

#[test]
fn sessions_of_guests_live_through_a_reload() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidegate.toml");
    let nodes: Vec<_> = shared().replicas().iter().chain([shared().primary()]).map(LocalNode::port).collect();
    let text = |nodes: &[u16], more: &str| {
        let nodes: Vec<_> = nodes.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
        format!(
            "[database.app]\nnodes = [{}]\nuser.app.password = 'secret'\nuser.{ASKER}.password = 'secret'\n{more}",
            nodes.join(", ")
        )
    };
    alter(&format!("create role {ASKER} superuser login password 'secret'"));
    let asks = format!("auth_query = true\nauth_user = '{ASKER}'\n");
    std::fs::write(&file, text(&nodes[1..], &asks)).unwrap();
    let args = ["--log", "info", "--config", file.to_str().unwrap()];
    let proxy = super::support::proxy::Tidegate::bare().args(args).start();
    let reload = |text: String| {
        let said = || proxy.stderr().lines().filter(|line| line.contains("configuration")).count();
        let before = said();
        std::fs::write(&file, text).unwrap();
        proxy.signal("HUP");
        wait_until("the configuration is read again", || said() > before);
    };
    let name = role();
    let mut raw: Raw = log_in(&proxy, &name, "secret").unwrap();
    raw.ok("begin");
    reload(text(&nodes, &asks));
    raw.ok("commit");
    is_itself_everywhere(&mut raw, &name);
    // Other terms: pools are adapted, or made anew with what is known.
    reload(text(&nodes, &format!("{asks}database_connection_limit = 50\nquery_timeout = '1min'\n")));
    is_itself_everywhere(&mut raw, &name);
    assert!(log_in(&proxy, &name, "secret").is_ok());
    reload(text(&nodes, ""));
    assert_eq!(code(log_in(&proxy, &name, "secret")), "28P01");
    assert_eq!(told_at_the_end(&mut raw), "57P01");
}
