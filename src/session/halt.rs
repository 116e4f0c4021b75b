//! What makes a session wait or end that is none of its own doing: a database that is paused, an administrator, a proxy
//! that stops.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::cancel::Slot;
use super::client::Client;
use super::failure::{End, Failure};
use super::serve::Session;

/// What a client that waits may send ahead, in bytes.
const AHEAD: usize = 64 * 1024;
/// How long a server may take to accept the request to cancel what it runs.
const CANCEL: Duration = Duration::from_secs(1);

impl Session {
    /// Whether what the client wants must wait for its database to be resumed. A session that keeps connections for
    /// itself goes on with them: the pause waits for it.
    pub(super) fn is_halted(&self) -> bool {
        !self.database.gate.is_open() && self.leased.is_none() && self.parked.is_empty()
    }

    /// Waits until the database is resumed, for as long as the client does. Nothing of what it wants has been sent.
    pub(super) async fn await_resume(&self, client: &mut Client) -> Result<(), End> {
        let slot = &self.registered.slot;
        let _waiting = slot.waits();
        let mut passed = pin!(self.database.gate.passed());
        poll_fn(|cx| {
            if passed.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            if slot.is_to_end(false) {
                return Poll::Ready(Err(self.ended().into()));
            }
            client.poll_left(cx, AHEAD).map(|()| Err(End::Client))
        })
        .await
    }

    /// What is waited for, unless the session is to end at once. Cancel safe if that is.
    pub(super) async fn unless_killed<T>(&self, awaited: impl Future<Output = T>) -> Result<T, Failure> {
        let slot = &self.registered.slot;
        let (mut awaited, mut waiting) = (pin!(awaited), None);
        poll_fn(|cx| {
            if let Poll::Ready(got) = awaited.as_mut().poll(cx) {
                return Poll::Ready(Ok(got));
            }
            waiting.get_or_insert_with(|| slot.waits());
            if slot.is_killed() { Poll::Ready(Err(self.ended())) } else { Poll::Pending }
        })
        .await
    }

    /// What the client is told when the session ends.
    fn ended(&self) -> Failure {
        ended(&self.registered.slot)
    }

    /// Ends the session, as it was told to. What it runs is cancelled, as PostgreSQL does at a fast shutdown; what it has left
    /// open is rolled back when the session parts with its connections.
    pub(super) async fn halt(&mut self, client: &mut Client) -> End {
        let told = self.ended();
        let Some(l) = &mut self.leased else { return told.into() };
        l.commit(client);
        l.hand_over(client);
        let (works, is_torn) = (l.exchange.is_working(), l.arriving > 0);
        if works {
            let _ = tokio::time::timeout(CANCEL, self.registered.slot.cancel()).await;
        }
        // A client that has half of a row can be told nothing more.
        if is_torn { End::Client } else { told.into() }
    }
}

/// What is waited for at login, unless the session is told to end before it has begun. Cancel safe if that is.
pub(super) async fn unless_ended<T>(slot: &Slot, awaited: impl Future<Output = T>) -> Result<T, Failure> {
    tokio::select! {
        biased;
        got = awaited => Ok(got),
        () = slot.ends(false) => Err(ended(slot)),
    }
}

fn ended(slot: &Slot) -> Failure {
    match slot.is_killed() {
        _ if slot.is_cut() => cut_off(),
        true => killed(),
        false => stopped(),
    }
}

/// The proxy stops.
pub(super) fn stopped() -> Failure {
    Failure::fatal("57P01", "the proxy is shutting down")
}

/// The proxy's stop has waited as long as it may.
fn cut_off() -> Failure {
    Failure::fatal("57P01", "terminating connection: the proxy is shutting down and waits no longer")
        .with_hint("A transaction that was open is rolled back, unless its COMMIT was sent. Connect again.")
}

/// The console has ended the session, in PostgreSQL's words.
pub(super) fn killed() -> Failure {
    Failure::fatal("57P01", "terminating connection due to administrator command")
}
