//! The place of a process that runs is taken: the side of the one that comes.

use std::collections::HashMap;
use std::env;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use rustix::stdio::dup2_stdin;
use tokio::sync::mpsc;

use super::inherited::Inherited;
use super::link::{Line, Link, TAKES_OVER};
use crate::net::handover;
use crate::session::Proxy;

/// The other process has sent its sockets before this one began.
const SOCKETS: Duration = Duration::from_secs(10);
/// Cancel requests that wait to be passed on, at most; more wait with their clients.
const REQUESTS: usize = 64;

/// Asks this process to take the place of another.
#[derive(Debug)]
pub(super) struct Summons {
    pid: u32,
    stream: UnixStream,
}

/// The process whose place this one is to take.
#[derive(Debug)]
pub(super) struct Former {
    /// Its number.
    pub(super) pid: u32,
    link: Link,
}

impl Summons {
    /// The process that has started this one to take its place, if one has, and its sockets. To be asked before there
    /// are threads.
    pub(super) fn from_environment() -> Result<Option<(Self, Inherited)>, String> {
        let Some(pid) = env::var(TAKES_OVER).ok().filter(|pid| !pid.is_empty()) else { return Ok(None) };
        let no_place = |e: &dyn std::fmt::Display| {
            format!(
                "cannot take the place of process {pid} ({TAKES_OVER} is set): {e}. Only SIGUSR2 to a proxy that runs starts one so"
            )
        };
        let number = pid.parse().map_err(|e| no_place(&e))?;
        let (stream, offers) = receive().map_err(|e| no_place(&e))?;
        Ok(Some((Self { pid: number, stream }, Inherited::sort(offers)?)))
    }

    /// Takes up the line to the other process, on the runtime of this thread.
    pub(super) fn answer(self) -> Result<Former, String> {
        let link = Link::new(self.stream).map_err(|e| format!("standard input: {e}"))?;
        Ok(Former { pid: self.pid, link })
    }
}

impl Former {
    /// Waits until the other process has given up, and returns why this one must, too. Before its turn it hears nothing
    /// else. Cancel safe.
    pub(super) async fn abandons(&mut self) -> String {
        while self.link.hear().await.is_some() {}
        format!("process {} does not hand over its place", self.pid)
    }

    /// Waits for its turn to accept clients. The error says why it does not come.
    pub(super) async fn take_turn(self, proxy: &Proxy) -> Result<Link, String> {
        let gone = |_| format!("process {} does not hand over its place", self.pid);
        let mut link = self.link;
        link.say(&Line::Ready).await.map_err(gone)?;
        loop {
            match link.hear().await {
                Some(Line::Go) => return Ok(link),
                Some(Line::Asynchronous(name)) => {
                    proxy.database(&name).iter().for_each(|d| d.cluster.commits_asynchronously());
                }
                Some(_) => {}
                None => return Err(gone(io::ErrorKind::UnexpectedEof.into())),
            }
        }
    }
}

fn receive() -> io::Result<(UnixStream, Vec<handover::Offer>)> {
    let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Nobody who reads standard input, or inherits it, is to find this there.
    dup2_stdin(File::open("/dev/null")?)?;
    stream.set_read_timeout(Some(SOCKETS))?;
    let offers = handover::receive(&stream)?;
    Ok((stream, offers))
}

/// Passes cancel requests on to the process that was here before, until it has ended.
pub(super) async fn attend(mut link: Link, pid: u32, proxy: Arc<Proxy>) {
    let (sender, mut requests) = mpsc::channel(REQUESTS);
    proxy.door.forward_to(sender);
    let (mut waiting, mut number) = (HashMap::new(), 0);
    loop {
        tokio::select! {
            said = link.hear() => match said {
                Some(Line::Cancelled(number)) => drop(waiting.remove(&number)),
                Some(_) => {}
                None => break,
            },
            Some(request) = requests.recv() => {
                let crate::session::Forwarded { key, done } = request;
                number += 1;
                waiting.insert(number, done);
                if link.say(&Line::Cancel(number, key)).await.is_err() {
                    break;
                }
            }
        }
    }
    for database in proxy.databases().values() {
        // What it has acknowledged, it has acknowledged by now.
        database.cluster.marks.set_all(database.cluster.clock.now());
    }
    proxy.door.share_no_more();
    tracing::info!(pid, "the process that was here before has ended");
}
