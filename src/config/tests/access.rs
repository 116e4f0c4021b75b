//! Rules for who may come in, and what those may do who have not.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::auth::hba::{Connection, Method, Origin};

const APP: &str = "[database.app]\nurl = 'postgres://app:secret@pg1'\n";

/// What a file of this text gives, with other files beside it.
fn with_files(text: &str, files: &[(&str, &str)]) -> Result<Settings, Mistakes> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let file = folder.path().join("tidegate.toml");
    fs::write(&file, text).unwrap();
    // There are passwords in it.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    load(&Sources { file: Some(file), ..Sources::default() })
}

#[test]
fn rules_are_read_with_all_files_they_name() {
    let text = format!("hba_file = 'rules/hba'\nident_file = 'rules/ident'\n{APP}");
    let files = [
        (
            "rules/hba",
            "include more/first\ninclude_if_exists gone\ninclude_dir more/d\nhost app @more/users all md5\n",
        ),
        ("rules/more/first", "host app @names all reject\n"),
        ("rules/more/names", "ann # not bob\n"),
        ("rules/more/users", "cat, @names"),
        ("rules/more/d/2.conf", "host app dan all scram-sha-256"),
        ("rules/more/d/1.conf", "host app dan all trust"),
        ("rules/more/d/.0.conf", "broken"),
        ("rules/more/d/1.conf~", "broken"),
        ("rules/ident", "m root app\n"),
    ];
    let settings = with_files(&text, &files).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(settings.databases[0].client_auth, ClientAuth::Hba);
    let access = settings.access.clone().unwrap();
    let method = |user| {
        let origin = Origin::Host { address: [127, 0, 0, 1].into(), is_encrypted: false };
        let connection = Connection { origin, database: Some("app"), user };
        access.rules.first(&connection, &[]).map(|rule| rule.method)
    };
    assert_eq!(method("ann"), Some(Method::Reject));
    assert_eq!(method("cat"), Some(Method::Md5));
    assert_eq!(method("dan"), Some(Method::Trust), "in the order of the names of files");
    assert_eq!(method("bob"), None);
    assert!(access.maps.allow(Some("m"), "root", "app"));

    // What is read again is the same as long as all files are.
    assert_eq!(with_files(&text, &files).unwrap().access.map(|a| a.rules.iter().count()), Some(4));
}

#[test]
fn another_text_of_a_file_that_is_named_is_another_setting() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("tidegate.toml", &format!("hba_file = 'hba'\n{APP}"));
    write("hba", "host all @users all md5");
    write("users", "ann");
    let file = Some(folder.path().join("tidegate.toml"));
    let read = || load(&Sources { file: file.clone(), ..Sources::default() }).unwrap();
    let before = read();
    assert_eq!(read(), before);
    write("users", "bob");
    assert_ne!(read(), before);
}

#[test]
fn what_is_risky_or_never_holds_is_warned_of() {
    let text = format!("listen = ['0.0.0.0:1', '127.0.0.1:2']\nhba_file = 'hba'\n{APP}");
    let hba = "local all all peer map=m\nlocal all all trust\nhost all all samehost trust\nhost all all 127.0.0.0/8 trust\n\
               host all all ::1/128 trust\nhost all all 10.0.0.0/8 trust\nhostssl all all all trust clientcert=verify-ca\n";
    let warnings = with_files(&text, &[("hba", hba)]).unwrap().warnings;
    let [map, trust] = warnings.as_slice() else { panic!("{warnings:#?}") };
    assert!(map.contains("hba:1: no line of ident_file is about the map m"), "{map}");
    assert!(trust.contains("hba:6: 0.0.0.0:1 can be reached from other machines"), "{trust}");
}

#[test]
fn mistakes_about_rules_and_strangers() {
    let other = APP.replace("pg1'", "pg1?tidegate_client_auth=hba'");
    let trust = APP.replace("pg1'", "pg1?tidegate_client_auth=trust'");
    for (text, words) in [
        (format!("ident_file = 'ident'\n{APP}"), "ident_file: there is no hba_file"),
        (format!("hba_file = 'gone'\n{APP}"), "hba_file: the file"),
        (format!("hba_file = 'hba'\nident_file = 'gone'\n{APP}"), "ident_file: the file"),
        (format!("hba_file = 'empty'\n{APP}"), "empty:1: nobody could come in"),
        (format!("hba_file = 'hba'\n{trust}"), "client_auth: the rules of hba_file say"),
        (other, "client_auth: there is no hba_file"),
        (format!("authentication_timeout = '0s'\n{APP}"), "is not from 1s to 10min"),
        (format!("authentication_timeout = '1h'\n{APP}"), "is not from 1s to 10min"),
        (format!("auth_failure_window = 0\n{APP}"), "auth_failure_window: no time at all"),
        (format!("max_unauthenticated_clients = 0\n{APP}"), "is not a whole number from 1"),
        (format!("auth_failures = 5\n{APP}"), "there is no setting of this name"),
    ] {
        let mistakes = with_files(&text, &[("hba", "host all all all md5"), ("empty", "")]).expect_err(&text);
        assert_says(&mistakes, &[words]);
    }
}

#[test]
fn zero_means_any_number() {
    let text = format!("auth_failure_limit = 0\nmax_connections_per_address = 0\n{APP}");
    let admission = from_file(&text, Sources::default()).unwrap().admission;
    let wanted = AdmissionSettings { failures: None, ..AdmissionSettings::default() };
    assert_eq!(admission, wanted);
    let text =
        format!("auth_failure_limit = 2\nauth_failure_delay = '3s'\nmax_connections_per_address = 4\n{APP}");
    let admission = from_file(&text, Sources::default()).unwrap().admission;
    let limits = FailureLimits { limit: 2, delay: Duration::from_secs(3), ..FailureLimits::default() };
    assert_eq!((admission.failures, admission.max_connections_per_address), (Some(limits), Some(4)));
}
