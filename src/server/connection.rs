//! One connection to PostgreSQL.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread::{self, ThreadId};
use std::time::Instant;

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWrite;

use super::{PreparedSet, ServerKey};
use crate::net::Stream;
use crate::wire::CancelKey;

/// Bytes read from a server at once: large results pass in pieces of this size.
const INBOX: usize = 64 * 1024;

/// An idle connection's buffers are given back when they have grown beyond this, in bytes.
const KEEP: usize = 2 * INBOX;

/// Settings of a session: name to value, as `set_config()` takes them.
pub type Settings = Arc<BTreeMap<String, String>>;

/// Whether the connection may be lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Custody {
    /// Idle, in a known state.
    Clean,
    /// In use, or left in a state nobody vouches for.
    Leased,
}

/// One connection to PostgreSQL with its buffers and what is known of its session.
#[allow(clippy::struct_excessive_bools, reason = "independent facts for whoever leases it")]
#[derive(Debug)]
pub struct Connection {
    stream: Option<Stream>,
    home: ThreadId,
    custody: Custody,
    /// What has arrived and was not forwarded yet.
    pub inbox: BytesMut,
    /// What is to be sent.
    pub outbox: BytesMut,
    /// The proxy's prepared statements this server has.
    pub prepared: PreparedSet,
    /// The client settings in force on this server.
    pub settings: Settings,
    /// Lets this connection's statements be cancelled.
    pub key: Arc<ServerKey>,
    /// What the server reported when the connection began.
    pub parameters: Arc<[(String, String)]>,
    /// When it was made.
    pub created: Instant,
    /// The session for which code ran here that nobody has read: it may have left what no question finds, so the
    /// connection is to be cleaned before it serves another one.
    pub stain: Option<u64>,
    /// The session that wrote here last: what is remembered of sequences is its own.
    pub wrote: Option<u64>,
    /// A temporary schema may have been made here.
    pub has_temp_schema: bool,
    /// A replica: it was seen that the server has not been restarted between the monitor's last look and our login.
    pub confirmed: bool,
}

impl Connection {
    /// Takes over a stream on which the login has succeeded.
    pub(super) fn new(
        stream: Stream,
        inbox: BytesMut,
        key: CancelKey,
        parameters: Vec<(String, String)>,
        prepared_limit: usize,
    ) -> Self {
        Self {
            home: thread::current().id(),
            custody: Custody::Clean,
            inbox,
            outbox: BytesMut::new(),
            prepared: PreparedSet::new(prepared_limit),
            settings: Settings::default(),
            key: Arc::new(ServerKey::new(key, &stream)),
            stream: Some(stream),
            parameters: parameters.into(),
            created: Instant::now(),
            confirmed: false,
            stain: None,
            wrote: None,
            has_temp_schema: false,
        }
    }

    /// Lends the connection to a session on this thread's runtime.
    pub fn lease(&mut self) -> io::Result<()> {
        self.custody = Custody::Leased;
        if self.home != thread::current().id() {
            self.stream = self.stream.take().map(Stream::rehome).transpose()?;
            self.home = thread::current().id();
        }
        Ok(())
    }

    /// The session vouches that the server is idle, outside a transaction, and owes nothing. False when bytes in
    /// the buffers contradict it.
    pub fn settle(&mut self) -> bool {
        let quiet = self.inbox.is_empty() && self.outbox.is_empty();
        if quiet {
            self.custody = Custody::Clean;
            // One large message must not cost its memory for ever.
            for buffer in [&mut self.inbox, &mut self.outbox] {
                if buffer.capacity() > KEEP {
                    *buffer = BytesMut::new();
                }
            }
        }
        quiet
    }

    /// Whether it can be lent again: settled, and the server has neither spoken nor hung up since.
    ///
    /// Costs no system call while nothing has arrived.
    pub fn is_lendable(&mut self) -> bool {
        self.custody == Custody::Clean && self.is_quiet()
    }

    /// Whether the server has neither spoken nor hung up.
    pub fn is_quiet(&mut self) -> bool {
        self.poll_read(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    /// As [`Connection::is_quiet`], for a connection that nobody has leased. What the server has said is lost.
    pub fn is_silent(&self) -> bool {
        self.stream.as_ref().is_some_and(Stream::is_silent)
    }

    /// Whether nobody on the way can read along.
    pub fn is_encrypted(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.tls().is_some())
    }

    /// Closes it. Whoever has it can do nothing with it any more.
    pub fn close(&mut self) {
        self.stream = None;
    }

    /// Whether bytes wait to be sent.
    pub fn has_output(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Reads what has arrived into the inbox. 0 means the server hung up.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.inbox.reserve(INBOX.saturating_sub(self.inbox.len()).max(INBOX / 4));
        let Some(stream) = &mut self.stream else { return Poll::Ready(Ok(0)) };
        stream.poll_read_into(cx, &mut self.inbox)
    }

    /// Tells the server that nothing more comes; what it sends can still be read.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Some(stream) => Pin::new(stream).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Tells the server that nothing more comes, and drops what it still says; ready when it has hung up.
    pub fn poll_hang_up(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.poll_shutdown(cx).is_pending() {
            return Poll::Pending;
        }
        loop {
            self.inbox.clear();
            match std::task::ready!(self.poll_read(cx)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
    }

    /// Sends what waits; ready when all of it is sent.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        while !self.outbox.is_empty() {
            match stream.poll_write_some(cx, &self.outbox) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => self.outbox.advance(n),
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }
}
