//! What systemd hands over, and what it is told.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use tidegate::local::Login;

use super::support::PATIENCE;
use super::support::proxy::{RunningProxy, Tidegate, signal};
use super::support::raw::Raw;
use super::{block_on, shared, support};

/// Opens sockets as systemd does, and becomes the program. One for clients, the admin address, and a Unix socket.
const OPEN: &str = "
import os, socket, sys
def tcp():
    s = socket.socket()
    s.bind(('127.0.0.1', 0))
    return s
def unix(path):
    s = socket.socket(socket.AF_UNIX)
    s.bind(path)
    return s
opened = [tcp(), tcp(), unix(sys.argv[1])]
for n, s in enumerate(opened):
    s.listen(100)
    os.dup2(os.dup(s.fileno()), 200 + n)
for n in range(3):
    os.dup2(200 + n, 3 + n)
    os.close(200 + n)
os.environ.update(LISTEN_FDS='3', LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES='clients:admin:local')
print('opened', opened[0].getsockname()[1], opened[1].getsockname()[1], flush=True)
[s.detach() for s in opened]
os.execv(sys.argv[2], sys.argv[2:])
";

/// A proxy in front of the shared cluster that gets its sockets from somebody else, and their ports.
fn activated(folder: &Path) -> (RunningProxy, Vec<u16>) {
    let path = folder.join(".s.PGSQL.6432");
    let url = shared().url(Login::App);
    let proxy = Tidegate::bare().args(["--primary", &url, "--log", "info", "--workers", "2"]);
    let mut proxy = proxy.under("python3", ["-c", OPEN, path.to_str().unwrap()]).spawn();
    let ports = proxy.announced("opened ").split(' ').map(|port| port.parse().unwrap()).collect();
    proxy.wait_started();
    (proxy, ports)
}

fn by_unix_socket(folder: &Path) -> i32 {
    block_on(async {
        let mut config = tokio_postgres::Config::new();
        config.host_path(folder).port(6432).user("app").password("secret").dbname("app");
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.query_one("select 1", &[]).await.unwrap().get(0)
    })
}

#[test]
fn sockets_are_taken_from_systemd_and_handed_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (mut proxy, ports) = activated(folder);
    assert_eq!([proxy.address().port(), proxy.admin().port()], ports[..]);
    assert_eq!(Raw::app(proxy.address()).ok("select 1").value(), "1");
    assert_eq!(by_unix_socket(folder), 1);
    proxy.signal("USR2");
    let pid = proxy.wait_successor();
    assert_eq!(proxy.wait_exit().code(), Some(0), "nobody is left");
    assert_eq!(Raw::app(proxy.address()).ok("select 1").value(), "1");
    assert_eq!(by_unix_socket(folder), 1);
    assert!(support::metrics::get(proxy.admin(), "/readyz").0.contains(" 200 "));
    signal(pid, "TERM");
    support::wait_until("it has ended", || !super::support::proxy::is_alive(pid));
    assert!(folder.join(".s.PGSQL.6432").exists(), "the name is not ours to remove");
}

#[test]
fn what_is_no_listening_socket_is_refused() {
    let script = "import os,sys\nos.dup2(0, 3)\nos.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))\nos.execv(sys.argv[1], sys.argv[1:])";
    let url = shared().url(Login::App);
    let mut proxy = Tidegate::bare().args(["--primary", &url]).under("python3", ["-c", script]).spawn();
    assert_eq!(proxy.wait_exit().code(), Some(2));
    support::wait_until("it says why", || proxy.stderr().contains("neither a TCP nor a Unix stream socket"));
}

/// Waits for a message that contains `word`, whatever else comes before.
fn told(socket: &UnixDatagram, word: &str) -> String {
    let mut buffer = [0; 1024];
    loop {
        let n = match socket.recv(&mut buffer) {
            // A child of another test has ended.
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            received => received.unwrap_or_else(|e| panic!("systemd never heard {word}: {e}")),
        };
        let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
        if text.contains(word) {
            return text;
        }
    }
}

#[test]
fn systemd_is_told_what_happens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let proxy = Tidegate::before(shared()).env("NOTIFY_SOCKET", path.to_str().unwrap());
    let mut proxy = proxy.env("WATCHDOG_USEC", "200000").start();
    let ready = told(&socket, "READY=1");
    let primary = format!("primary 127.0.0.1:{}", shared().primary().port());
    assert!(ready.contains("STATUS=app: 0 clients") && ready.contains(&primary), "{ready}");
    (0..3).for_each(|_| assert_eq!(told(&socket, "WATCHDOG"), "WATCHDOG=1"));
    let client = Raw::app(proxy.address());
    told(&socket, "STATUS=app: 1 clients");
    proxy.signal("USR2");
    let pid = proxy.wait_successor();
    let text = told(&socket, "MAINPID");
    assert_eq!(text, format!("MAINPID={pid}\nREADY=1"));
    told(&socket, "WATCHDOG=1");
    drop(client);
    proxy.wait_exit();
    signal(pid, "TERM");
    assert!(told(&socket, "STOPPING=1").starts_with("STOPPING=1\nSTATUS="));
    // Without anybody who listens it runs as well.
    drop(socket);
    let proxy = Tidegate::before(shared()).env("NOTIFY_SOCKET", path.to_str().unwrap()).start();
    assert_eq!(Raw::app(proxy.address()).ok("select 1").value(), "1");
}
