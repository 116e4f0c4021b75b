//! Cancellation: our own keys towards clients, and never a cancel that hits somebody else's statement.
//!
//! Each session has a slot that says which server connection works for it. While a cancel request is under way the
//! session does not let go of that connection, so that the request cannot arrive when it already serves another.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::lock::lock;
use super::peers::process_number;
use super::roster::Entry;
use crate::auth::same;
use crate::config::PeerId;
use crate::pool::Pool;
use crate::server::{self, ServerKey};
use crate::stats::CancelOutcome;
use crate::wire::CancelKey;

#[derive(Debug, Default)]
enum Running {
    #[default]
    Nothing,
    On(Arc<Pool>, Arc<ServerKey>),
    /// A cancel request is under way.
    Cancelling(Arc<Pool>, Arc<ServerKey>),
    /// A command of the console, which a cancel request gives up.
    Command(Arc<Notify>),
}

/// When a session is to end.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum Ends {
    /// As soon as it is outside a transaction.
    Idle = 1,
    /// Whatever it does: an administrator has said so.
    Killed = 2,
    /// Whatever it does: the proxy stops, and has waited for as long as it may.
    Cut = 3,
}

/// What one session runs where.
#[derive(Debug)]
pub(super) struct Slot {
    secret: Vec<u8>,
    running: Mutex<Running>,
    done: Notify,
    /// When the session is to end: 0, or one of [`Ends`]; it only grows.
    ends: AtomicU8,
    begun: Instant,
    /// Since when it waits for something before a server can work for it, in nanoseconds from its beginning; 0: it does not.
    waits: AtomicU64,
    /// When it was last asked for something, likewise; 0: not yet.
    asked: AtomicU64,
    /// Wakes the session to see that it is to end.
    waker: Mutex<Option<Waker>>,
    /// Who it is; once it has logged in.
    entry: OnceLock<Box<Entry>>,
}

/// A session waits as long as this lives.
pub(super) struct Waiting<'a>(&'a Slot);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waits.store(0, Ordering::Relaxed);
    }
}

impl Slot {
    /// The session's statements now run on this connection of the pool.
    pub(super) fn runs(&self, pool: &Arc<Pool>, key: &Arc<ServerKey>) {
        *lock(&self.running) = Running::On(Arc::clone(pool), Arc::clone(key));
    }

    /// From here on the session is woken when it is to end. Unlike something to wait for, that costs nothing while it
    /// waits for something else.
    pub(super) fn wakes(&self, waker: &Waker) {
        *lock(&self.waker) = Some(waker.clone());
    }

    /// Whether the session is to end; `busy`: it is in a transaction, or a server works for it.
    pub(super) fn is_to_end(&self, busy: bool) -> bool {
        self.ends.load(Ordering::Relaxed) >= if busy { Ends::Killed } else { Ends::Idle } as u8
    }

    /// Whether the session is to end whatever it does.
    pub(super) fn is_killed(&self) -> bool {
        self.is_to_end(true)
    }

    /// Whether that is because a stop has waited for as long as it may.
    pub(super) fn is_cut(&self) -> bool {
        self.ends.load(Ordering::Relaxed) == Ends::Cut as u8
    }

    /// Tells the session to end when it is outside a transaction.
    pub(super) fn end(&self) {
        self.tell(Ends::Idle);
    }

    /// Tells the session to end, whatever it does.
    pub(super) fn kill(&self) {
        self.tell(Ends::Killed);
    }

    fn tell(&self, when: Ends) {
        self.ends.fetch_max(when as u8, Ordering::Relaxed);
        // The lock orders this: either the session is woken here, or it sees what was just stored.
        if let Some(waker) = &*lock(&self.waker) {
            waker.wake_by_ref();
        }
    }

    /// Waits until the session is to end, `busy` or not. For those that are not in the serve loop. Cancel safe.
    pub(super) async fn ends(&self, busy: bool) {
        poll_fn(|cx| {
            self.wakes(cx.waker());
            if self.is_to_end(busy) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Waits until the session is to end at once. Cancel safe.
    pub(super) async fn killed(&self) {
        self.ends(true).await;
    }

    /// The session waits until what is returned is dropped.
    pub(super) fn waits(&self) -> Waiting<'_> {
        self.waits.store(self.since_begun(Instant::now()), Ordering::Relaxed);
        Waiting(self)
    }

    /// The client has asked for something at this instant.
    pub(super) fn asks(&self, at: Instant) {
        self.asked.store(self.since_begun(at), Ordering::Relaxed);
    }

    /// How long ago the client has asked for something; `None`: it has not yet.
    pub(super) fn asked(&self) -> Option<Duration> {
        self.ago(&self.asked)
    }

    /// For how long it has waited for something before a server can work for it; `None`: it does not.
    pub(super) fn waited(&self) -> Option<Duration> {
        self.ago(&self.waits)
    }

    fn ago(&self, instant: &AtomicU64) -> Option<Duration> {
        let at = Some(instant.load(Ordering::Relaxed)).filter(|at| *at > 0)?;
        Some(self.begun.elapsed().saturating_sub(Duration::from_nanos(at)))
    }

    /// In nanoseconds, and never 0.
    fn since_begun(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.begun).as_nanos()).unwrap_or(u64::MAX).max(1)
    }

    /// The session has logged in.
    pub(super) fn introduce(&self, entry: Entry) {
        // It does so once.
        let _ = self.entry.set(Box::new(entry));
    }

    /// Who it is, once it has logged in.
    pub(super) fn entry(&self) -> Option<&Entry> {
        self.entry.get().map(Box::as_ref)
    }

    /// Whether a request to cancel what it runs is under way.
    pub(super) fn is_cancelling(&self) -> bool {
        matches!(*lock(&self.running), Running::Cancelling(..))
    }

    /// The pool of the connection that works for it, and the server process.
    pub(super) fn link(&self) -> Option<(Arc<Pool>, Arc<ServerKey>)> {
        match &*lock(&self.running) {
            Running::On(pool, key) | Running::Cancelling(pool, key) => {
                Some((Arc::clone(pool), Arc::clone(key)))
            }
            Running::Nothing | Running::Command(_) => None,
        }
    }

    /// A command of the console begins; a cancel request is told to what is returned.
    pub(super) fn begins_command(&self) -> Arc<Notify> {
        let cancelled = Arc::new(Notify::new());
        *lock(&self.running) = Running::Command(Arc::clone(&cancelled));
        cancelled
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
        let is_free = !matches!(*running, Running::Cancelling(..));
        if is_free {
            *running = Running::Nothing;
        }
        is_free
    }

    /// Waits for a cancel request that is under way. Cancel safe.
    pub(super) async fn quiet(&self) {
        loop {
            let done = self.done.notified();
            if !matches!(*lock(&self.running), Running::Cancelling(..)) {
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
    key: Arc<ServerKey>,
}

impl UnderWay {
    /// `None` when nothing runs, or is being cancelled already.
    fn begin(slot: Arc<Slot>) -> Option<Self> {
        let mut running = lock(&slot.running);
        let (pool, key) = match &*running {
            Running::On(pool, key) => (Arc::clone(pool), Arc::clone(key)),
            Running::Command(cancelled) => {
                cancelled.notify_one();
                return None;
            }
            Running::Nothing | Running::Cancelling(..) => return None,
        };
        *running = Running::Cancelling(Arc::clone(&pool), Arc::clone(&key));
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
            ends: AtomicU8::new(0),
            begun: Instant::now(),
            waits: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            waker: Mutex::default(),
            entry: OnceLock::new(),
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

    /// The sessions that have logged in, by the process number they were told.
    pub(super) fn all(&self) -> Vec<(u32, Arc<Slot>)> {
        let slots = lock(&self.slots);
        let known = slots.iter().filter(|(_, slot)| slot.entry().is_some());
        known.map(|(pid, slot)| (*pid, Arc::clone(slot))).collect()
    }

    /// How many wait for something before a server can work for them, by database.
    pub(super) fn waiting(&self) -> HashMap<String, usize> {
        let mut waiting = HashMap::new();
        for entry in
            lock(&self.slots).values().filter(|slot| slot.waited().is_some()).filter_map(|slot| slot.entry())
        {
            *waiting.entry(entry.names().1.to_owned()).or_default() += 1;
        }
        waiting
    }

    /// The session that was told this process number.
    pub(super) fn find(&self, pid: u32) -> Option<Arc<Slot>> {
        lock(&self.slots).get(&pid).cloned().filter(|slot| slot.entry().is_some())
    }

    /// Tells all sessions there are to end at once: a stop has waited for as long as it may.
    pub(super) fn cut_all(&self) {
        lock(&self.slots).values().for_each(|slot| slot.tell(Ends::Cut));
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
