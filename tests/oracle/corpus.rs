//! Folders of files for psql, to be run through the oracle.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::regress::DATABASE;

/// The files of a corpus, in order. Each is to have a cluster of its own.
pub fn files(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/corpus").join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == "sql")).collect();
    files.sort();
    assert!(!files.is_empty(), "{} holds no files", folder.display());
    files
}

/// Runs a file through `address`. All of it must succeed on the primary.
pub fn run(file: &Path, bin: &Path, address: SocketAddr) {
    let mut psql = Command::new(bin.join("psql"));
    psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres", "-d", DATABASE]);
    psql.args(["-p", &address.port().to_string(), "-f"]).arg(file);
    psql.env("PGAPPNAME", file.file_stem().unwrap_or_default()).env("PGSSLMODE", "disable");
    let output = psql.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} failed:\n{said}", file.display());
}
