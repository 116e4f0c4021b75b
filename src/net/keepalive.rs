//! How soon a peer that has vanished without a word is noticed, though nothing is sent to it.
//!
//! There is no limit on how long sent data may stay unacknowledged (`TCP_USER_TIMEOUT`): it would also hit a peer that is there and
//! does not read for a while, as a server does that waits for a lock in the middle of a COPY.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// Whose connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// To a server: there are few, and who waits for an answer wants to know.
    Server,
    /// From a client: there are many, and most are idle.
    Client,
}

/// Has the system ask the peer for a sign of life: a server after 5 seconds of silence, every 2 seconds, and it is gone when 3
/// are not answered; a client after 60, every 10, and 3.
pub fn keep_alive<'s>(socket: impl Into<SockRef<'s>>, whose: Kept) -> io::Result<()> {
    let (idle, interval) = match whose {
        Kept::Server => (5, 2),
        Kept::Client => (60, 10),
    };
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(idle))
        .with_interval(Duration::from_secs(interval))
        .with_retries(3);
    socket.into().set_tcp_keepalive(&keepalive)
}
