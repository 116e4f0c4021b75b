//! Listening sockets.

use std::io;

use tokio::net::{TcpListener, UnixListener};

use super::Stream;

/// A listening socket that does not block, before it belongs to a runtime.
#[derive(Debug)]
pub enum Bound {
    /// TCP.
    Tcp(std::net::TcpListener),
    /// Unix domain socket.
    Unix(std::os::unix::net::UnixListener),
}

/// A listening socket of the current thread's runtime.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// Unix domain socket.
    Unix(UnixListener),
}

impl Listener {
    /// Registers a socket with the current thread's runtime.
    pub fn register(bound: Bound) -> io::Result<Self> {
        Ok(match bound {
            Bound::Tcp(listener) => Self::Tcp(TcpListener::from_std(listener)?),
            Bound::Unix(listener) => Self::Unix(UnixListener::from_std(listener)?),
        })
    }

    /// The next peer. Cancel safe.
    pub async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => loop {
                let (socket, _) = listener.accept().await?;
                // One that cannot be set up has gone already.
                if let Ok(stream) = Stream::tcp(socket) {
                    return Ok(stream);
                }
            },
            Self::Unix(listener) => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }
}
