//! Listening sockets.

use std::io;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc::Receiver;

use super::Stream;

/// A listening socket that does not block, before it belongs to a runtime.
#[derive(Debug)]
pub enum Bound {
    /// TCP.
    Tcp(std::net::TcpListener),
    /// Unix domain socket.
    Unix(std::os::unix::net::UnixListener),
    /// Peers that somebody else accepts, on any runtime.
    Handed(Receiver<Stream>),
}

/// A listening socket of the current thread's runtime.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// Unix domain socket.
    Unix(UnixListener),
    /// Peers that somebody else accepts.
    Handed(Receiver<Stream>),
}

impl Listener {
    /// Registers a socket with the current thread's runtime.
    pub fn register(bound: Bound) -> io::Result<Self> {
        Ok(match bound {
            Bound::Tcp(listener) => Self::Tcp(TcpListener::from_std(listener)?),
            Bound::Unix(listener) => Self::Unix(UnixListener::from_std(listener)?),
            Bound::Handed(peers) => Self::Handed(peers),
        })
    }

    /// The next peer. Cancel safe.
    pub async fn accept(&mut self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => loop {
                let (socket, _) = listener.accept().await?;
                // One that cannot be set up has gone already.
                if let Ok(stream) = Stream::tcp(socket) {
                    return Ok(stream);
                }
            },
            Self::Unix(listener) => Ok(Stream::Unix(listener.accept().await?.0)),
            Self::Handed(peers) => match peers.recv().await {
                Some(peer) => peer.rehome(),
                // Whoever accepts them has been told to stop.
                None => std::future::pending().await,
            },
        }
    }
}
