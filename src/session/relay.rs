//! Bytes between one client and one server of its own, passed on as they come.
//!
//! Nothing is looked at but where the server's messages end, so that the proxy has a place for a last word of its own.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::Buf;

use super::client::Client;
use crate::server::Connection;
use crate::wire::{HEADER_LEN, WireError, message_len};

/// Passes bytes on in both directions until the server has ended the connection, or nothing reaches the client any
/// more. Each side is read from only when the other has taken what came before. Cancel safe: `place` tells where in
/// the server's bytes the client is.
pub(super) async fn relay(client: &mut Client, server: &mut Connection, place: &mut Place) -> io::Result<()> {
    poll_fn(|cx| {
        poll_to_server(cx, client, server)?;
        poll_to_client(cx, client, server, place)
    })
    .await
}

/// Passes on the rest of the message that the client has a part of, or is about to get.
pub(super) async fn finish_message(
    client: &mut Client,
    server: &mut Connection,
    place: &mut Place,
) -> io::Result<()> {
    // What the client's TLS has encrypted is as good as sent, and may be more than that.
    while place.due() > 0 || client.owed() > 0 {
        let sent = poll_fn(|cx| {
            if server.inbox.is_empty() && ready!(server.poll_read(cx))? == 0 {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof)));
            }
            let n = place.due().max(client.owed()).min(server.inbox.len());
            client.poll_write(cx, &server.inbox[..n]).map(Ok)
        });
        let n = sent.await?;
        place.pass(&server.inbox[..n])?;
        server.inbox.advance(n);
    }
    Ok(())
}

fn poll_to_client(
    cx: &mut Context<'_>,
    client: &mut Client,
    server: &mut Connection,
    place: &mut Place,
) -> Poll<io::Result<()>> {
    ready!(client.poll_flush(cx));
    loop {
        if client.is_deaf() {
            return Poll::Ready(Ok(()));
        }
        if server.inbox.is_empty() && ready!(server.poll_read(cx))? == 0 {
            return Poll::Ready(Ok(()));
        }
        let n = ready!(client.poll_write(cx, &server.inbox));
        place.pass(&server.inbox[..n])?;
        server.inbox.advance(n);
    }
}

/// Fails when the client's socket does; a server that takes no more is seen to have ended when it is read from.
fn poll_to_server(cx: &mut Context<'_>, client: &mut Client, server: &mut Connection) -> io::Result<()> {
    loop {
        match server.poll_flush(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => server.outbox.clear(),
            Poll::Pending => return Ok(()),
        }
        if client.has_left() && client.inbox.is_empty() {
            // As a direct connection: the server finds the end behind everything that was sent before.
            let _ = server.poll_shutdown(cx);
            return Ok(());
        }
        if client.inbox.is_empty() {
            match client.poll_read(cx) {
                Poll::Ready(Ok(0)) => continue,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(()),
            }
        }
        std::mem::swap(&mut client.inbox, &mut server.outbox);
    }
}

/// Where in the server's bytes the client is.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// The header of the message that has begun, as far as it has been passed on.
    head: Vec<u8>,
    /// Bytes of its body that are still to come.
    rest: usize,
}

impl Place {
    /// Bytes that are known to be needed before the message is whole; 0 between messages.
    fn due(&self) -> usize {
        if self.head.is_empty() { self.rest } else { HEADER_LEN - self.head.len() }
    }

    /// These bytes have been passed on.
    fn pass(&mut self, mut bytes: &[u8]) -> Result<(), io::Error> {
        while !bytes.is_empty() {
            let n = if self.rest > 0 { self.rest } else { HEADER_LEN - self.head.len() }.min(bytes.len());
            if self.rest > 0 {
                self.rest -= n;
            } else {
                self.head.extend_from_slice(&bytes[..n]);
                if let Some(len) = message_len(&self.head).map_err(invalid)? {
                    self.rest = len - HEADER_LEN;
                    self.head.clear();
                }
            }
            bytes = &bytes[n..];
        }
        Ok(())
    }
}

fn invalid(error: WireError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{TransactionStatus, encode};
    use bytes::BytesMut;

    #[test]
    fn the_ends_of_messages_are_found_however_they_are_cut() {
        let (mut bytes, mut ends) = (BytesMut::new(), vec![0]);
        for status in [TransactionStatus::Idle, TransactionStatus::Open] {
            encode::ready(&mut bytes, status);
            ends.push(bytes.len());
            encode::parse_complete(&mut bytes);
            ends.push(bytes.len());
        }
        for piece in 1..=bytes.len() {
            let (mut place, mut at) = (Place::default(), 0);
            for part in bytes.chunks(piece) {
                place.pass(part).unwrap();
                at += part.len();
                assert_eq!(place.due() == 0, ends.contains(&at), "at {at} in pieces of {piece}");
            }
        }
        assert!(Place::default().pass(b"Z\0\0\0\0").is_err());
    }
}
