//! What the system says of the proxy's process.

use std::fs;
use std::time::Duration;

use super::support::proxy::RunningProxy;

/// A process that is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Gauge(u32);

impl Gauge {
    pub fn of(proxy: &RunningProxy) -> Self {
        Self(proxy.pid())
    }

    fn status(self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Memory in use, in KiB.
    pub fn memory(self) -> u64 {
        self.status("VmRSS")
    }

    /// The most memory in use since [`Gauge::forgets_peak`], in KiB.
    pub fn peak(self) -> u64 {
        self.status("VmHWM")
    }

    pub fn forgets_peak(self) {
        // 5 resets the peak.
        fs::write(format!("/proc/{}/clear_refs", self.0), "5").unwrap();
    }

    /// CPU time of all threads.
    pub fn cpu(self) -> Duration {
        let threads = fs::read_dir(format!("/proc/{}/task", self.0)).unwrap();
        let of = |thread: fs::DirEntry| {
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        };
        Duration::from_nanos(threads.filter_map(|thread| of(thread.unwrap())).sum())
    }

    /// Connections of clients, by their sockets: those on the port on which it listens.
    pub fn clients(self, port: u16) -> usize {
        let inodes: Vec<String> = fs::read_dir(format!("/proc/{}/fd", self.0))
            .unwrap()
            .filter_map(|fd| Some(fs::read_link(fd.ok()?.path()).ok()?.to_string_lossy().into_owned()))
            .collect();
        let table = fs::read_to_string(format!("/proc/{}/net/tcp", self.0)).unwrap();
        let local = format!(":{port:04X}");
        // 0A is a socket that listens.
        let of_clients = table.lines().skip(1).filter(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words[1].ends_with(&local)
                && words[3] != "0A"
                && inodes.contains(&format!("socket:[{}]", words[9]))
        });
        of_clients.count()
    }

    /// Open files.
    pub fn files(self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.0)).unwrap().count()
    }
}
