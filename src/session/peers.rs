//! Cancel requests as they come: for sessions of this instance, and for those of its peers.
//!
//! A request comes by a connection of its own, which a balancer may send to any instance. So the process number that a
//! client is told says whose session it is, and who gets a request for another's passes it on:
//!
//! ```text
//!   31            30 … 21              20 … 0        the process number
//!   passed on     number of the        random
//!                 instance
//! ```
//!
//! A client is never told a number with the first bit, so that is the mark of a request that comes from a peer: it is
//! carried out or dropped, and goes nowhere. Whoever sets it himself only loses the help of the others. The secret that
//! the session gave its client is all that counts at the end of the way, and is compared there only.
//!
//! While a process that was replaced still has sessions, requests for these come to the one that took its place. To the
//! others both are one instance.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;

use super::proxy::Proxy;
use crate::config::{PeerId, PeerSettings};
use crate::server;
use crate::stats::{CancelOutcome, CancelSource};
use crate::wire::CancelKey;

/// Bits of a process number that are random where it says whose it is.
const RANDOM_BITS: u32 = 21;
/// Marks a request that a peer passes on.
const PASSED_ON: u32 = 1 << 31;
/// Requests on their way to one peer at a time. More wait for as long as one may take.
pub(super) const AT_ONCE: usize = 32;
/// How long a request may take on its way to a peer, and there. The client that sent it waits for as long.
const PATIENCE: Duration = Duration::from_secs(5);

/// A process number for a session, from random bits.
pub(super) fn process_number(own: Option<PeerId>, random: u32) -> u32 {
    match own {
        None => random & !PASSED_ON,
        Some(id) => u32::from(id.number()) << RANDOM_BITS | (random & ((1 << RANDOM_BITS) - 1)),
    }
}

/// The instance whose session has this process number, if it says.
fn instance(pid: u32) -> Option<PeerId> {
    PeerId::new(u16::try_from((pid & !PASSED_ON) >> RANDOM_BITS).ok()?)
}

/// The other instances.
#[derive(Debug)]
pub(super) struct Peers {
    own: Option<PeerId>,
    others: ArcSwap<Vec<Arc<Peer>>>,
}

/// Another instance.
#[derive(Debug)]
struct Peer {
    settings: PeerSettings,
    room: Semaphore,
    /// Whether the last request did not reach it: that is logged when it changes, because anybody can ask for it.
    is_failing: AtomicBool,
}

impl Peers {
    pub(super) fn new(own: Option<PeerId>, list: &[PeerSettings]) -> Self {
        let peers = Self { own, others: ArcSwap::default() };
        peers.follow(list);
        peers
    }

    /// The list is this from now on. By one at a time.
    pub(super) fn follow(&self, list: &[PeerSettings]) {
        let before = self.others.load();
        let peer = |settings: &PeerSettings| {
            let same = before.iter().find(|peer| peer.settings == *settings);
            same.map_or_else(|| Arc::new(Peer::new(settings.clone())), Arc::clone)
        };
        let others = list.iter().filter(|settings| Some(settings.id) != self.own);
        self.others.store(Arc::new(others.map(peer).collect()));
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<PeerSettings> {
        self.others.load().iter().map(|peer| peer.settings.clone()).collect()
    }

    /// Passes a request on to the instance that its key names, if that is a peer, and waits until it has dealt with it.
    async fn pass_on(&self, key: &CancelKey) -> CancelOutcome {
        let id = instance(key.pid);
        let peer = self.others.load().iter().find(|peer| Some(peer.settings.id) == id).cloned();
        match peer {
            None => CancelOutcome::Unknown,
            Some(peer) if peer.pass_on(key).await => CancelOutcome::PassedOn,
            Some(_) => CancelOutcome::Failed,
        }
    }
}

impl Peer {
    fn new(settings: PeerSettings) -> Self {
        Self { settings, room: Semaphore::new(AT_ONCE), is_failing: AtomicBool::new(false) }
    }

    /// Whether the request has been dealt with there.
    async fn pass_on(&self, key: &CancelKey) -> bool {
        let marked = CancelKey { pid: key.pid | PASSED_ON, secret: key.secret.clone() };
        let PeerSettings { host, port, .. } = &self.settings;
        let passed = tokio::time::timeout(PATIENCE, async {
            let _room = self.room.acquire().await;
            server::cancel_at(host, *port, &marked).await.map_err(|error| error.to_string())
        });
        let passed = passed.await.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")));
        let was_failing = self.is_failing.swap(passed.is_err(), Ordering::Relaxed);
        match &passed {
            Err(error) if !was_failing => {
                tracing::warn!(peer = %self.settings, error, "a cancel request could not be passed on");
            }
            Ok(()) if was_failing => {
                tracing::info!(peer = %self.settings, "cancel requests can be passed on again");
            }
            _ => {}
        }
        passed.is_ok()
    }
}

impl Proxy {
    /// Deals with a cancel request, wherever its session is. A wrong key does nothing.
    pub(super) async fn deal_with_cancel(&self, mut key: CancelKey) {
        let source = if key.pid & PASSED_ON == 0 { CancelSource::Client } else { CancelSource::Peer };
        key.pid &= !PASSED_ON;
        let outcome = match self.cancels.cancel(&key).await {
            CancelOutcome::Unknown => self.ask_others(&key, source).await,
            outcome => outcome,
        };
        if outcome == CancelOutcome::Unknown {
            tracing::debug!(pid = key.pid, "cancel request with an unknown key");
        }
        self.cancel_stats.count(source, outcome);
    }

    /// The process whose place this one has taken may have the session, whatever number it had; and one of the peers.
    async fn ask_others(&self, key: &CancelKey, source: CancelSource) -> CancelOutcome {
        let former = tokio::time::timeout(PATIENCE, self.door.forward(key.clone()));
        let peer = async {
            match source {
                CancelSource::Client => self.peers.pass_on(key).await,
                CancelSource::Peer => CancelOutcome::Unknown,
            }
        };
        match tokio::join!(former, peer) {
            (Ok(true), CancelOutcome::Unknown) => CancelOutcome::PassedOn,
            (Err(_), CancelOutcome::Unknown) => CancelOutcome::Failed,
            (_, outcome) => outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::config::Host;
    use crate::wire::{Startup, startup_packet};

    fn id(number: u16) -> PeerId {
        PeerId::new(number).unwrap()
    }

    fn key_of(number: u16) -> CancelKey {
        CancelKey { pid: process_number(Some(id(number)), rand::random()), secret: vec![1, 2, 3, 4] }
    }

    async fn peer(number: u16) -> (PeerSettings, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (PeerSettings { id: id(number), host: Host::Tcp("127.0.0.1".to_owned()), port }, listener)
    }

    /// The request that comes by a connection.
    async fn request(stream: &mut TcpStream) -> CancelKey {
        let mut packet = [0; 16];
        stream.read_exact(&mut packet).await.unwrap();
        let Some((Startup::Cancel(key), 16)) = startup_packet(&packet).unwrap() else { panic!("{packet:?}") };
        key
    }

    #[test]
    fn process_numbers_say_whose_they_are() {
        for random in [0, 1, 0x1f_ffff, u32::MAX, rand::random()] {
            for number in [1, 2, 512, PeerId::MOST] {
                let pid = process_number(Some(id(number)), random);
                assert_eq!(instance(pid), Some(id(number)));
                assert_eq!(instance(pid | PASSED_ON), Some(id(number)));
                assert!(pid & PASSED_ON == 0 && pid & 0x1f_ffff == random & 0x1f_ffff);
            }
            assert_eq!(process_number(None, random), random & 0x7fff_ffff, "nothing but the sign is fixed");
        }
        assert_eq!(instance(0x1f_ffff), None);
    }

    #[tokio::test]
    async fn a_request_is_passed_on_with_the_mark_and_waited_for() {
        let (settings, listener) = peer(2).await;
        let peers = Peers::new(Some(id(1)), &[settings]);
        let key = key_of(2);
        let passing = peers.pass_on(&key);
        let deals = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert_eq!(request(&mut stream).await, CancelKey { pid: key.pid | PASSED_ON, ..key.clone() });
            // What the other instance may do meanwhile is not a promise, but it does not confuse.
            stream.write_all(b"anything").await.unwrap();
        };
        assert_eq!(tokio::join!(passing, deals).0, CancelOutcome::PassedOn);
    }

    #[tokio::test]
    async fn only_peers_are_asked() {
        let (settings, listener) = peer(1).await;
        let (own, other) = (settings.clone(), PeerSettings { id: id(3), ..settings });
        let peers = Peers::new(Some(id(1)), std::slice::from_ref(&own));
        for number in [1, 2, 3] {
            assert_eq!(peers.pass_on(&key_of(number)).await, CancelOutcome::Unknown);
        }
        let without = Peers::new(None, &[]);
        assert_eq!(without.pass_on(&key_of(3)).await, CancelOutcome::Unknown);
        // A list that is followed later counts from then on, and one that it replaces no more.
        peers.follow(&[own, other]);
        let asked = async { drop(listener.accept().await.unwrap()) };
        let key = key_of(3);
        let (outcome, ()) = tokio::join!(peers.pass_on(&key), asked);
        assert!(
            matches!(outcome, CancelOutcome::PassedOn | CancelOutcome::Failed),
            "it was asked: {outcome:?}"
        );
        peers.follow(&[]);
        assert_eq!(peers.pass_on(&key_of(3)).await, CancelOutcome::Unknown);
    }

    #[tokio::test]
    async fn nobody_there_is_a_failure_and_no_wait() {
        let (settings, listener) = peer(2).await;
        drop(listener);
        let peers = Peers::new(Some(id(1)), &[settings]);
        let asked = tokio::time::timeout(PATIENCE / 2, peers.pass_on(&key_of(2))).await;
        assert_eq!(asked.unwrap(), CancelOutcome::Failed);
    }

    #[tokio::test]
    async fn a_peer_that_hangs_takes_so_many_requests_and_so_long() {
        let (settings, listener) = peer(2).await;
        let peers = Arc::new(Peers::new(Some(id(1)), &[settings]));
        let requests: Vec<_> = (0..=AT_ONCE)
            .map(|_| {
                let peers = Arc::clone(&peers);
                tokio::spawn(async move { peers.pass_on(&key_of(2)).await })
            })
            .collect();
        let mut taken = Vec::new();
        for _ in 0..AT_ONCE {
            taken.push(listener.accept().await.unwrap());
        }
        let more = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(more.is_err(), "one more waits for its turn");
        // One that is dealt with makes room, and the others are given up when their time is over.
        drop(taken.pop());
        let (last, _) = listener.accept().await.unwrap();
        tokio::time::pause();
        let mut outcomes = Vec::new();
        for request in requests {
            outcomes.push(request.await.unwrap());
        }
        let failed = outcomes.iter().filter(|outcome| **outcome == CancelOutcome::Failed).count();
        assert!(failed == AT_ONCE || failed == AT_ONCE + 1, "{outcomes:?}");
        drop((taken, last));
    }
}
