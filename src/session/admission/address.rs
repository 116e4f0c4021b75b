//! Where clients come from, and how many from there.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use crate::net::Peer;
use crate::session::lock::lock;

/// Where a client comes from, as far as it is counted together with others: an address, or a network of IPv6 of /64, of
/// which whoever has one address has all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::session) enum Source {
    V4(u32),
    V6(u64),
}

impl Source {
    /// `None` for clients by a Unix socket: they are on this machine, and who may use the socket is up to the file system.
    pub(in crate::session) fn of(peer: Peer) -> Option<Self> {
        match peer {
            Peer::Local => None,
            Peer::Ip(address) => Some(match address.to_canonical() {
                IpAddr::V4(address) => Self::V4(address.to_bits()),
                IpAddr::V6(address) => Self::V6(u64::try_from(address.to_bits() >> 64).unwrap_or(0)),
            }),
        }
    }
}

/// How many connections each has.
#[derive(Debug, Default)]
pub(super) struct Addresses(Mutex<HashMap<Source, usize>>);

/// A connection that is counted until this is dropped.
#[derive(Debug)]
pub(in crate::session) struct Counted {
    addresses: Arc<Addresses>,
    source: Source,
}

impl Addresses {
    /// One more from there, and how many there are with it.
    pub(super) fn enter(self: &Arc<Self>, source: Source) -> (Counted, usize) {
        let mut counts = lock(&self.0);
        let count = counts.entry(source).or_default();
        *count += 1;
        (Counted { addresses: Arc::clone(self), source }, *count)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = lock(&self.addresses.0);
        if let Some(count) = counts.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(address: &str) -> Option<Source> {
        Source::of(Peer::Ip(address.parse().unwrap()))
    }

    #[test]
    fn attack_many_addresses_of_one_network() {
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_ne!(source("10.0.0.1"), source("10.0.0.2"));
        assert_eq!(source("10.0.0.1"), source("::ffff:10.0.0.1"));
        assert_eq!(Source::of(Peer::Local), None);
    }

    #[test]
    fn those_that_are_gone_leave_nothing() {
        let addresses = Arc::new(Addresses::default());
        let from = source("10.0.0.1").unwrap();
        let (one, two) = (addresses.enter(from), addresses.enter(from));
        assert_eq!((one.1, two.1), (1, 2));
        drop(one);
        assert_eq!(addresses.enter(from).1, 2);
        drop(two);
        assert!(lock(&addresses.0).is_empty());
    }
}
