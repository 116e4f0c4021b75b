//! Cancellation: our own keys towards clients, and never a cancel that hits somebody else's statement.
//!
//! Each session has a slot that says which server connection works for it. While a cancel request is under way the
//! session does not let go of that connection, so that the request cannot arrive when it already serves another.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use std::task::Waker;

use tokio::sync::Notify;

use super::lock::lock;
use super::peers::process_number;
use crate::config::PeerId;
use crate::pool::Pool;
use crate::server;
use crate::stats::CancelOutcome;
use crate::wire::CancelKey;

#[derive(Debug, Default)]
enum Running {
    #[default]
    Nothing,
    On(Arc<Pool>, Arc<CancelKey>),
    /// A cancel request is under way.
    Cancelling,
}

/// What one session runs where.
#[derive(Debug)]
pub(super) struct Slot {
    secret: Vec<u8>,
    running: Mutex<Running>,
    done: Notify,
    /// The session is to end as soon as it is outside a transaction.
    is_to_end: AtomicBool,
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
        self.is_to_end.load(Ordering::Relaxed)
    }

    /// Tells the session to end.
    pub(super) fn end(&self) {
        self.is_to_end.store(true, Ordering::Relaxed);
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

    /// Cancels what runs on the connection, if anything does. False if the server was not reached.
    pub(super) async fn cancel(self: &Arc<Self>) -> bool {
        match UnderWay::begin(Arc::clone(self)) {
            Some(under_way) => under_way.send().await,
            None => true,
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

    /// Whether it was delivered.
    async fn send(self) -> bool {
        let sent = server::cancel(self.pool.endpoint(), &self.key).await;
        if let Err(error) = &sent {
            tracing::warn!(pool = self.pool.name(), %error, "cancel request was not delivered");
        }
        sent.is_ok()
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
    /// What the process numbers say of whose they are.
    own: Option<PeerId>,
}

impl Cancels {
    /// None yet. If the instance has a number, their process numbers will say it.
    pub(super) fn new(own: Option<PeerId>) -> Self {
        Self { slots: Mutex::default(), own }
    }

    /// A slot under a new key with a secret of `secret_len` random bytes (4 in protocol 3.0).
    pub(super) fn register(self: &Arc<Self>, secret_len: usize) -> Registered {
        let mut secret = vec![0; secret_len];
        rand::Rng::fill_bytes(&mut rand::rng(), &mut secret);
        let slot = Arc::new(Slot {
            secret: secret.clone(),
            running: Mutex::default(),
            done: Notify::new(),
            is_to_end: AtomicBool::new(false),
            waker: Mutex::default(),
        });
        let mut slots = lock(&self.slots);
        // There are more numbers than a process can have open files.
        let pid = loop {
            let pid = process_number(self.own, rand::random());
            if pid != 0 && !slots.contains_key(&pid) {
                break pid;
            }
        };
        slots.insert(pid, Arc::clone(&slot));
        Registered { key: CancelKey { pid, secret }, slot, registry: Arc::clone(self) }
    }

    /// How many there are, and the lock, which a test may poison.
    #[cfg(test)]
    pub(super) fn hold(&self) -> (usize, impl Drop) {
        let slots = lock(&self.slots);
        (slots.len(), slots)
    }

    /// Wakes all sessions that wait for something: what they wait for may never come.
    pub(super) fn wake_all(&self) {
        for slot in lock(&self.slots).values() {
            if let Some(waker) = &*lock(&slot.waker) {
                waker.wake_by_ref();
            }
        }
    }

    /// Tells all sessions there are to end.
    pub(super) fn end_all(&self) {
        lock(&self.slots).values().for_each(|slot| slot.end());
    }

    /// Cancels what the session with this key runs. A wrong key is ignored, as PostgreSQL does.
    pub(super) async fn cancel(&self, key: &CancelKey) -> CancelOutcome {
        let slot = lock(&self.slots).get(&key.pid).cloned();
        match slot.filter(|slot| same(&slot.secret, &key.secret)) {
            None => CancelOutcome::Unknown,
            Some(slot) if slot.cancel().await => CancelOutcome::Served,
            Some(_) => CancelOutcome::Failed,
        }
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
