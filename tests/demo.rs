//! `tidegate demo`: it shows reads on both replicas and no stale one, and leaves nothing behind however it is ended.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

/// The demonstration as a process, with a folder for temporary files of its own.
struct Demo {
    child: Child,
    temporary: TempDir,
}

impl Demo {
    fn start(args: &[&str]) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        // When we are root, PostgreSQL runs as somebody else, who has to enter it.
        fs::set_permissions(temporary.path(), Permissions::from_mode(0o755)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["demo", "--listen", "127.0.0.1:0", "--pg-bin"])
            .arg(support::pg_bin().dir())
            .args(args)
            .env("TMPDIR", temporary.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, temporary }
    }

    /// Reads its output up to a line that starts with `prefix`, and returns what has been read.
    fn read_until(&mut self, prefix: &str) -> String {
        let mut lines = BufReader::with_capacity(1, self.child.stdout.as_mut().unwrap());
        let mut text = String::new();
        loop {
            let begin = text.len();
            assert!(lines.read_line(&mut text).unwrap() > 0, "it ended before \"{prefix}\":\n{text}");
            if text[begin..].trim_start().starts_with(prefix) {
                return text;
            }
        }
    }

    /// The process numbers of its running servers.
    fn servers(&self) -> Vec<String> {
        let clusters = fs::read_dir(self.temporary.path()).unwrap().flatten();
        let nodes = clusters.flat_map(|cluster| fs::read_dir(cluster.path()).unwrap().flatten());
        let pid = |node: fs::DirEntry| {
            Some(fs::read_to_string(node.path().join("postmaster.pid")).ok()?.lines().next()?.to_owned())
        };
        nodes.filter_map(pid).collect()
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Waits for its end and holds that nothing is left of it.
    fn end(mut self, servers: &[String]) -> Output {
        let mut status = None;
        support::wait_until("the demonstration has ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        self.child.stdout.take().unwrap().read_to_end(&mut stdout).unwrap();
        self.child.stderr.take().unwrap().read_to_end(&mut stderr).unwrap();
        for server in servers {
            assert!(!is_alive(server), "a server still runs");
        }
        let left: Vec<_> = fs::read_dir(self.temporary.path()).unwrap().flatten().map(|e| e.path()).collect();
        assert!(left.is_empty(), "{left:?} is left");
        Output { status: status.unwrap(), stdout, stderr }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A zombie is dead: who reaps an orphan, and when, is not ours to say.
fn is_alive(pid: &str) -> bool {
    let alive = "kill -0 \"$0\" 2>/dev/null && ! grep -qs '^State:.Z' \"/proc/$0/status\"";
    Command::new("sh").args(["-c", alive, pid]).status().unwrap().success()
}

/// The number that follows `label`.
fn number(text: &str, label: &str) -> u64 {
    let at = text.find(label).unwrap_or_else(|| panic!("no \"{label}\" in:\n{text}"));
    let digits: String = text[at + label.len()..].chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number after \"{label}\" in:\n{text}"))
}

/// By row of the final table: role, reads and writes.
fn rows(text: &str) -> Vec<(String, u64, u64)> {
    let (_, table) = text.split_once("node ").unwrap_or_else(|| panic!("no table in:\n{text}"));
    let rows = table.lines().skip(1).take_while(|line| !line.is_empty());
    let row = |line: &str| {
        let cells: Vec<&str> = line.split_whitespace().collect();
        (cells[1].to_owned(), cells[5].parse().unwrap(), cells[6].parse().unwrap())
    };
    rows.map(row).collect()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn replicas_take_reads_and_none_is_stale() {
    let mut demo = Demo::start(&["--seconds", "5"]);
    let intro = demo.read_until("1 s |");
    assert!(intro.contains("psql \"postgres://app:secret@127.0.0.1:"), "{intro}");
    let servers = demo.servers();
    assert_eq!(servers.len(), 3);
    let output = demo.end(&servers);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stderr, b"", "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("stale reads found: 0 "), "{text}");
    assert!(number(&text, "found: 0 (of ") > 0, "{text}");
    assert_eq!(number(&text, "\nerrors: "), 0, "{text}");
    let rows = rows(&text);
    let roles: Vec<&str> = rows.iter().map(|(role, ..)| role.as_str()).collect();
    assert_eq!(roles, ["primary", "replica", "replica"], "{text}");
    for (role, reads, writes) in &rows {
        assert!(role == "primary" || *reads > 0, "a replica took no reads:\n{text}");
        assert_eq!(role == "primary", *writes > 0, "{text}");
    }
}

#[test]
fn replicas_that_lag_are_not_read_too_early() {
    let mut demo = Demo::start(&["--seconds", "3", "--lag", "400", "--clients", "4"]);
    demo.read_until("1 s |");
    let servers = demo.servers();
    let output = demo.end(&servers);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("stale reads found: 0 "), "{text}");
    assert!(number(&text, "stale reads prevented: ") > 0, "{text}");
}

#[test]
fn ctrl_c_ends_it_and_cleans_up() {
    let mut demo = Demo::start(&[]);
    demo.read_until("2 s |");
    let servers = demo.servers();
    assert_eq!(servers.len(), 3);
    demo.signal("INT");
    let output = demo.end(&servers);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("\nok: "), "{text}");
}

#[test]
fn ended_while_idle_or_while_starting_it_cleans_up() {
    let mut idle = Demo::start(&["--no-workload"]);
    idle.read_until("1 s |");
    let servers = idle.servers();
    idle.signal("TERM");
    assert_eq!(idle.end(&servers).status.code(), Some(0));

    let mut starting = Demo::start(&[]);
    starting.read_until("Starting");
    starting.signal("TERM");
    let output = starting.end(&[]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
}

#[test]
fn what_is_missing_or_taken_is_told_at_once() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let table: [(&[&str], &str); 3] = [
        (&["--listen", "127.0.0.1:0", "--pg-bin", "/nonexistent"], "apt-get install postgresql"),
        (&["--listen", "127.0.0.1:0", "--pg-bin", "/nonexistent"], "--pg-bin DIR"),
        (&["--listen", &address], "--listen 127.0.0.1:0"),
    ];
    for (args, advice) in table {
        let demo = Command::new(env!("CARGO_BIN_EXE_tidegate")).arg("demo").args(args).output().unwrap();
        let text = String::from_utf8_lossy(&demo.stderr).into_owned();
        assert_eq!(demo.status.code(), Some(2), "{text}");
        assert!(text.contains(advice), "{text}");
    }
}
