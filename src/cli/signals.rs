//! The signals that a running proxy answers to.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM, SIGINT, SIGHUP and SIGUSR2, listened for from the beginning so that none is missed, or ends the process unasked.
pub(super) struct Signals {
    term: Signal,
    int: Signal,
    hangup: Signal,
    upgrade: Signal,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// SIGTERM, SIGINT: to stop; when it is stopping, to do so at once.
    Stop,
    /// To stop at once; no signal says that at first.
    StopNow,
    /// SIGHUP: to read the configuration again.
    Reload,
    /// To give a setting another value; no signal says that.
    Set,
    /// SIGUSR2: to have another process take its place.
    Upgrade,
}

impl Signals {
    /// From now on these signals do nothing but what is waited for here.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            upgrade: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for one of them. Cancel safe.
    pub(super) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.term.recv() => Asked::Stop,
            _ = self.int.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Reload,
            _ = self.upgrade.recv() => Asked::Upgrade,
        }
    }

    /// Waits for one that asks to stop. Cancel safe.
    pub(super) async fn stop(&mut self) {
        while self.next().await != Asked::Stop {}
    }
}
