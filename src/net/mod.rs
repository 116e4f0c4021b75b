//! Sockets: one stream type for TCP, TLS, Unix and, in tests, memory; and reading without a buffer per idle peer.

pub mod handover;
mod keepalive;
mod listener;
pub mod system;
mod tls;
mod unix;

use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

pub use keepalive::{Kept, keep_alive};
pub use listener::{Accepted, Bound, Listener, Peer};
pub use tls::{Raw, Tls};
pub use unix::SocketFile;

/// Bytes read at once from a peer that has no buffer of its own.
const SCRATCH: usize = 16 * 1024;

thread_local! {
    // Idle clients own no read buffer: bytes land here first, and move on as soon as they are there.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

/// A connected socket.
#[derive(Debug)]
pub enum Stream {
    /// TCP, with Nagle's algorithm off.
    Tcp(TcpStream),
    /// TCP, in TLS.
    Tls(Box<Tls>),
    /// Unix domain socket.
    Unix(UnixStream),
    /// A peer in the same process, for tests.
    Memory(DuplexStream),
}

/// The two ends of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The other one's address.
    pub peer: IpAddr,
    /// And its port.
    pub peer_port: u16,
    /// Ours.
    pub local: IpAddr,
    /// And its port.
    pub local_port: u16,
}

impl Stream {
    /// Its two ends; `None`: it is no connection of TCP, or none any more.
    pub fn ends(&self) -> Option<Ends> {
        let stream = match self {
            Self::Tcp(stream) => stream,
            Self::Tls(tls) => tls.socket()?,
            Self::Unix(_) | Self::Memory(_) => return None,
        };
        let (peer, local) = (stream.peer_addr().ok()?, stream.local_addr().ok()?);
        Some(Ends {
            peer: peer.ip().to_canonical(),
            peer_port: peer.port(),
            local: local.ip().to_canonical(),
            local_port: local.port(),
        })
    }

    /// The number of the peer's process; `None`: it does not come by a Unix socket, or the system does not say.
    pub fn peer_process(&self) -> Option<u32> {
        let Self::Unix(stream) = self else { return None };
        u32::try_from(stream.peer_cred().ok()?.pid()?).ok()
    }

    /// Takes a TCP connection to a server; small messages must not wait for each other's acknowledgements.
    pub fn tcp(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        keep_alive(&stream, Kept::Server)?;
        Ok(Self::Tcp(stream))
    }

    /// The first byte that the peer sends, which stays to be read; `None` when it hangs up, or does not come by TCP. Cancel
    /// safe.
    pub async fn first_byte(&self) -> io::Result<Option<u8>> {
        let Self::Tcp(stream) = self else { return Ok(None) };
        let mut byte = [0];
        let count = stream.peek(&mut byte).await?;
        Ok((count > 0).then_some(byte[0]))
    }

    /// Takes a TCP connection out that is not in TLS. What is left is a peer that has hung up.
    pub fn take_tcp(&mut self) -> Option<TcpStream> {
        if !matches!(self, Self::Tcp(_)) {
            return None;
        }
        let (hung_up, _) = tokio::io::duplex(1);
        match std::mem::replace(self, Self::Memory(hung_up)) {
            Self::Tcp(stream) => Some(stream),
            Self::Tls(_) | Self::Unix(_) | Self::Memory(_) => None,
        }
    }

    /// The TLS it is in, if it is.
    pub fn tls(&self) -> Option<&Tls> {
        match self {
            Self::Tls(tls) => Some(tls),
            Self::Tcp(_) | Self::Unix(_) | Self::Memory(_) => None,
        }
    }

    /// The number of the process's file that it is: the system gives the lowest that is free.
    pub fn file_number(&self) -> Option<u64> {
        let number = match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Tls(tls) => tls.socket()?.as_raw_fd(),
            Self::Unix(stream) => stream.as_raw_fd(),
            Self::Memory(_) => return None,
        };
        u64::try_from(number).ok()
    }

    /// The number of the system's user that the peer runs as; `None`: it does not come by a Unix socket.
    pub fn peer_user(&self) -> io::Result<Option<u32>> {
        match self {
            Self::Unix(stream) => stream.peer_cred().map(|peer| Some(peer.uid())),
            Self::Tcp(_) | Self::Tls(_) | Self::Memory(_) => Ok(None),
        }
    }

    /// Whether others on a network may read along.
    pub fn is_open_to_others(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    /// Whether it leads to another machine, and others on the way there may read along.
    pub fn is_open_to_network(&self) -> bool {
        match self {
            Self::Tcp(stream) => !stream.peer_addr().is_ok_and(|peer| Peer::Ip(peer.ip()).is_near()),
            Self::Tls(_) | Self::Unix(_) | Self::Memory(_) => false,
        }
    }

    /// Whether the peer has neither spoken nor hung up. What it has said may be lost. Costs no system call while nothing
    /// has arrived.
    pub fn is_silent(&self) -> bool {
        let mut byte = [0];
        let read = match self {
            Self::Tcp(stream) => stream.try_read(&mut byte),
            Self::Tls(tls) => match tls.socket() {
                Some(stream) => stream.try_read(&mut byte),
                None => return false,
            },
            Self::Unix(stream) => stream.try_read(&mut byte),
            Self::Memory(_) => return true,
        };
        read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Moves the socket's registration to the runtime of the current thread, so that its wake-ups stay there.
    pub fn rehome(self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(s) => Self::Tcp(TcpStream::from_std(s.into_std()?)?),
            Self::Tls(mut s) => {
                s.rehome()?;
                Self::Tls(s)
            }
            Self::Unix(s) => Self::Unix(UnixStream::from_std(s.into_std()?)?),
            Self::Memory(s) => Self::Memory(s),
        })
    }

    /// Appends what has arrived to `inbox` without holding memory while nothing arrives. 0 means end of stream.
    pub fn poll_read_scratch(
        &mut self,
        cx: &mut Context<'_>,
        inbox: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        BUFFER.with_borrow_mut(|scratch| {
            let mut buf = ReadBuf::new(scratch);
            match Pin::new(self).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) => {
                    inbox.extend_from_slice(buf.filled());
                    Poll::Ready(Ok(buf.filled().len()))
                }
                Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
                Poll::Pending => Poll::Pending,
            }
        })
    }

    /// Appends what has arrived to `inbox`, at most its spare capacity. 0 means end of stream.
    pub fn poll_read_into(&mut self, cx: &mut Context<'_>, inbox: &mut BytesMut) -> Poll<io::Result<usize>> {
        use tokio::io::AsyncReadExt;
        let read = std::pin::pin!(self.read_buf(inbox));
        read.poll(cx)
    }

    /// How many of the bytes that were given last are on their way to the peer already, though nobody was told so: they must
    /// be given again, before any others.
    pub fn owed(&self) -> usize {
        self.tls().map_or(0, Tls::owed)
    }

    /// Writes some of `bytes`. When it is not ready, it must be asked again with the same bytes at the front.
    pub fn poll_write_some(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self).poll_write(cx, bytes)
    }
}

macro_rules! delegate {
    ($self:ident, $s:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Tcp($s) => $call,
            Stream::Tls($s) => $call,
            Stream::Unix($s) => $call,
            Stream::Memory($s) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        delegate!(self, s => Pin::new(s).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        delegate!(self, s => Pin::new(s).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, s => Pin::new(s).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, s => Pin::new(s).poll_shutdown(cx))
    }
}
