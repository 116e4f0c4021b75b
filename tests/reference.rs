//! Pages and files that the program can say itself are in the tree as it says them. `UPDATE=1` writes them anew.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use regex::Regex;

use tidegate::cli::manual;
use tidegate::config::reference;

#[track_caller]
fn holds(file: &str, said: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, said).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    let differs = written.lines().zip(said.lines()).position(|(a, b)| a != b);
    assert!(
        written == said,
        "{file} is not what the program says, from line {} on. UPDATE=1 cargo test --locked --test reference writes it anew",
        differs.map_or(written.lines().count().min(said.lines().count()), |line| line + 1)
    );
}

#[test]
fn every_setting_is_in_the_reference() {
    holds("docs/configuration-reference.md", &reference::page());
}

#[test]
fn the_schema_is_the_one_of_the_program() {
    holds("config/tidegate.schema.json", &reference::schema());
}

#[test]
fn every_command_is_in_the_manual() {
    holds("docs/command-line.md", &manual::markdown());
}

/// The SQLSTATEs of the errors that the proxy makes itself: what is handed to those who make them.
fn made(folder: &Path, found: &mut BTreeSet<String>) {
    let maker = Regex::new(r#"(?:error|fatal|terminated|Refusal::new)\([ \n]*"([0-9A-Z]{5})""#).unwrap();
    // The console looks at no server's errors: every code in it is its own.
    let any = Regex::new(r#""([0-9][0-9A-Z]{4})""#).unwrap();
    let maker = if folder.ends_with("console") { any } else { maker };
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() && entry.file_name() != "scripted" {
            made(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            found.extend(maker.captures_iter(code).map(|captures| captures[1].to_owned()));
        }
    }
}

#[test]
fn every_sqlstate_is_explained() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeSet::new();
    made(&root.join("src/session"), &mut found);
    assert!(found.len() > 20, "{found:?}");
    let page = fs::read_to_string(root.join("docs/troubleshooting.md")).unwrap();
    let row = Regex::new(r"(?m)^\| `([0-9A-Z]{5})`").unwrap();
    let explained: BTreeSet<String> =
        row.captures_iter(&page).map(|captures| captures[1].to_owned()).collect();
    assert_eq!(explained, found, "docs/troubleshooting.md has a row for each, and for no other");
}
