//! Cancellation: our own keys towards clients, and never a cancel that hits somebody else's statement.
//!
//! Each session has a slot that says which server connection works for it. While a cancel request is under way the
//! session does not let go of that connection, so that the request cannot arrive when it already serves another.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use std::task::Waker;

use tokio::sync::Notify;

use super::lock::lock;
use crate::pool::Pool;
use crate::server;
use crate::wire::CancelKey;

#[derive(Debug, Default)]
enum Running {
    #[default]
    Nothing,
    On(Arc<Pool>, Arc<CancelKey>),
    /// A cancel request is under way.
    Cancelling,
}

/// The session goes on.
const NOT_YET: u8 = 0;
/// It ends as soon as it is outside a transaction.
const WHEN_IDLE: u8 = 1;
/// It ends at once.
const NOW: u8 = 2;

/// What one session runs where.
#[derive(Debug)]
pub(super) struct Slot {
    secret: Vec<u8>,
    running: Mutex<Running>,
    done: Notify,
    /// When the session is to end: one of the values below, which only grow.
    ends: AtomicU8,
    /// Wakes the session to see that.
    waker: Mutex<Option<Waker>>,
}

impl Slot {
    /// The session's statements now run on this connection of the pool.
    pub(super) fn runs(&self, pool: &Arc<Pool>, key: &Arc<CancelKey>) {
        *lock(&self.running) = Running::On(Arc::clone(pool), Arc::clone(key));
    }

    /// From here on the session is woken when it is to end. Unlike something to wait for, that costs nothing while it
    /// waits for something else.
    pub(super) fn wakes(&self, waker: &Waker) {
        *lock(&self.waker) = Some(waker.clone());
    }

    /// Whether the session is to end as soon as it is outside a transaction.
    pub(super) fn is_to_end(&self) -> bool {
        self.ends.load(Ordering::Relaxed) != NOT_YET
    }

    /// Whether the session is to end at once.
    pub(super) fn is_cut(&self) -> bool {
        self.ends.load(Ordering::Relaxed) == NOW
    }

    /// Tells the session to end when it is outside a transaction.
    pub(super) fn end(&self) {
        self.ends_by(WHEN_IDLE);
    }

    fn ends_by(&self, when: u8) {
        self.ends.fetch_max(when, Ordering::Relaxed);
        // The lock orders this: either the session is woken here, or it sees what was just stored.
        if let Some(waker) = &*lock(&self.waker) {
            waker.wake_by_ref();
        }
    }

    /// The session lets go of the connection; waits for a cancel request that is under way. Cancel safe.
    pub(super) async fn free(&self) {
        while !self.free_at_once() {
            let done = self.done.notified();
            if self.free_at_once() {
                return;
            }
            done.await;
        }
    }

    /// The session lets go of the connection, unless a cancel request is under way.
    fn free_at_once(&self) -> bool {
        let mut running = lock(&self.running);
        let is_free = !matches!(*running, Running::Cancelling);
        if is_free {
            *running = Running::Nothing;
        }
        is_free
    }

    /// Waits for a cancel request that is under way. Cancel safe.
    pub(super) async fn quiet(&self) {
        loop {
            let done = self.done.notified();
            if !matches!(*lock(&self.running), Running::Cancelling) {
                return;
            }
            done.await;
        }
    }

    /// Cancels what runs on the connection.
    pub(super) async fn cancel(self: &Arc<Self>) {
        if let Some(under_way) = UnderWay::begin(Arc::clone(self)) {
            under_way.send().await;
        }
    }

    /// Cancels what the session runs, while the session goes on. From here on [`Slot::quiet`] waits for it.
    pub(super) fn cancel_meanwhile(self: Arc<Self>) {
        if let Some(under_way) = UnderWay::begin(self) {
            tokio::spawn(under_way.send());
        }
    }
}

/// A cancel request that is under way; the session waits until this is dropped.
struct UnderWay {
    slot: Arc<Slot>,
    pool: Arc<Pool>,
    key: Arc<CancelKey>,
}

impl UnderWay {
    /// `None` when nothing runs, or is being cancelled already.
    fn begin(slot: Arc<Slot>) -> Option<Self> {
        let mut running = lock(&slot.running);
        let Running::On(pool, key) = &*running else { return None };
        let (pool, key) = (Arc::clone(pool), Arc::clone(key));
        *running = Running::Cancelling;
        drop(running);
        Some(Self { slot, pool, key })
    }

    async fn send(self) {
        if let Err(error) = server::cancel(self.pool.endpoint(), &self.key).await {
            tracing::warn!(pool = self.pool.name(), %error, "cancel request was not delivered");
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        *lock(&self.slot.running) = Running::On(Arc::clone(&self.pool), Arc::clone(&self.key));
        self.slot.done.notify_waiters();
    }
}

/// The sessions that can be cancelled, by the process number they were told.
#[derive(Debug, Default)]
pub(super) struct Cancels {
    slots: Mutex<HashMap<u32, Arc<Slot>>>,
}

impl Cancels {
    /// A slot under a new key with a secret of `secret_len` random bytes (4 in protocol 3.0).
    pub(super) fn register(self: &Arc<Self>, secret_len: usize) -> Registered {
        let mut secret = vec![0; secret_len];
        rand::Rng::fill_bytes(&mut rand::rng(), &mut secret);
        let slot = Arc::new(Slot {
            secret: secret.clone(),
            running: Mutex::default(),
            done: Notify::new(),
            ends: AtomicU8::new(NOT_YET),
            waker: Mutex::default(),
        });
        let mut slots = lock(&self.slots);
        let pid = loop {
            let pid = rand::random::<u32>() & 0x7fff_ffff;
            if pid != 0 && !slots.contains_key(&pid) {
                break pid;
            }
        };
        slots.insert(pid, Arc::clone(&slot));
        Registered { key: CancelKey { pid, secret }, slot, registry: Arc::clone(self) }
    }

    /// Tells all sessions there are to end.
    pub(super) fn end_all(&self) {
        lock(&self.slots).values().for_each(|slot| slot.end());
    }

    /// Tells all sessions there are to end at once.
    pub(super) fn cut_all(&self) {
        lock(&self.slots).values().for_each(|slot| slot.ends_by(NOW));
    }

    /// Cancels what the session with this key runs. False if there is none: a wrong key is ignored, as PostgreSQL does.
    pub(super) async fn cancel(&self, key: &CancelKey) -> bool {
        let slot = lock(&self.slots).get(&key.pid).cloned();
        let Some(slot) = slot.filter(|slot| same(&slot.secret, &key.secret)) else { return false };
        slot.cancel().await;
        true
    }
}

/// A session's entry in the registry; dropping it takes it out.
#[derive(Debug)]
pub(super) struct Registered {
    /// What the client is told.
    pub(super) key: CancelKey,
    pub(super) slot: Arc<Slot>,
    registry: Arc<Cancels>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock(&self.registry.slots).remove(&self.key.pid);
    }
}

/// Compares in constant time.
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y)) == 0
}
