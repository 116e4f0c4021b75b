//! The file in `config/` shows every setting at its default.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tidegate::config::{Given, Secret, Settings, Sources, load};

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
