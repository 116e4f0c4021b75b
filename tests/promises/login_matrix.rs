//! Every way to prove who one is, towards the proxy and towards the servers, in TLS and not, with psql; and what somebody sees
//! who reads along.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use tidegate::local::LocalCluster;

use super::support::authority::{Authority, Says, equip, rule, shown, write};
use super::support::proxy::{RunningProxy, Tidegate};
use super::support::wiretap::{Wiretap, contains};
use super::support::{exclusive_cluster, options, pg_bin};

const PASSWORD: &str = "kept-between-us-42";

/// Users, each with the method that the server asks of it.
const USERS: [&str; 5] = ["by_trust", "by_password", "by_md5", "by_scram", "by_cert"];

/// Databases of the proxy, each with the method that it asks of clients.
const METHODS: [&str; 5] = ["scram", "md5", "cert", "trust", "looked_up"];

const SERVER_RULES: &str = "
    host    all app         127.0.0.1/32 scram-sha-256
    host    all by_trust    127.0.0.1/32 trust
    host    all by_password 127.0.0.1/32 password
    host    all by_md5      127.0.0.1/32 md5
    host    all by_scram    127.0.0.1/32 scram-sha-256
    hostssl all by_cert     127.0.0.1/32 cert";

const PROXY_RULES: &str = "
    host    scram     all 127.0.0.1/32 scram-sha-256
    host    md5       all 127.0.0.1/32 md5
    hostssl cert      all 127.0.0.1/32 cert
    host    trust     all 127.0.0.1/32 trust
    # Whoever is kept as a SCRAM verifier proves it by SCRAM.
    host    looked_up all 127.0.0.1/32 md5";

/// A server that speaks TLS and knows the users, and files for its clients.
struct Stage {
    cluster: LocalCluster,
    authority: Authority,
}

impl Stage {
    fn new() -> Self {
        let mut options = options();
        options.replicas = 0;
        let cluster = exclusive_cluster(&options);
        let primary = cluster.primary();
        for user in USERS {
            let kept = if user == "by_md5" { "md5" } else { "scram-sha-256" };
            let password = if user == "by_trust" { String::new() } else { format!("password '{PASSWORD}'") };
            let sql = format!("set password_encryption = '{kept}'; create role {user} login {password}");
            primary.psql(&sql).unwrap();
        }
        primary.psql("grant select on pg_authid to app").unwrap();
        let authority = Authority::new("our authority");
        equip(primary, Some(&authority.sign(Says::names(&["localhost", "127.0.0.1"]))), Some(&authority));
        rule(primary, SERVER_RULES);
        let stage = Self { cluster, authority };
        stage.file("ca.crt", &stage.authority.certificate());
        stage.signed("proxy", Says::names(&["localhost", "127.0.0.1"]));
        for user in USERS {
            stage.signed(user, Says::names(&[]).common_name(user));
        }
        stage
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        write(self.cluster.folder().join(name), text)
    }

    fn signed(&self, name: &str, says: Says) {
        let signed = self.authority.sign(says);
        self.file(&format!("{name}.crt"), &signed.certificate);
        self.file(&format!("{name}.key"), &signed.key);
    }

    fn path(&self, name: &str) -> String {
        shown(&self.cluster.folder().join(name))
    }

    /// A proxy that speaks so to the server on this port.
    fn proxy(&self, sslmode: &str, port: u16) -> RunningProxy {
        let rules = self.file("proxy_hba.conf", PROXY_RULES);
        let mut text = format!(
            "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nssl_cert_file = \"{}\"\nssl_key_file = \"{}\"\n\
             ssl_ca_file = \"{}\"\nhba_file = \"{}\"\n",
            self.path("proxy.crt"),
            self.path("proxy.key"),
            self.path("ca.crt"),
            shown(&rules),
        );
        for method in METHODS {
            let url = format!(
                "postgres://app:secret@127.0.0.1:{port}/app?sslmode={sslmode}&sslcert={}&sslkey={}",
                self.path("by_cert.crt"),
                self.path("by_cert.key")
            );
            writeln!(text, "[database.{method}]\nurl = \"{url}\"").unwrap();
            if method == "looked_up" {
                text.push_str("auth_query = \"default\"\n");
                continue;
            }
            for user in USERS {
                writeln!(text, "[database.{method}.user.{user}]\npassword = \"{PASSWORD}\"").unwrap();
            }
        }
        Tidegate::by_file(&self.file("tidegate.toml", &text)).start()
    }

    /// Who psql is, or why it is nobody. It shows the user's certificate if it is to speak TLS.
    fn psql(&self, port: u16, user: &str, database: &str, sslmode: &str) -> Result<String, String> {
        let conninfo = format!(
            "host=127.0.0.1 port={port} user={user} dbname={database} sslmode={sslmode} sslcert={} sslkey={} sslrootcert={}",
            self.path(&format!("{user}.crt")),
            self.path(&format!("{user}.key")),
            self.path("ca.crt"),
        );
        let mut psql = Command::new(pg_bin().program("psql"));
        psql.env_clear().env("PGPASSWORD", PASSWORD).env("HOME", "/nonexistent");
        let output = psql.args(["-XAtqw", "-c", "select current_user", &conninfo]).output().unwrap();
        if output.status.success() {
            Ok(String::from_utf8(output.stdout).unwrap().trim().to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }
}

/// Whether somebody gets in who proves it so to the proxy, as a user of whom the server asks the other.
fn gets_in(method: &str, client: &str, user: &str, server: &str) -> bool {
    let to_proxy = method != "cert" || client == "require";
    let to_server = match user {
        // A password in clear text goes nowhere where others can read along.
        "by_password" | "by_cert" => server == "require",
        _ => true,
    };
    // Nothing is kept of a password that there is not; and what a client shows is not the password itself.
    let is_found = method != "looked_up" || !matches!(user, "by_trust" | "by_password");
    to_proxy && to_server && is_found
}

#[test]
fn every_way_in_and_every_way_on() {
    let stage = Stage::new();
    let port = stage.cluster.primary().port();
    let modes = ["disable", "require"];
    for (user, mode) in USERS.iter().flat_map(|user| modes.map(|mode| (*user, mode))) {
        // What the server itself says.
        let direct = stage.psql(port, user, "app", mode);
        assert_eq!(direct.is_ok(), user != "by_cert" || mode == "require", "{user} {mode}: {direct:?}");
    }
    let mut wrong = Vec::new();
    for server in modes {
        let proxy = stage.proxy(server, port);
        let all = METHODS.iter().flat_map(|method| USERS.map(|user| (*method, user)));
        for (method, user, client) in all.flat_map(|(method, user)| modes.map(|mode| (method, user, mode))) {
            let told = stage.psql(proxy.address().port(), user, method, client);
            let expected = gets_in(method, client, user, server);
            if told.as_deref().ok() != expected.then_some(user) {
                wrong.push(format!("{method}, {client} / {user}, {server}: {told:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What nobody may see who reads along, each as bytes, with what it is.
fn secrets(verifier: &str) -> Vec<(&'static str, Vec<u8>)> {
    let (iterations, rest) = verifier.strip_prefix("SCRAM-SHA-256$").unwrap().split_once(':').unwrap();
    let (salt, keys) = rest.split_once('$').unwrap();
    let (stored, server) = keys.split_once(':').unwrap();
    let decoded = |text: &str| BASE64.decode(text).unwrap();
    let salted = salted(PASSWORD, &decoded(salt), iterations.parse().unwrap());
    let client_key = hmac(&salted, b"Client Key");
    assert_eq!(Sha256::digest(client_key)[..], decoded(stored), "this is how it is made");
    vec![
        ("password", PASSWORD.as_bytes().to_vec()),
        ("salted password", salted.to_vec()),
        ("client key", client_key.to_vec()),
        ("stored key", decoded(stored)),
        ("server key", decoded(server)),
    ]
}

/// RFC 5802's `Hi`.
fn salted(password: &str, salt: &[u8], iterations: u32) -> [u8; 32] {
    let mut last = hmac(password.as_bytes(), &[salt, &1u32.to_be_bytes()].concat());
    let mut sum = last;
    for _ in 1..iterations {
        last = hmac(password.as_bytes(), &last);
        sum.iter_mut().zip(last).for_each(|(sum, byte)| *sum ^= byte);
    }
    sum
}

fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().into()
}

/// The names of what is among the bytes, as it is, in base64 or in hexadecimal digits.
fn found<'a>(seen: &[u8], secrets: &'a [(&'static str, Vec<u8>)]) -> Vec<&'a str> {
    let hex = |bytes: &[u8]| {
        let mut digits = String::new();
        bytes.iter().for_each(|byte| write!(digits, "{byte:02x}").unwrap());
        digits
    };
    let is_there = |secret: &[u8]| {
        let base64 = BASE64.encode(secret);
        [secret, base64.as_bytes(), hex(secret).as_bytes()].iter().any(|form| contains(seen, form))
    };
    secrets.iter().filter(|(_, secret)| is_there(secret)).map(|(what, _)| *what).collect()
}

#[test]
fn attack_reading_along_on_the_network() {
    let stage = Stage::new();
    let primary = stage.cluster.primary();
    let kept = |user: &str| {
        let sql = format!("select rolpassword from pg_authid where rolname = '{user}'");
        primary.psql(&sql).unwrap().trim().to_owned()
    };
    let mut secrets = secrets(&kept("by_scram"));
    secrets.push(("md5 hash", kept("by_md5").into_bytes()));
    secrets.push(("the proxy's own password", b"secret".to_vec()));
    // All in the clear, and no user is looked up.
    let to_server = Wiretap::before(primary.port());
    let proxy = stage.proxy("disable", to_server.port());
    let to_proxy = Wiretap::before(proxy.address().port());
    for (user, method) in [("by_scram", "scram"), ("by_md5", "md5"), ("by_md5", "scram"), ("by_scram", "md5")]
    {
        assert_eq!(stage.psql(to_proxy.port(), user, method, "disable").as_deref(), Ok(user), "{method}");
    }
    // Nor is a server given a password in clear text that asks for it.
    let refused = stage.psql(to_proxy.port(), "by_password", "scram", "disable").unwrap_err();
    assert!(refused.contains("clear text"), "{refused}");
    // Looked up by a connection in TLS, and passed through by another one.
    let in_tls = Wiretap::before(primary.port());
    let looking_up = stage.proxy("require", in_tls.port());
    let to_it = Wiretap::before(looking_up.address().port());
    for user in ["by_scram", "by_md5"] {
        assert_eq!(stage.psql(to_it.port(), user, "looked_up", "disable").as_deref(), Ok(user));
    }
    for (what, tap) in [
        ("to the proxy", &to_proxy),
        ("to the server", &to_server),
        ("in TLS", &in_tls),
        ("looked up", &to_it),
    ] {
        let seen = tap.seen();
        assert!(seen.len() > 1_000, "{what}: something was said");
        assert_eq!(found(&seen, &secrets), Vec::<&str>::new(), "{what}");
    }
    // What is said in clear is found: the search is worth something.
    for tap in [&to_proxy, &to_server, &to_it] {
        assert!(contains(&tap.seen(), b"SCRAM-SHA-256") && contains(&tap.seen(), b"by_scram"));
    }
    assert!(!contains(&in_tls.seen(), b"by_scram"));
    let direct = Wiretap::before(primary.port());
    stage.psql(direct.port(), "by_password", "app", "disable").unwrap();
    assert_eq!(found(&direct.seen(), &secrets), ["password"]);
}
