//! Facts about the build, for `tidegate version`. They are the same for the same sources and compiler, wherever and
//! whenever it is built: no time, no path, no name of a machine.
#![forbid(unsafe_code)]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=Cargo.lock");
    println!("cargo::rerun-if-env-changed=TIDEGATE_COMMIT");
    let lock = fs::read_to_string("Cargo.lock").unwrap_or_default();
    let crate_version = |name: &str| version(&lock, name).map(|version| format!("{name} {version}"));
    let grammar = version(&lock, "pg_query").and_then(|version| version.split('.').next());
    let facts = [
        ("COMMIT", commit()),
        ("RUSTC", rustc()),
        ("TARGET", env::var("TARGET").ok()),
        ("PROFILE", env::var("PROFILE").ok()),
        ("GRAMMAR", grammar.and_then(|major| Some(format!("{major} ({})", crate_version("pg_query")?)))),
        (
            "TLS",
            crate_version("rustls").and_then(|tls| Some(format!("{tls} with {}", crate_version("ring")?))),
        ),
    ];
    for (name, fact) in facts {
        println!("cargo::rustc-env=TIDEGATE_BUILD_{name}={}", fact.unwrap_or_default());
    }
}

/// The version of a crate in the lock file.
fn version<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let start = lock.find(&format!("\nname = \"{name}\"\n"))?;
    let line = lock[start..].lines().find_map(|line| line.strip_prefix("version = \""))?;
    line.strip_suffix('"')
}

/// `rustc 1.95.0 (59807616e 2026-04-14)`
fn rustc() -> Option<String> {
    let output = Command::new(env::var_os("RUSTC")?).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().strip_prefix("rustc ")?.to_owned())
}

/// `TIDEGATE_COMMIT`, for builds without a repository; else what its files say, if there is one here. Git need not be
/// installed.
fn commit() -> Option<String> {
    if let Ok(commit) = env::var("TIDEGATE_COMMIT") {
        return Some(commit).filter(|commit| is_commit(commit));
    }
    // Whoever develops it need not build everything anew after each commit.
    if env::var("PROFILE").is_ok_and(|profile| profile != "release") {
        return None;
    }
    let git = folder(Path::new(".git"))?;
    let head = git.join("HEAD");
    println!("cargo::rerun-if-changed={}", head.display());
    let head = fs::read_to_string(head).ok()?;
    let Some(name) = head.trim().strip_prefix("ref: ") else {
        return Some(head.trim().to_owned()).filter(|commit| is_commit(commit));
    };
    // The branches of a worktree are where the repository is.
    let common = fs::read_to_string(git.join("commondir")).map(|path| git.join(path.trim())).unwrap_or(git);
    let branch = common.join(name);
    let packed = common.join("packed-refs");
    for file in [&branch, &packed].into_iter().filter(|file| file.exists()) {
        println!("cargo::rerun-if-changed={}", file.display());
    }
    let loose = fs::read_to_string(branch).ok().map(|text| text.trim().to_owned());
    let in_pack = || {
        let text = fs::read_to_string(packed).ok()?;
        let line =
            text.lines().find(|line| line.strip_suffix(name).is_some_and(|line| line.ends_with(' ')))?;
        Some(line.split(' ').next()?.to_owned())
    };
    loose.or_else(in_pack).filter(|commit| is_commit(commit))
}

/// The repository's folder; in a worktree, `.git` is a file that names it.
fn folder(git: &Path) -> Option<PathBuf> {
    if git.is_dir() {
        return Some(git.to_owned());
    }
    let text = fs::read_to_string(git).ok()?;
    Some(PathBuf::from(text.trim().strip_prefix("gitdir: ")?))
}

fn is_commit(text: &str) -> bool {
    text.len() >= 7 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
