//! The files of TLS towards clients: what is wrong with them is said at the start, and they can change meanwhile.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use rcgen::{CertificateParams, date_time_ymd};

use super::support::proxy::{RunningProxy, Tidegate};
use super::support::tls::{Authority, Folder, Pair, Speaks, asked};
use super::tls_clients::logged_in;
use super::{shared, support};

fn copy(from: &Pair, to: &Pair) {
    fs::copy(&from.certificate, &to.certificate).unwrap();
    fs::copy(&from.key, &to.key).unwrap();
}

/// A proxy by a file, with the certificate in `used`.
fn by_file(folder: &Folder, more: &str) -> RunningProxy {
    let primary = shared().primary().port();
    let text = format!(
        "listen = '127.0.0.1:0'\nadmin = '127.0.0.1:0'\nssl_cert_file = 'used.crt'\nssl_key_file = 'used.key'\n\
         {more}\n[database.app]\nnodes = ['127.0.0.1:{primary}']\nuser.app.password = 'secret'\n"
    );
    Tidegate::by_file(&folder.write("tidegate.toml", &text)).start()
}

/// Has the files read again, and waits until it says this.
fn reload(proxy: &RunningProxy, until: &str) {
    let said = || proxy.stderr().matches(until).count();
    let before = said();
    proxy.signal("HUP");
    support::wait_until(&format!("it says \"{until}\""), || said() > before);
}

#[test]
fn certificates_change_under_load_and_nobody_is_dropped() {
    let (folder, authority) = (Folder::default(), Authority::new("ours"));
    let used = authority.server(&folder, "used", &["localhost"]);
    let first = used.der();
    let proxy = Arc::new(by_file(&folder, ""));
    let speaks = Speaks { trusts: Some(authority.der()), ..Speaks::default() };
    let (over, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let load: Vec<_> = [true, false]
        .repeat(2)
        .into_iter()
        .map(|stays| {
            let (proxy, speaks) = (Arc::clone(&proxy), speaks.clone());
            let (over, served) = (Arc::clone(&over), Arc::clone(&served));
            thread::spawn(move || {
                let connect = || logged_in(asked(proxy.address(), &speaks, "localhost").unwrap());
                let mut client = connect();
                while !over.load(Ordering::Relaxed) {
                    if !stays {
                        client.terminate();
                        client = connect();
                    }
                    assert_eq!(client.ok("select 7").value(), "7");
                    served.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let shown = || {
        let stream = asked(proxy.address(), &speaks, "localhost").unwrap();
        stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
    };
    let wait_served = || {
        let goal = served.load(Ordering::Relaxed) + 50;
        support::wait_until("the load goes on", || served.load(Ordering::Relaxed) >= goal);
    };
    wait_served();
    assert_eq!(shown(), first);
    reload(&proxy, "configuration reloaded: nothing has changed");

    let second = authority.server(&folder, "second", &["localhost"]);
    copy(&second, &used);
    reload(&proxy, "configuration reloaded: certificates: changed");
    assert_eq!(shown(), second.der());
    wait_served();

    // Files that cannot be used: those before stay, and it is said which and why.
    fs::write(&used.certificate, "-----BEGIN CERTIFICATE-----\n???\n-----END CERTIFICATE-----\n").unwrap();
    reload(&proxy, "the one before stays in force");
    assert!(proxy.stderr().contains("used.crt has a broken certificate"), "{}", proxy.stderr());
    assert_eq!(shown(), second.der());
    copy(
        &Pair {
            certificate: authority.server(&folder, "third", &["localhost"]).certificate,
            ..second.clone()
        },
        &used,
    );
    reload(&proxy, "does not belong to the certificate");
    assert_eq!(shown(), second.der());
    wait_served();
    over.store(true, Ordering::Relaxed);
    load.into_iter().for_each(|client| client.join().unwrap());
}

#[test]
fn who_must_be_encrypted_can_change() {
    let (folder, authority) = (Folder::default(), Authority::new("ours"));
    authority.server(&folder, "used", &["localhost"]);
    let proxy = by_file(&folder, "");
    let mut plain = super::Raw::app(proxy.address());
    let text = fs::read_to_string(folder.path().join("tidegate.toml")).unwrap();
    folder.write("tidegate.toml", &format!("ssl = 'require'\n{text}"));
    reload(&proxy, "TLS towards clients: changed");
    let parameters = [("user", "app"), ("database", "app")];
    let refused = super::Raw::log_in(proxy.address(), support::raw::V3_0, &parameters, "secret");
    assert_eq!(refused.err().unwrap().field(b'C').unwrap(), "28000");
    assert_eq!(plain.ok("select 1").value(), "1", "who is there stays");
    let stream = asked(proxy.address(), &Speaks::default(), "localhost").unwrap();
    assert_eq!(logged_in(stream).ok("select 1").value(), "1");
}

/// What `run` or `check` says of these arguments, and its exit code.
fn refusal(command: &str, arguments: &[&str]) -> (i32, String) {
    let url = shared().url(tidegate::local::Login::App);
    let mut program = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    program
        .env_clear()
        .args([command, "--url", &url, "--listen", "127.0.0.1:0", "--admin", "off"])
        .args(arguments);
    let output = program.output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn mistakes_are_told_at_the_start_with_the_name_of_the_file() {
    let (folder, authority) = (Folder::default(), Authority::new("ours"));
    let (one, other) = (
        authority.server(&folder, "one", &["localhost"]),
        authority.server(&folder, "other", &["localhost"]),
    );
    let open = authority.server(&folder, "open", &["localhost"]);
    fs::set_permissions(&open.key, fs::Permissions::from_mode(0o644)).unwrap();
    let text = folder.write("text.pem", "no PEM");
    let text = text.to_str().unwrap();
    let files = |certificate, key| ["--ssl-cert-file", certificate, "--ssl-key-file", key];
    for (arguments, said) in [
        (files(text, one.key()), "text.pem has no certificate in PEM format"),
        (files(one.certificate(), text), "text.pem has no private key in PEM format"),
        (files(one.certificate(), "/nowhere/key"), "/nowhere/key cannot be read"),
        (
            files(one.certificate(), other.key()),
            "other.key has a private key that does not belong to the certificate in",
        ),
        (files(open.certificate(), open.key()), "open.key is a private key that group or world can access"),
    ] {
        for (command, exit) in [("run", 2), ("check", 1)] {
            let (code, text) = refusal(command, &arguments);
            assert!(code == exit && text.contains(said), "{command} {arguments:?}: {code} {text}");
            assert!(!text.contains("PRIVATE KEY"), "{text}");
        }
    }
    for (arguments, said) in [
        (&["--ssl", "require"][..], "there is no ssl_cert_file"),
        (&["--ssl", "on"], "It can be off, allow or require"),
        (&["--ssl-cert-file", one.certificate()], "ssl_key_file is missing"),
        (&["--ssl-min-protocol-version", "TLSv1.1"], "It can be TLSv1.2 or TLSv1.3"),
        (&["--ssl-crl-file", text], "there is no ssl_ca_file"),
    ] {
        let (code, text) = refusal("run", arguments);
        assert!(code == 2 && text.contains(said), "{arguments:?}: {code} {text}");
    }
}

#[test]
fn a_certificate_that_has_expired_is_told_and_counted() {
    let (folder, authority) = (Folder::default(), Authority::new("ours"));
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    authority.sign(&folder, "used", &params);
    let proxy = by_file(&folder, "");
    support::wait_until("it is in the log", || proxy.stderr().contains("used.crt has expired"));
    let left = || proxy.metric("tidegate_certificate_expiry_seconds", &["file=\""]);
    assert!(left() < 0.0, "{}", proxy.metrics());
    let good = authority.server(&folder, "good", &["localhost"]);
    copy(&good, &Pair { certificate: folder.path().join("used.crt"), key: folder.path().join("used.key") });
    reload(&proxy, "certificates: changed");
    assert!(left() > 0.0, "{}", proxy.metrics());
}
