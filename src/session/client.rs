//! The client's socket with its buffers.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};

use crate::net::Stream;
use crate::wire::{Frontend, WireError, frontend_message};

/// An idle client's read buffer is given back when it has grown beyond this, in bytes.
const KEEP: usize = 1024;

/// The client's socket with its buffers.
#[derive(Debug)]
pub(super) struct Client {
    stream: Stream,
    /// What the client has sent and is not dealt with yet.
    pub(super) inbox: BytesMut,
    /// What the proxy itself has to say to the client.
    pub(super) outbox: BytesMut,
}

impl Client {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, inbox: BytesMut::new(), outbox: BytesMut::new() }
    }

    /// Where it comes from, without the port.
    pub(super) fn address(&self) -> String {
        self.stream.peer()
    }

    /// Reads what has arrived. 0 means the client hung up.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.inbox.is_empty() && self.inbox.capacity() > KEEP {
            self.inbox = BytesMut::new();
        }
        self.stream.poll_read_scratch(cx, &mut self.inbox)
    }

    /// Sends the outbox; ready when it is empty.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outbox.is_empty() {
            match self.stream.poll_write_some(cx, &self.outbox) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => self.outbox.advance(n),
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => return Poll::Pending,
            }
        }
        if self.outbox.capacity() > KEEP {
            self.outbox = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Sends some of `bytes`, which lie elsewhere. The outbox must be empty.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.poll_write_some(cx, bytes)
    }

    /// Sends the outbox. Cancel safe.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Waits for more from the client. Cancel safe.
    pub(super) async fn fill(&mut self) -> io::Result<()> {
        match poll_fn(|cx| self.poll_read(cx)).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// The body of the next message, which must be a password or SASL message. Cancel safe.
    pub(super) async fn password(&mut self) -> io::Result<BytesMut> {
        const LONGEST: usize = 64 * 1024;
        let invalid = |e: WireError| io::Error::new(io::ErrorKind::InvalidData, e);
        loop {
            match frontend_message(&self.inbox).map_err(invalid)? {
                Some(header) if header.kind != Frontend::Password || header.len > LONGEST => {
                    return Err(invalid(WireError::Malformed("password")));
                }
                Some(header) if header.len <= self.inbox.len() => {
                    let mut message = self.inbox.split_to(header.len);
                    message.advance(crate::wire::HEADER_LEN);
                    return Ok(message);
                }
                _ => self.fill().await?,
            }
        }
    }
}
