//! Starting, stopping and killing a node.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::folder::CRASHED_PID;
use super::node::LocalNode;
use super::server::{Server, StopMode};
use super::{Error, PATIENCE};

/// An immediate stop that takes longer than this is ended with SIGKILL.
const IMMEDIATE: Duration = Duration::from_secs(15);
const PID_FILE: &str = "postmaster.pid";
/// How much of a log an error shows, in bytes.
const LOG_SHOWN: u64 = 2000;

/// What came of a start.
pub(super) enum Started {
    /// The server takes connections.
    Ready,
    /// Somebody else listens on its port.
    PortTaken,
}

impl LocalNode {
    /// Kills the server as a crash would (SIGKILL) and waits until all its processes are gone.
    pub fn kill(&self) -> Result<(), Error> {
        let Some(mut server) = self.server().take() else {
            return Ok(());
        };
        server.kill().map_err(Error::io(format!("kill {}", self.name)))?;
        server.wait_gone(PATIENCE).map_err(|_| self.complaint("left processes behind when it was killed"))?;
        self.set_aside_pid_file();
        Ok(())
    }

    /// Kills the postmaster (SIGKILL) and nothing else: its children end by themselves, in their own time. Nothing happens when
    /// it does not run. Before it is started again, [`LocalNode::kill`] must have seen them go.
    pub fn kill_postmaster(&self) -> Result<(), Error> {
        match &mut *self.server() {
            Some(server) => server.kill().map_err(Error::io(format!("kill {}", self.name))),
            None => Ok(()),
        }
    }

    /// Stops the server and waits until all its processes are gone. Nothing happens when it does not run.
    pub fn stop(&self, mode: StopMode) -> Result<(), Error> {
        let Some(server) = self.server().take() else {
            return Ok(());
        };
        server.ask_to_stop(mode).map_err(Error::io(format!("stop {}", self.name)))?;
        server.wait_gone(PATIENCE).map_err(|server| {
            *self.server() = Some(server);
            self.complaint("did not stop")
        })
    }

    /// Starts the server on the port it has always had, and waits until it takes connections. Nothing happens when it
    /// runs.
    pub fn start(&self) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.try_start()? {
                Started::Ready => return Ok(()),
                Started::PortTaken if Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(100));
                }
                Started::PortTaken => return Err(self.complaint("found its port taken")),
            }
        }
    }

    /// Stops the server fast and starts it again.
    pub fn restart(&self) -> Result<(), Error> {
        self.stop(StopMode::Fast)?;
        self.start()
    }

    /// Asks the server to stop at once, without waiting for it.
    pub(super) fn begin_immediate_stop(&self) {
        if let Some(server) = self.server().as_ref() {
            // Whoever does not obey is killed when the node is dropped.
            let _ = server.ask_to_stop(StopMode::Immediate);
        }
    }

    /// Starts the server, unless it runs, and waits until it takes connections.
    pub(super) fn try_start(&self) -> Result<Started, Error> {
        let mut slot = self.server();
        if self.is_running(&mut slot)? {
            return Ok(Started::Ready);
        }
        // Dropping what is left of a server that ended on its own changes nothing: it holds a process number.
        *slot = None;
        for stale in [PID_FILE, CRASHED_PID] {
            let _ = fs::remove_file(self.data_dir().join(stale));
        }
        let (log, begin) = self.open_log().map_err(Error::io(format!("open the log of {}", self.name())))?;
        let mut command = self.host.command("postgres");
        command.arg("-D").arg(self.data_dir()).args(["-p", &self.port().to_string()]);
        let mut server =
            Server::spawn(command, log).map_err(|source| self.host.not_run("postgres", source))?;
        let deadline = Instant::now() + PATIENCE;
        while !self.is_ready(server.id()) {
            let ended = server.exited().map_err(Error::io(format!("ask for {}", self.name())))?;
            if ended.is_some() || Instant::now() >= deadline {
                return self.did_not_start(server, begin);
            }
            thread::sleep(Duration::from_millis(10));
        }
        *slot = Some(server);
        Ok(Started::Ready)
    }

    fn is_running(&self, server: &mut Option<Server>) -> Result<bool, Error> {
        let ended = server.as_mut().map(Server::exited).transpose();
        let ended = ended.map_err(Error::io(format!("ask for {}", self.name())))?;
        Ok(matches!(ended, Some(None)))
    }

    fn did_not_start(&self, mut server: Server, log_begin: u64) -> Result<Started, Error> {
        let _ = server.kill();
        let _ = server.wait_gone(IMMEDIATE);
        if self.log_from(log_begin).contains("could not create any TCP/IP sockets") {
            return Ok(Started::PortTaken);
        }
        Err(self.complaint("did not start"))
    }

    /// The eighth line of the pid file tells the state, as `pg_ctl` reads it. The file is written anew by each
    /// postmaster, with its own process number in the first line.
    fn is_ready(&self, id: u32) -> bool {
        let text = fs::read_to_string(self.data_dir().join(PID_FILE)).unwrap_or_default();
        let mut lines = text.lines();
        lines.next() == Some(&id.to_string()) && lines.nth(6).is_some_and(|state| state.trim() == "ready")
    }

    fn set_aside_pid_file(&self) {
        let _ = fs::rename(self.data_dir().join(PID_FILE), self.data_dir().join(CRASHED_PID));
    }

    fn log_path(&self) -> PathBuf {
        self.host.folder.path().join("log").join(self.name())
    }

    /// The log, and where what comes now begins in it.
    fn open_log(&self) -> std::io::Result<(File, u64)> {
        let log = OpenOptions::new().create(true).append(true).open(self.log_path())?;
        let begin = log.metadata()?.len();
        Ok((log, begin))
    }

    fn log_from(&self, begin: u64) -> String {
        let mut text = Vec::new();
        let read = File::open(self.log_path()).and_then(|mut log| {
            log.seek(SeekFrom::Start(begin))?;
            log.read_to_end(&mut text)
        });
        read.map_or_else(
            |error| format!("(no log: {error})"),
            |_| String::from_utf8_lossy(&text).into_owned(),
        )
    }

    /// An error about this node, with the end of its log.
    pub(super) fn complaint(&self, what: &str) -> Error {
        let length = fs::metadata(self.log_path()).map_or(0, |log| log.len());
        let log = self.log_from(length.saturating_sub(LOG_SHOWN));
        Error::Server { node: self.name().to_owned(), what: what.to_owned(), log }
    }
}

impl Drop for LocalNode {
    fn drop(&mut self) {
        self.begin_immediate_stop();
        let Some(server) = self.server().take() else {
            return;
        };
        if let Err(mut stubborn) = server.wait_gone(IMMEDIATE) {
            // The watchdog of the folder ends whatever survives even this.
            let _ = stubborn.kill();
            let _ = stubborn.wait_gone(IMMEDIATE);
        }
    }
}
