//! The admin address: who is shown what, and what strangers can make it hold.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output};

use super::support::PATIENCE;
use super::support::metrics::get_with;
use super::support::proxy::{RunningProxy, Tidegate};
use super::support::wait_until;
use super::{proxy, shared};

const TOKEN: &str = "d7a0c5e9b1f3428d";
const OTHER: &str = "another-token-0123456789";

/// A proxy that takes its token from this file.
fn with_token(file: &Path) -> RunningProxy {
    std::fs::write(file, format!("{TOKEN}\n")).unwrap();
    Tidegate::before(shared()).env("TIDEGATE_ADMIN_TOKEN_FILE", file.to_str().unwrap()).start()
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// The status of an answer.
fn status(admin: SocketAddr, path: &str, headers: &str) -> u16 {
    let (head, _) = get_with(admin, path, headers);
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

fn report(proxy: &RunningProxy, variable: (&str, &str)) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(["report", "--admin", &proxy.admin().to_string()]);
    command.env_remove("TIDEGATE_ADMIN_TOKEN").env_remove("TIDEGATE_ADMIN_TOKEN_FILE");
    command.env(variable.0, variable.1).output().unwrap()
}

#[test]
fn a_token_is_asked_for_but_not_by_probes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let proxy = with_token(&file);
    let admin = proxy.admin();
    for path in [
        "/metrics",
        "/report",
        "/pins",
        "/learned",
        "/status",
        "/events",
        "/nothing",
        "/dashboard",
        "/healthz/",
        "//healthz",
    ] {
        let (head, _) = get_with(admin, path, "");
        assert!(
            head.contains(" 401 ") && head.to_lowercase().contains("www-authenticate: bearer"),
            "{path}: {head}"
        );
    }
    assert_eq!(status(admin, "/healthz", ""), 200);
    let (head, body) = get_with(admin, "/readyz", "");
    assert!(head.contains(" 200 ") && body == "OK\n", "names of nodes are not for everybody: {body}");
    assert!(get_with(admin, "/readyz", &bearer(TOKEN)).1.starts_with("app: primary 127.0.0.1:"));
    for path in ["/metrics", "/report", "/pins", "/learned"] {
        assert_eq!(status(admin, path, &bearer(TOKEN)), 200, "{path}");
    }
    assert_eq!(status(admin, "/nothing", &bearer(TOKEN)), 404);
    // The commands that ask a proxy show it, too.
    assert!(report(&proxy, ("TIDEGATE_ADMIN_TOKEN", TOKEN)).status.success());
    assert!(report(&proxy, ("TIDEGATE_ADMIN_TOKEN_FILE", file.to_str().unwrap())).status.success());
    let refused = report(&proxy, ("TIDEGATE_ADMIN_TOKEN", OTHER));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("TIDEGATE_ADMIN_TOKEN_FILE"), "{said}");
    assert!(!said.contains(OTHER), "{said}");
    // A reload takes a new one.
    std::fs::write(&file, OTHER).unwrap();
    proxy.signal("HUP");
    wait_until("the new token is good", || status(admin, "/metrics", &bearer(OTHER)) == 200);
    assert_eq!(status(admin, "/metrics", &bearer(TOKEN)), 401);
}

#[test]
fn attack_of_guessing_the_token_is_cut_short() {
    let folder = tempfile::tempdir().unwrap();
    let proxy = with_token(&folder.path().join("token"));
    let admin = proxy.admin();
    let tried: Vec<u16> = (0..12).map(|n| status(admin, "/metrics", &bearer(&format!("guess{n}")))).collect();
    assert_eq!(tried[..10], [401; 10]);
    assert_eq!(tried[10..], [429; 2]);
    assert_eq!(status(admin, "/metrics", &bearer(TOKEN)), 429);
    assert_eq!(status(admin, "/healthz", ""), 200);
    assert_eq!(status(admin, "/readyz", &bearer("guess")), 200);
    wait_until("it is logged", || proxy.stderr().contains("wrong credentials at the admin address"));
    assert!(!proxy.stderr().contains("guess"), "{}", proxy.stderr());
}

#[test]
fn attack_from_other_machines_finds_no_admin_address_without_credentials() {
    let address = "192.0.2.1:6433";
    let start = |more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args([
                "run",
                "--url",
                "postgres://app@127.0.0.1:1/app?tidegate_client_auth=trust&tidegate_startup_timeout=1ms",
            ])
            .args(["--listen", "127.0.0.1:0", "--admin", address])
            .args(more)
            .env_remove("TIDEGATE_ADMIN_TOKEN")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let refused = start(&[]);
    assert!(refused.contains("no credentials are given for it"), "{refused}");
    // With a word about it the start gets as far as the servers, which are not there.
    assert!(!start(&["--admin-open", "metrics"]).contains("credentials"));
}

#[test]
fn attack_of_requests_that_never_end() {
    let proxy = proxy("");
    let admin = proxy.admin();
    let slow: Vec<TcpStream> = (0..50)
        .map(|_| {
            let mut stream = TcpStream::connect_timeout(&admin, PATIENCE).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: t").unwrap();
            stream
        })
        .collect();
    assert_eq!(status(admin, "/healthz", ""), 200, "others are served meanwhile");
    for mut stream in slow {
        let mut answer = Vec::new();
        // Closed, whether with a word or by a reset.
        let _ = stream.read_to_end(&mut answer);
        assert!(!String::from_utf8_lossy(&answer).contains(" 200 "));
    }
    let long = format!("X-Long: {}\r\n", "x".repeat(64 * 1024));
    let mut stream = TcpStream::connect_timeout(&admin, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = stream.write_all(format!("GET /healthz HTTP/1.1\r\n{long}\r\n").as_bytes());
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(!answer.contains(" 200 "), "{answer}");
}
