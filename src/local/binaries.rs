//! Finds PostgreSQL's programs. Debian and Red Hat keep them out of `PATH`, in one folder per version.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a local cluster runs.
const NEEDED: [&str; 4] = ["initdb", "postgres", "pg_basebackup", "psql"];

/// Folders that hold one folder per version: the part before the version, and the part after it.
const VERSIONED: [(&str, &str, &str); 5] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// A folder with PostgreSQL's programs in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PgBin {
    dir: PathBuf,
}

impl PgBin {
    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The path of one program, such as `pgbench`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// PostgreSQL's programs are not on this machine, or not where they were said to be.
#[derive(Debug, thiserror::Error)]
#[error(
    "PostgreSQL's server programs ({}) were not found; looked in: {}. Install them (Debian and Ubuntu: `apt-get \
     install postgresql`, Fedora: `dnf install postgresql-server`, macOS: `brew install postgresql`) or name their folder",
    NEEDED.join(", "),
    places(looked_in)
)]
pub struct NotFound {
    /// The folders that were tried, in order.
    pub looked_in: Vec<PathBuf>,
}

fn places(looked_in: &[PathBuf]) -> String {
    let places: Vec<_> = looked_in.iter().map(|place| place.display().to_string()).collect();
    if places.is_empty() { "the usual folders, pg_config and PATH".to_owned() } else { places.join(", ") }
}

/// Finds PostgreSQL's programs: in `explicit` and nowhere else when that is given; otherwise the newest version in the
/// usual folders, then where `pg_config` says, then in `PATH`.
pub fn find(explicit: Option<&Path>) -> Result<PgBin, NotFound> {
    let candidates = match explicit {
        Some(dir) => vec![dir.to_owned()],
        None => usual_folders(Path::new("/")).into_iter().chain(pg_config()).chain(on_path()).collect(),
    };
    match candidates.iter().find(|dir| is_complete(dir)) {
        // PostgreSQL is run with another working folder than ours.
        Some(dir) => Ok(PgBin { dir: std::path::absolute(dir).unwrap_or_else(|_| dir.clone()) }),
        None => Err(NotFound { looked_in: candidates }),
    }
}

fn is_complete(dir: &Path) -> bool {
    NEEDED.iter().all(|program| dir.join(program).is_file())
}

/// The versioned folders under `root`, the newest version first.
fn usual_folders(root: &Path) -> Vec<PathBuf> {
    let mut found: Vec<(Vec<u32>, PathBuf)> = Vec::new();
    for (parent, prefix, bin) in VERSIONED {
        let parent = root.join(parent.trim_start_matches('/'));
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        found.extend(entries.filter_map(|entry| {
            let version = parse_version(entry.file_name().to_str()?.strip_prefix(prefix)?)?;
            Some((version, entry.path().join(bin)))
        }));
    }
    found.sort_by(|(left, _), (right, _)| right.cmp(left));
    found.into_iter().map(|(_, dir)| dir).collect()
}

fn parse_version(text: &str) -> Option<Vec<u32>> {
    text.split('.').map(|part| part.parse().ok()).collect()
}

fn pg_config() -> Option<PathBuf> {
    printed_path(Command::new("pg_config").arg("--bindir"))
}

fn on_path() -> Option<PathBuf> {
    let initdb = printed_path(Command::new("sh").args(["-c", "command -v initdb"]))?;
    // A link in /usr/local/bin is followed to where the other programs are.
    Some(fs::canonicalize(initdb).ok()?.parent()?.to_owned())
}

fn printed_path(command: &mut Command) -> Option<PathBuf> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(text.trim())).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot make its files has failed")]

    use super::*;

    fn install(dir: &Path) {
        fs::create_dir_all(dir).unwrap();
        for program in NEEDED {
            fs::write(dir.join(program), "").unwrap();
        }
    }

    #[test]
    fn newest_version_comes_first_by_number_not_by_spelling() {
        let root = tempfile::tempdir().unwrap();
        for dir in ["usr/lib/postgresql/9.6/bin", "usr/lib/postgresql/15/bin", "usr/pgsql-18/bin"] {
            install(&root.path().join(dir));
        }
        fs::create_dir_all(root.path().join("usr/pgsql-old/bin")).unwrap();
        let found = usual_folders(root.path());
        let expected = ["usr/pgsql-18/bin", "usr/lib/postgresql/15/bin", "usr/lib/postgresql/9.6/bin"];
        assert_eq!(found, expected.map(|dir| root.path().join(dir)));
    }

    #[test]
    fn an_explicit_folder_is_used_or_refused_but_never_replaced() {
        let root = tempfile::tempdir().unwrap();
        let error = find(Some(root.path())).unwrap_err().to_string();
        assert!(error.contains(root.path().to_str().unwrap()), "{error}");
        assert!(error.contains("apt-get install postgresql"), "{error}");
        install(root.path());
        assert_eq!(find(Some(root.path())).unwrap().dir(), root.path());
    }
}
