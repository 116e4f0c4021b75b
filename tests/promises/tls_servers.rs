//! TLS towards servers, by libpq's rules: what psql does with the same words, the proxy does.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tidegate::cluster::{Control, probe};
use tidegate::config::{DatabaseSettings, Given, Secret, Sources, load};
use tidegate::local::LocalCluster;
use tidegate::server::{Endpoint, ServerAddress};

use super::support::authority::{Authority, Says, Signed, equip, rule, shown, write};
use super::support::{exclusive_cluster, options, pg_bin};
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
        let mut conninfo = format!("host={host} port={} user=app dbname=app", self.cluster.primary().port());
        for (name, value) in words {
            conninfo.push_str(&format!(" {name}='{value}'"));
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
        settings.map(|settings| settings.databases[0].clone()).map_err(|mistakes| mistakes.to_string())
    }

    /// As [`Stage::psql`], for the proxy's own connections, those that clients use and those that ask.
    fn proxy(&self, host: &str, words: &[(&str, String)]) -> Result<bool, String> {
        let settings = self.settings(host, words)?;
        let is_encrypted = block_on(async {
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
        });
        is_encrypted
    }

    /// What both do, which is the same: `-` not in, `p` plain, `t` TLS.
    fn both(&self, host: &str, words: &[(&str, String)]) -> char {
        let (psql, proxy) = (self.psql(host, words), self.proxy(host, words));
        assert_eq!(psql, proxy.clone().ok(), "{host} {words:?}: {proxy:?}");
        match psql {
            None => '-',
            Some(false) => 'p',
            Some(true) => 't',
        }
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

fn endpoint(settings: &DatabaseSettings) -> Endpoint {
    Endpoint {
        address: ServerAddress::new(&settings.nodes[0], &settings.server_tls),
        database: "app".to_owned(),
        user: "app".to_owned(),
        password: Some(Secret::new("secret")),
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
        assert_eq!(stage.modes("localhost", &none).replace("--", "--"), without, "{what}");
        assert_eq!(stage.modes("localhost", &roots), with, "{what}, with sslrootcert");
    }
    for pinned in [pinned, good().authority().self_signed()] {
        stage.dress(Some(&pinned), HOST_ANY);
        let words = [("sslrootcert", shown(&stage.file("pinned.crt", &pinned.certificate)))];
        assert_eq!(stage.modes("localhost", &words), "pptttt", "trusted as it is");
        assert_eq!(stage.modes("127.0.0.1", &words), "pptttt", "trusted as it is, by its address");
    }
}
