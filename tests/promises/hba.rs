//! Rules of a `pg_hba.conf` mean the same here as in PostgreSQL: the same lines are mistakes, and the same people come in.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tidegate::auth::Text;
use tidegate::auth::hba::Rules;
use tidegate::local::{LocalCluster, LocalNode, Options};

use super::support;
use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::{Raw, V3_0, startup};

/// Whom the harness itself comes in by.
const HARNESS: &str = "local all postgres trust\n";

fn cluster() -> LocalCluster {
    support::exclusive_cluster(&Options { replicas: 0, ..support::options() })
}

/// Puts these rules and maps in force on a node.
fn put_in_force(node: &LocalNode, hba: &str, ident: &str) {
    fs::write(node.data_dir().join("pg_hba.conf"), hba).unwrap();
    fs::write(node.data_dir().join("pg_ident.conf"), ident).unwrap();
    reload(node);
}

/// A new session shows when its server has last read the configuration, and the rules are read at the same time.
fn reload(node: &LocalNode) {
    let loaded = || node.psql("select pg_conf_load_time()").unwrap();
    let before = loaded();
    node.psql("select pg_reload_conf()").unwrap();
    support::wait_until("the configuration is read again", || loaded() != before);
}

// ------------------------------------------------------------------------------------------------ what is a mistake

/// What Tidegate says of a line, beside PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// The same.
    Same,
    /// It refuses what PostgreSQL takes.
    Stricter,
}
use Verdict::{Same, Stricter};

const LINES: &[(&str, Verdict)] = &[
    ("local all all trust", Same),
    ("local all all ident", Same),
    ("local all all peer map=m", Same),
    ("local all all cert", Same),
    ("local all all 127.0.0.1/32 trust", Same),
    ("host all all 127.0.0.1/32 trust", Same),
    ("host all all 127.0.0.1/32", Same),
    ("host all all 127.0.0.1 trust", Same),
    ("host all all 127.0.0.1 255.0.0.0 md5", Same),
    ("host all all 127.0.0.1 ff00:: md5", Same),
    ("host all all 127.0.0.1/33 md5", Same),
    ("host all all 127.0.0.1/ md5", Same),
    ("host all all 10.1.2.3/8 reject", Same),
    ("host all all ::1/128 scram-sha-256", Same),
    ("host all all ::/0 scram-sha-256", Same),
    ("host all all ::/129 scram-sha-256", Same),
    ("host all all samehost scram-sha-256", Same),
    ("host all all samenet scram-sha-256", Same),
    ("host all all all scram-sha-256", Same),
    ("host all all all,all scram-sha-256", Same),
    ("host all all all scram-sha-256,md5", Same),
    ("host,local all all all trust", Same),
    ("host all all localhost trust", Stricter),
    ("host all all .example.com trust", Stricter),
    ("host all all \"all\" trust", Stricter),
    ("host all all example.com/32 trust", Same),
    ("host all +app all trust", Stricter),
    ("host all \"+app\" all trust", Same),
    ("host samerole all all trust", Stricter),
    ("host samegroup,app all all trust", Stricter),
    ("host sameuser,replication,\"all\" all all trust", Same),
    ("host a, b,\"c d\" x,y all trust", Same),
    ("host a ,b all trust", Same),
    ("host all all all password", Stricter),
    ("host all all all ident", Stricter),
    ("host all all all peer", Same),
    ("host all all all scram", Same),
    ("host all all all SCRAM-SHA-256", Same),
    ("host all all all radius", Same),
    ("host all all all trust map=m", Same),
    ("host all all all trust clientcert=verify-ca", Same),
    ("hostssl all all all trust clientcert=verify-ca", Same),
    ("hostssl all all all md5 clientcert=verify-full clientname=DN", Same),
    ("hostssl all all all md5 clientcert=1", Same),
    ("hostssl all all all md5 clientname=cn", Same),
    ("hostssl all all all cert map=m clientname=CN", Same),
    ("hostssl all all all cert clientcert=verify-full", Same),
    ("hostssl all all all cert clientcert=verify-ca", Same),
    ("hostnossl all all all cert", Same),
    ("hostnossl all all all scram-sha-256 # a comment", Same),
    ("hostnogssenc all all all scram-sha-256", Same),
    ("host all all all scram-sha-256 x", Same),
    ("host all all all scram-sha-256 x=y", Same),
    ("host all all", Same),
    ("host all", Same),
    ("host", Same),
    ("hots all all all trust", Same),
    ("\"host\" all all all trust", Same),
    ("host all all all \"trust\"", Same),
    ("host all \"all all trust", Same),
    ("host \"\"\"a\"\"\" a\"b c\"d all trust", Same),
];

#[test]
fn the_same_lines_are_mistakes() {
    let cluster = cluster();
    let node = cluster.primary();
    encrypt(node, &Certificates::new());
    let text: String = LINES.iter().fold(String::new(), |mut text, (line, _)| {
        let _ = writeln!(text, "{line}");
        text
    });
    // The view shows what is in the file, in force or not.
    fs::write(node.data_dir().join("pg_hba.conf"), format!("{HARNESS}{text}")).unwrap();
    let sql =
        "select line_number - 1, coalesce(replace(auth_method, 'ident', 'peer'), ''), coalesce(error, '')
               from pg_hba_file_rules where line_number > 1 order by 1";
    let shown = node.psql(sql).unwrap();
    let mut differ = Vec::new();
    for row in shown.lines() {
        let [number, method, error] = row.splitn(3, '|').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let (line, verdict) = LINES[number.parse::<usize>().unwrap() - 1];
        let text = Text { name: "pg_hba.conf".to_owned(), text: line.to_owned() };
        let ours = Rules::read(&text, &mut |_, _| Err("no files".to_owned()));
        let ours =
            ours.map(|rules| rules.iter().map(|rule| rule.method.name().to_owned()).collect::<Vec<_>>());
        // Of some mistakes in options the view shows neither rule nor error.
        let is_taken = error.is_empty() && !method.is_empty();
        let is_as_said = match (&ours, is_taken, verdict) {
            (Ok(methods), true, Same) => methods[..] == [method],
            (Err(_), false, Same) | (Err(_), true, Stricter) => true,
            _ => false,
        };
        if !is_as_said {
            differ.push(format!("{line}\n  here: {ours:?}\n  there: {method} {error}"));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    let seen = shown.lines().count();
    assert_eq!(seen, LINES.len(), "every line was judged there");
}

// ------------------------------------------------------------------------------------------------ who comes in

/// An authority, and certificates by it.
struct Certificates {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Certificates {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = named("authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let own = params.self_signed(&key).unwrap();
        let it = Self { folder, issuer: Issuer::new(params, key) };
        it.write("authority.crt", &own.pem());
        it.issue("server");
        it
    }

    /// A certificate with this common name, and its key, in files that are called so.
    fn issue(&self, name: &str) {
        let key = KeyPair::generate().unwrap();
        let certificate = named(name).signed_by(&key, &self.issuer).unwrap();
        self.write(&format!("{name}.crt"), &certificate.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// Has a node take clients by TLS.
fn encrypt(node: &LocalNode, certificates: &Certificates) {
    let folder = node.data_dir();
    let owner = fs::metadata(folder).unwrap();
    for name in ["authority.crt", "server.crt", "server.key"] {
        let path = folder.join(name);
        fs::copy(certificates.path(name), &path).unwrap();
        chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let mut conf = fs::read_to_string(folder.join("node.conf")).unwrap();
    conf.push_str("\nssl = on\nssl_ca_file = 'authority.crt'\n");
    fs::write(folder.join("node.conf"), conf).unwrap();
    reload(node);
    assert_eq!(node.psql("show ssl").unwrap().trim(), "on");
}

/// Where somebody tries to log in: a port, and the folder of the Unix socket.
struct Place<'a> {
    port: u16,
    folder: &'a Path,
    socket: u16,
}

/// Who tries to log in, how.
#[derive(Clone, Copy, Debug)]
struct Try {
    user: &'static str,
    database: &'static str,
    password: &'static str,
    /// `local`, `plain`, `tls`, or the name of a client's certificate.
    way: &'static str,
}

const fn attempt(way: &'static str, user: &'static str, database: &'static str) -> Try {
    Try { user, database, password: "secret", way }
}

impl Try {
    /// Nothing, or why it is refused.
    fn run(&self, place: &Place<'_>, certificates: &Certificates) -> Result<(), String> {
        let Self { user, database, password, way } = self;
        let mut how = match *way {
            "local" => format!("host={} port={}", place.folder.display(), place.socket),
            "plain" => format!("host=127.0.0.1 port={} sslmode=disable", place.port),
            _ => format!("host=127.0.0.1 port={} sslmode=require", place.port),
        };
        if !["local", "plain", "tls"].contains(way) {
            let path = |end: &str| certificates.path(&format!("{way}.{end}")).display().to_string();
            let _ = write!(how, " sslcert={} sslkey={}", path("crt"), path("key"));
        }
        let mut psql = Command::new(support::pg_bin().program("psql"));
        psql.env("PGPASSWORD", password).env("HOME", certificates.folder.path());
        psql.args(["-XAtw", "-c", "select 1", "-d", &format!("{how} user={user} dbname={database}")]);
        let output = psql.output().unwrap();
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let why = said.split_once("FATAL:").map_or(said.as_str(), |(_, why)| why);
        Err(why.lines().next().unwrap_or_default().trim().to_owned())
    }
}

/// Rules with all that a rule can have. `ME` is whoever runs this test.
const RULES: &str = r#"
local      app          app        peer map=admins
local      all          bob        reject
hostssl    app          certified  all cert map=certs
hostnossl  app          bob        127.0.0.1/32 reject
hostssl    app          bob        127.0.0.0/8 scram-sha-256
host       sameuser     "bob"      127.0.0.1/32 scram-sha-256
host       app,"other"  app        127.0.0.1 255.255.255.255 scram-sha-256
host       app          cat        samehost md5
host       other        cat        samenet md5
hostssl    app          dan        0.0.0.0/0 scram-sha-256 clientcert=verify-ca
hostssl    app          eve        all trust clientcert=verify-full
hostssl    other        eve        all cert clientname=DN map=names
host       app          fay        \
                                   all trust # open
host       gone         fay,bob    all scram-sha-256
host       replication  app        all reject
host       "sameuser"   dan        all trust
hostnossl  all          dan        10.0.0.0/8 trust
"#;

const MAPS: &str = "
admins  ME                    app
certs   /^(.*)-person$        \\1
names   \"CN=eve\"            eve
";

const TRIES: &[Try] = &[
    attempt("local", "app", "app"),
    attempt("local", "app", "other"),
    attempt("local", "bob", "app"),
    attempt("local", "bob", "bob"),
    attempt("local", "cat", "app"),
    attempt("plain", "app", "app"),
    attempt("plain", "app", "other"),
    attempt("plain", "app", "bob"),
    attempt("tls", "app", "app"),
    Try { password: "guess", ..attempt("plain", "app", "app") },
    Try { password: "guess", ..attempt("tls", "bob", "app") },
    attempt("plain", "bob", "app"),
    attempt("plain", "bob", "bob"),
    attempt("tls", "bob", "app"),
    attempt("tls", "bob", "other"),
    attempt("plain", "cat", "app"),
    attempt("tls", "cat", "app"),
    attempt("plain", "cat", "other"),
    Try { password: "guess", ..attempt("plain", "cat", "app") },
    attempt("plain", "certified", "app"),
    attempt("tls", "certified", "app"),
    attempt("certified-person", "certified", "app"),
    attempt("certified", "certified", "app"),
    attempt("eve", "certified", "app"),
    attempt("plain", "dan", "app"),
    attempt("tls", "dan", "app"),
    attempt("eve", "dan", "app"),
    Try { password: "guess", ..attempt("eve", "dan", "app") },
    attempt("eve", "eve", "app"),
    attempt("certified", "eve", "app"),
    attempt("tls", "eve", "app"),
    attempt("eve", "eve", "other"),
    attempt("certified", "eve", "other"),
    attempt("plain", "fay", "app"),
    attempt("plain", "fay", "gone"),
    Try { password: "guess", ..attempt("plain", "fay", "gone") },
    attempt("plain", "nobody", "app"),
    attempt("plain", "nobody", "gone"),
    attempt("plain", "dan", "sameuser"),
    attempt("plain", "dan", "dan"),
];

const USERS: [&str; 7] = ["app", "bob", "cat", "dan", "eve", "fay", "certified"];
const DATABASES: [&str; 3] = ["app", "bob", "other"];

/// A proxy in front of the node, with these lines on top of its file.
struct Ruled {
    proxy: RunningProxy,
    folder: TempDir,
}

impl Ruled {
    fn new(node: &LocalNode, top: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let mut file =
            format!("listen = ['127.0.0.1:0', '{}:6432']\nadmin = '127.0.0.1:0'\n{top}\n", path.display());
        for database in DATABASES {
            let _ = writeln!(file, "[database.{database}]\nnodes = ['127.0.0.1:{}']", node.port());
            USERS.iter().for_each(|user| {
                let _ = writeln!(file, "user.{user}.password = 'secret'");
            });
        }
        fs::write(path.join("tidegate.toml"), &file).unwrap();
        Self { proxy: Tidegate::by_file(&path.join("tidegate.toml")).start(), folder }
    }

    fn place(&self) -> Place<'_> {
        Place { port: self.proxy.address().port(), folder: self.folder.path(), socket: 6432 }
    }

    /// Puts these rules in the place of those there are; returns what is said about it.
    fn follow(&self, hba: &Path, rules: &str) -> String {
        fs::write(hba, rules).unwrap();
        let before = self.proxy.stderr().len();
        let said = || self.proxy.stderr()[before..].to_owned();
        self.proxy.signal("HUP");
        support::wait_until("the configuration is read again", || said().contains("configuration"));
        said()
    }
}

fn me() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn the_same_people_come_in() {
    let cluster = cluster();
    let node = cluster.primary();
    for user in USERS.iter().filter(|user| **user != "app") {
        let kind = if *user == "cat" { "md5" } else { "scram-sha-256" };
        let sql = format!("set password_encryption = '{kind}'; create role {user} login password 'secret'");
        node.psql(&sql).unwrap();
    }
    node.psql("create database bob").unwrap();
    node.psql("create database other").unwrap();
    let certificates = Certificates::new();
    ["certified", "certified-person", "eve"].iter().for_each(|name| certificates.issue(name));
    encrypt(node, &certificates);
    let usual = fs::read_to_string(node.data_dir().join("pg_hba.conf")).unwrap();
    let maps = MAPS.replace("ME", &me());
    put_in_force(node, &format!("{HARNESS}{RULES}"), &maps);
    let sockets = PathBuf::from(node.psql("show unix_socket_directories").unwrap().trim());
    let there = Place { port: node.port(), folder: &sockets, socket: node.port() };
    let direct: Vec<_> = TRIES.iter().map(|one| one.run(&there, &certificates)).collect();
    // The proxy logs in as all of them, whatever is kept of their passwords.
    put_in_force(node, &usual.replace("scram-sha-256", "md5"), "");

    certificates.write("pg_hba.conf", RULES);
    certificates.write("pg_ident.conf", &maps);
    let path = |name: &str| certificates.path(name).display().to_string();
    let top = format!(
        "hba_file = '{}'\nident_file = '{}'\nssl_cert_file = '{}'\nssl_key_file = '{}'\nssl_ca_file = '{}'",
        path("pg_hba.conf"),
        path("pg_ident.conf"),
        path("server.crt"),
        path("server.key"),
        path("authority.crt")
    );
    let ruled = Ruled::new(node, &top);
    let mut differ = Vec::new();
    for (one, direct) in TRIES.iter().zip(&direct) {
        let through = one.run(&ruled.place(), &certificates);
        if through != *direct {
            differ.push(format!("{one:?}\n  here: {through:?}\n  there: {direct:?}"));
        }
    }
    assert!(differ.is_empty(), "{}\n{}", differ.join("\n"), ruled.proxy.stderr());
    let come_in = direct.iter().filter(|outcome| outcome.is_ok()).count();
    assert!((10..30).contains(&come_in), "{come_in} of {} come in: the table shows both", TRIES.len());
}

/// What somebody from this address is told.
fn from(source: [u8; 4], port: u16, user: &str, database: &str) -> String {
    let mut raw = Raw::silent_from(source.into(), ([127, 0, 0, 1], port).into());
    raw.send(&startup(V3_0, &[("user", user), ("database", database)]));
    match raw.authenticate("secret") {
        Ok(()) => "in".to_owned(),
        Err(error) => format!("{} {}", error.field(b'C').unwrap(), error.field(b'M').unwrap()),
    }
}

#[test]
fn addresses_decide_as_they_do_there() {
    const RULES: &str = "host app app 127.0.0.2/32 reject\nhost app app 127.0.1.0/24 scram-sha-256\n\
                         host all all 127.0.0.5/31 scram-sha-256\n";
    let cluster = cluster();
    let node = cluster.primary();
    let usual = fs::read_to_string(node.data_dir().join("pg_hba.conf")).unwrap();
    put_in_force(node, &format!("{HARNESS}{RULES}"), "");
    let sources =
        [[127, 0, 0, 1], [127, 0, 0, 2], [127, 0, 1, 9], [127, 0, 0, 4], [127, 0, 0, 5], [127, 0, 0, 6]];
    let direct = sources.map(|source| from(source, node.port(), "app", "app"));
    put_in_force(node, &usual, "");
    let hba = tempfile::NamedTempFile::new().unwrap();
    fs::write(hba.path(), RULES).unwrap();
    node.psql("create database bob").unwrap();
    node.psql("create database other").unwrap();
    let ruled = Ruled::new(node, &format!("hba_file = '{}'", hba.path().display()));
    let port = ruled.proxy.address().port();
    assert_eq!(sources.map(|source| from(source, port, "app", "app")), direct);
    assert_eq!(direct.iter().filter(|told| *told == "in").count(), 3, "{direct:?}");

    // Rules are taken over as a whole, or not at all.
    let said =
        ruled.follow(hba.path(), "host all all all scram-sha-256\nhost all all all scram\nhost all all\n");
    assert!(said.contains(":2: authentication method") && said.contains(":3: the line ends"), "{said}");
    assert_eq!(sources.map(|source| from(source, port, "app", "app")), direct, "the former rules hold");
    let said = ruled.follow(hba.path(), "host app app 127.0.0.1/32 scram-sha-256\n");
    assert!(said.contains("hba_file: changed"), "{said}");
    assert_eq!(from([127, 0, 0, 1], port, "app", "app"), "in");
    assert!(from([127, 0, 1, 9], port, "app", "app").starts_with("28000 no pg_hba.conf entry for host"));
}

#[test]
fn nothing_starts_with_a_broken_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(
        path("hba"),
        "local all all peer map=m\ninclude more\nhost all all gss\nhost all @gone all trust\n",
    )
    .unwrap();
    fs::write(path("more"), "\nhost all +admins all trust\n").unwrap();
    fs::write(path("ident"), "m a\n").unwrap();
    let text = "hba_file = 'hba'\nident_file = 'ident'\n[database.app]\nurl = 'postgres://app:secret@127.0.0.1:1'\nclient_auth = 'trust'\n";
    fs::write(path("tidegate.toml"), text).unwrap();
    let mut tidegate = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    let output = tidegate.env_clear().args(["run", "--config"]).arg(path("tidegate.toml")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    for words in [
        "more:2: +admins asks who is a member of admins",
        "hba:3: \"gss\" is no IP address",
        "hba:4: the file",
        "ident:1: the line ends too early",
        "client_auth: the rules of hba_file say how clients prove who they are",
        "There are 5 mistakes",
    ] {
        assert!(said.contains(words), "{words:?} is missing in:\n{said}");
    }
}
