//! Tidegate as a process of its own.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use tidegate::local::{LocalCluster, Login};

use super::{PATIENCE, metrics};

/// What Tidegate would otherwise take from the environment of the tests.
const FOREIGN_SETTINGS: [&str; 27] = [
    "DATABASE_URL",
    "DATABASE_URL_FILE",
    "PGPASSFILE",
    "PGPASSWORD",
    "PGPASSWORD_FILE",
    "TIDEGATE_ADMIN",
    "TIDEGATE_ADMIN_OPEN",
    "TIDEGATE_ADMIN_TOKEN",
    "TIDEGATE_ADMIN_TOKEN_FILE",
    "TIDEGATE_CONFIG",
    "TIDEGATE_CONSOLE_PASSWORD",
    "TIDEGATE_CONSOLE_PASSWORD_FILE",
    "TIDEGATE_CONSOLE_USERS",
    "TIDEGATE_LISTEN",
    "TIDEGATE_LOCALITY",
    "TIDEGATE_LOG",
    "TIDEGATE_LOG_FORMAT",
    "TIDEGATE_OTLP_ENDPOINT",
    "TIDEGATE_TRACE_SAMPLE",
    "TIDEGATE_PEER_ID",
    "TIDEGATE_SSL",
    "TIDEGATE_SSL_CA_FILE",
    "TIDEGATE_SSL_CERT_FILE",
    "TIDEGATE_SSL_CRL_FILE",
    "TIDEGATE_SSL_KEY_FILE",
    "TIDEGATE_SSL_MIN_PROTOCOL_VERSION",
    "TIDEGATE_WORKERS",
];

/// Leaves nothing of the tests' environment but what is meant for the proxy.
///
/// `TIDEGATE_TEST_TLS` names a folder with `server.crt` and `server.key`: every proxy has them, and every [`super::raw::Raw`]
/// that logs in does so in TLS.
fn clean(command: &mut Command) {
    for name in FOREIGN_SETTINGS {
        command.env_remove(name);
    }
    if let Some(folder) = std::env::var_os("TIDEGATE_TEST_TLS") {
        let folder = std::path::Path::new(&folder);
        command.env("TIDEGATE_SSL_CERT_FILE", folder.join("server.crt"));
        command.env("TIDEGATE_SSL_KEY_FILE", folder.join("server.key"));
    }
}

/// A proxy that is about to be started.
#[derive(Debug)]
pub struct Tidegate {
    command: Command,
}

impl Tidegate {
    /// A proxy that knows no database yet.
    pub fn bare() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        clean(&mut command);
        command.args(["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        Self { command }
    }

    /// A proxy that takes everything from a file, and says what it does.
    pub fn by_file(file: &std::path::Path) -> Self {
        let mut tidegate = Self::bare();
        let mut command = Command::new(tidegate.command.get_program());
        clean(&mut command);
        command.args(["run", "--log", "info", "--config"]).arg(file);
        tidegate.command = command;
        tidegate
    }

    /// A proxy in front of `cluster`, logged in as the user `app`.
    pub fn before(cluster: &LocalCluster) -> Self {
        let mut tidegate = Self::bare().args(["--primary", &cluster.url(Login::App)]);
        for replica in cluster.replicas() {
            tidegate = tidegate.args(["--replica", &replica.url(Login::App)]);
        }
        tidegate
    }

    /// A proxy in front of `cluster` with more parameters in its URL, such as `connection_limit=1&pool_timeout=1`.
    pub fn tuned(cluster: &LocalCluster, parameters: &str) -> Self {
        let url = format!("{}?{parameters}", cluster.url(Login::App));
        let mut tidegate = Self::bare().args(["--primary", &url]);
        for replica in cluster.replicas() {
            tidegate = tidegate.args(["--replica", &replica.url(Login::App)]);
        }
        tidegate
    }

    /// Has it run by another program, which gets `args` and then the proxy's command line.
    pub fn under<'a>(mut self, program: &str, args: impl IntoIterator<Item = &'a str>) -> Self {
        let mut command = Command::new(program);
        command.args(args).arg(self.command.get_program()).args(self.command.get_args());
        for name in FOREIGN_SETTINGS {
            command.env_remove(name);
        }
        self.command = command;
        self
    }

    /// Has another build of the proxy run instead of this profile's.
    pub fn program(mut self, program: &std::ffi::OsStr) -> Self {
        let mut command = Command::new(program);
        command.args(self.command.get_args());
        for name in FOREIGN_SETTINGS {
            command.env_remove(name);
        }
        self.command = command;
        self
    }

    /// Adds arguments.
    pub fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts it and waits until it says where it listens.
    pub fn start(self) -> RunningProxy {
        let mut proxy = self.spawn();
        proxy.wait_started();
        proxy
    }

    /// Starts it. It knows no address then.
    pub fn spawn(mut self) -> RunningProxy {
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = self.command.spawn().unwrap();
        let watchdog = watch(child.id());
        let stderr = Log::of(child.stderr.take().unwrap());
        let lines = lines_of(child.stdout.take().unwrap());
        // From here on, its Drop shows what it logged if it does not come up.
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        RunningProxy {
            address: unknown,
            admin: unknown,
            child,
            watchdog,
            lines: Mutex::new(lines),
            successors: Vec::new(),
            stderr,
        }
    }
}

/// A running proxy. It is killed when this is dropped; when the test panics, what it logged is shown.
#[derive(Debug)]
pub struct RunningProxy {
    address: SocketAddr,
    admin: SocketAddr,
    child: Child,
    watchdog: Child,
    /// What it says on standard output.
    lines: Mutex<Receiver<String>>,
    /// Processes that have taken its place, each with a watchdog.
    successors: Vec<(u32, Child)>,
    stderr: Log,
}

impl RunningProxy {
    /// Where apps connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the admin console, metrics and health are.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// `postgres://app:secret@127.0.0.1:port/app`
    pub fn url(&self) -> String {
        format!("postgres://app:secret@{}/app", self.address)
    }

    /// The text of `/metrics`.
    pub fn metrics(&self) -> String {
        metrics::fetch(self.admin)
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The sum of the series called `name` that carry all of `labels`, such as `target="replica"`.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        metrics::sum(&self.metrics(), name, labels)
    }

    /// What it has written to its standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Sends a signal, by its name without SIG.
    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Waits until another process has taken its place, and looks after that one, too. Returns its number.
    pub fn wait_successor(&mut self) -> u32 {
        let said = self.announced("process ");
        let pid = said.split(' ').next().unwrap().parse().unwrap();
        self.successors.push((pid, watch(pid)));
        pid
    }

    /// Waits until it has ended by itself, or after a signal.
    pub fn wait_exit(&mut self) -> ExitStatus {
        let child = &mut self.child;
        let mut status = None;
        super::wait_until("the proxy has ended", || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Waits until it says where it listens.
    pub fn wait_started(&mut self) {
        let address = |text: &str| text.trim().parse().unwrap_or_else(|_| panic!("no address: {text}"));
        self.address = address(&self.announced("listening on "));
        self.admin = address(&self.announced("admin on "));
    }

    /// Waits for a line that begins so, and returns its rest.
    pub fn announced(&mut self, prefix: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.lock().unwrap().recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(line) => {
                    if let Some(address) = line.strip_prefix(prefix) {
                        return address.to_owned();
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("the proxy never said \"{prefix}…\""),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("the proxy ended before it said \"{prefix}…\": {:?}", self.child.wait())
                }
            }
        }
    }
}

impl Drop for RunningProxy {
    fn drop(&mut self) {
        // First the watchdog, so that it cannot hit another process that gets the number.
        for child in [&mut self.watchdog, &mut self.child] {
            let _ = child.kill();
            let _ = child.wait();
        }
        for (_, watchdog) in &mut self.successors {
            let _ = watchdog.kill();
            let _ = watchdog.wait();
        }
        // Those that nobody waited for, too, if it said that it has started them.
        let log = self.stderr.text();
        let started =
            log.lines().filter_map(|line| line.split_once("the place of this one pid=")?.1.parse().ok());
        for pid in started.chain(self.successors.iter().map(|(pid, _)| *pid)) {
            if is_alive(pid) {
                signal(pid, "KILL");
            }
        }
        if thread::panicking() {
            eprintln!("---- the proxy logged:\n{}", self.stderr.text());
        }
    }
}

/// Sends a signal to a process, by its name without SIG.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &pid.to_string()]).status();
    assert!(status.unwrap().success(), "cannot send SIG{name}");
}

/// Whether the process is there, and is a proxy.
pub fn is_alive(pid: u32) -> bool {
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&command).contains("tidegate")
}

/// A process that kills the process `id` when ours ends without having dropped the proxy.
fn watch(id: u32) -> Child {
    Command::new("sh")
        .args(["-c", "trap '' HUP INT TERM; cat >/dev/null; kill -KILL \"$0\"", &id.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap()
}

/// The lines of `output`, which is read to its end so that the process never blocks on it.
fn lines_of(output: impl Read + Send + 'static) -> Receiver<String> {
    let (lines, received) = sync_channel(16);
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // Nobody listens any more once the addresses are known, or the buffer is full of what nobody wants.
            let _ = lines.try_send(line);
        }
    });
    received
}

/// What a process writes, collected in the background.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn of(mut output: impl Read + Send + 'static) -> Self {
        let log = Self::default();
        let written = log.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                written.0.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        log
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}
