//! Listening sockets.

use std::fmt;
use std::io;
use std::net::IpAddr;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc::Receiver;

use super::Stream;

/// Where a peer comes from, without its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// By TCP.
    Ip(IpAddr),
    /// By a Unix domain socket.
    Local,
}

impl Peer {
    /// Whether it is on this machine.
    pub fn is_near(self) -> bool {
        match self {
            Self::Local => true,
            // A socket for both protocols knows peers of IPv4 by an address of IPv6.
            Self::Ip(address) => address.to_canonical().is_loopback(),
        }
    }
}

/// Local peers are called as in PostgreSQL's log.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            Self::Local => f.write_str("[local]"),
        }
    }
}

/// A connection that somebody else has opened.
#[derive(Debug)]
pub struct Accepted {
    /// The socket.
    pub stream: Stream,
    /// Where it comes from.
    pub peer: Peer,
}

/// A listening socket that does not block, before it belongs to a runtime.
#[derive(Debug)]
pub enum Bound {
    /// TCP, with Nagle's algorithm off, which accepted sockets inherit.
    Tcp(std::net::TcpListener),
    /// Unix domain socket.
    Unix(std::os::unix::net::UnixListener),
    /// Peers that somebody else accepts, on any runtime.
    Handed(Receiver<Accepted>),
}

/// A listening socket of the current thread's runtime.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// Unix domain socket.
    Unix(UnixListener),
    /// Peers that somebody else accepts.
    Handed(Receiver<Accepted>),
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

    /// Whether somebody else accepts its peers.
    pub fn is_handed(&self) -> bool {
        matches!(self, Self::Handed(_))
    }

    /// The next peer; `None` when somebody else accepts them and does so no more. Cancel safe.
    pub async fn accept(&mut self) -> io::Result<Option<Accepted>> {
        let accepted = match self {
            Self::Tcp(listener) => {
                let (socket, address) = listener.accept().await?;
                Accepted { stream: Stream::Tcp(socket), peer: Peer::Ip(address.ip()) }
            }
            Self::Unix(listener) => {
                let (socket, _) = listener.accept().await?;
                Accepted { stream: Stream::Unix(socket), peer: Peer::Local }
            }
            Self::Handed(peers) => match peers.recv().await {
                Some(Accepted { stream, peer }) => Accepted { stream: stream.rehome()?, peer },
                None => return Ok(None),
            },
        };
        Ok(Some(accepted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attack_from_another_machine_is_not_taken_for_one_from_here() {
        let peer = |address: &str| Peer::Ip(address.parse().expect("an address")).is_near();
        assert!(Peer::Local.is_near());
        assert!(["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"].into_iter().all(peer));
        let others = ["192.0.2.1", "10.0.0.1", "0.0.0.0", "::", "fe80::1", "::ffff:192.0.2.1", "::127.0.0.1"];
        assert!(!others.into_iter().any(peer));
    }
}
