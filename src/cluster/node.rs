//! One node of a cluster.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};

use super::Identity;
use super::vitals::Vitals;
use crate::config::NodeSettings;
use crate::freshness::{Horizon, Lsn, Tick};
use crate::health::{Cause, Causes, FULL};
use crate::routing::{NodeId, ReplicaView};

/// One statement that has begun, in a node's count of its work.
const BEGUN: u64 = 1 << 32;

const _: () = assert!(FULL == ReplicaView::WHOLE, "health and routing have the same whole");

/// What a node is good for at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Not reached, or not understood.
    Down = 0,
    /// Takes writes.
    Primary = 1,
    /// Replays the primary's WAL and answers reads.
    Replica = 2,
    /// Must not be used, though it may be reachable: another system, another timeline, a second primary, or taken out by
    /// hand.
    Refused = 3,
}

/// A failover is over by then.
const ASTRAY: Duration = Duration::from_secs(10);

/// One node and what was last heard of it.
#[derive(Debug)]
pub struct Node {
    /// Its number in the cluster.
    pub id: NodeId,
    /// `host:port`.
    pub name: String,
    /// Where it is.
    pub settings: NodeSettings,
    state: AtomicU8,
    is_disabled: AtomicBool,
    horizon: AtomicU64,
    replayed: AtomicU64,
    /// Statements that it works on, in the lower half; all that ever began, in the upper half.
    work: AtomicU64,
    catch_up: AtomicU64,
    working_on: AtomicU64,
    life: AtomicU64,
    /// Questions of the monitor.
    asked: AtomicU64,
    /// How far of which timeline it was last seen to have replayed.
    reached: Mutex<(u32, Lsn)>,
    identity: ArcSwapOption<Identity>,
    confirmed: watch::Sender<Tick>,
    wake: Notify,
    pub(super) vitals: Vitals,
    retired: watch::Sender<bool>,
    /// Why it is not in use, as far as the monitor knows.
    trouble: ArcSwapOption<String>,
    /// Whether it took the last write that was tried, if it takes itself for the primary.
    writable: AtomicBool,
    heard: AtomicBool,
    /// The timeline on which it was seen beside a primary of another one, and since when.
    astray: Mutex<Option<(u32, Instant)>>,
    /// Counts how often what was under way there was given up.
    abandonments: AtomicU64,
    /// Told when that happens.
    abandoned: watch::Sender<()>,
}

impl Node {
    pub(super) fn new(id: NodeId, settings: NodeSettings) -> Self {
        let vitals = Vitals::of(settings.weight);
        Self {
            id,
            name: settings.to_string(),
            settings,
            state: AtomicU8::new(State::Down as u8),
            is_disabled: AtomicBool::new(false),
            horizon: AtomicU64::new(0),
            replayed: AtomicU64::new(0),
            work: AtomicU64::new(0),
            catch_up: AtomicU64::new(0),
            working_on: AtomicU64::new(0),
            life: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            reached: Mutex::default(),
            identity: ArcSwapOption::empty(),
            confirmed: watch::Sender::new(Tick::NEVER),
            wake: Notify::new(),
            vitals,
            retired: watch::Sender::new(false),
            trouble: ArcSwapOption::empty(),
            writable: AtomicBool::new(true),
            heard: AtomicBool::new(false),
            astray: Mutex::default(),
            abandonments: AtomicU64::new(0),
            abandoned: watch::Sender::new(()),
        }
    }

    /// What it is good for.
    pub fn state(&self) -> State {
        if self.is_disabled() { State::Refused } else { self.seen() }
    }

    /// Whether it was taken out by hand.
    pub fn is_disabled(&self) -> bool {
        self.is_disabled.load(Ordering::Relaxed)
    }

    /// Why it is not in use, if it is not.
    pub fn trouble(&self) -> Option<String> {
        match self.state() {
            State::Primary | State::Replica => None,
            _ if self.is_disabled() => Some("disabled by hand".to_owned()),
            _ => {
                Some(self.trouble.load().as_deref().map_or_else(|| "not seen yet".to_owned(), String::clone))
            }
        }
    }

    /// What it was found to be, whether it was taken out by hand or not.
    pub fn seen(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            1 => State::Primary,
            2 => State::Replica,
            3 => State::Refused,
            _ => State::Down,
        }
    }

    /// Everything acknowledged before this instant is visible there.
    pub fn horizon(&self) -> Tick {
        Tick(self.horizon.load(Ordering::Acquire))
    }

    /// How long its horizon takes to come to an instant, in nanoseconds, by what was measured lately; 0 when unknown.
    pub fn catch_up(&self) -> u64 {
        self.catch_up.load(Ordering::Relaxed)
    }

    /// What is known of it as a replica at this moment.
    pub fn view(&self) -> ReplicaView {
        // In this order: a life that ended in between makes what was read of it void.
        let life = self.life.load(Ordering::Acquire);
        ReplicaView {
            id: self.id,
            weight: self.vitals.weight(),
            share: self.vitals.share(),
            is_near: self.settings.is_near,
            horizon: self.horizon(),
            outstanding: self.outstanding(),
            catch_up: self.catch_up(),
            working_on: Tick(self.working_on.load(Ordering::Relaxed)),
            life,
        }
    }

    /// Counts its restarts and absences, as far as they were seen.
    pub fn life(&self) -> u64 {
        self.life.load(Ordering::Acquire)
    }

    /// The replay position last heard of.
    pub fn replayed(&self) -> Lsn {
        Lsn(self.replayed.load(Ordering::Relaxed))
    }

    /// What it said of itself when it was last connected to.
    pub fn identity(&self) -> Option<Arc<Identity>> {
        self.identity.load_full()
    }

    /// How many questions the monitor has asked it, from the start of the proxy.
    pub fn questions(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Statements it works on for this proxy.
    pub fn outstanding(&self) -> usize {
        (self.work.load(Ordering::Relaxed) % BEGUN) as usize
    }

    /// Statements that have begun there for this proxy, counted with 32 bits.
    pub(super) fn begun(&self) -> u32 {
        (self.work.load(Ordering::Relaxed) / BEGUN) as u32
    }

    /// Whether reads may go there: it is a replica, some of the reads are for it, and its health allows it.
    pub fn serves_reads(&self) -> bool {
        self.state() == State::Replica && self.vitals.weight() > 0
    }

    /// How much of its weight counts at this moment, of [`ReplicaView::WHOLE`]; 0: it is out.
    pub fn share(&self) -> u16 {
        self.vitals.share()
    }

    /// Why it serves no reads; empty while it does, and for the primary.
    pub fn causes(&self) -> Causes {
        self.vitals.causes()
    }

    /// How often it was taken out for this cause.
    pub fn ejections(&self, cause: Cause) -> u64 {
        self.vitals.ejections(cause)
    }

    /// Something failed there for a fault of the server's.
    pub fn failed(&self) {
        self.vitals.failed();
    }

    /// Counts a statement as running there until the guard is dropped.
    pub fn begin(self: &Arc<Self>) -> Outstanding {
        self.work.fetch_add(BEGUN + 1, Ordering::Relaxed);
        Outstanding(Arc::clone(self))
    }

    /// Waits until the monitor's own connection has had an answer to a question asked after `after`.
    ///
    /// A replica that crashed and came back may replay from further back than it had been. Whoever connects to it
    /// anew must not trust a horizon that was learned from its former life: an answer on a connection that was
    /// there before and still is shows that the life is the same. Cancel safe. False when there was none in time.
    pub async fn confirmed(&self, after: Tick, within: Duration) -> bool {
        if *self.confirmed.borrow() > after {
            return true;
        }
        self.wake.notify_one();
        let mut answers = self.confirmed.subscribe();
        let wait = answers.wait_for(|at| *at > after);
        tokio::time::timeout(within, wait).await.is_ok_and(|answer| answer.is_ok())
    }

    /// The monitor is about to ask it something.
    pub(super) fn asked(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn answered(&self, asked_at: Tick) {
        self.confirmed.send_replace(asked_at);
    }

    pub(super) fn set_state(&self, state: State) -> State {
        let before = self.seen();
        self.state.store(state as u8, Ordering::Release);
        before
    }

    /// What the monitor has learned of its replay.
    pub(super) fn follow(&self, horizon: &Horizon) {
        self.replayed.store(horizon.replayed_lsn().0, Ordering::Relaxed);
        self.catch_up.store(horizon.catch_up(), Ordering::Relaxed);
        self.working_on.store(horizon.next().map_or(Tick::NEVER, |next| next.at).0, Ordering::Relaxed);
        self.horizon.store(horizon.get().0, Ordering::Release);
    }

    /// Nothing that was learned of its replay holds any more.
    pub(super) fn forget_horizon(&self) {
        self.life.fetch_add(1, Ordering::AcqRel);
        self.follow(&Horizon::default());
    }

    /// It has replayed so far of a timeline.
    pub(super) fn has_reached(&self, timeline: u32, lsn: Lsn) {
        *self.reached.lock().unwrap_or_else(PoisonError::into_inner) = (timeline, lsn);
    }

    /// How far of which timeline it was last seen to have replayed.
    pub(super) fn reached(&self) -> (u32, Lsn) {
        *self.reached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_identity(&self, identity: Identity) {
        self.identity.store(Some(Arc::new(identity)));
    }

    /// Takes it out by hand, or back.
    pub(super) fn set_disabled(&self, is_disabled: bool) {
        self.is_disabled.store(is_disabled, Ordering::Relaxed);
    }

    /// It is not in use for this reason.
    pub(super) fn is_out(&self, why: &dyn std::fmt::Display) {
        self.trouble.store(Some(Arc::new(why.to_string())));
    }

    /// Whether it is out for this reason, as far as the monitor knows.
    pub(super) fn is_out_because(&self, why: &str) -> bool {
        self.trouble.load().as_deref().is_some_and(|trouble| trouble == why)
    }

    /// Takes the node out at once and asks the monitor to look. True when it was in use until now.
    pub(super) fn suspect(&self) -> bool {
        let before = self.set_state(State::Down);
        self.forget_horizon();
        self.wake.notify_one();
        before != State::Down
    }

    /// Whether it took the last write that was tried, if it takes itself for the primary.
    pub fn is_writable(&self) -> bool {
        self.writable.load(Ordering::Relaxed)
    }

    pub(super) fn set_writable(&self, writable: bool) {
        self.writable.store(writable, Ordering::Relaxed);
    }

    /// Something was heard of it. True for the first time.
    pub(super) fn hear(&self) -> bool {
        !self.heard.swap(true, Ordering::Relaxed)
    }

    pub(super) fn was_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }

    /// It was seen on a timeline that the primary at work beside it is not on; `None`: it was not.
    pub(super) fn set_astray(&self, timeline: Option<u32>) {
        let mut astray = self.astray.lock().unwrap_or_else(PoisonError::into_inner);
        if astray.map(|(before, _)| before) != timeline {
            *astray = timeline.map(|timeline| (timeline, Instant::now()));
        }
    }

    /// Whether it has been on a timeline of its own for so long that this is no failover that is still going on.
    pub(super) fn is_astray(&self) -> bool {
        let astray = self.astray.lock().unwrap_or_else(PoisonError::into_inner);
        astray.is_some_and(|(_, since)| since.elapsed() > ASTRAY)
    }

    /// What is under way there is given up.
    pub(super) fn abandon(&self) {
        self.abandonments.fetch_add(1, Ordering::Release);
        self.abandoned.send_replace(());
    }

    /// Counts how often what was under way there was given up.
    pub fn abandonments(&self) -> u64 {
        self.abandonments.load(Ordering::Acquire)
    }

    /// Waits until what was under way there when it had been given up `before` times is given up. Cancel safe.
    pub async fn abandoned(&self, before: u64) {
        let mut told = self.abandoned.subscribe();
        while self.abandonments() == before && told.changed().await.is_ok() {}
    }

    /// Asks the monitor to look.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// It is not a node of the cluster any more.
    pub(super) fn retire(&self) {
        self.retired.send_replace(true);
    }

    /// Waits until it is not a node of the cluster any more. Cancel safe.
    pub(super) async fn retired(&self) {
        let _ = self.retired.subscribe().wait_for(|retired| *retired).await;
    }

    /// Somebody asks for a look before the next regular one. Cancel safe.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }
}

/// A statement that runs on a node; dropping it gives the count back.
#[derive(Debug)]
pub struct Outstanding(Arc<Node>);

impl Outstanding {
    /// The node.
    pub fn node(&self) -> &Arc<Node> {
        &self.0
    }
}

impl Drop for Outstanding {
    fn drop(&mut self) {
        self.0.work.fetch_sub(1, Ordering::Relaxed);
    }
}
