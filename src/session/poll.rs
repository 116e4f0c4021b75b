//! Looking at both sides of a session at once: what can be written is, and what has arrived is read.

use std::io;
use std::task::{Context, Poll};

use super::client::Client;
use super::leased::Leased;
use super::serve::{BACKLOG, Event};

/// Writes to the client what waits, then reads from it.
pub(super) fn poll_client(cx: &mut Context<'_>, client: &mut Client, ahead: usize) -> Poll<Event> {
    let held_up = client.outbox.len() >= BACKLOG;
    match client.poll_flush(cx) {
        // It does not read what it is told: it is not asked for more.
        Poll::Pending if held_up => return Poll::Pending,
        Poll::Ready(()) if held_up => return Poll::Ready(Event::Client),
        _ => {}
    }
    poll_client_read(cx, client, ahead)
}

fn poll_client_read(cx: &mut Context<'_>, client: &mut Client, ahead: usize) -> Poll<Event> {
    if client.inbox.len() >= ahead {
        return Poll::Pending;
    }
    match client.poll_read(cx) {
        Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Event::ClientGone),
        Poll::Ready(Ok(_)) => Poll::Ready(Event::Client),
        Poll::Pending => Poll::Pending,
    }
}

/// Writes to both sides what waits for them, then reads from both. The server is not read from while the client has
/// not taken what came before: that is the backpressure.
pub(super) fn poll_both(
    cx: &mut Context<'_>,
    client: &mut Client,
    leased: &mut Leased,
    ahead: usize,
) -> Poll<Event> {
    let delivered = leased.poll_deliver(cx, client).is_ready();
    if leased.lease.has_output() {
        let held_up = leased.lease.outbox.len() >= BACKLOG;
        match leased.lease.poll_flush(cx) {
            // What the server said before it hung up is still worth reading; that it did, reading tells.
            Poll::Ready(Err(_)) => leased.lease.outbox.clear(),
            // There is room again for what the client has sent already.
            Poll::Ready(Ok(())) if held_up => return Poll::Ready(Event::Client),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
    }
    if delivered {
        match leased.lease.poll_read(cx) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Event::ServerGone(io::ErrorKind::UnexpectedEof.into())),
            Poll::Ready(Err(e)) => return Poll::Ready(Event::ServerGone(e)),
            Poll::Ready(Ok(_)) => return Poll::Ready(Event::Server),
            Poll::Pending => {}
        }
    }
    poll_client_read(cx, client, ahead)
}
