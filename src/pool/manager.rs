//! Making, checking and ending the connections of one pool.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};

use super::age::{Age, Member};
use super::quota::{Room, Share};
use crate::server::{ConnectError, Connection, Endpoint};

/// Makes and checks the connections of one pool.
#[derive(Debug)]
pub struct Manager {
    pub(super) endpoint: Endpoint,
    pub(super) age: Arc<Age>,
    /// Its share in what all users of the database may have, if that is limited.
    pub(super) share: Option<Share>,
    /// Connections that were opened ahead. They are in the pool from the first time they are lent.
    spares: Mutex<Vec<Pooled>>,
    /// How often the pool has closed a connection, by [`Cause`].
    closed: [AtomicU64; Cause::ALL.len()],
}

/// Why a pool has closed a connection that was good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It was older than `server_lifetime`.
    Lifetime,
    /// Nobody has used it for `server_idle_timeout`.
    Idle,
    /// It was idle, and another user of the database needed one: `database_connection_limit`.
    Room,
    /// All there were had to go: [`Pool::retire`](super::Pool::retire).
    Retired,
}

impl Cause {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Lifetime, Self::Idle, Self::Room, Self::Retired];

    /// As metrics call it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Lifetime => "lifetime",
            Self::Idle => "idle",
            Self::Room => "room",
            Self::Retired => "retired",
        }
    }
}

/// A connection, and what its pool knows of it. Instants are those of [`Age`].
#[derive(Debug)]
pub struct Pooled {
    /// Apart, because a lease is moved several times for each statement.
    connection: Box<Connection>,
    /// The pool's clock: what is lent and given back need not ask for the pool.
    age: Arc<Age>,
    ends: u64,
    member: Member,
    pub(super) used: u64,
    /// Given back when the connection is closed.
    _room: Option<Room>,
}

impl Pooled {
    /// It was used until now. Why it must not be lent again, if it must not.
    pub(super) fn touch(&mut self) -> Option<Cause> {
        self.used = self.age.now();
        self.objection(self.used)
    }

    /// Why it must not be lent again, if it must not.
    pub(super) fn objection(&self, now: u64) -> Option<Cause> {
        if self.member.generation != self.age.generation() {
            return Some(Cause::Retired);
        }
        (now >= self.ends).then_some(Cause::Lifetime)
    }
}

impl Deref for Pooled {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

impl Manager {
    pub(super) fn new(endpoint: Endpoint, age: Age, share: Option<Share>) -> Self {
        let (spares, closed) = (Mutex::default(), Default::default());
        Self { endpoint, age: Arc::new(age), share, spares, closed }
    }

    /// Opens a connection, for which there must be room where that is limited.
    pub(super) async fn open(&self, room: Option<Room>) -> Result<Pooled, ConnectError> {
        // One that was begun before all had to go may have met the server that was there before.
        let generation = self.age.generation();
        let connection = Box::new(self.endpoint.connect().await?);
        let (now, ends) = self.age.begin();
        let member = self.age.join(generation);
        Ok(Pooled { connection, age: Arc::clone(&self.age), ends, member, used: now, _room: room })
    }

    /// Connections that were opened ahead and have not been lent yet.
    pub(super) fn spares(&self) -> MutexGuard<'_, Vec<Pooled>> {
        self.spares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A good connection was closed.
    pub(super) fn closed(&self, cause: Cause) {
        self.closed[cause as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many were.
    pub(super) fn closings(&self, cause: Cause) -> u64 {
        self.closed[cause as usize].load(Ordering::Relaxed)
    }
}

impl managed::Manager for Manager {
    type Type = Pooled;
    type Error = ConnectError;

    async fn create(&self) -> Result<Pooled, ConnectError> {
        loop {
            let ready = self.spares().pop();
            match ready {
                None => {
                    let Some(share) = &self.share else { return self.open(None).await };
                    return self.open(Some(share.room().await)).await;
                }
                Some(spare) if spare.is_silent() => return Ok(spare),
                Some(_) => {}
            }
        }
    }

    async fn recycle(&self, connection: &mut Pooled, _: &Metrics) -> RecycleResult<ConnectError> {
        if connection.is_lendable() {
            Ok(())
        } else {
            Err(RecycleError::message("not in a known idle state"))
        }
    }
}
