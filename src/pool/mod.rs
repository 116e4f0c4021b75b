//! Lending server connections: one pool per (node, database, user), on deadpool's managed pool.
//!
//! Owns who gets a connection and when it may be lent again. It must not know clients, statements or routing.

mod age;
mod lease;
mod manager;
mod tend;

use std::fmt;
use std::time::{Duration, Instant};

use deadpool::managed::{self, PoolError, QueueMode, Timeouts};

pub use lease::Lease;
pub use manager::{Cause, Manager};

use crate::server::{ConnectError, Endpoint};
use age::Age;

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
#[derive(Clone, Copy, Debug)]
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
#[derive(Clone)]
pub struct Pool {
    inner: managed::Pool<Manager>,
    name: String,
    terms: Terms,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({})", self.name)
    }
}

impl Pool {
    /// A pool without connections. Somebody has to [tend](Pool::tend) it.
    pub fn new(name: String, endpoint: Endpoint, terms: Terms) -> Self {
        let manager = Manager::new(endpoint, Age::new(terms.lifetime));
        let builder = managed::Pool::builder(manager).max_size(terms.limit).queue_mode(QueueMode::Lifo);
        // Building fails only for time-outs without a runtime, and none are set here.
        let inner = builder.build().unwrap_or_else(|e| unreachable!("a pool without time-outs: {e}"));
        Self { inner, name, terms }
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
        let spares = self.inner.manager().spares().len();
        (status.size + spares, status.available + spares, status.waiting)
    }

    /// Lends a connection, making one if the pool is not full, or waiting in turn. Cancel safe.
    pub async fn lease(&self) -> Result<Lease, LeaseError> {
        let at_once = Timeouts { wait: Some(Duration::ZERO), ..Timeouts::default() };
        match self.inner.timeout_get(&at_once).await {
            Err(PoolError::Timeout(_)) => self.wait().await,
            result => self.lend(result),
        }
    }

    async fn wait(&self) -> Result<Lease, LeaseError> {
        let Some(limit) = self.terms.wait else { return self.lend(self.inner.get().await) };
        let begun = Instant::now();
        match tokio::time::timeout(limit, self.inner.get()).await {
            Ok(result) => self.lend(result),
            Err(_) => Err(LeaseError::Exhausted {
                pool: self.name.clone(),
                limit: self.terms.limit,
                waited: Duration::from_secs_f64((begun.elapsed().as_secs_f64() * 10.0).round() / 10.0),
            }),
        }
    }

    fn lend(
        &self,
        result: Result<managed::Object<Manager>, PoolError<ConnectError>>,
    ) -> Result<Lease, LeaseError> {
        let failed = |error| LeaseError::Connect { pool: self.name.clone(), error };
        match result {
            Ok(object) => Lease::new(object, &self.inner.manager().age).map_err(|e| failed(e.into())),
            Err(PoolError::Backend(error)) => Err(failed(error)),
            Err(other) => Err(failed(std::io::Error::other(other.to_string()).into())),
        }
    }
}
