//! PostgreSQL's regression suite, run through the oracle.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tidegate::local::LocalCluster;

use crate::stage::DATABASE;

/// Tests of one group that run at the same time at most.
const AT_ONCE: u32 = 6;

/// A run of the suite.
pub struct Regress<'a> {
    /// `src/test/regress` of PostgreSQL's source, built.
    pub suite: &'a Path,
    /// PostgreSQL's programs.
    pub bin: &'a Path,
    /// Tests by name; none means all.
    pub tests: &'a [String],
}

impl Regress<'_> {
    /// Runs it through `address`, and says how the tests did in the words of `pg_regress`.
    ///
    /// The tests have the server write files, so the run belongs to the account that the servers belong to.
    pub fn run(&self, cluster: &LocalCluster, address: SocketAddr) -> String {
        let owner = fs::metadata(cluster.folder()).unwrap();
        let output = cluster.folder().join("regress");
        fs::create_dir(&output).unwrap();
        chown(&output, Some(owner.uid()), Some(owner.gid())).unwrap();
        let mut command = Command::new(self.suite.join("pg_regress"));
        command.uid(owner.uid()).gid(owner.gid()).current_dir(&output).stdin(Stdio::null());
        command.env("LC_ALL", "C").env("PGCONNECT_TIMEOUT", "20").env("PGSSLMODE", "disable");
        command.args(["--use-existing", "--host=127.0.0.1", "--user=postgres"]);
        command.arg(format!("--port={}", address.port())).arg(format!("--dbname={DATABASE}"));
        command.arg(format!("--max-connections={AT_ONCE}"));
        for (name, path) in [("inputdir", self.suite), ("dlpath", self.suite), ("bindir", self.bin)] {
            command.arg(format!("--{name}={}", path.display()));
        }
        command.arg(format!("--outputdir={}", output.display()));
        if self.tests.is_empty() {
            command.arg(format!("--schedule={}", self.suite.join("parallel_schedule").display()));
        } else {
            command.args(self.tests);
        }
        let ran = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap().wait_with_output();
        let told = String::from_utf8_lossy(&ran.unwrap().stdout).into_owned();
        keep(&output.join("regression.diffs"), &crate::report::folder().join("regression.diffs"));
        told
    }
}

/// How tests differ through Tidegate is worth a look, though it is not what is measured here.
fn keep(from: &Path, to: &PathBuf) {
    if from.exists() {
        fs::copy(from, to).unwrap();
    }
}
