//! PostgreSQL's regression suite and the tests of its extensions, run through any address; and servers they pass on.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tidegate::local::{LocalCluster, LocalNode, Options, binaries};

use super::wait_until;

/// The database that everything happens in.
pub const DATABASE: &str = "regression";

/// Tests of one group that run at the same time at most.
const AT_ONCE: u32 = 10;

/// What PostgreSQL's tests need to pass without a proxy.
const PRIMARY: [&str; 2] = ["max_prepared_transactions = 2", "max_wal_size = '4GB'"];
/// Replay waits for readers instead of cancelling them, and no reader keeps VACUUM on the primary from its work: the
/// tests look at what it leaves.
const STANDBY: [&str; 4] = [
    "max_prepared_transactions = 2",
    "hot_standby_feedback = off",
    "max_standby_streaming_delay = -1",
    "max_standby_archive_delay = -1",
];

/// As `pg_regress` makes its database.
const CREATE: &str = "
create database regression template template0;
alter database regression set lc_messages to 'C';
alter database regression set lc_monetary to 'C';
alter database regression set lc_numeric to 'C';
alter database regression set lc_time to 'C';
alter database regression set bytea_output to 'hex';
alter database regression set timezone_abbreviations to 'Default';
";

/// Where PostgreSQL and its tests are, as `scripts/build-postgres.sh` leaves them.
pub struct Home {
    folder: PathBuf,
}

/// A set of tests that belong together.
pub struct Suite {
    /// Holds `sql` and `expected`.
    input: PathBuf,
    tests: Tests,
}

enum Tests {
    /// All of a schedule, which says what may run at the same time.
    Schedule(PathBuf),
    /// These, one after the other.
    Named(Vec<String>),
}

impl Home {
    pub fn new(folder: &str) -> Self {
        Self { folder: PathBuf::from(folder) }
    }

    /// PostgreSQL's programs.
    pub fn bin(&self) -> PathBuf {
        self.folder.join("install/bin")
    }

    /// The suites of a corpus: each is to have a cluster of its own. `None` if it is one of files.
    pub fn suites(&self, corpus: &str, tests: &[String]) -> Option<Vec<Suite>> {
        match corpus {
            "regress" => Some(vec![self.regress(tests)]),
            "contrib" => Some(self.contrib()),
            _ => None,
        }
    }

    /// PostgreSQL's regression suite, or some of its tests.
    pub fn regress(&self, tests: &[String]) -> Suite {
        let input = self.folder.join("regress");
        let tests = match tests {
            [] => Tests::Schedule(input.join("parallel_schedule")),
            some => Tests::Named(some.to_vec()),
        };
        Suite { input, tests }
    }

    /// The tests of the extensions that come with PostgreSQL.
    fn contrib(&self) -> Vec<Suite> {
        let entries = fs::read_dir(self.folder.join("contrib")).unwrap();
        let mut folders: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        folders.sort();
        let suite = |input: PathBuf| {
            let tests = fs::read_to_string(input.join("tests")).unwrap();
            let tests = Tests::Named(tests.split_whitespace().map(str::to_owned).collect());
            Suite { input, tests }
        };
        folders.into_iter().map(suite).collect()
    }

    /// Runs tests through `address`, and says how they did in the words of `pg_regress`. What differs from what is
    /// expected is added to the file `differences`.
    ///
    /// The tests have the server write files, so the run belongs to the account that the servers belong to.
    pub fn run(
        &self,
        suite: &Suite,
        cluster: &LocalCluster,
        address: SocketAddr,
        differences: &Path,
    ) -> String {
        let owner = fs::metadata(cluster.folder()).unwrap();
        let output = cluster.folder().join("regress");
        fs::create_dir(&output).unwrap();
        chown(&output, Some(owner.uid()), Some(owner.gid())).unwrap();
        let regress = self.folder.join("regress");
        let mut command = Command::new(regress.join("pg_regress"));
        command.uid(owner.uid()).gid(owner.gid()).current_dir(&suite.input).stdin(Stdio::null());
        command.env("LC_ALL", "C").env("PGCONNECT_TIMEOUT", "20").env("PGSSLMODE", "disable");
        command.args(["--use-existing", "--host=127.0.0.1", "--user=postgres"]);
        command.arg(format!("--port={}", address.port())).arg(format!("--dbname={DATABASE}"));
        command.arg(format!("--max-connections={AT_ONCE}"));
        let folders = [
            ("inputdir", &suite.input),
            ("dlpath", &regress),
            ("bindir", &self.bin()),
            ("outputdir", &output),
        ];
        for (name, path) in folders {
            command.arg(format!("--{name}={}", path.display()));
        }
        match &suite.tests {
            Tests::Schedule(path) => command.arg(format!("--schedule={}", path.display())),
            Tests::Named(tests) => command.args(tests),
        };
        let ran = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap().wait_with_output();
        let told = String::from_utf8_lossy(&ran.unwrap().stdout).into_owned();
        keep(&output.join("regression.diffs"), differences);
        told
    }
}

/// How tests differ through Tidegate is worth a look, though it is not what is measured here.
fn keep(from: &Path, to: &Path) {
    if let Ok(differences) = fs::read(from) {
        let mut to = OpenOptions::new().create(true).append(true).open(to).unwrap();
        to.write_all(&differences).unwrap();
    }
}

/// Servers with the database of the tests. The user `postgres` needs no password.
pub fn cluster(bin: &Path, replicas: usize) -> LocalCluster {
    let mut options = Options::new(binaries::find(Some(bin)).unwrap());
    options.replicas = replicas;
    options.primary_conf = PRIMARY.map(str::to_owned).to_vec();
    options.replica_conf = STANDBY.map(str::to_owned).to_vec();
    let cluster = LocalCluster::start(&options).unwrap();
    let_in(cluster.primary());
    cluster.replicas().iter().for_each(let_in);
    cluster.primary().psql(CREATE).unwrap();
    cluster
}

/// Asks nobody on loopback for a password.
fn let_in(node: &LocalNode) {
    let path = node.data_dir().join("pg_hba.conf");
    let rules = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("host all postgres 127.0.0.1/32 trust\n{rules}")).unwrap();
    node.psql("select pg_reload_conf()").unwrap();
    let loaded =
        "select count(*) from pg_hba_file_rules where auth_method = 'trust' and user_name = '{postgres}'";
    wait_until("the node lets us in", || node.psql(loaded).unwrap().trim() == "1");
}
