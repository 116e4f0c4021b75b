//! Tables of what people write, good and bad, and the promise that no password is ever shown.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::mistake::Findings;
use super::*;

mod access;
mod accounts;
mod console;
mod files;
mod listen;
mod peers;
mod rules;
mod secrets;
mod tls;
mod urls;

/// What `--url` alone gives.
fn from_url(url: &str) -> Result<Settings, Mistakes> {
    load(&Sources { flags: given(url), ..Sources::default() })
}

fn given(url: &str) -> Given {
    Given { url: Some(Secret::new(url)), ..Given::default() }
}

/// The one database of a URL that must be good.
fn database(url: &str) -> DatabaseSettings {
    let settings = from_url(url).unwrap_or_else(|mistakes| panic!("{url}: {mistakes}"));
    settings.databases.into_iter().next().unwrap()
}

/// The nodes as they are shown.
fn nodes(database: &DatabaseSettings) -> Vec<String> {
    database.nodes.iter().map(ToString::to_string).collect()
}

/// What a file of this text gives, together with the sources over it.
fn from_file(text: &str, sources: Sources) -> Result<Settings, Mistakes> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidegate.toml");
    for (path, text) in [(&path, text), (&folder.path().join("password"), "from a file\r\n")] {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    load(&Sources { file: Some(path), ..sources })
}

#[track_caller]
fn assert_says(mistakes: &Mistakes, words: &[&str]) {
    let text = mistakes.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is missing in:\n{text}");
    }
}

#[test]
fn all_mistakes_at_once() {
    let mut sources = Sources {
        flags: given(
            "postgres://app@pg1,pg1:99999/app?conection_limit=5&pool_timeout=soon&sslmode=verify-full",
        ),
        ..Sources::default()
    };
    sources.flags.workers = Some("none".to_owned());
    sources.flags.log = Some("wran".to_owned());
    sources.env.listen = vec!["localhost".to_owned()];
    sources.env.admin = Some("on".to_owned());
    let mistakes = from_file("lisen = 5\n[database.x]\nmax_clients = 0\n", sources).unwrap_err();
    assert_says(
        &mistakes,
        &[
            "tidegate.toml:1, lisen: there is no setting of this name. Did you mean listen?",
            "tidegate.toml:3, database.x.max_clients: \"0\" is not a whole number from 1",
            "tidegate.toml:2, database.x: no host is given",
            "tidegate.toml:2, database.x: no user is given",
            "TIDEGATE_LISTEN: \"localhost\" is not an IP address with a port",
            "TIDEGATE_ADMIN: \"on\"",
            "--workers: \"none\" is not a whole number",
            "--log: \"wran\" is not a log filter. Did you mean",
            "conection_limit: there is no parameter of this name. Did you mean connection_limit?",
            "pool_timeout: \"soon\" is not a duration",
            "sslmode: sslmode=verify-full needs to know who is trusted to sign certificates. Name a file with sslrootcert",
            "host: the port of host pg1 is not a number",
            "docs/configuration.md",
        ],
    );
    assert_eq!(mistakes.iter().count(), 12);
    let lines: Vec<String> = mistakes.to_string().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 14, "a heading, a line each, a hint");
    assert!(lines[12].starts_with("  12. "), "{}", lines[12]);
}

#[test]
fn nothing_said_is_one_mistake() {
    let mistakes = load(&Sources::default()).unwrap_err();
    assert_says(&mistakes, &["no database is given", "DATABASE_URL"]);
    assert_eq!(mistakes.iter().count(), 1);
}

#[test]
fn flags_go_before_environment_before_file() {
    let file = "listen = [\"127.0.0.1:1\"]\nlog = \"info\"\nadmin = \"127.0.0.1:2\"\nworkers = 1\n\
        [database.app]\nurl = \"postgres://app:file@filehost/app?connection_limit=7&pool_timeout=7\"\n\
        [database.other]\nurl = \"postgres://app:file@filehost\"\n";
    let sources = Sources {
        env: Given {
            url: Some(Secret::new("postgres://app:env@envhost/app?connection_limit=8")),
            log: Some("debug".to_owned()),
            admin: Some("off".to_owned()),
            ..Given::default()
        },
        flags: Given {
            log: Some("error".to_owned()),
            listen: vec!["127.0.0.1:3".to_owned(), "[::1]:3".to_owned()],
            ..Given::default()
        },
        ..Sources::default()
    };
    let settings = from_file(file, sources.clone()).unwrap();
    assert_eq!(settings.log, "error");
    assert_eq!(settings.admin, None);
    assert_eq!(settings.workers, Some(1));
    assert_eq!(settings.listen.len(), 2);
    let [app, other] = settings.databases.as_slice() else { panic!("{settings:?}") };
    assert_eq!(
        (nodes(app), nodes(other)),
        (vec!["envhost:5432".to_owned()], vec!["filehost:5432".to_owned()])
    );
    assert_eq!(app.pool.connection_limit, 8);
    assert_eq!(app.pool.pool_timeout, Some(Duration::from_secs(7)));
    assert_eq!(
        app.users,
        [UserSettings {
            name: "app".to_owned(),
            password: Some(Secret::new("env")),
            stored: None,
            tuning: UserTuning::default(),
            limits: LimitSettings::default(),
        }]
    );

    let mut sources = sources;
    sources.flags.url = Some(Secret::new("postgres://you:flag@flaghost/app"));
    let settings = from_file(file, sources).unwrap();
    let app = &settings.databases[0];
    assert_eq!(nodes(app), ["flaghost:5432"]);
    assert_eq!(app.pool.connection_limit, 7, "the flag hides the variable altogether");
    let names: Vec<&str> = app.users.iter().map(|user| user.name.as_str()).collect();
    assert_eq!(names, ["you", "app"]);
}

#[test]
fn roles_declared_by_flags() {
    let flags = |primaries: &[&str], replicas: &[&str]| Given {
        primaries: primaries.iter().copied().map(Secret::new).collect(),
        replicas: replicas.iter().copied().map(Secret::new).collect(),
        ..Given::default()
    };
    let load = |flags| load(&Sources { flags, ..Sources::default() });

    let settings = load(flags(
        &["postgres://app:pw@pg1/app?pool_timeout=3"],
        &["postgres://pg2", "postgres://app:pw@pg3:5433/app?pool_timeout=3"],
    ));
    let database = settings.unwrap().databases.remove(0);
    assert_eq!(nodes(&database), ["pg1:5432", "pg2:5432", "pg3:5433"]);
    let roles: Vec<_> = database.nodes.iter().map(|node| node.declared).collect();
    assert_eq!(roles, [Some(Role::Primary), Some(Role::Replica), Some(Role::Replica)]);

    let table: [(Given, &[&str]); 5] = [
        (
            flags(&["postgres://app:pw@pg1/app", "postgres://pg2"], &[]),
            &["two primaries are declared: pg1:5432 and pg2:5432"],
        ),
        (flags(&["postgres://app:pw@pg1,pg2/app"], &[]), &["two primaries are declared"]),
        (flags(&[], &["postgres://app:pw@pg1/app"]), &["every node is declared a replica"]),
        (
            flags(&["postgres://app:pw@pg1/app"], &["postgres://me:other@pg1/else?connection_limit=3"]),
            &[
                "its user is not the same",
                "its password is not",
                "its database is not",
                "pg1:5432 is given twice",
            ],
        ),
        (
            Given { url: Some(Secret::new("postgres://a:b@pg3")), ..flags(&["postgres://a:b@pg1"], &[]) },
            &["both --url and --primary are given"],
        ),
    ];
    for (flags, words) in table {
        assert_says(&load(flags).unwrap_err(), words);
    }
}

#[test]
fn addresses_must_not_clash() {
    let mut sources = Sources { flags: given("postgres://a:b@pg1"), ..Sources::default() };
    sources.flags.listen = ["0.0.0.0:6432", "127.0.0.1:6432", "0.0.0.0:6433"].map(str::to_owned).to_vec();
    let mistakes = load(&sources).unwrap_err();
    assert_says(
        &mistakes,
        &["0.0.0.0:6432 and 127.0.0.1:6432", "admin: its address 127.0.0.1:6433 is taken"],
    );
    assert_eq!(mistakes.iter().count(), 2);
}

#[test]
fn doors_left_open_are_warned_of() {
    let mut sources =
        Sources { flags: given("postgres://a@pg1?tidegate_client_auth=trust"), ..Sources::default() };
    assert_eq!(load(&sources).unwrap().warnings, [""; 0]);
    sources.flags.listen = vec!["0.0.0.0:6432".to_owned()];
    sources.flags.admin = Some("[::]:6433".to_owned());
    sources.flags.admin_open = Some("all".to_owned());
    assert_eq!(load(&sources).unwrap().warnings.len(), 2);
    sources.flags.admin = Some("off".to_owned());
    assert_eq!(load(&sources).unwrap().warnings.len(), 1);
}

#[test]
fn pgpassword_is_the_last_resort() {
    let pg_password = Some(Secret::new("from the environment"));
    let load =
        |url| load(&Sources { flags: given(url), pg_password: pg_password.clone(), ..Sources::default() });
    let password = |url| load(url).unwrap().databases.remove(0).users.remove(0).password.unwrap();
    assert_eq!(password("postgres://app@pg1").expose(), "from the environment");
    assert_eq!(password("postgres://app:own@pg1").expose(), "own");
}

/// Long enough and strange enough not to turn up by chance.
const MARK: &str = "hUnTeR2xYz";

fn shows_mark(value: &impl std::fmt::Debug) -> bool {
    format!("{value:?}").contains(MARK)
}

proptest! {
    #[test]
    fn no_password_in_any_output(before in ".{0,6}", after in ".{0,6}", query in "[a-z_=&%?]{0,20}") {
        let password = format!("{before}{MARK}{after}");
        let encoded = percent_encoding::utf8_percent_encode(&password, percent_encoding::NON_ALPHANUMERIC);
        let url = format!("postgres://app:{encoded}@pg1,pg2/app?{query}");
        let sources = Sources { flags: given(&url), pg_password: Some(Secret::new(&password)), ..Sources::default() };
        prop_assert!(!shows_mark(&sources));
        match load(&sources) {
            Ok(settings) => {
                prop_assert!(!shows_mark(&settings));
                if !password.contains('\0') {
                    prop_assert_eq!(settings.databases[0].users[0].password.as_ref().unwrap().expose(), password);
                }
            }
            Err(mistakes) => prop_assert!(!shows_mark(&mistakes), "{}", mistakes),
        }
    }

    #[test]
    fn no_password_that_was_never_encoded(
        before in r"[a-z0-9@:/?#%&=\[\],\\ .-]{0,12}",
        after in r"[a-z0-9@:/?#%&=\[\],\\ .-]{0,12}",
        tail in prop::sample::select(vec!["", "/app", ":5432/app", "/app?connection_limit=x", "?host=a,b&port=1,2,3"]),
    ) {
        let url = format!("postgres://app:{before}{MARK}{after}@pg1{tail}");
        prop_assert!(!redact_url(&url).contains(MARK), "{}", redact_url(&url));
        if let Err(mistakes) = from_url(&url) {
            prop_assert!(!shows_mark(&mistakes), "{}", mistakes);
        }
        let file = format!("[database.app]\nurl = '{url}'\nnodes = '{url}'\nlog = '{url}'\n{url}\n");
        let mut findings = Findings::default();
        file::parse(Path::new("tidegate.toml"), &file, &mut findings);
        prop_assert!(!shows_mark(&findings), "{:?}", findings);
    }

    #[test]
    fn nothing_panics(text in ".{0,60}", address in r"[a-z0-9:\[\]/%,@]{0,16}") {
        drop(from_url(&text));
        drop(from_url(&format!("postgres://a:b@{address}")));
        redact_url(&text);
        redact_url(&format!("postgres://{address}"));
        file::parse(Path::new("tidegate.toml"), &text, &mut Findings::default());
    }
}
