//! The client's socket with its buffers.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::net::{Ends, Peer, Stream, Tls};
use crate::tls::{PeerIdentity, peer_identity};
use crate::wire::{Frontend, WireError, frontend_message};

/// A buffer that has grown beyond this is given back as soon as it is empty, in bytes.
const KEEP: usize = 8 * 1024;

/// How often a client that has left may be found not to take what it is told; a fourth of a second passes in between.
const PATIENCE: u8 = 8;

/// Whether the client is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Here,
    /// It sends nothing more; what it is told may still reach it.
    Silent,
    /// Nothing reaches it any more: what it is told is dropped, as PostgreSQL drops it.
    Deaf,
    /// Both.
    Gone,
}

/// The client's socket with its buffers.
#[derive(Debug)]
pub(super) struct Client {
    stream: Stream,
    /// Where it comes from, without the port.
    address: Peer,
    presence: Presence,
    /// Bytes that were read from it and written to it, since that was asked for last.
    traffic: (u64, u64),
    /// How often it was found not to have taken anything since it took something last.
    waited_for: u8,
    /// What the client has sent and is not dealt with yet.
    pub(super) inbox: BytesMut,
    /// What the proxy itself has to say to the client.
    pub(super) outbox: BytesMut,
}

impl Client {
    pub(super) fn new(stream: Stream, address: Peer) -> Self {
        Self {
            stream,
            address,
            presence: Presence::Here,
            waited_for: 0,
            traffic: (0, 0),
            inbox: BytesMut::new(),
            outbox: BytesMut::new(),
        }
    }

    /// Where it comes from, without the port.
    pub(super) fn address(&self) -> Peer {
        self.address
    }

    /// The two ends of its connection, if it comes by TCP.
    pub(super) fn ends(&self) -> Option<Ends> {
        self.stream.ends()
    }

    /// The number of the process's file that its connection is.
    pub(super) fn file(&self) -> Option<u32> {
        self.stream.file_number().and_then(|number| u32::try_from(number).ok())
    }

    /// The number of its process, if it comes by a Unix socket and the system says.
    pub(super) fn process(&self) -> Option<u32> {
        self.stream.peer_process()
    }

    /// What a SCRAM proof of its is bound to, where it may be bound to something.
    pub(super) fn end_point(&self) -> Option<&[u8]> {
        self.stream.tls()?.end_point()
    }

    /// Whether nobody in between can read along.
    pub(super) fn is_encrypted(&self) -> bool {
        self.stream.tls().is_some()
    }

    /// Whether it can be put in TLS: it comes by TCP, and is not yet.
    pub(super) fn may_be_encrypted(&self) -> bool {
        matches!(self.stream, Stream::Tcp(_))
    }

    /// Who it is by the certificate that it has shown and that was verified; `None` if it has shown none.
    pub(super) fn certificate(&self) -> Option<PeerIdentity> {
        peer_identity(self.stream.tls()?.peer_certificates().first()?)
    }

    /// The number of the system's user that it runs as; `None`: it does not come by a Unix socket.
    pub(super) fn peer_user(&self) -> io::Result<Option<u32>> {
        self.stream.peer_user()
    }

    /// Version of TLS and cipher suite, as PgBouncer shows them: `TLSv1.3/TLS_AES_256_GCM_SHA384`.
    pub(super) fn tls(&self) -> Option<Box<str>> {
        let (version, suite) = self.stream.tls()?.described();
        Some(format!("{version}/{suite}").into())
    }

    /// Whether it begins with TLS, without having asked for it. Cancel safe.
    pub(super) async fn begins_tls(&self) -> io::Result<bool> {
        /// The type of TLS's first record: a handshake. No start-up packet is so long that it begins with it.
        const HANDSHAKE: u8 = 0x16;
        Ok(self.inbox.is_empty() && self.stream.first_byte().await? == Some(HANDSHAKE))
    }

    /// The socket, to be put in TLS; until then the client is not reached.
    pub(super) fn take_socket(&mut self) -> Option<TcpStream> {
        self.stream.take_tcp()
    }

    /// Its socket, in TLS.
    pub(super) fn put_in_tls(&mut self, tls: Tls) {
        self.stream = Stream::Tls(Box::new(tls));
    }

    /// Says in TLS that nothing more comes, so that the client knows that it has heard everything.
    pub(super) async fn close(&mut self) {
        if self.is_encrypted() {
            let _ = self.stream.shutdown().await;
        }
    }

    /// Takes its buffers away. It must rest.
    pub(super) fn take_buffers(&mut self) -> (BytesMut, BytesMut) {
        shrink(&mut self.inbox);
        shrink(&mut self.outbox);
        (std::mem::take(&mut self.inbox), std::mem::take(&mut self.outbox))
    }

    /// Whether it is there, and nothing is on its way to it or from it.
    pub(super) fn rests(&self) -> bool {
        self.presence == Presence::Here && self.inbox.is_empty() && self.outbox.is_empty()
    }

    /// Whether nothing more comes from it but what is in the inbox.
    pub(super) fn has_left(&self) -> bool {
        matches!(self.presence, Presence::Silent | Presence::Gone)
    }

    /// Whether what it is told is dropped.
    pub(super) fn is_deaf(&self) -> bool {
        matches!(self.presence, Presence::Deaf | Presence::Gone)
    }

    /// It has left, and has not taken what it is told for a while: after a few times nothing reaches it any more. The
    /// system of a client that has closed its end in the middle of a long answer may say so after minutes only.
    pub(super) fn lose_patience(&mut self) {
        self.waited_for += 1;
        if self.presence == Presence::Silent && self.waited_for >= PATIENCE {
            self.presence = Presence::Gone;
        }
    }

    /// Reads what has arrived. 0 means the client has left; it is said once.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.inbox.is_empty() {
            shrink(&mut self.inbox);
        }
        let read = match self.presence {
            Presence::Here => std::task::ready!(self.stream.poll_read_scratch(cx, &mut self.inbox)),
            Presence::Deaf => Ok(0),
            Presence::Silent | Presence::Gone => return Poll::Pending,
        };
        if let Ok(n @ 1..) = read {
            self.traffic.0 += n as u64;
        } else {
            self.presence = if self.is_deaf() { Presence::Gone } else { Presence::Silent };
        }
        Poll::Ready(read)
    }

    /// Sends the outbox; ready when it is empty.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.outbox.is_empty() {
            let n = std::task::ready!(Self::write(&mut self.stream, &mut self.presence, cx, &self.outbox));
            self.has_taken(n);
            self.outbox.advance(n);
        }
        shrink(&mut self.outbox);
        Poll::Ready(())
    }

    /// Sends some of `bytes`, which lie elsewhere. The outbox must be empty.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<usize> {
        let written = Self::write(&mut self.stream, &mut self.presence, cx, bytes);
        if let Poll::Ready(n) = written {
            self.has_taken(n);
        }
        written
    }

    fn has_taken(&mut self, n: usize) {
        self.waited_for = 0;
        self.traffic.1 += n as u64;
    }

    /// Bytes that were read from it and written to it, encrypted or not, since this was asked last.
    pub(super) fn take_traffic(&mut self) -> (u64, u64) {
        std::mem::take(&mut self.traffic)
    }

    /// How many of the bytes that were to be sent last must be given again before any others: see [`Stream::owed`].
    pub(super) fn owed(&self) -> usize {
        if self.is_deaf() { 0 } else { self.stream.owed() }
    }

    /// Writes some of `bytes`; drops them all once nothing reaches the client any more.
    fn write(
        stream: &mut Stream,
        presence: &mut Presence,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<usize> {
        if matches!(presence, Presence::Here | Presence::Silent) {
            if let Ok(n @ 1..) = std::task::ready!(stream.poll_write_some(cx, bytes)) {
                return Poll::Ready(n);
            }
            *presence = if *presence == Presence::Here { Presence::Deaf } else { Presence::Gone };
        }
        Poll::Ready(bytes.len())
    }

    /// Sends the outbox. Cancel safe.
    pub(super) async fn flush(&mut self) {
        poll_fn(|cx| self.poll_flush(cx)).await;
    }

    /// Waits for more from the client. Cancel safe.
    pub(super) async fn fill(&mut self) -> io::Result<()> {
        match poll_fn(|cx| self.poll_read(cx)).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Takes in up to `ahead` bytes of what the client sends meanwhile, and sends what waits for it. Ready when it has left.
    pub(super) fn poll_left(&mut self, cx: &mut Context<'_>, ahead: usize) -> Poll<()> {
        let _ = self.poll_flush(cx);
        while !self.has_left() {
            if self.inbox.len() >= ahead {
                return Poll::Pending;
            }
            let _ = std::task::ready!(self.poll_read(cx));
        }
        Poll::Ready(())
    }

    /// The body of the next message, which must be a password or SASL message. Cancel safe.
    pub(super) async fn password(&mut self) -> io::Result<BytesMut> {
        /// Whoever sends it is a stranger. PostgreSQL takes 1024 bytes of SASL (`PG_MAX_SASL_MESSAGE_LENGTH`).
        const LONGEST: usize = crate::wire::HEADER_LEN + 1024;
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

/// Gives an empty buffer back if it has become large. Its capacity does not say so: what was taken from its front
/// does not count.
fn shrink(buffer: &mut BytesMut) {
    if buffer.try_reclaim(KEEP + 1) {
        *buffer = BytesMut::new();
    }
}
