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

    /// The process of the test, with its attackers.
    pub fn own() -> Self {
        Self(std::process::id())
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

    /// CPU time of all threads, in seconds.
    pub fn cpu(self) -> f64 {
        let threads = fs::read_dir(format!("/proc/{}/task", self.0)).unwrap();
        let of = |thread: fs::DirEntry| {
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        };
        Duration::from_nanos(threads.filter_map(|thread| of(thread.unwrap())).sum()).as_secs_f64()
    }

    /// What it has open.
    pub fn files(self, ports: &Ports) -> Files {
        let files: Vec<String> = fs::read_dir(format!("/proc/{}/fd", self.0))
            .unwrap()
            .filter_map(|fd| Some(fs::read_link(fd.ok()?.path()).ok()?.to_string_lossy().into_owned()))
            .collect();
        let table = fs::read_to_string(format!("/proc/{}/net/tcp", self.0)).unwrap();
        let (mut clients, mut servers) = (0, 0);
        for line in table.lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let port = |word: &str| u16::from_str_radix(word.rsplit(':').next().unwrap(), 16).unwrap();
            // 0A is a socket that listens.
            if words[3] != "0A" && files.contains(&format!("socket:[{}]", words[9])) {
                clients += usize::from(port(words[1]) == ports.clients);
                servers += usize::from(ports.servers.contains(&port(words[2])));
            }
        }
        Files { clients, servers, others: files.len() - clients - servers }
    }
}

/// Where it listens, and where its servers do.
#[derive(Clone, Debug)]
pub struct Ports {
    pub clients: u16,
    pub servers: Vec<u16>,
}

/// How many files a process has open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Files {
    /// Sockets of clients.
    pub clients: usize,
    /// Sockets to servers: as many as the pools hold, and the monitor.
    pub servers: usize,
    pub others: usize,
}
