//! Clients in TLS: whoever asks for it gets it, sees whom it talks to, and has the same service as without.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustls::pki_types::CertificateDer;
use tidegate::local::LocalNode;

use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::{Raw, V3_0, query, startup};
use super::support::tls::{Authority, Encrypted, Folder, SSL_REQUEST, Speaks, asked, direct};
use super::{schema, shared, support, wait_both};

/// An authority, and a proxy with a certificate of its for `localhost`.
pub struct Site {
    pub folder: Folder,
    pub authority: Authority,
    pub proxy: RunningProxy,
}

impl Site {
    /// The same with more arguments.
    pub fn with(arguments: &[&str]) -> Self {
        Self::tuned("", arguments)
    }

    /// The same with parameters in the URL of the database.
    pub fn tuned(parameters: &str, arguments: &[&str]) -> Self {
        let (folder, authority) = (Folder::default(), Authority::new("ours"));
        authority.file(&folder);
        let pair = authority.server(&folder, "server", &["localhost"]);
        let files = ["--ssl-cert-file", pair.certificate(), "--ssl-key-file", pair.key(), "--log", "info"];
        let proxy = Tidegate::tuned(shared(), parameters).args(files).args(arguments.iter().copied()).start();
        Self { folder, authority, proxy }
    }

    /// A client that trusts the authority, before it has logged in.
    pub fn speaks(&self) -> Speaks {
        Speaks { trusts: Some(self.authority.der()), ..Speaks::default() }
    }

    /// A client that asks for TLS and logs in.
    pub fn client(&self) -> Raw {
        logged_in(asked(self.proxy.address(), &self.speaks(), "localhost").unwrap())
    }

    /// What psql does with this connection string, and more words of it: a host is named for its certificate, and every
    /// name leads here.
    pub fn psql(&self, words: &str, sql: &str) -> Output {
        let port = self.proxy.address().port();
        let host = if words.contains("host=") { "" } else { "host=localhost" };
        let string =
            format!("{host} hostaddr=127.0.0.1 port={port} user=app dbname=app connect_timeout=30 {words}");
        client_program("psql", self.folder.path()).args(["-XAtc", sql, &string]).output().unwrap()
    }

    /// The same, which must succeed.
    #[track_caller]
    pub fn psql_says(&self, words: &str, sql: &str) -> String {
        let output = self.psql(words, sql);
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The same, which must not.
    #[track_caller]
    pub fn psql_fails(&self, words: &str) -> String {
        let output = self.psql(words, "select 1");
        assert!(!output.status.success(), "{words}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Waits until so many handshakes have ended so.
    pub fn wait_handshakes(&self, outcome: &str, count: f64) {
        let label = format!("outcome=\"{outcome}\"");
        support::wait_until(&format!("{count} handshakes have ended with {outcome}"), || {
            self.proxy.metric("tidegate_tls_handshakes_total", &[&label]) >= count
        });
    }

    /// Whether a client that speaks so gets as far as being asked for its password. A server learns last whether it trusts
    /// its client, when that takes the handshake for done.
    pub fn takes(&self, speaks: &Speaks) -> bool {
        let Ok(stream) = asked(self.proxy.address(), speaks, "localhost") else { return false };
        let mut raw = Raw::encrypted(stream);
        raw.send_anyway(&startup(V3_0, &[("user", "app"), ("database", "app")]));
        raw.try_read().is_ok_and(|message| message.tag == b'R')
    }
}

/// One of PostgreSQL's programs, which finds nobody's files but those it is told of.
pub fn client_program(name: &str, home: &Path) -> Command {
    let mut command = Command::new(support::pg_bin().program(name));
    command.env("HOME", home).env("PGPASSWORD", "secret").env("LC_ALL", "C").stdin(Stdio::null());
    command
}

/// Logs in as `app`.
pub fn logged_in(stream: Encrypted) -> Raw {
    let mut raw = Raw::encrypted(stream);
    raw.send(&startup(V3_0, &[("user", "app"), ("database", "app")]));
    raw.authenticate("secret").unwrap_or_else(|error| panic!("{error:?}"));
    raw
}

/// The certificate that the server shows.
fn shown(stream: &Encrypted) -> CertificateDer<'static> {
    stream.conn.peer_certificates().unwrap()[0].clone()
}

#[test]
fn every_sslmode_means_what_it_means_to_postgresql() {
    let site = Site::with(&[]);
    let other = Authority::new("theirs").file(&site.folder);
    let ours = site.folder.path().join("ours.crt");
    let (ours, other) = (ours.display(), other.display());
    let is_encrypted = |words: &str| site.psql_says(words, "\\conninfo").contains("SSL connection");
    for (words, expected) in [
        ("sslmode=disable".to_owned(), Some(false)),
        ("sslmode=allow".to_owned(), Some(false)),
        ("sslmode=prefer".to_owned(), Some(true)),
        ("sslmode=require".to_owned(), Some(true)),
        (format!("sslmode=require sslrootcert={other}"), None),
        (format!("sslmode=verify-ca sslrootcert={ours}"), Some(true)),
        (format!("sslmode=verify-ca sslrootcert={other}"), None),
        (format!("host=db.example.com sslmode=verify-ca sslrootcert={ours}"), Some(true)),
        (format!("sslmode=verify-full sslrootcert={ours}"), Some(true)),
        (format!("sslmode=verify-full sslrootcert={other}"), None),
        (format!("host=db.example.com sslmode=verify-full sslrootcert={ours}"), None),
        ("sslmode=require channel_binding=require".to_owned(), Some(true)),
        ("sslmode=require channel_binding=disable".to_owned(), Some(true)),
        ("sslmode=disable channel_binding=require".to_owned(), None),
        ("sslmode=require ssl_max_protocol_version=TLSv1.2".to_owned(), Some(true)),
    ] {
        match expected {
            Some(expected) => assert_eq!(is_encrypted(&words), expected, "{words}"),
            None => drop(site.psql_fails(&words)),
        }
    }
    // Those who did not believe us.
    site.wait_handshakes("alert", 3.0);
    let refused = site.psql("sslmode=require password=guess", "select 1");
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("password authentication failed for user \"app\""), "{text}");
}

#[test]
fn who_must_be_encrypted_and_is_not_is_told_so() {
    let site = Site::with(&["--ssl", "require"]);
    let refused = site.psql_fails("sslmode=disable");
    assert!(
        refused.contains(
            "connection from host \"127.0.0.1\", user \"app\", database \"app\" is refused: no encryption"
        ),
        "{refused}"
    );
    for mode in ["allow", "prefer", "require"] {
        let said = site.psql_says(&format!("sslmode={mode}"), "\\conninfo");
        assert!(said.contains("SSL connection (protocol: TLSv1.3"), "{mode}: {said}");
    }
    for parameters in [
        &[("user", "app"), ("database", "app")][..],
        &[("user", "nobody"), ("database", "nothing")],
        &[("user", "app"), ("database", "tidegate")],
        &[("user", "app"), ("database", "app"), ("replication", "database")],
    ] {
        let error = Raw::log_in(site.proxy.address(), V3_0, parameters, "secret").err().expect("a refusal");
        assert_eq!(error.field(b'C').unwrap(), "28000", "{parameters:?}");
    }
    // libpq before 17 sends its cancel requests without encryption, whatever its session has.
    let mut client = site.client();
    client.send(&query("select pg_sleep(61)"));
    wait_runs("select pg_sleep(61)");
    Raw::cancel(site.proxy.address(), client.pid, &client.secret);
    assert_eq!(client.answer().code(), "57014");
}

/// Waits until this statement runs on some node.
fn wait_runs(sql: &str) {
    let question =
        format!("select count(*) from pg_stat_activity where query = '{sql}' and state = 'active'");
    let runs = |node: &LocalNode| node.psql(&question).unwrap().trim() != "0";
    support::wait_until("the statement runs", || {
        runs(shared().primary()) || shared().replicas().iter().any(runs)
    });
}

#[test]
fn without_a_certificate_there_is_no_encryption() {
    let proxy = super::proxy("");
    let mut raw = Raw::silent(proxy.address());
    for request in [support::tls::GSSENC_REQUEST, SSL_REQUEST] {
        raw.send(&request);
        assert_eq!(raw.byte(), b'N');
    }
    raw.send(&startup(V3_0, &[("user", "app"), ("database", "app")]));
    raw.authenticate("secret").unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(raw.ok("select 1").value(), "1");
}

#[test]
fn old_versions_are_refused_where_new_ones_are_asked_for() {
    let site = Site::with(&["--ssl-min-protocol-version", "TLSv1.3"]);
    let only = |version| Speaks { only: Some(version), ..site.speaks() };
    assert!(asked(site.proxy.address(), &only(2), "localhost").is_err());
    site.wait_handshakes("version", 1.0);
    let stream = asked(site.proxy.address(), &only(3), "localhost").unwrap();
    assert_eq!(logged_in(stream).ok("select 1").value(), "1");
    let text = site.psql_fails("sslmode=require ssl_max_protocol_version=TLSv1.2");
    assert!(text.contains("protocol version"), "{text}");
    assert!(site.proxy.stderr().contains("a client's TLS handshake has failed"), "{}", site.proxy.stderr());
    // Older ones than 1.2 are not there at all; both that are, are here.
    let both = Site::with(&[]);
    for (version, name) in [(2, "TLSv1.2/TLS_ECDHE_"), (3, "TLSv1.3/TLS_AES_256_GCM_SHA384")] {
        let speaks = Speaks { only: Some(version), ..both.speaks() };
        let mut raw = logged_in(asked(both.proxy.address(), &speaks, "localhost").unwrap());
        assert_eq!(raw.ok("select 1").value(), "1");
        let log = both.proxy.stderr();
        assert!(log.contains(&format!("tls=\"{name}")), "{log}");
    }
}

#[test]
fn tls_may_begin_at_once_for_those_who_mean_postgresql() {
    let site = Site::with(&[]);
    let address = site.proxy.address();
    let speaks = Speaks { protocols: vec!["http/1.1", "postgresql"], ..site.speaks() };
    let stream = direct(address, &speaks, "localhost").unwrap();
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"postgresql"[..]));
    assert_eq!(logged_in(stream).ok("select 1").value(), "1");
    // After a request the protocol need not be named, but no other one may be.
    assert!(asked(address, &Speaks { protocols: vec!["http/1.1"], ..site.speaks() }, "localhost").is_err());
    site.wait_handshakes("protocol", 1.0);
    assert_eq!(logged_in(asked(address, &speaks, "localhost").unwrap()).ok("select 1").value(), "1");
}

#[test]
fn the_name_a_client_asks_for_picks_the_certificate() {
    let (folder, authority) = (Folder::default(), Authority::new("ours"));
    let own = authority.server(&folder, "own", &["localhost"]);
    let exact = authority.server(&folder, "exact", &["db1.example.com"]);
    let any = authority.server(&folder, "any", &["*.example.com"]);
    let primary = shared().primary().port();
    // Paths start where the file is.
    let text = format!(
        "listen = '127.0.0.1:0'\nadmin = '127.0.0.1:0'\nssl_cert_file = 'own.crt'\nssl_key_file = 'own.key'\n\
         [sni.'db1.example.com']\ncert_file = 'exact.crt'\nkey_file = 'exact.key'\n\
         [sni.'*.example.com']\ncert_file = 'any.crt'\nkey_file = 'any.key'\n\
         [database.app]\nnodes = ['127.0.0.1:{primary}']\nuser.app.password = 'secret'\n"
    );
    let proxy = Tidegate::by_file(&folder.write("tidegate.toml", &text)).start();
    let speaks = Speaks { trusts: Some(authority.der()), ..Speaks::default() };
    for (name, pair) in [("localhost", &own), ("db1.example.com", &exact), ("db2.example.com", &any)] {
        let stream = asked(proxy.address(), &speaks, name).unwrap();
        assert_eq!(shown(&stream), pair.der(), "{name}");
    }
    let site = Site { folder, authority, proxy };
    let root = site.authority.file(&site.folder);
    for name in ["localhost", "db1.example.com", "db2.example.com"] {
        let words =
            format!("host={name} sslmode=verify-full sslrootcert={} channel_binding=require", root.display());
        assert_eq!(site.psql_says(&words, "select 1"), "1", "{name}");
    }
    site.psql_fails(&format!("host=db.example.org sslmode=verify-full sslrootcert={}", root.display()));
}

#[test]
fn the_console_shows_who_is_encrypted() {
    let site = Site::with(&["--console-users", "app"]);
    let (_plain, _tls) = (Raw::app(site.proxy.address()), site.client());
    let shown = site.psql_says("sslmode=require dbname=tidegate", "show clients");
    let mut ends: Vec<&str> = shown.lines().map(|line| line.split('|').nth(16).unwrap()).collect();
    ends.sort_unstable();
    assert_eq!(ends, ["", "TLSv1.3/TLS_AES_256_GCM_SHA384", "TLSv1.3/TLS_AES_256_GCM_SHA384"], "{shown}");
}

#[test]
fn a_cancel_request_may_be_encrypted() {
    let site = Site::with(&[]);
    let mut client = site.client();
    client.send(&query("select pg_sleep(62)"));
    wait_runs("select pg_sleep(62)");
    let mut stream = asked(site.proxy.address(), &site.speaks(), "localhost").unwrap();
    let mut packet = u32::try_from(12 + client.secret.len()).unwrap().to_be_bytes().to_vec();
    packet.extend([0x04, 0xd2, 0x16, 0x2e]);
    packet.extend(client.pid.to_be_bytes());
    packet.extend(&client.secret);
    stream.write_all(&packet).unwrap();
    stream.flush().unwrap();
    // It ends with TLS's own good-bye.
    assert_eq!(std::io::copy(&mut stream, &mut std::io::sink()).unwrap(), 0);
    assert_eq!(client.answer().code(), "57014");
}

#[test]
fn the_last_word_is_read_to_its_end() {
    let site = Site::tuned("tidegate_client_idle_timeout=200ms", &[]);
    let mut stream = asked(site.proxy.address(), &site.speaks(), "localhost").unwrap();
    stream.write_all(&startup(V3_0, &[("user", "app"), ("database", "nothing")])).unwrap();
    // Nobody proves anything: it is asked for a password, and hangs up in TLS only.
    stream.conn.send_close_notify();
    stream.flush().unwrap();
    let mut said = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut said).unwrap();
    assert_eq!(said.first(), Some(&b'R'));

    let mut raw = site.client();
    assert_eq!(raw.ok("select 1").value(), "1");
    let last = raw.until_closed();
    assert_eq!(last.last().unwrap().field(b'C').unwrap(), "57P05");
}

#[test]
fn who_closes_its_half_is_still_answered() {
    let schema = schema();
    let site = Site::with(&[]);
    let mut client = site.client();
    client.ok(&format!("create table {schema}.t (n int)"));
    // As without TLS: what may have an effect is carried out, and its answer is passed on.
    client.send(&query(&format!("insert into {schema}.t select generate_series(1, 200000) returning n")));
    client.half_close();
    assert_eq!(client.answer().ok().rows().len(), 200_000);
    assert!(client.until_closed().is_empty());
}

#[test]
fn an_idle_client_in_tls_takes_little_memory() {
    /// In bytes: what it takes without, and what rustls has for a connection.
    const EACH: u64 = 14 * 1024;
    const COUNT: u64 = 300;
    let site = Site::tuned("tidegate_client_auth=trust", &[]);
    wait_both(&site.proxy);
    let client = |_| {
        let mut raw = site.client();
        raw.ok("select 1");
        raw
    };
    let memory = || super::large::memory(&site.proxy, "RssAnon") * 1024;
    let first: Vec<Raw> = (0..20).map(client).collect();
    let before = memory();
    let mut clients: Vec<Raw> = (0..COUNT).map(client).collect();
    let each = memory().saturating_sub(before) / COUNT;
    println!("an idle client in TLS takes {each} bytes");
    assert!(each <= EACH, "{each} bytes for each of {COUNT}");
    assert_eq!(clients[0].ok("select 1").value(), "1");
    drop(first);
}
