//! What systemd is told of the process:
//! [sd_notify(3)](https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html). Nothing, if it does not ask.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Whoever watches the process. A message that cannot be sent is nobody's fault here, and is only logged.
#[derive(Debug)]
pub struct Notifier {
    socket: Option<UnixDatagram>,
    /// How often it wants to hear that the process lives.
    watchdog: Option<Duration>,
}

impl Notifier {
    /// As `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` say.
    pub fn from_environment() -> Self {
        let address = env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty());
        let socket = address.and_then(|address| {
            connect(&address)
                .inspect_err(
                    |error| tracing::warn!(%error, "cannot reach NOTIFY_SOCKET, systemd is told nothing"),
                )
                .ok()
        });
        let read = |name| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let is_meant = read("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = read("WATCHDOG_USEC").filter(|usec| is_meant && *usec > 0).map(Duration::from_micros);
        Self { watchdog: watchdog.filter(|_| socket.is_some()), socket }
    }

    /// Whether anybody listens.
    pub fn is_heard(&self) -> bool {
        self.socket.is_some()
    }

    /// How long it may hear nothing of [`Notifier::alive`] before it ends the process.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Clients are accepted.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}"));
    }

    /// The configuration is about to be read again; [`Notifier::reloaded`] must follow, also if it is refused.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\nSTATUS=reading the configuration"));
    }

    /// It was read, or refused: `status` says which.
    pub fn reloaded(&self, status: &str) {
        self.ready(status);
    }

    /// The process is about to end.
    pub fn stopping(&self, status: &str) {
        self.send(&format!("STOPPING=1\nSTATUS={status}"));
    }

    /// What it does.
    pub fn status(&self, status: &str) {
        self.send(&format!("STATUS={status}"));
    }

    /// It lives.
    pub fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    /// Another process is the service from now on.
    pub fn succeeded_by(&self, pid: u32) {
        self.send(&format!("MAINPID={pid}\nREADY=1"));
    }

    fn send(&self, message: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(message.as_bytes()) {
            tracing::debug!(%error, "systemd was not told");
        }
    }
}

/// A path, or a name that is in no file system, which begins with `@`.
fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
    let address = match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(address)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    // Nobody waits for somebody who does not read.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 512];
        let n = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..n]).into_owned()
    }

    #[test]
    fn paths_and_abstract_names_are_reached() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        let name = format!("tidegate-test-{:x}", rand::random::<u64>());
        let by_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        for (address, socket) in [(path.into_os_string(), by_path), (format!("@{name}").into(), by_name)] {
            let notifier = Notifier { socket: Some(connect(&address).unwrap()), watchdog: None };
            notifier.ready("well");
            assert_eq!(received(&socket), "READY=1\nSTATUS=well");
            notifier.reloading();
            let text = received(&socket);
            let micros = text.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
            assert!(
                text.starts_with("RELOADING=1\n") && micros.unwrap().parse::<u64>().unwrap() > 0,
                "{text}"
            );
            notifier.succeeded_by(7);
            assert_eq!(received(&socket), "MAINPID=7\nREADY=1");
        }
    }
}
