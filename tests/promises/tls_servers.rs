//! TLS towards servers, by libpq's rules: what psql does with the same words, the proxy does.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tidegate::cluster::{Control, probe};
use tidegate::config::{Address, DatabaseSettings, Given, Secret, Sources, load};
use tidegate::local::LocalCluster;
use tidegate::server::{Credential, Endpoint, ServerAddress};

use super::support::authority::{Authority, Says, Signed, equip, rule, shown, write};
use super::support::raw::{Raw, V3_0, query};
use super::support::{exclusive_cluster, options, pg_bin, tools, wait_until};
use super::{RunningProxy, Tidegate, block_on};

const HOST_ANY: &str = "host all app 127.0.0.1/32 scram-sha-256";
const HOST_SSL: &str = "hostssl all app 127.0.0.1/32 scram-sha-256";
const HOST_NO_SSL: &str = "hostnossl all app 127.0.0.1/32 scram-sha-256";

/// One server that is dressed as the tests want it, and files for its clients, which go when its folder does.
struct Stage {
    cluster: LocalCluster,
    authority: Authority,
    root: PathBuf,
}

impl Stage {
    fn new() -> Self {
        let mut options = options();
        options.replicas = 0;
        let cluster = exclusive_cluster(&options);
        let authority = Authority::new("our authority");
        let root = write(cluster.folder().join("root.crt"), &authority.certificate());
        Self { cluster, authority, root }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        write(self.cluster.folder().join(name), text)
    }

    fn dress(&self, signed: Option<&Signed>, rules: &str) {
        equip(self.cluster.primary(), signed, None);
        rule(self.cluster.primary(), rules);
    }

    /// Whether psql gets in and its connection is encrypted; `None` if it does not get in.
    fn psql(&self, host: &str, words: &[(&str, String)]) -> Option<bool> {
        let port = self.cluster.primary().port();
        let mut conninfo = format!("host={host} hostaddr=127.0.0.1 port={port} user=app dbname=app");
        for (name, value) in words {
            let _ = write!(conninfo, " {name}='{value}'");
        }
        let mut psql = Command::new(pg_bin().program("psql"));
        psql.env_clear().env("PGPASSWORD", "secret").env("HOME", "/nonexistent");
        psql.args(["-XAtq", "-c", "select ssl from pg_stat_ssl where pid = pg_backend_pid()", &conninfo]);
        let output = psql.output().unwrap();
        output.status.success().then(|| output.stdout == b"t\n")
    }

    /// The settings of a proxy that is told the same.
    fn settings(&self, host: &str, words: &[(&str, String)]) -> Result<DatabaseSettings, String> {
        let words: Vec<_> = words.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let port = self.cluster.primary().port();
        let url = format!("postgres://app:secret@{host}:{port}/app?{}", words.join("&"));
        let flags = Given { url: Some(Secret::new(url)), ..Given::default() };
        let settings = load(&Sources { flags, ..Sources::default() });
        let settings = settings.map(|settings| settings.databases[0].clone());
        let mut settings = settings.map_err(|mistakes| mistakes.to_string())?;
        // What looking its name up has led to.
        settings.nodes[0].address = Some(Address::Sole([127, 0, 0, 1].into()));
        Ok(settings)
    }

    /// As [`Stage::psql`], for the proxy's own connections, those that clients use and those that ask.
    fn proxy(&self, host: &str, words: &[(&str, String)]) -> Result<bool, String> {
        let settings = self.settings(host, words)?;
        block_on(async {
            let mut data = endpoint(&settings).connect().await.map_err(|error| error.to_string());
            let control = probe(&Control::new(&settings), &settings.nodes[0]).await;
            let control = control.map_err(|error| error.to_string());
            assert_eq!(
                data.as_ref().err().is_some(),
                control.as_ref().err().is_some(),
                "{data:?}\n{:?}",
                control.err()
            );
            let encrypted = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
            match (data.as_mut(), control) {
                (Ok(data), Ok((control, _))) => {
                    let row = control.query_one(encrypted, &[]).await.unwrap();
                    assert_eq!(row.get::<_, bool>(0), data.is_encrypted());
                    Ok(data.is_encrypted())
                }
                (_, Err(error)) => Err(error),
                (Err(error), _) => Err(error.clone()),
            }
        })
    }

    /// What both do, which is the same: `-` not in, `p` plain, `t` TLS.
    fn both(&self, host: &str, words: &[(&str, String)]) -> char {
        let (psql, proxy) = (self.psql(host, words), self.proxy(host, words));
        assert_eq!(psql, proxy.clone().ok(), "{host} {words:?}: {proxy:?}");
        shown_as(psql)
    }

    /// What becomes of each `sslmode`, with these other words.
    fn modes(&self, host: &str, words: &[(&str, String)]) -> String {
        let modes = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
        let mode = |mode: &str| {
            let mut all = vec![("sslmode", mode.to_owned())];
            all.extend_from_slice(words);
            self.both(host, &all)
        };
        modes.into_iter().map(mode).collect()
    }
}

/// `-` not in, `p` plain, `t` TLS.
fn shown_as(is_encrypted: Option<bool>) -> char {
    match is_encrypted {
        None => '-',
        Some(false) => 'p',
        Some(true) => 't',
    }
}

fn endpoint(settings: &DatabaseSettings) -> Endpoint {
    Endpoint {
        address: ServerAddress::new(&settings.nodes[0], &settings.server_tls),
        database: "app".to_owned(),
        user: "app".to_owned(),
        credential: Credential::Password(Secret::new("secret")),
        parameters: Vec::new(),
        connect_timeout: Duration::from_secs(20),
        prepared_limit: 10,
    }
}

#[test]
fn each_sslmode_does_what_psql_does() {
    let stage = Stage::new();
    let good = || Says::names(&["localhost", "127.0.0.1"]);
    let other = Authority::new("another authority");
    let pinned = good().self_signed();
    let roots = [("sslrootcert", shown(&stage.root))];
    let none = [];
    let good_one = stage.authority.sign(good());
    // disable allow prefer require verify-ca verify-full, without authorities and with ours.
    let servers: [(&str, Option<Signed>, &str, &str, &str); 13] = [
        ("has no TLS", None, HOST_ANY, "ppp---", "ppp---"),
        ("has TLS", Some(stage.authority.sign(good())), HOST_ANY, "pptt--", "pptttt"),
        ("wants TLS", Some(stage.authority.sign(good())), HOST_SSL, "-ttt--", "-ttttt"),
        ("wants no TLS", Some(stage.authority.sign(good())), HOST_NO_SSL, "ppp---", "ppp---"),
        ("of another authority", Some(other.sign(good())), HOST_ANY, "pptt--", "ppp---"),
        ("wants TLS, of another authority", Some(other.sign(good())), HOST_SSL, "-ttt--", "------"),
        ("elsewhere", Some(stage.authority.sign(Says::names(&["pg.example"]))), HOST_ANY, "pptt--", "ppttt-"),
        (
            "by common name",
            Some(stage.authority.sign(Says::names(&[]).common_name("localhost"))),
            HOST_ANY,
            "pptt--",
            "pptttt",
        ),
        (
            "by common name, alternatives elsewhere",
            Some(stage.authority.sign(Says::names(&["pg.example"]).common_name("localhost"))),
            HOST_ANY,
            "pptt--",
            "ppttt-",
        ),
        ("expired", Some(stage.authority.sign(good().expired())), HOST_ANY, "pptt--", "ppp---"),
        ("self-signed", Some(good().self_signed()), HOST_ANY, "pptt--", "ppp---"),
        ("an authority itself", Some(good().authority().self_signed()), HOST_ANY, "pptt--", "ppp---"),
        ("knows nobody", Some(good_one), "hostssl all nobody 127.0.0.1/32 scram-sha-256", "------", "------"),
    ];
    for (what, signed, rules, without, with) in servers {
        stage.dress(signed.as_ref(), rules);
        assert_eq!(stage.modes("localhost", &none), without, "{what}");
        assert_eq!(stage.modes("localhost", &roots), with, "{what}, with sslrootcert");
    }
    for pinned in [pinned, good().authority().self_signed()] {
        stage.dress(Some(&pinned), HOST_ANY);
        let words = [("sslrootcert", shown(&stage.file("pinned.crt", &pinned.certificate)))];
        assert_eq!(stage.modes("localhost", &words), "pptttt", "trusted as it is");
        assert_eq!(stage.modes("127.0.0.1", &words), "pptttt", "trusted as it is, by its address");
    }
}

#[test]
fn a_certificate_is_for_whom_psql_takes_it() {
    let stage = Stage::new();
    let sign = |says: Says| stage.authority.sign(says);
    let full = [("sslmode", "verify-full".to_owned()), ("sslrootcert", shown(&stage.root))];
    let address = "127.0.0.1";
    let table: [(Says, &[(&str, char)]); 9] = [
        (
            Says::names(&["pg.example"]),
            &[("pg.example", 't'), ("PG.Example", 't'), ("pg2.example", '-'), ("example", '-')],
        ),
        (Says::names(&["*.example"]), &[("pg.example", 't'), ("a.pg.example", '-'), ("example", '-')]),
        (
            Says::names(&[]).common_name("*.example"),
            &[("pg.example", 't'), ("a.pg.example", '-'), ("example", '-')],
        ),
        (Says::names(&[]).common_name("pg.example"), &[("PG.example", 't'), ("pg.example.org", '-')]),
        (Says::names(&["pg_1.example"]), &[("pg_1.example", 't')]),
        (Says::names(&[]).common_name(address), &[(address, 't'), ("localhost", '-')]),
        (Says::names(&["pg.example"]).common_name(address), &[(address, 't'), ("pg.example", 't')]),
        (Says::names(&["127.0.0.2"]).common_name(address), &[(address, '-')]),
        (Says::names(&["127.0.0.2"]).dns(address), &[(address, 't'), ("localhost", '-')]),
    ];
    for (says, hosts) in table {
        stage.dress(Some(&sign(says)), HOST_ANY);
        for (host, expected) in hosts {
            assert_eq!(stage.both(host, &full), *expected, "{host}");
        }
    }
}

#[test]
fn what_an_authority_has_revoked_is_refused() {
    let stage = Stage::new();
    let signed = stage.authority.sign(Says::names(&["localhost"]).number(77));
    stage.dress(Some(&signed), HOST_ANY);
    let other = Authority::new("another authority");
    for (what, list, expected) in [
        ("nothing is revoked", stage.authority.revoked(&[78], 2099), "pptttt"),
        ("it is revoked", stage.authority.revoked(&[78, 77], 2099), "ppp---"),
        ("the list has expired", stage.authority.revoked(&[], 2021), "ppp---"),
        ("the list is somebody else's", other.revoked(&[], 2099), "ppp---"),
    ] {
        let words = [("sslrootcert", shown(&stage.root)), ("sslcrl", shown(&stage.file("list.crl", &list)))];
        assert_eq!(stage.modes("localhost", &words), expected, "{what}");
    }
    // What psql does not look at without authorities is a mistake.
    let words =
        [("sslmode", "require".to_owned()), ("sslcrl", shown(&stage.cluster.folder().join("list.crl")))];
    assert!(
        stage.settings("localhost", &words).unwrap_err().contains("nobody looks at it without sslrootcert")
    );
}

#[test]
fn client_certificates_log_in() {
    let stage = Stage::new();
    let server = stage.authority.sign(Says::names(&["localhost"]));
    equip(stage.cluster.primary(), Some(&server), Some(&stage.authority));
    rule(stage.cluster.primary(), "hostssl all app 127.0.0.1/32 cert\nhostnossl all app 127.0.0.1/32 reject");
    let other = Authority::new("another authority");
    let app = || Says::names(&[]).common_name("app");
    let identities = [
        ("app", stage.authority.sign(app()), "-ttttt"),
        ("rsa", stage.authority.sign(app().algorithm(&rcgen::PKCS_ECDSA_P384_SHA384)), "-ttttt"),
        ("somebody else", stage.authority.sign(Says::names(&[]).common_name("somebody")), "------"),
        ("of another authority", other.sign(app()), "------"),
        ("expired", stage.authority.sign(app().expired()), "------"),
    ];
    for (what, identity, expected) in identities {
        let certificate = shown(&stage.file("client.crt", &identity.certificate));
        let key = shown(&stage.file("client.key", &identity.key));
        let words = [("sslrootcert", shown(&stage.root)), ("sslcert", certificate), ("sslkey", key)];
        assert_eq!(stage.modes("localhost", &words), expected, "{what}");
    }
    assert_eq!(stage.modes("localhost", &[("sslrootcert", shown(&stage.root))]), "------", "none");
    let words = [
        ("sslmode", "require".to_owned()),
        ("sslcert", shown(&stage.cluster.folder().join("client.crt"))),
        ("sslkey", shown(&stage.file("other.key", &other.sign(app()).key))),
    ];
    let mistake = stage.settings("localhost", &words).unwrap_err();
    assert!(mistake.contains("belongs to the certificate"), "{mistake}");
}

#[test]
fn proofs_are_bound_to_the_connection_as_psql_binds_them() {
    let stage = Stage::new();
    let server = stage.authority.sign(Says::names(&["localhost"]));
    let words = |binding: &str| [("channel_binding", binding.to_owned())];
    let bindings =
        |stage: &Stage| ["disable", "prefer", "require"].map(|b| stage.modes("localhost", &words(b)));
    stage.dress(Some(&server), HOST_ANY);
    assert_eq!(bindings(&stage), ["pptt--", "pptt--", "--tt--"]);
    stage.dress(None, HOST_ANY);
    assert_eq!(bindings(&stage), ["ppp---", "ppp---", "------"]);
    // Who asks for no proof gets no further.
    stage.dress(Some(&server), "host all app 127.0.0.1/32 trust");
    assert_eq!(bindings(&stage), ["pptt--", "pptt--", "------"]);
    // A password in clear text goes nowhere where others can read along, unlike psql's.
    stage.dress(Some(&server), "host all app 127.0.0.1/32 password");
    for (mode, psql, proxy) in
        [("disable", 'p', '-'), ("allow", 'p', 't'), ("prefer", 't', 't'), ("require", 't', 't')]
    {
        let words = [("sslmode", mode.to_owned())];
        let shown = [stage.psql("localhost", &words), stage.proxy("localhost", &words).ok()].map(shown_as);
        assert_eq!(shown, [psql, proxy], "{mode}");
        let bound = [words[0].clone(), ("channel_binding", "require".to_owned())];
        assert_eq!(stage.both("localhost", &bound), '-', "{mode}");
    }
    let longer = Authority::with("P-384", &rcgen::PKCS_ECDSA_P384_SHA384);
    stage.dress(Some(&longer.sign(Says::names(&["localhost"]))), HOST_ANY);
    assert_eq!(bindings(&stage), ["pptt--", "pptt--", "--tt--"], "bound by SHA-384");
    // Nothing can be bound to this one. psql fails unless it is told not to try.
    let unusual = Authority::with("Ed25519", &rcgen::PKCS_ED25519);
    stage.dress(Some(&unusual.sign(Says::names(&["localhost"]))), HOST_SSL);
    let mode = |binding: &str| {
        stage.proxy("localhost", &[("sslmode", "require".to_owned()), words(binding)[0].clone()])
    };
    assert_eq!(mode("prefer"), Ok(true));
    assert!(mode("require").is_err());
}

#[test]
fn versions_are_kept_to() {
    let stage = Stage::new();
    stage.dress(Some(&stage.authority.sign(Says::names(&["localhost"]))), HOST_SSL);
    let versions = ["TLSv1", "TLSv1.2", "TLSv1.3"];
    for (least, most) in [("TLSv1.2", ""), ("TLSv1.3", ""), ("TLSv1.2", "TLSv1.2")] {
        set(
            &stage,
            &format!(
                "alter system set ssl_min_protocol_version = '{least}'; alter system set ssl_max_protocol_version = '{most}';"
            ),
        );
        for version in versions {
            stage.modes("localhost", &[("ssl_min_protocol_version", version.to_owned())]);
        }
        for version in &versions[1..] {
            stage.modes("localhost", &[("ssl_max_protocol_version", (*version).to_owned())]);
        }
        for sni in ["0", "1"] {
            stage.modes("localhost", &[("sslsni", sni.to_owned())]);
        }
    }
}

fn set(stage: &Stage, settings: &str) {
    super::support::authority::reload(stage.cluster.primary(), settings);
}

/// A cluster that speaks TLS only, each node with a certificate for its address; with the authority.
fn encrypted() -> (LocalCluster, Authority, PathBuf) {
    let cluster = super::own_with_facts();
    let authority = Authority::new("our authority");
    for node in cluster.replicas().iter().chain([cluster.primary()]) {
        equip(node, Some(&authority.sign(Says::names(&["127.0.0.1"]))), None);
        rule(
            node,
            "hostssl all app 127.0.0.1/32 scram-sha-256\nhostssl replication app 127.0.0.1/32 scram-sha-256",
        );
    }
    let root = write(cluster.folder().join("root.crt"), &authority.certificate());
    (cluster, authority, root)
}

fn verifying(root: &Path) -> String {
    format!("sslmode=verify-full&channel_binding=require&sslrootcert={}", shown(root))
}

#[test]
fn a_whole_cluster_by_tls() {
    let (cluster, _, root) = encrypted();
    cluster.primary().psql("alter role app replication").unwrap();
    let proxy = Tidegate::tuned(&cluster, &verifying(&root)).args(["--console-users", "app"]).start();
    super::wait_both(&proxy);
    let mut client = Raw::app(proxy.address());
    for number in 1..=50 {
        client.ok(&format!("update facts set n = {number}"));
        assert_eq!(client.ok("select n from facts").value(), number.to_string());
    }
    nobody_reads_along(&cluster);
    cancels(&proxy);
    let mut console =
        Raw::log_in(proxy.address(), V3_0, &[("user", "app"), ("database", "tidegate")], "secret").unwrap();
    let servers = console.ok("show servers");
    assert!(!servers.rows().is_empty());
    for row in servers.rows() {
        assert!(row[16].as_deref().unwrap().starts_with("TLSv1.3/TLS"), "{row:?}");
    }
    let logical = [("user", "app"), ("database", "app"), ("replication", "database")];
    let mut replication = Raw::log_in(proxy.address(), V3_0, &logical, "secret").unwrap();
    assert_eq!(replication.ok("IDENTIFY_SYSTEM").rows().len(), 1);
    nobody_reads_along(&cluster);
    replication.terminate();
    pgbench(&proxy);
}

/// Every connection by TCP to any node is encrypted, the proxy's own too.
fn nobody_reads_along(cluster: &LocalCluster) {
    let sql = "select count(*) filter (where ssl), count(*) filter (where not ssl)
                 from pg_stat_ssl join pg_stat_activity using (pid) where client_addr is not null";
    for node in cluster.replicas().iter().chain([cluster.primary()]) {
        let counts = node.psql(sql).unwrap();
        let (encrypted, plain) = counts.trim().split_once('|').unwrap();
        assert!(encrypted.parse::<u32>().unwrap() > 1 && plain == "0", "{}: {counts}", node.name());
    }
}

fn cancels(proxy: &RunningProxy) {
    let mut raw = Raw::app(proxy.address());
    raw.send(&query("select pg_sleep(60)"));
    let answer = raw.cancelled(proxy.address());
    assert_eq!(answer.code(), "57014");
    assert!(!proxy.stderr().contains("cancel request was not delivered"), "{}", proxy.stderr());
}

fn pgbench(proxy: &RunningProxy) {
    let run = |args: &[&str]| {
        let address = proxy.address();
        let mut command = Command::new(pg_bin().program("pgbench"));
        command.env("PGPASSWORD", "secret").env("PGSSLMODE", "disable");
        command.args(["-h", &address.ip().to_string(), "-p", &address.port().to_string(), "-U", "app"]);
        tools::run(command.args(args).arg("app"))
    };
    run(&["-i", "-q", "-s", "1"]);
    for protocol in ["simple", "extended", "prepared"] {
        let said = run(&["-n", "-c", "4", "-t", "50", "-M", protocol]);
        assert!(said.contains("number of transactions actually processed: 200/200"), "{said}");
    }
}

#[test]
fn a_reload_takes_new_authorities_from_the_same_file() {
    let stage = Stage::new();
    let server = || Says::names(&["127.0.0.1"]);
    stage.dress(Some(&stage.authority.sign(server())), HOST_SSL);
    let folder = stage.cluster.folder();
    let text = |more: &str| {
        format!(
            "[database.app]\nnodes = [\"127.0.0.1:{}\"]\nuser.app.password = 'secret'\nfailover_timeout = '2s'\n\
             sslmode = 'verify-full'\nsslrootcert = 'root.crt'\n{more}",
            stage.cluster.primary().port()
        )
    };
    let file = stage.file("tidegate.toml", &text(""));
    let proxy = Tidegate::bare().args(["--log", "info", "--config", &shown(&file)]).start();
    let mut client = Raw::app(proxy.address());
    let backend = "select pg_backend_pid() /* tidegate: intent=primary */";
    let first = client.ok(backend).value();
    let said = |what: &str| proxy.stderr().lines().filter(|line| line.contains(what)).count();
    let reload = || {
        let before = said("configuration");
        proxy.signal("HUP");
        wait_until("the configuration is read again", || said("configuration") > before);
    };
    reload();
    assert_eq!(client.ok(backend).value(), first, "nothing has changed");
    let other = Authority::new("another authority");
    stage.dress(Some(&other.sign(server())), HOST_SSL);
    write(folder.join("root.crt"), &other.certificate());
    reload();
    assert!(said("database app: changed") > 0, "{}", proxy.stderr());
    assert_ne!(client.ok(backend).value(), first, "a new connection, by the new authority");
    // And back, which the server does not follow.
    write(folder.join("root.crt"), &stage.authority.certificate());
    reload();
    assert!(client.query(backend).error().is_some());
    assert!(said("unknown authority") > 0, "{}", proxy.stderr());
    // What cannot be read is not taken over.
    write(folder.join("root.crt"), "nothing");
    let before = said("root.crt");
    proxy.signal("HUP");
    wait_until("the mistake is told", || said("root.crt") > before);
}

#[test]
fn plain_connections_are_told_of_once_a_node() {
    let stage = Stage::new();
    stage.dress(None, HOST_ANY);
    let url = format!("postgres://app:secret@127.0.0.1:{}/app", stage.cluster.primary().port());
    let proxy = Tidegate::bare().args(["--log", "info", "--url", &url]).start();
    let mut clients: Vec<_> = (0..3).map(|_| Raw::app(proxy.address())).collect();
    clients.iter_mut().for_each(|client| drop(client.ok("begin; select 1")));
    let said = proxy.stderr();
    assert_eq!(
        said.lines().filter(|line| line.contains("connections are not encrypted")).count(),
        1,
        "{said}"
    );
}
