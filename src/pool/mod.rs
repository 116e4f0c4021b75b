//! Lending server connections: one pool per (node, database, user), on deadpool's managed pool.
//!
//! Owns who gets a connection and when it may be lent again. It must not know clients, statements or routing.

mod lease;

use std::fmt;
use std::time::{Duration, Instant};

use deadpool::managed::{self, Metrics, PoolError, QueueMode, RecycleError, RecycleResult, Timeouts};

pub use lease::Lease;

use crate::server::{ConnectError, Connection, Endpoint};

/// Makes and checks the connections of one pool.
#[derive(Debug)]
pub struct Manager {
    endpoint: Endpoint,
}

impl managed::Manager for Manager {
    type Type = Connection;
    type Error = ConnectError;

    async fn create(&self) -> Result<Connection, ConnectError> {
        self.endpoint.connect().await
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<ConnectError> {
        if connection.is_lendable() {
            Ok(())
        } else {
            Err(RecycleError::message("not in a known idle state"))
        }
    }
}

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

/// The connections of one user to one database on one node.
#[derive(Clone)]
pub struct Pool {
    inner: managed::Pool<Manager>,
    name: String,
    limit: usize,
    wait: Option<Duration>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({})", self.name)
    }
}

impl Pool {
    /// A pool of at most `limit` connections; a client waits up to `wait` for one, or for ever.
    pub fn new(name: String, endpoint: Endpoint, limit: usize, wait: Option<Duration>) -> Self {
        let builder =
            managed::Pool::builder(Manager { endpoint }).max_size(limit).queue_mode(QueueMode::Lifo);
        // Building fails only for time-outs without a runtime, and none are set here.
        let inner = builder.build().unwrap_or_else(|e| unreachable!("a pool without time-outs: {e}"));
        Self { inner, name, limit, wait }
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
        (status.size, status.available, status.waiting)
    }

    /// Puts a new connection in the place of a lent one, which is closed.
    pub async fn renew(&self, lease: &mut Lease) -> Result<(), LeaseError> {
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
        let at_once = Timeouts { wait: Some(Duration::ZERO), ..Timeouts::default() };
        match self.inner.timeout_get(&at_once).await {
            Err(PoolError::Timeout(_)) => self.wait().await,
            result => self.lend(result),
        }
    }

    async fn wait(&self) -> Result<Lease, LeaseError> {
        let Some(limit) = self.wait else { return self.lend(self.inner.get().await) };
        let begun = Instant::now();
        match tokio::time::timeout(limit, self.inner.get()).await {
            Ok(result) => self.lend(result),
            Err(_) => Err(LeaseError::Exhausted {
                pool: self.name.clone(),
                limit: self.limit,
                waited: Duration::from_secs_f64((begun.elapsed().as_secs_f64() * 10.0).round() / 10.0),
            }),
        }
    }

    fn lend(
        &self,
        result: Result<managed::Object<Manager>, PoolError<ConnectError>>,
    ) -> Result<Lease, LeaseError> {
        match result {
            Ok(object) => Lease::new(object).map_err(|e| self.failed(e.into())),
            Err(PoolError::Backend(error)) => Err(self.failed(error)),
            Err(other) => Err(self.failed(std::io::Error::other(other.to_string()).into())),
        }
    }
}
