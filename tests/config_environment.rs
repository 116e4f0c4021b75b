//! What the environment says, read by a process of its own: a test cannot change its own environment safely.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::process::Command;

use tidegate::cli::args::{Invocation, parse_from};
use tidegate::config::{PeerId, Secret, SecretVariable, Sources, Ssl, load};

fn sources(args: &[&str]) -> Sources {
    match parse_from(["tidegate", "run"].iter().chain(args).map(OsString::from)) {
        Ok(Invocation::Run(sources)) => sources,
        other => panic!("{other:?}"),
    }
}

/// Runs an ignored test of this file in a process with these variables.
fn run(test: &str, variables: &[(&str, &str)]) {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.args(["--exact", test, "--ignored"]);
    for name in ["DATABASE_URL", "PGPASSWORD", "TIDEGATE_CONFIG", "TIDEGATE_PEER_ID", "TIDEGATE_WORKERS"] {
        command.env_remove(name);
    }
    let output = command.envs(variables.iter().copied()).output().expect("it runs");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && shown.contains("1 passed"), "{shown}");
}

#[test]
fn variables_are_told_from_flags() {
    let variables = [
        ("DATABASE_URL", "postgres://app@envhost/app"),
        ("PGPASSWORD", "secret"),
        ("TIDEGATE_LISTEN", "127.0.0.1:1,/"),
        ("TIDEGATE_ADMIN", "off"),
        ("TIDEGATE_LOG", ""),
        ("TIDEGATE_PEER_ID", "7"),
        ("TIDEGATE_ADMIN_TOKEN", "0123456789abcdef"),
        ("TIDEGATE_CONSOLE_PASSWORD_FILE", "/nowhere/console"),
        ("PGPASSFILE", "/nowhere/passfile"),
        ("TIDEGATE_SSL_CERT_FILE", "/a.crt"),
        ("TIDEGATE_SSL_KEY_FILE", "/a.key"),
        ("TIDEGATE_SSL_CA_FILE", ""),
    ];
    run("with_variables", &variables);
}

#[test]
#[ignore = "run by variables_are_told_from_flags"]
fn with_variables() {
    let given = sources(&["--admin", "127.0.0.1:3", "--ssl-key-file", "/b.key"]);
    assert_eq!(given.env.url, Some(Secret::new("postgres://app@envhost/app")));
    assert_eq!(given.env.admin_token, Some(Secret::new("0123456789abcdef")));
    assert_eq!(given.files, [(SecretVariable::ConsolePassword, "/nowhere/console".into())]);
    assert_eq!(given.passfile, Some("/nowhere/passfile".into()));
    assert!(given.home.is_some());
    let mistakes = load(&given).expect_err("a file is missing").to_string();
    assert!(mistakes.contains("TIDEGATE_CONSOLE_PASSWORD_FILE: the file"), "{mistakes}");
    let given = Sources { files: Vec::new(), ..given };
    assert_eq!((given.flags.url.as_ref(), given.env.log.as_ref()), (None, None));
    let settings = load(&given).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let listen: Vec<String> = settings.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["127.0.0.1:1", "/:6432"]);
    assert_eq!(settings.admin.map(|address| address.port()), Some(3));
    assert_eq!(settings.peer_id.map(PeerId::number), Some(7));
    assert_eq!((settings.tls.ssl, settings.tls.authorities), (Ssl::Allow, None));
    assert_eq!(settings.tls.certificate.map(|files| files.key), Some("/b.key".into()), "flags go before it");
    assert_eq!(settings.databases[0].users[0].password, Some(Secret::new("secret")));

    let given = sources(&["--primary", "postgres://app@pg1/app", "--replica", "postgres://pg2"]);
    let given = Sources { files: Vec::new(), ..given };
    let settings = load(&given).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let nodes: Vec<String> = settings.databases[0].nodes.iter().map(ToString::to_string).collect();
    assert_eq!(nodes, ["pg1:5432", "pg2:5432"], "--primary hides DATABASE_URL");
}

#[test]
fn mistakes_name_their_variable() {
    let variables = [
        ("DATABASE_URL", "postgres://app:s3cr3t@envhost/app?pool_timeout=x"),
        ("TIDEGATE_ADMIN", "on"),
        ("TIDEGATE_CONFIG", ""),
    ];
    run("with_mistakes", &variables);
}

#[test]
#[ignore = "run by mistakes_name_their_variable"]
fn with_mistakes() {
    let text = load(&sources(&["--workers", "0"])).expect_err("there are mistakes").to_string();
    let origins =
        ["TIDEGATE_ADMIN: ", "--workers: ", "DATABASE_URL postgres://app:…@envhost/app?…, pool_timeout: "];
    for origin in origins {
        assert!(text.contains(origin), "{text}");
    }
    assert!(!text.contains("s3cr3t"), "{text}");

    let Err(help) = parse_from(["tidegate", "run", "--help"].map(OsString::from)) else { panic!("no help") };
    assert!(!help.text.contains("s3cr3t"), "{}", help.text);
    println!("{}", help.text);
}
