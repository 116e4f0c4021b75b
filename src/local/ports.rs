//! Free ports on loopback.
//!
//! They are taken from below the range that the system gives to outgoing connections (from 32768 on Linux, 49152
//! elsewhere). A port from that range could be taken by any client while a node is down, and the node could not start
//! again on it.

use std::net::{Ipv4Addr, TcpListener};

const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;
const TRIES: usize = 200;

/// A port that nobody listens on at this moment. Somebody else may take it before it is used, so starting a server on
/// it can fail and must then be tried with another one.
pub(super) fn free() -> Option<u16> {
    (0..TRIES)
        .map(|_| FIRST + rand::random::<u16>() % COUNT)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
}
