//! The place of a process that runs is taken: the side of the one that is there.
//!
//! It starts its own program anew, as the file is by now, and goes on until the new process accepts clients.

use std::env;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::oneshot;

use super::link::{Line, Link, TAKES_OVER};
use super::running::Running;
use super::signals::Signals;
use crate::net::handover;
use crate::session::Proxy;

/// How long a new process may take until it could accept clients. It asks every node first.
const START: Duration = Duration::from_mins(2);
/// How long a process that has closed the line may take to end.
const END: Duration = Duration::from_secs(2);
/// What is meant for this process only: the new one gets its sockets otherwise, and is not asked by number whether it lives.
const NOT_INHERITED: [&str; 4] = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_PID"];

/// Why there is no new process.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It could not be started, or does not work. This one goes on.
    Failed(String),
    /// Somebody wants this process to stop.
    Stop,
}

/// A process that is to take the place of this one, or has.
#[derive(Debug)]
pub(super) struct Successor {
    pub(super) pid: u32,
    link: Link,
    exited: oneshot::Receiver<io::Result<ExitStatus>>,
}

/// Starts a process that takes this one's place. When it returns one, that accepts clients, and so does this one.
pub(super) async fn upgrade(running: &Running, signals: &mut Signals) -> Result<Successor, Refusal> {
    if running.proxy.door.is_shared() {
        let text =
            "the process before this one still serves clients. Wait until it has ended, or send it SIGTERM";
        return Err(Refusal::Failed(text.to_owned()));
    }
    let started = Successor::start(running);
    let mut successor = started.map_err(|e| Refusal::Failed(format!("cannot start a new process: {e}")))?;
    tracing::info!(pid = successor.pid, "a new process was started to take the place of this one");
    let taken = tokio::select! {
        taken = successor.take_place(&running.proxy) => taken.map_err(Refusal::Failed),
        () = signals.stop() => Err(Refusal::Stop),
    };
    if taken.is_err() {
        running.proxy.door.share_no_more();
    }
    taken.map(|()| successor)
}

impl Successor {
    fn start(running: &Running) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        handover::send(&ours, &running.offers)?;
        let child = spawn(theirs)?;
        let pid = child.id();
        Ok(Self { pid, link: Link::new(ours)?, exited: watch(child)? })
    }

    /// Lets the new process accept clients as soon as it can. Its clients' writes are seen here from then on. Dropping it
    /// before has it give up.
    async fn take_place(&mut self, proxy: &Proxy) -> Result<(), String> {
        let pid = self.pid;
        let gone = || format!("the new process {pid} has closed the line");
        let agreed = async {
            self.link.expect(&Line::Ready).await.ok_or_else(gone)?;
            proxy.door.share();
            for (name, _) in proxy.databases().iter().filter(|(_, d)| d.cluster.is_asynchronous()) {
                self.link.say(&Line::Asynchronous(name.clone())).await.map_err(|_| gone())?;
            }
            self.link.say(&Line::Go).await.map_err(|_| gone())?;
            self.link.expect(&Line::Serving).await.ok_or_else(gone)
        };
        let Ok(agreed) = tokio::time::timeout(START, agreed).await else {
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
            return Err(format!("the new process {pid} was not ready after {START:?}"));
        };
        if agreed.is_ok() {
            return Ok(());
        }
        match tokio::time::timeout(END, &mut self.exited).await {
            Ok(Ok(Ok(status))) => {
                Err(format!("the new process {pid} has ended ({status}); it says why on standard error"))
            }
            _ => agreed,
        }
    }

    /// Carries out the cancel requests that come to the new process and are for sessions of this one, until it ends.
    pub(super) async fn attend(mut self, proxy: Arc<Proxy>) {
        while let Some(line) = self.link.hear().await {
            if let Line::Cancel(number, key) = line {
                proxy.cancel(&key).await;
                if self.link.say(&Line::Cancelled(number)).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// The same program with the same arguments.
fn spawn(stdin: UnixStream) -> io::Result<Child> {
    let mut args = env::args_os();
    let program = args.next().ok_or(io::ErrorKind::NotFound)?;
    let mut command = Command::new(program);
    command.args(args).env(TAKES_OVER, std::process::id().to_string());
    for name in NOT_INHERITED {
        command.env_remove(name);
    }
    command.stdin(Stdio::from(OwnedFd::from(stdin))).spawn()
}

/// Tells when the process has ended, and takes note of it for the system.
fn watch(mut child: Child) -> io::Result<oneshot::Receiver<io::Result<ExitStatus>>> {
    let (exited, receiver) = oneshot::channel();
    thread::Builder::new().name("successor".to_owned()).spawn(move || {
        let _ = exited.send(child.wait());
    })?;
    Ok(receiver)
}
