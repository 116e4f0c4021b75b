//! What the commands of the documentation are run on: a cluster, a proxy, and a folder with what they may use.
//!
//! | in the documentation | here |
//! |---|---|
//! | `pg1`, `pg2`, `pg3`, with port 5432 or without | the primary and the replicas of the cluster |
//! | `tidegate:6432`, `127.0.0.1:6432`, `-h tidegate -p 6432` | the proxy |
//! | `tidegate:6433`, `127.0.0.1:6433`, `10.0.0.5:6433` | its admin address |
//! | addresses that a proxy is to listen on: `0.0.0.0:…`, `--listen …`, ports that end in 6432 and 6433 | any free port of 127.0.0.1 |
//! | `/etc/tidegate` | a folder with a `tidegate.toml` of two users |
//! | `/etc/pgbouncer` | a folder with a `pgbouncer.ini` and its list of users |
//! | `/backup` | a folder that is not there yet |
//! | `--seconds 600` | two seconds; twenty where `tidegate verify` says that those were too few |
//! | `tidegate`, `target/release/tidegate` | the program under test; `tidegate run` ends when it has begun to listen |
//! | `tidegate top` | one frame of it |
//! | `curl -sN`, which follows what does not end | two seconds of it |
//! | `cargo build --release` | nothing: it is built |
//! | `pidof tidegate` | the proxy's process number, and nobody else's |
//!
//! Users are `app`, `ops` (a superuser) and `replicator`, with the password `secret`; there is a view `v_orders`. Of other
//! programs only those in `PROGRAMS` are found, and no path outside of the folder may be named.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use regex::Regex;
use tempfile::TempDir;
use tidegate::local::{LocalCluster, LocalNode, Options};

use super::blocks::Block;
use super::support::proxy::{RunningProxy, Tidegate};
use super::support::{exclusive_cluster, options, pg_bin};

/// What commands may use besides the shell's own and PostgreSQL's.
const PROGRAMS: [&str; 16] = [
    "cat", "chmod", "cp", "curl", "env", "grep", "head", "mkdir", "mktemp", "mv", "openssl", "rm", "sed",
    "sh", "sleep", "tail",
];
const OF_POSTGRESQL: [&str; 3] = ["pg_basebackup", "pgbench", "psql"];

/// How long the commands of one page may take, in seconds.
const PATIENCE: &str = "180";

/// Words before which a shell still expects a command.
const KEYWORDS: [&str; 12] =
    ["!", "do", "else", "env", "exec", "if", "nohup", "sudo", "then", "time", "until", "while"];

/// The words of a command from its program on.
fn from_program(command: &[String]) -> &[String] {
    let is_before = |word: &String| {
        let (name, value) = word.split_once('=').map_or((word.as_str(), false), |(name, _)| (name, true));
        KEYWORDS.contains(&word.as_str())
            || (value && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()))
    };
    let begin = command.iter().position(|word| !is_before(word)).unwrap_or(command.len());
    &command[begin..]
}

/// The program of a command: its name if it is Tidegate's, wherever it lies.
pub fn program(command: &[String]) -> Option<&str> {
    let word = from_program(command).first()?;
    if word == "tidegate" || word.ends_with("/tidegate") { Some("tidegate") } else { Some(word) }
}

/// What stands behind it.
pub fn arguments(command: &[String]) -> impl Iterator<Item = &str> {
    from_program(command).iter().skip(1).map(String::as_str)
}

/// The stage. Its processes and folders go with it.
pub struct Stage {
    stands_for: Vec<(Regex, String)>,
    proxy: RunningProxy,
    /// Kept running.
    _cluster: LocalCluster,
    folder: TempDir,
}

impl Stage {
    /// Starts the cluster and the proxy.
    pub fn set() -> Self {
        // Otherwise a base backup waits for a checkpoint that takes its time.
        let hasty = "checkpoint_completion_target = 0".to_owned();
        let cluster = exclusive_cluster(&Options { primary_conf: vec![hasty], ..options() });
        let roles = "create role replicator login replication password 'secret';
                     create role ops login superuser password 'secret';
                     create view v_orders as select 1 as id; alter view v_orders owner to app";
        cluster.primary().psql(roles).unwrap();
        cluster.wait_caught_up().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let etc = folder.path().join("etc/tidegate");
        fs::create_dir_all(&etc).unwrap();
        fs::write(etc.join("tidegate.toml"), configuration(&cluster)).unwrap();
        write_pgbouncer(&folder.path().join("etc/pgbouncer"), &cluster);
        let proxy = Tidegate::by_file(&etc.join("tidegate.toml")).start();
        let stands_for = stands_for(&cluster, &proxy, folder.path());
        let stage = Self { stands_for, proxy, _cluster: cluster, folder };
        stage.fill_bin();
        // Metrics of statements are there once there has been one.
        let text = "psql postgres://app:secret@tidegate:6432/app -c 'select 1'\n".to_owned();
        stage.play(&[Block { page: "stage.rs".to_owned(), line: 0, run: true, text }]).unwrap();
        stage
    }

    /// Runs the blocks of a page as one script, so that what one exports the next one has. The error is what was said.
    pub fn play(&self, blocks: &[Block]) -> Result<(), String> {
        let page = tempfile::tempdir_in(self.folder.path()).unwrap();
        fs::create_dir_all(page.path().join("target/release")).unwrap();
        symlink(self.folder.path().join("bin/tidegate"), page.path().join("target/release/tidegate"))
            .unwrap();
        let mut script = vec!["set -eu\n".to_owned()];
        for block in blocks {
            let text = self.with_names_replaced(&block.text);
            self.check_paths(&text).map_err(|why| format!("{}: {why}", block.place()))?;
            script.push(format!("echo '--- {}' >&2\n{text}", block.place()));
        }
        fs::write(page.path().join("script"), script.concat()).unwrap();
        let output = Command::new(found("timeout"))
            .args(["--kill-after=5", PATIENCE, "sh", "script"])
            .current_dir(page.path())
            .env_clear()
            .env("PATH", self.folder.path().join("bin"))
            .env("HOME", page.path())
            .env("TMPDIR", page.path())
            .env("PGPASSWORD", "secret")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        if output.status.success() {
            return Ok(());
        }
        let [said, complained] =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        Err(format!("{}\n{said}{complained}", output.status))
    }

    /// How many statements replicas have answered.
    pub fn on_replicas(&self) -> f64 {
        self.proxy.metric("tidegate_statements_total", &["target=\"replica\""])
    }

    fn with_names_replaced(&self, text: &str) -> String {
        self.stands_for
            .iter()
            .fold(text.to_owned(), |text, (name, place)| name.replace_all(&text, place.as_str()).into_owned())
    }

    /// Commands of the documentation run as whoever runs the tests: they must not reach what is theirs.
    fn check_paths(&self, text: &str) -> Result<(), String> {
        let own = text.replace(&self.folder.path().display().to_string(), "stage");
        let outside = pattern(r#"(^|[\s"'=:>(])(~|/(boot|etc|home|opt|root|run|srv|usr|var)\b)"#);
        match outside.find(&own) {
            Some(found) => Err(format!("{:?} is outside of the stage: say norun", found.as_str().trim())),
            None => Ok(()),
        }
    }

    fn fill_bin(&self) {
        let bin = self.folder.path().join("bin");
        fs::create_dir(&bin).unwrap();
        for name in PROGRAMS.into_iter().filter(|&name| name != "curl") {
            symlink(found(name), bin.join(name)).unwrap();
        }
        for name in OF_POSTGRESQL {
            symlink(pg_bin().program(name), bin.join(name)).unwrap();
        }
        let script = |name: &str, text: String| {
            fs::write(bin.join(name), text).unwrap();
            fs::set_permissions(bin.join(name), Permissions::from_mode(0o755)).unwrap();
        };
        script("cargo", "#!/bin/sh\n[ \"$*\" = 'build --release' ]\n".to_owned());
        script("pidof", format!("#!/bin/sh\n[ \"$*\" = tidegate ] && echo {}\n", self.proxy.pid()));
        script("curl", CURL.replace("@CURL@", &found("curl").display().to_string()));
        let program = TIDEGATE.replace("@PROGRAM@", env!("CARGO_BIN_EXE_tidegate"));
        script("tidegate", program.replace("@ADMIN@", &self.proxy.admin().to_string()));
    }
}

/// `tidegate run` is stopped as soon as it listens, and asked for its exit code; one that ends before that has failed.
const TIDEGATE: &str = r#"#!/bin/sh
case ${1:-} in
run) ;;
report | learned) TIDEGATE_ADMIN=${TIDEGATE_ADMIN:-@ADMIN@} exec @PROGRAM@ "$@" ;;
top) TIDEGATE_ADMIN=${TIDEGATE_ADMIN:-@ADMIN@} exec @PROGRAM@ "$@" $(case "$*" in *--once*) ;; *) echo --once ;; esac) ;;
verify)
    said=$(mktemp)
    @PROGRAM@ "$@" >"$said" 2>&1 && status=0 || status=$?
    cat "$said"
    grep -q 'too little was checked' "$said" || exit "$status"
    # This machine is busy: once more, for longer.
    for word; do
        shift
        [ "$word" != 2 ] || word=20
        set -- "$@" "$word"
    done
    exec @PROGRAM@ "$@"
    ;;
*) exec @PROGRAM@ "$@" ;;
esac
export TIDEGATE_LISTEN="${TIDEGATE_LISTEN:-127.0.0.1:0}" TIDEGATE_ADMIN="${TIDEGATE_ADMIN:-127.0.0.1:0}"
said=$(mktemp)
@PROGRAM@ "$@" >"$said" &
while kill -0 $! 2>/dev/null; do
    if grep -q '^listening on ' "$said"; then
        kill -TERM $!
        wait $!
        exit
    fi
    sleep 0.05
done
wait $!
echo "tidegate run has ended by itself" >&2
exit 1
"#;

/// Whoever follows what does not end is content with two seconds: exit code 28 says that time was up.
const CURL: &str = r#"#!/bin/sh
case $1 in
-sN | -N) @CURL@ --max-time 2 "$@" || [ $? = 28 ] ;;
*) exec @CURL@ "$@" ;;
esac
"#;

fn write_pgbouncer(folder: &Path, cluster: &LocalCluster) {
    fs::create_dir(folder).unwrap();
    let primary = cluster.primary().port();
    let ini = format!(
        "[databases]\napp = host=127.0.0.1 port={primary} dbname=app\n\
         [pgbouncer]\nlisten_addr = 127.0.0.1\nauth_type = scram-sha-256\n\
         auth_file = {}\npool_mode = transaction\nadmin_users = app\n",
        folder.join("userlist.txt").display()
    );
    fs::write(folder.join("pgbouncer.ini"), ini).unwrap();
    fs::write(folder.join("userlist.txt"), "\"app\" \"secret\"\n").unwrap();
}

fn configuration(cluster: &LocalCluster) -> String {
    format!(
        "listen = ['127.0.0.1:0']\nadmin = '127.0.0.1:0'\nconsole_users = ['app']\n\
         [database.app]\nurl = 'postgres://app:secret@{}/app'\n\
         [database.app.user.replicator]\npassword = 'secret'\n",
        nodes(cluster).map(address).join(",")
    )
}

fn nodes(cluster: &LocalCluster) -> [&LocalNode; 3] {
    [cluster.primary(), cluster.replica(0), cluster.replica(1)]
}

fn address(node: &LocalNode) -> String {
    format!("127.0.0.1:{}", node.port())
}

fn stands_for(cluster: &LocalCluster, proxy: &RunningProxy, folder: &Path) -> Vec<(Regex, String)> {
    let mut table = vec![
        (r"0\.0\.0\.0:\d+|127\.0\.0\.1:\d643[23]\b".to_owned(), "127.0.0.1:0".to_owned()),
        (r"--listen[ =][!-~]+".to_owned(), "--listen 127.0.0.1:0".to_owned()),
        (
            r"-h (tidegate|127\.0\.0\.1|localhost) -p 6432\b".to_owned(),
            format!("-h 127.0.0.1 -p {}", proxy.address().port()),
        ),
        (r"\b(tidegate|127\.0\.0\.1|localhost):6432\b".to_owned(), proxy.address().to_string()),
        (r"\b(tidegate|127\.0\.0\.1|10\.0\.0\.5|localhost):6433\b".to_owned(), proxy.admin().to_string()),
        (r"--seconds 600\b".to_owned(), "--seconds 2".to_owned()),
        (r"/etc/tidegate\b".to_owned(), folder.join("etc/tidegate").display().to_string()),
        (r"/etc/pgbouncer\b".to_owned(), folder.join("etc/pgbouncer").display().to_string()),
        (r" /backup\b".to_owned(), format!(" {}", folder.join("backup").display())),
    ];
    for (number, node) in (1..).zip(nodes(cluster)) {
        table.push((format!(r"\bpg{number}(:5432)?\b"), address(node)));
    }
    table.into_iter().map(|(name, place)| (pattern(&name), place)).collect()
}

/// Of ASCII: the library is built without Unicode's tables.
fn pattern(text: &str) -> Regex {
    Regex::new(&format!("(?m-u){text}")).unwrap()
}

/// Where a program of the system is.
fn found(name: &str) -> PathBuf {
    let places = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&places).map(|folder| folder.join(name)).find(|path| path.is_file());
    there.unwrap_or_else(|| panic!("{name} is missing: scripts/setup.sh test installs it"))
}
