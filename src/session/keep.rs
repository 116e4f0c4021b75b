//! Tending the pools in the background: what is old or idle is closed, and as many connections are open as have to be.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

use super::averages;
use super::gate::Gate;
use super::pins::PinList;
use super::proxy::{Database, Proxy};
use crate::cluster::{Node, State};
use crate::pool::Pool;
use crate::routing::NodeId;

/// Longest time between two attempts to open connections where that fails.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often pins are looked at.
const PINS: Duration = Duration::from_secs(1);
/// How often the pools of guests are tended.
const GUESTS: Duration = Duration::from_secs(1);

/// Tends every pool on this thread's runtime, until it is closed or the proxy is to stop.
pub fn keep(proxy: &Arc<Proxy>) {
    tokio::spawn(watch_pins(Arc::clone(&proxy.pins)));
    tokio::spawn(tend_guests(Arc::clone(proxy)));
    tokio::spawn(averages::keep(Arc::clone(proxy)));
    for database in proxy.databases().values() {
        for (node, pool) in database.users.values().flat_map(|user| &user.pools) {
            keep_pool(proxy, database, *node, pool);
        }
    }
}

/// Tends the pool of a node that is there, until it is closed or the proxy is to stop.
pub(super) fn keep_pool(proxy: &Proxy, database: &Database, node: NodeId, pool: &Arc<Pool>) {
    let Some(node) = database.cluster.node(node) else { return };
    let (gate, name) = (Arc::clone(&database.gate), database.settings.name.clone());
    let keeper = Keeper { database: name, gate, pool: Arc::clone(pool), node, trouble: None };
    let mut stopping = proxy.stopping.subscribe();
    tokio::spawn(async move {
        tokio::select! {
            () = keeper.run() => {}
            _ = stopping.wait_for(|stop| *stop) => {}
        }
    });
}

/// Tends the pools of users who come and go.
async fn tend_guests(proxy: Arc<Proxy>) {
    let mut stopping = proxy.stopping.subscribe();
    let mut turns = tokio::time::interval(GUESTS);
    while !*stopping.borrow_and_update() {
        let now = turns.tick().await.into_std();
        let databases = Arc::clone(&proxy.databases());
        databases.values().for_each(|database| database.guests.tend(now));
    }
}

/// Says which clients are bound to a server connection for longer than they should be.
async fn watch_pins(pins: Arc<PinList>) {
    let mut turns = tokio::time::interval(PINS);
    loop {
        turns.tick().await;
        for pin in pins.lasting() {
            tracing::warn!(
                reason = pin.reason,
                client = pin.client,
                user = pin.user,
                database = pin.database,
                application = pin.application,
                address = pin.address,
                node = pin.node,
                backend = pin.server,
                seconds = pin.lasted().as_secs(),
                "a client keeps a server connection to itself for long (SHOW PINS)"
            );
        }
    }
}

/// Tends one pool.
struct Keeper {
    database: String,
    gate: Arc<Gate>,
    pool: Arc<Pool>,
    node: Arc<Node>,
    trouble: Option<Trouble>,
}

/// Opening connections fails.
struct Trouble {
    pause: Duration,
    again_at: Instant,
}

impl Keeper {
    async fn run(mut self) {
        let mut turns = tokio::time::interval(self.pool.pace());
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            if self.pool.is_closed() {
                return;
            }
            self.pool.tend();
            self.fill().await;
        }
    }

    /// Opens what is missing. A node that is not in use is left alone: that it is not is known already.
    async fn fill(&mut self) {
        let is_due = self.trouble.as_ref().is_none_or(|trouble| Instant::now() >= trouble.again_at);
        while is_due
            && self.gate.is_open()
            && self.pool.missing() > 0
            && matches!(self.node.state(), State::Primary | State::Replica)
        {
            match self.pool.open_ahead().await {
                Ok(true) if !self.gate.is_open() => self.pool.retire(),
                Ok(true) => self.is_well(),
                Ok(false) => return,
                Err(error) => return self.is_in_trouble(&error),
            }
        }
    }

    fn is_well(&mut self) {
        if self.trouble.take().is_some() {
            tracing::info!(pool = self.pool.name(), "server connections are opened ahead again");
        }
    }

    fn is_in_trouble(&mut self, error: &dyn std::fmt::Display) {
        if self.trouble.is_none() {
            let database = &self.database;
            tracing::warn!(pool = self.pool.name(), database, %error, "cannot keep min_connections open, it is tried again");
        }
        let before = self.trouble.as_ref().map_or(Duration::ZERO, |trouble| trouble.pause);
        let pause = (2 * before).clamp(self.pool.pace(), PATIENCE);
        self.trouble = Some(Trouble { pause, again_at: Instant::now() + pause });
    }
}
