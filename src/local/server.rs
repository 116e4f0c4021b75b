//! One running postmaster: starting it, telling it to stop, and knowing when it and all its children are gone.

use std::fs::File;
use std::io::{self, PipeReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How a server is asked to stop, in the words of `pg_ctl`.
/// <https://www.postgresql.org/docs/current/server-shutdown.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopMode {
    /// Waits until every client has left.
    Smart,
    /// Ends every session, then writes a checkpoint.
    Fast,
    /// Stops at once; recovers at the next start.
    Immediate,
}

impl StopMode {
    fn signal(self) -> &'static str {
        match self {
            Self::Smart => "TERM",
            Self::Fast => "INT",
            Self::Immediate => "QUIT",
        }
    }
}

/// A postmaster that we have started.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    /// The other end is the standard input of the postmaster and of every process it starts. Nothing is ever written
    /// to it: its end means that the last of them is gone.
    lifeline: PipeReader,
}

impl Server {
    /// Runs `command`, which must stay in the foreground. Its own process group keeps a Ctrl-C in our terminal away.
    pub(super) fn spawn(mut command: Command, log: File) -> io::Result<Self> {
        let (lifeline, held_by_them) = io::pipe()?;
        let errors = log.try_clone()?;
        let child =
            command.stdin(held_by_them).stdout(log).stderr(Stdio::from(errors)).process_group(0).spawn()?;
        // `command` holds our copy of their end.
        drop(command);
        Ok(Self { child, lifeline })
    }

    /// The postmaster's process number.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How the postmaster ended, if it has.
    pub(super) fn exited(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Asks the postmaster to stop.
    pub(super) fn ask_to_stop(&self, mode: StopMode) -> io::Result<()> {
        let id = self.id().to_string();
        Command::new("sh")
            .args(["-c", "kill -s \"$0\" \"$1\"", mode.signal(), &id])
            .stderr(Stdio::null())
            .status()?;
        Ok(())
    }

    /// Kills the postmaster (SIGKILL). Its children notice and exit.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        self.child.kill()
    }

    /// Waits until the postmaster and all its children are gone. Gives the server back when `limit` has passed.
    pub(super) fn wait_gone(mut self, limit: Duration) -> Result<(), Self> {
        let Ok(mut lifeline) = self.lifeline.try_clone() else {
            return Err(self);
        };
        let (gone, until_gone) = mpsc::sync_channel(1);
        thread::spawn(move || {
            let _ = lifeline.read(&mut [0]);
            let _ = gone.send(());
        });
        match until_gone.recv_timeout(limit) {
            Ok(()) => {
                let _ = self.child.wait();
                Ok(())
            }
            Err(_) => Err(self),
        }
    }
}
