//! The file in `config/` shows every setting at its default.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tidegate::config::{Given, Secret, Settings, Sources, listing, load};

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/tidegate.toml")
}

fn from_url() -> Given {
    Given { url: Some(Secret::new("postgres://app:secret@pg1,pg2,pg3/app")), ..Given::default() }
}

/// The shipped file with the `#` taken away from every setting.
fn uncommented(text: &str) -> String {
    let setting = |line: &str| {
        line.strip_prefix('#')
            .filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '['))
            .map(str::to_owned)
    };
    let lines: Vec<String> =
        text.lines().map(|line| setting(line).unwrap_or_else(|| line.to_owned())).collect();
    lines.join("\n")
}

fn load_text(text: &str) -> Settings {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidegate.toml");
    fs::write(&path, text).unwrap();
    // Nobody else may read the password in it; there is a warning otherwise.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let file = Some(path);
    load(&Sources { file, ..Sources::default() }).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

#[test]
fn uncommented_file_is_the_defaults() {
    let defaults = load(&Sources { env: from_url(), ..Sources::default() }).unwrap();
    let text = fs::read_to_string(shipped()).unwrap();
    assert_eq!(load_text(&uncommented(&text)), defaults);
}

#[test]
fn file_as_shipped_changes_nothing() {
    let defaults = load(&Sources { env: from_url(), ..Sources::default() }).unwrap();
    let file = Some(shipped());
    let loaded = load(&Sources { file, env: from_url(), ..Sources::default() }).unwrap();
    assert_eq!(loaded, defaults);
}

/// What the console shows is complete: every name of the file is in it, but for those that only place something.
#[test]
fn every_setting_of_the_file_is_listed() {
    const PLACES: [&str; 6] =
        ["url", "password_file", "admin_token_file", "console_password_file", "cert_file", "key_file"];
    let settings = load(&Sources { env: from_url(), ..Sources::default() }).unwrap();
    let listed: Vec<String> = listing(&settings).into_iter().map(|item| item.key).collect();
    let text = fs::read_to_string(shipped()).unwrap();
    // What stands behind the sections of users and rules has been named before, or is no setting.
    let (text, _) = text.split_once("# More users of this database").unwrap();
    let name = |line: &str| {
        let (name, _) = line.trim_start_matches(['#', ' ']).split_once(" = ")?;
        let is_name =
            line.starts_with('#') && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        is_name.then(|| name.to_owned())
    };
    let names: Vec<String> =
        text.lines().filter_map(name).filter(|name| !PLACES.contains(&name.as_str())).collect();
    assert!(names.len() > 60, "{names:?}");
    for name in names {
        let of_database = format!("database.app.{name}");
        assert!(listed.contains(&name) || listed.contains(&of_database), "SHOW CONFIG has no {name}");
    }
}
