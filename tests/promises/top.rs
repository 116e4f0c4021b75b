//! `tidegate top`: the same as the dashboard, in a terminal and on paper.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use super::support::proxy::{Tidegate, signal};
use super::support::raw::Raw;
use super::support::wait_until;
use super::{proxy, shared, wait_both};

fn once(admin: &str, token: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(["top", "--once", "--admin", admin]);
    command.env_remove("TIDEGATE_ADMIN_TOKEN").env_remove("TIDEGATE_ADMIN_TOKEN_FILE");
    command.envs(token.map(|token| ("TIDEGATE_ADMIN_TOKEN", token))).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The nodes of the shared cluster.
fn names() -> Vec<String> {
    let nodes = shared().replicas().iter().chain([shared().primary()]);
    nodes.map(|node| format!("127.0.0.1:{}", node.port())).collect()
}

#[test]
fn a_frame_on_paper_has_it_all() {
    let proxy = proxy("");
    wait_both(&proxy);
    let mut raw = Raw::app(proxy.address());
    raw.query("listen paper").ok();
    let printed = once(&proxy.admin().to_string(), None);
    let shown = text(&printed.stdout);
    assert!(printed.status.success(), "{}", text(&printed.stderr));
    for part in [
        "Tidegate ",
        "[app]",
        "off the primary",
        "primary",
        "replica",
        "open",
        "1 listen (",
        "to the primary",
    ] {
        assert!(shown.contains(part), "{part:?} is not in\n{shown}");
    }
    assert!(names().iter().all(|name| shown.contains(name)), "{shown}");
    assert!(!shown.contains('\x1b') && shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
}

#[test]
fn who_cannot_be_shown_anything_is_told_what_to_do() {
    let token = "d7a0c5e9b1f3428d";
    let proxy = Tidegate::before(shared()).env("TIDEGATE_ADMIN_TOKEN", token).start();
    let admin = proxy.admin().to_string();
    for wrong in [None, Some("another-token-0123456789")] {
        let refused = once(&admin, wrong);
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.contains("TIDEGATE_ADMIN_TOKEN_FILE") && !said.contains("another-token"), "{said}");
    }
    assert!(once(&admin, Some(token)).status.success());
    drop(proxy);
    let refused = once(&admin, Some(token));
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains(&admin) && said.contains("Is it running") && said.contains("--admin"), "{said}");
    // A terminal is needed for the rest.
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    let output = command.args(["top", "--admin", &admin]).stdin(Stdio::null()).output().unwrap();
    assert!(text(&output.stderr).contains("--once"), "{}", text(&output.stderr));
}

/// A terminal of 80 columns and 24 lines in which a command of the shell runs.
struct Terminal {
    script: Child,
    keys: ChildStdin,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn run(command: &str) -> Self {
        let command = format!("stty rows 24 cols 80; {command}; echo code $?; stty");
        let mut script = Command::new("script")
            .args(["-q", "-e", "-c", &command, "/dev/null"])
            .env("TERM", "xterm-256color")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (keys, mut screen) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
        let seen = Arc::<Mutex<Vec<u8>>>::default();
        let written = Arc::clone(&seen);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = screen.read(&mut bytes) {
                written.lock().unwrap().extend_from_slice(&bytes[..length]);
            }
        });
        Self { script, keys, seen }
    }

    fn shown(&self) -> String {
        text(&self.seen.lock().unwrap())
    }

    fn wait(&self, part: &str) {
        wait_until(&format!("{part:?} is shown"), || self.shown().contains(part));
    }

    /// The program has ended well, and the terminal is as it was.
    fn ends_well(mut self) {
        self.wait("code 0");
        drop(self.keys);
        assert!(self.script.wait().unwrap().success());
        let shown = text(&self.seen.lock().unwrap());
        assert!(shown.contains("\x1b[?1049h"), "it had a screen of its own");
        let (_, after) = shown.rsplit_once("\x1b[?1049l").expect("the screen is given back");
        assert!(
            !after.contains("-icanon") && !after.contains("-echo ") && !after.contains("-echo\r"),
            "{after:?}"
        );
    }
}

#[test]
fn a_terminal_is_drawn_on_and_given_back() {
    let proxy = proxy("");
    wait_both(&proxy);
    let mut terminal =
        Terminal::run(&format!("{} top --admin {}", env!("CARGO_BIN_EXE_tidegate"), proxy.admin()));
    terminal.wait("quit");
    terminal.keys.write_all(b"?").unwrap();
    terminal.wait("Ctrl-C");
    terminal.keys.write_all(b"q").unwrap();
    terminal.ends_well();
}

#[test]
fn a_terminal_ends_well_to_who_sends_a_signal() {
    let proxy = proxy("");
    let program = env!("CARGO_BIN_EXE_tidegate");
    let terminal =
        Terminal::run(&format!("sh -c 'echo pid $$; exec {program} top --admin {}'", proxy.admin()));
    terminal.wait("quit");
    let shown = terminal.shown();
    let pid = shown.split_once("pid ").unwrap().1.split_whitespace().next().unwrap();
    signal(pid.parse().unwrap(), "TERM");
    terminal.ends_well();
}
