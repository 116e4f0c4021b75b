//! What the program does without a proxy: settings, completions, the manual, the version, the import.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// What the program said, and its exit code.
struct Said {
    code: i32,
    out: String,
    err: String,
}

fn tidegate(args: &[&str], variables: &[(&str, &str)]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.env_clear().args(args).stdin(Stdio::null());
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { code: output.status.code().unwrap(), out: text(&output.stdout), err: text(&output.stderr) }
}

fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

const FILE: &str = "\
log = \"info\"
console_users = [\"ops\"]
console_password = \"SECRETconsole\"

[database.app]
url = \"postgres://app:SECRETurl@pg1,pg2/app?tidegate_pool_mode=session\"
connection_limit = 7
auth_file = \"users.txt\"

[database.app.user.reporting]
password = \"SECRETuser\"
consistency = \"bounded(5s)\"

[[database.app.rule]]
statement = \"select 'SECRETliteral'\"
consistency = \"eventual\"
";

#[test]
fn settings_are_printed_with_where_they_were_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidegate.toml");
    private(&file, FILE);
    private(&folder.path().join("users.txt"), "\"listed\" \"SECRETlisted\"\n");
    let path = file.to_str().unwrap();
    let variables = [
        ("TIDEGATE_ADMIN_TOKEN", "SECRETtoken-of-16-characters"),
        ("TIDEGATE_LOCALITY", "a"),
        ("TIDEGATE_LOG", "debug"),
    ];
    let said = tidegate(
        &["config", "print", "--config", path, "--log", "trace", "--listen", "127.0.0.1:1"],
        &variables,
    );
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(!format!("{}{}", said.out, said.err).contains("SECRET"), "{}", said.out);
    let table: toml::Table = said.out.parse().unwrap();
    assert_eq!(table["log"].as_str(), Some("trace"));
    for line in [
        "listen = [\"127.0.0.1:1\"]  # --listen".to_owned(),
        "log = \"trace\"  # --log".to_owned(),
        "locality = \"a\"  # TIDEGATE_LOCALITY".to_owned(),
        "admin_token = \"…\"  # TIDEGATE_ADMIN_TOKEN".to_owned(),
        format!("console_users = [\"ops\"]  # {path}:2"),
        format!("console_password = \"…\"  # {path}:3"),
        "shutdown_timeout = \"30s\"  # default".to_owned(),
        "# workers is not set".to_owned(),
        format!("connection_limit = 7  # {path}:7"),
        "pool_timeout = \"20s\"  # default".to_owned(),
        format!("auth_file = \"{}\"  # {path}:8", folder.path().join("users.txt").display()),
        format!("consistency = \"bounded(5s)\"  # {path}:12"),
        "statement = [\"…\"]".to_owned(),
    ] {
        assert!(said.out.lines().any(|known| known == line), "no line {line} in\n{}", said.out);
    }
    let pool_mode = said.out.lines().find(|line| line.starts_with("pool_mode = \"session\"  # ")).unwrap();
    assert!(pool_mode.contains(":6,") && pool_mode.ends_with("tidegate_pool_mode"), "{pool_mode}");
    assert!(said.out.contains("nodes = [\"pg1:5432\", \"pg2:5432\"]  # "), "{}", said.out);
    assert!(said.out.contains("[database.app.user.listed]"), "{}", said.out);
}

#[test]
fn what_is_printed_says_the_same_again() {
    let url = "postgres://app@pg1,pg2:6000/app?tidegate_client_auth=trust&options=-c%20geqo%3Doff&tidegate_locked_settings=scope,key";
    let first = tidegate(&["config", "print", "--url", url], &[]);
    assert_eq!(first.code, 0, "{}", first.err);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidegate.toml");
    private(&file, &first.out);
    let second = tidegate(&["config", "print", "--config", file.to_str().unwrap()], &[]);
    assert_eq!(second.code, 0, "{}", second.err);
    let bare = |text: &str| {
        text.lines().map(|line| line.split("  # ").next().unwrap_or("").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(bare(&first.out), bare(&second.out));
}

#[test]
fn mistakes_end_in_exit_code_2() {
    let said = tidegate(&["config", "print", "--url", "postgres://app:SECRET@pg1/app?pol_mode=x"], &[]);
    assert!(said.code == 2 && said.out.is_empty() && said.err.contains("pol_mode"), "{}", said.err);
    assert!(!said.err.contains("SECRET"));
    assert_eq!(tidegate(&["config", "print", "--config", "/nowhere.toml"], &[]).code, 2);
    assert_eq!(tidegate(&["completions", "csh"], &[]).code, 2);
    assert_eq!(tidegate(&["man", "--all", "/nowhere"], &[]).code, 2);
}

#[test]
fn shells_read_their_completions() {
    for (shell, word) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef tidegate"),
        ("fish", "complete -c tidegate"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion"),
    ] {
        let said = tidegate(&["completions", shell], &[]);
        assert!(said.code == 0 && said.out.contains(word) && said.out.contains("import"), "{shell}");
    }
    // The one that is always there reads it, and offers what there is.
    let script = tidegate(&["completions", "bash"], &[]).out;
    let ask = "COMP_WORDS=(tidegate con); COMP_CWORD=1; _tidegate tidegate con tidegate; printf '%s ' \"${COMPREPLY[@]}\"";
    let output = Command::new("bash").args(["--norc", "-c", &format!("{script}\n{ask}")]).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        "config",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn there_is_a_page_of_the_manual_for_every_command() {
    let page = tidegate(&["man"], &[]);
    assert!(page.code == 0 && page.out.contains(".TH tidegate 1"), "{}", page.out);
    let folder = tempfile::tempdir().unwrap();
    let said = tidegate(&["man", "--all", folder.path().to_str().unwrap()], &[("TIDEGATE_LOG", "SECRET")]);
    assert_eq!(said.code, 0, "{}", said.err);
    for name in ["tidegate", "tidegate-run", "tidegate-import", "tidegate-config-print", "tidegate-demo"] {
        let page = fs::read_to_string(folder.path().join(format!("{name}.1"))).unwrap();
        assert!(page.contains(&format!(".TH {name} 1")) && page.contains(".SH SYNOPSIS"), "{page}");
        assert!(!page.contains("SECRET"));
    }
}

#[test]
fn the_version_is_short_or_long() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(tidegate(&["-V"], &[]).out, format!("tidegate {version}\n"));
    let long = tidegate(&["version"], &[]).out;
    assert_eq!(tidegate(&["--version"], &[]).out.trim(), long.trim());
    let is_built_in = |part: &str| long.lines().any(|line| line.starts_with(part));
    for part in ["rustc: ", "target: ", "profile: ", "PostgreSQL grammar: 1", "TLS: rustls "] {
        assert!(is_built_in(part), "{part}: {long}");
    }
    // Nothing that says where it was built.
    assert!(!long.contains(env!("CARGO_MANIFEST_DIR")), "{long}");
}

#[test]
fn an_import_writes_what_can_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    private(
        Path::new(&path("pgbouncer.ini")),
        &format!(
            "[databases]\napp = host=pg1,pg2\nbilling = host=pg3 user=biller password=SECRETbiller\n[pgbouncer]\nauth_type = scram-sha-256\n\
             listen_addr = localhost\nauth_file = userlist.txt\nunix_socket_dir = {}\nadmin_users = app\n",
            folder.path().display()
        ),
    );
    private(Path::new(&path("userlist.txt")), "\"app\" \"SECRETapp\"\n");
    let said = tidegate(&["import", &path("pgbouncer.ini"), "--output", &path("tidegate.toml")], &[]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let printed = tidegate(&["config", "print", "--config", &path("tidegate.toml")], &[]);
    assert_eq!(printed.code, 0, "{}", printed.err);
    assert!(!format!("{}{}{}", said.out, said.err, printed.out).contains("SECRET"), "{}", said.out);
    let secret = path("tidegate.billing.password");
    assert_eq!(fs::read_to_string(&secret).unwrap(), "SECRETbiller\n");
    assert_eq!(fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    // What is there is not written over by mistake.
    let again = tidegate(&["import", &path("pgbouncer.ini"), "--output", &path("tidegate.toml")], &[]);
    assert!(again.code == 2 && again.err.contains("--force"), "{}", again.err);
    let forced = tidegate(&["import", &path("pgbouncer.ini"), "-o", &path("tidegate.toml"), "--force"], &[]);
    assert_eq!(forced.code, 0, "{}", forced.err);
    // To the screen: settings there, words here, passwords nowhere.
    let shown = tidegate(&["import", &path("pgbouncer.ini")], &[]);
    assert!(shown.code == 0 && shown.out.parse::<toml::Table>().is_ok(), "{}", shown.err);
    assert!(
        shown.err.contains("Taken over:") && shown.err.contains("tidegate.billing.password"),
        "{}",
        shown.err
    );
    assert!(!format!("{}{}", shown.out, shown.err).contains("SECRET"));
}

#[test]
fn an_import_that_cannot_be_used_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let import = |text: &str, more: &[&str]| {
        private(Path::new(&path("p.ini")), text);
        let (file, output) = (path("p.ini"), path("out.toml"));
        let mut args = vec!["import", file.as_str(), "-o", output.as_str(), "--force"];
        args.extend(more);
        tidegate(&args, &[])
    };
    let nobody =
        import("[databases]\napp = host=pg1\n[pgbouncer]\nlisten_addr = 127.0.0.1\nunix_socket_dir =\n", &[]);
    assert!(nobody.code == 1 && nobody.err.contains("no user is given"), "{}", nobody.err);
    assert!(nobody.out.contains("password_file"), "{}", nobody.out);
    let broken = import("[databases]\napp host=SECRET\n", &[]);
    assert!(
        broken.code == 2 && broken.err.contains("p.ini:2") && !broken.err.contains("SECRET"),
        "{}",
        broken.err
    );
    let missing = import("[databases]\n", &["--userlist", "/nowhere.txt"]);
    assert!(missing.code == 2 && missing.err.contains("/nowhere.txt"), "{}", missing.err);
    assert_eq!(tidegate(&["import", "/nowhere.ini"], &[]).code, 2);
}
