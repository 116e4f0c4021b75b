//! Lending server connections: one pool per (node, database, user), on deadpool's managed pool.
//!
//! Owns who gets a connection and when it may be lent again. It must not know clients, statements or routing.

mod age;
mod lease;
mod manager;
mod quota;
mod seats;
mod tend;

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use arc_swap::ArcSwap;
use deadpool::managed::{self, PoolError, QueueMode, Timeouts};

pub use lease::Lease;
pub use manager::{Cause, Manager};
pub use quota::Quota;

use crate::server::{ConnectError, Endpoint};
use age::Age;
use quota::Share;
use seats::Seat;

/// Without waiting for anybody.
const AT_ONCE: Timeouts = Timeouts { wait: Some(Duration::ZERO), create: None, recycle: None };

/// Why no connection could be lent.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// All were in use for too long.
    #[error(
        "no server connection became free in pool {pool} within {waited:?}: all {limit} are in use \
         (connection_limit={limit}, pool_timeout={waited:?})"
    )]
    Exhausted {
        /// The pool's name.
        pool: String,
        /// Connections it may have.
        limit: usize,
        /// How long the client has waited.
        waited: Duration,
    },
    /// Those that all users of the database may have together were in use for too long.
    #[error(
        "no server connection became free for pool {pool} within {waited:?}: all {limit} that the database may \
         have on this node are in use (database_connection_limit={limit}, pool_timeout={waited:?})"
    )]
    Crowded {
        /// The pool's name.
        pool: String,
        /// Connections all its users may have.
        limit: usize,
        /// How long the client has waited.
        waited: Duration,
    },
    /// The pool is not the one to ask any more: the configuration or the list of nodes has changed.
    #[error("pool {pool} has been closed")]
    Closed {
        /// The pool's name.
        pool: String,
    },
    /// A new connection could not be made.
    #[error("cannot connect to {pool}: {error}")]
    Connect {
        /// The pool's name.
        pool: String,
        /// What went wrong.
        error: ConnectError,
    },
}

/// How many connections a pool has, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Most connections.
    pub limit: usize,
    /// Connections that are kept open.
    pub least: usize,
    /// Longest time that a client waits for one; `None` means for ever.
    pub wait: Option<Duration>,
    /// How old one may get.
    pub lifetime: Option<Duration>,
    /// How long one may be unused.
    pub idle_timeout: Option<Duration>,
}

/// The connections of one user to one database on one node.
pub struct Pool {
    inner: managed::Pool<Manager>,
    name: String,
    terms: ArcSwap<Terms>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({})", self.name)
    }
}

impl Pool {
    /// A pool without connections. Those it opens count towards `quota`. Somebody has to [tend](Pool::tend) it.
    pub fn new(name: String, endpoint: Endpoint, terms: Terms, quota: Option<&Arc<Quota>>) -> Self {
        let share = quota.map(|quota| quota.share(terms.limit));
        let manager = Manager::new(endpoint, Age::new(terms.lifetime), share);
        let builder = managed::Pool::builder(manager).max_size(terms.limit).queue_mode(QueueMode::Lifo);
        // Building fails only for time-outs without a runtime, and none are set here.
        let inner = builder.build().unwrap_or_else(|e| unreachable!("a pool without time-outs: {e}"));
        if let Some(share) = &inner.manager().share {
            share.is_of(inner.weak(), terms.least);
        }
        Self { inner, name, terms: ArcSwap::from_pointee(terms) }
    }

    /// Whether its connections count towards this quota, or towards none.
    pub fn has_quota(&self, quota: Option<&Arc<Quota>>) -> bool {
        match (&self.inner.manager().share, quota) {
            (Some(share), Some(quota)) => share.is_in(quota),
            (None, None) => true,
            _ => false,
        }
    }

    /// How many connections it has, and for how long.
    pub fn terms(&self) -> Terms {
        **self.terms.load()
    }

    /// Other terms hold from now on: clients that wait are served if there is more room, and of connections that are too
    /// many those in use are closed when they are given back. False, and nothing has changed, if it cannot be done: the
    /// pool has a share in a quota, which was made for its terms.
    pub fn adapt(&self, terms: Terms) -> bool {
        let before = self.terms();
        if before == terms {
            return true;
        }
        if self.inner.manager().share.is_some() {
            return false;
        }
        self.terms.store(Arc::new(terms));
        self.inner.manager().age.limit(terms.lifetime);
        if before.limit != terms.limit {
            self.inner.resize(terms.limit);
        }
        true
    }

    /// Lends nothing any more. Idle connections are closed at once, the others when they are given back.
    pub fn close(&self) {
        self.inner.close();
        let spares = std::mem::take(&mut *self.inner.manager().spares());
        drop(spares);
    }

    /// Whether it lends nothing any more.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// Its name, for people: `user@node/database`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its connections go.
    pub fn endpoint(&self) -> &Endpoint {
        &self.inner.manager().endpoint
    }

    /// Connections open, idle among them, and clients waiting.
    pub fn counts(&self) -> (usize, usize, usize) {
        let status = self.inner.status();
        let Manager { share, .. } = self.inner.manager();
        let spares = self.inner.manager().spares().len();
        let waiting = share.as_ref().map_or(0, Share::waiting);
        (status.size + spares, status.available + spares, status.waiting + waiting)
    }

    /// Puts a new connection in the place of a lent one, which is closed.
    pub async fn renew(&self, lease: &mut Lease) -> Result<(), LeaseError> {
        // Not both at a time: there may be no room for more.
        lease.close();
        match self.endpoint().connect().await {
            Ok(connection) => lease.replace(connection).map_err(|e| self.failed(e.into())),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&self, error: ConnectError) -> LeaseError {
        LeaseError::Connect { pool: self.name.clone(), error }
    }

    /// Lends a connection, making one if the pool is not full, or waiting in turn. Cancel safe.
    pub async fn lease(&self) -> Result<Lease, LeaseError> {
        match self.lease_at_once() {
            Some(lease) => lease,
            None => Box::pin(self.lease_in_turn()).await,
        }
    }

    /// Lends a connection that is idle; `None` when there is none. The usual case: nothing is waited for.
    pub fn lease_at_once(&self) -> Option<Result<Lease, LeaseError>> {
        if self.inner.manager().share.is_some() || self.inner.status().available == 0 {
            return None;
        }
        let got = std::pin::pin!(self.inner.timeout_get(&AT_ONCE));
        match got.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(object)) => Some(self.lend(Ok(object), None)),
            // Somebody was faster.
            _ => None,
        }
    }

    /// Lends a connection as [`Pool::lease`] does when none is idle. Cancel safe.
    pub async fn lease_in_turn(&self) -> Result<Lease, LeaseError> {
        if let Some(share) = &self.inner.manager().share {
            let seat = match share.seat_at_once() {
                Some(seat) => seat,
                None => self.in_time(share.seat()).await?,
            };
            // With a seat there is a connection, or room for one.
            return self.lend(self.inner.get().await, Some(seat));
        }
        match self.inner.timeout_get(&AT_ONCE).await {
            Err(PoolError::Timeout(_)) => self.lend(self.in_time(self.inner.get()).await?, None),
            result => self.lend(result, None),
        }
    }

    /// What is waited for, if that does not take too long.
    async fn in_time<T>(&self, awaited: impl Future<Output = T>) -> Result<T, LeaseError> {
        let terms = **self.terms.load();
        let Some(limit) = terms.wait else { return Ok(awaited.await) };
        tokio::time::timeout(limit, awaited).await.map_err(|_| {
            let (pool, waited) = (self.name.clone(), limit);
            match self.inner.manager().share.as_ref().and_then(Share::exhausted) {
                Some(limit) => LeaseError::Crowded { pool, limit, waited },
                None => LeaseError::Exhausted { pool, limit: terms.limit, waited },
            }
        })
    }

    fn lend(
        &self,
        result: Result<managed::Object<Manager>, PoolError<ConnectError>>,
        seat: Option<Seat>,
    ) -> Result<Lease, LeaseError> {
        match result {
            Ok(object) => Lease::new(object, seat).map_err(|e| self.failed(e.into())),
            Err(PoolError::Backend(error)) => Err(self.failed(error)),
            Err(PoolError::Closed) => Err(LeaseError::Closed { pool: self.name.clone() }),
            Err(other) => Err(self.failed(std::io::Error::other(other.to_string()).into())),
        }
    }
}
