//! Where secrets may stand, and who else could read them there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;

/// A folder with files of these names, texts and modes.
fn folder(files: &[(&str, &str, u32)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text, mode) in files {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
    }
    folder
}

fn password(settings: &Settings) -> Option<&str> {
    settings.databases[0].users[0].password.as_ref().map(Secret::expose)
}

fn env(url: &str) -> Sources {
    Sources { env: given(url), ..Sources::default() }
}

#[test]
fn every_variable_with_a_secret_can_name_a_file() {
    let files = [
        ("url", "postgres://app@pg1/app\n", 0o400),
        ("password", "pass\r\n", 0o400),
        ("console", "ops\n", 0o400),
        ("token", "0123456789abcdef\n", 0o400),
    ];
    let folder = folder(&files);
    let path = |name: &str| folder.path().join(name);
    let paths =
        SecretVariable::ALL.into_iter().zip(files).map(|(variable, (name, ..))| (variable, path(name)));
    let mut sources = Sources { files: paths.collect(), ..Sources::default() };
    sources.env.console_users = vec!["ops".to_owned()];
    let settings = load(&sources).unwrap();
    assert_eq!(password(&settings), Some("pass"));
    assert_eq!(settings.console_users[0].password.expose(), "ops");
    assert!(settings.console_users[0].is_own);
    assert_eq!(settings.admin_token, Some(Secret::new("0123456789abcdef")));
    assert_eq!(settings.warnings, [""; 0]);
    assert!(!sources.is_empty());
    // Read anew with each load.
    fs::set_permissions(path("password"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(path("password"), "another").unwrap();
    assert_eq!(password(&load(&sources).unwrap()), Some("another"));
    // Both ways at once.
    for variable in SecretVariable::ALL {
        let mut twice = sources.clone();
        *variable.slot(&mut twice) = Some(Secret::new("SECRET-that-is-long"));
        let mistakes = load(&twice).unwrap_err();
        let name = variable.name();
        assert_says(&mistakes, &[&format!("{name}_FILE: {name} is given, too")]);
        assert!(!mistakes.to_string().contains("SECRET"), "{mistakes}");
    }
    // Files that are not there, or have nothing in them.
    fs::write(path("password"), "\n").unwrap();
    sources.files[0].1 = path("missing");
    let mistakes = load(&sources).unwrap_err();
    assert_says(&mistakes, &["DATABASE_URL_FILE: the file ", "PGPASSWORD_FILE: the file is empty"]);
    assert_eq!(mistakes.iter().count(), 2, "{mistakes}");
}

#[test]
fn the_password_file_is_asked_last() {
    let folder = folder(&[
        (".pgpass", "pg1:5432:app:app:from home\n", 0o600),
        ("named", "*:*:*:app:from the variable\n", 0o600),
        ("own", "*:*:*:app:from the parameter\n", 0o600),
    ]);
    let path = |name: &str| Some(folder.path().join(name));
    let found = |url: &str, sources: Sources| {
        let settings =
            load(&Sources { env: given(url), ..sources }).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert_eq!(settings.warnings, [""; 0]);
        password(&settings).unwrap().to_owned()
    };
    let home = Sources { home: Some(folder.path().to_owned()), ..Sources::default() };
    let named = Sources { passfile: path("named"), ..home.clone() };
    let given = Sources { pg_password: Some(Secret::new("from the environment")), ..named.clone() };
    let own = format!("postgres://app@pg1/app?passfile={}", path("own").unwrap().display());
    assert_eq!(found("postgres://app@pg1/app", home.clone()), "from home");
    assert_eq!(found("postgres://app@pg1/app", named.clone()), "from the variable");
    assert_eq!(found(&own, named), "from the parameter");
    assert_eq!(found(&own, given.clone()), "from the environment");
    assert_eq!(found("postgres://app:its+own@pg1/app", given), "its+own");
    // In a file, paths start at its folder.
    let text = "[database.app]\nnodes = ['pg1', 'pg2']\npassfile = 'own'\nuser.app = {}\n";
    let config = folder.path().join("tidegate.toml");
    fs::write(&config, text).unwrap();
    let settings = load(&Sources { file: Some(config), ..Sources::default() }).unwrap();
    assert_eq!(password(&settings), Some("from the parameter"));
    // It has no password of this user, or one of some nodes only.
    let mistakes =
        load(&Sources { env: super::given("postgres://you@pg1/app"), ..home.clone() }).unwrap_err();
    assert_says(&mistakes, &["the user you has no password"]);
    let mistakes =
        load(&Sources { env: super::given("postgres://app@pg1,pg2/app"), ..home.clone() }).unwrap_err();
    assert_says(
        &mistakes,
        &[".pgpass: it has a password of the user \"app\" for pg1:5432 and none for pg2:5432"],
    );
    let trusting = "postgres://you@pg1/app?tidegate_client_auth=trust";
    assert_eq!(password(&load(&Sources { env: super::given(trusting), ..home }).unwrap()), None);
}

#[test]
fn attack_by_a_password_file_that_others_can_write() {
    for mode in [0o640, 0o604, 0o620, 0o602, 0o610] {
        let folder = folder(&[(".pgpass", "*:*:*:*:secret\n", mode)]);
        let home = Some(folder.path().to_owned());
        let trusting = "postgres://app@pg1/app?tidegate_client_auth=trust";
        let settings = load(&Sources { home, ..env(trusting) }).unwrap();
        assert_eq!(password(&settings), None, "{mode:o}");
        let [warning] = settings.warnings.as_slice() else { panic!("{:?}", settings.warnings) };
        assert!(warning.contains(".pgpass: the password file is not used"), "{warning}");
    }
    // One that is named is missed, one at home is not.
    let trusting = "postgres://app@pg1/app?tidegate_client_auth=trust";
    let nowhere = Some(PathBuf::from("/nowhere"));
    let warnings = |sources| load(&sources).unwrap().warnings;
    assert_eq!(warnings(Sources { home: nowhere.clone(), ..env(trusting) }), [""; 0]);
    let missed = warnings(Sources { passfile: nowhere, ..env(trusting) });
    assert!(missed[0].contains("/nowhere: the password file cannot be read"), "{missed:?}");
}

#[test]
fn files_that_everybody_can_read_are_warned_of() {
    let with_password = "[database.app]\nurl = 'postgres://app:secret@pg1'\n";
    let with_file = "[database.app]\nnodes = ['pg1']\nuser.app.password_file = 'password'\n";
    let table: [(&str, u32, u32, &[&str]); 6] = [
        (with_password, 0o644, 0o600, &["tidegate.toml: it holds a password, and every user"]),
        (with_password, 0o640, 0o600, &[]),
        (with_file, 0o644, 0o640, &[]),
        (with_file, 0o644, 0o644, &["password_file: every user of this machine can read"]),
        (
            "console_password = 'secret'\n[database.app]\nurl = 'postgres://app@pg1?tidegate_client_auth=trust'\n",
            0o604,
            0o600,
            &["it holds a password"],
        ),
        ("[database.app]\nurl = 'postgres://app@pg1?tidegate_client_auth=trust'\n", 0o666, 0o600, &[]),
    ];
    for (text, mode, password_mode, expected) in table {
        let folder = folder(&[("tidegate.toml", text, mode), ("password", "secret", password_mode)]);
        let file = Some(folder.path().join("tidegate.toml"));
        let warnings = load(&Sources { file, ..Sources::default() }).unwrap().warnings;
        assert_eq!(warnings.len(), expected.len(), "{text}{warnings:?}");
        for (warning, expected) in warnings.iter().zip(expected) {
            assert!(warning.contains(expected) && !warning.contains("'secret'"), "{warning}");
        }
    }
}

#[test]
fn an_admin_address_for_other_machines_needs_credentials() {
    const TOKEN: &str = "0123456789abcdef";
    let load = |admin: &str, open: Option<&str>, token: Option<&str>| {
        let mut sources = env("postgres://app:secret@pg1/app");
        sources.env.admin = Some(admin.to_owned());
        sources.env.admin_open = open.map(str::to_owned);
        sources.env.admin_token = token.map(Secret::new);
        load(&sources)
    };
    for remote in ["0.0.0.0:6433", "[::]:6433", "192.0.2.1:6433", "[::ffff:127.0.0.1]:6433"] {
        let mistakes = load(remote, None, None).unwrap_err();
        assert_says(&mistakes, &["admin: ", "no credentials are given for it", "TIDEGATE_ADMIN_TOKEN_FILE"]);
        for (open, token) in [
            (None, Some(TOKEN)),
            (Some("metrics"), None),
            (Some("health"), None),
            (Some("metrics"), Some(TOKEN)),
        ] {
            assert_eq!(load(remote, open, token).unwrap().warnings, [""; 0]);
        }
        assert_eq!(load(remote, Some("all"), None).unwrap().warnings.len(), 1);
    }
    for local in ["127.0.0.1:6433", "[::1]:6433", "off"] {
        assert_eq!(load(local, None, None).unwrap().warnings, [""; 0]);
    }
    let mistakes = load("127.0.0.1:6433", Some("all"), Some(TOKEN)).unwrap_err();
    assert_says(&mistakes, &["admin_open: it is open for all, so admin_token means nothing"]);
    for token in ["0123456789abcde", "0123456789 abcdef", "0123456789abcdéf"] {
        let mistakes = load("0.0.0.0:6433", None, Some(token)).unwrap_err();
        assert_says(&mistakes, &["TIDEGATE_ADMIN_TOKEN: it is not 16 to 1024 characters"]);
        assert!(!mistakes.to_string().contains("0123"), "{mistakes}");
    }
    assert_says(
        &load("off", Some("everything"), None).unwrap_err(),
        &["TIDEGATE_ADMIN_OPEN: \"everything\""],
    );
}

#[test]
fn secrets_are_said_once() {
    for key in ["console_password", "admin_token"] {
        let text = format!(
            "{key} = 'SECRET-that-is-long'\n{key}_file = 'password'\n[database.app]\nurl = 'postgres://app:x@pg1'\n"
        );
        let mistakes = from_file(&text, Sources::default()).unwrap_err();
        assert!(!mistakes.to_string().contains("SECRET"), "{mistakes}");
        if key == "console_password" {
            assert_says(&mistakes, &["both console_password and console_password_file are given"]);
        }
    }
}

#[test]
fn attack_of_reading_the_command_line_is_warned_of() {
    let exposed = |url: &str| Sources { flags: given(url), ..Sources::default() }.exposed();
    for url in ["postgres://app:SECRET@pg1/app", "postgres://app@pg1/app?connection_limit=5&password=SECRET"]
    {
        let warning = exposed(url).unwrap();
        assert!(warning.contains("DATABASE_URL_FILE") && !warning.contains("SECRET"), "{warning}");
        assert_eq!(env(url).exposed(), None);
    }
    assert_eq!(exposed("postgres://app@pg1/app?passfile=/etc/pgpass"), None);
    let mut sources = Sources::default();
    sources.flags.replicas = vec![Secret::new("postgres://app:SECRET@pg1/app")];
    assert!(sources.exposed().is_some());
}

#[test]
fn nothing_is_seen_of_a_secret() {
    let secret = Secret::new("hunter2");
    assert_eq!(format!("{secret:?} {:#?}", Some(&secret)), "… Some(\n    …,\n)");
    assert_eq!(secret, Secret::new(String::from("hunter2")));
    assert!(secret != Secret::new("hunter3") && secret != Secret::new("hunter") && secret != Secret::new(""));
    assert!(
        std::ptr::eq(secret.expose(), secret.clone().expose()),
        "copies share the memory that is overwritten"
    );
}
