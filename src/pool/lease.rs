//! Custody of a lent connection.

use std::io;
use std::ops::{Deref, DerefMut};

use deadpool::managed::Object;

use super::Manager;
use super::seats::Seat;
use crate::server::Connection;

/// A lent connection. It goes back to its pool only by [`Lease::give_back`]; dropped in any other way (an error,
/// a cancelled task, a panic) its state is in doubt and it is closed.
#[derive(Debug)]
pub struct Lease {
    object: Option<Object<Manager>>,
    /// Left after the connection is back, or closed.
    _seat: Option<Seat>,
}

impl Lease {
    pub(super) fn new(mut object: Object<Manager>, seat: Option<Seat>) -> io::Result<Self> {
        object.lease()?;
        Ok(Self { object: Some(object), _seat: seat })
    }

    /// Takes a new connection in the place of its own, which is closed.
    pub(super) fn replace(&mut self, connection: Connection) -> io::Result<()> {
        **self = connection;
        self.lease()
    }

    /// Returns the connection. The caller vouches that the server is idle, outside a transaction, owes nothing,
    /// and that nothing of the client's session is left on it but what the connection itself remembers. It is closed
    /// if it has got too old, or was to go.
    pub fn give_back(mut self) {
        if self.settle() && self.may_stay() {
            drop(self.object.take());
        }
    }

    fn may_stay(&mut self) -> bool {
        let Some(object) = &mut self.object else { return false };
        let Some(cause) = object.touch() else { return true };
        if let Some(pool) = Object::pool(object) {
            pool.manager().closed(cause);
        }
        false
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            drop(Object::take(object));
        }
    }
}

// A lease has its connection until it is given back or dropped, both of which consume it.
impl Deref for Lease {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.object.as_deref().unwrap_or_else(|| unreachable!("a lease holds its connection"))
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Connection {
        self.object.as_deref_mut().unwrap_or_else(|| unreachable!("a lease holds its connection"))
    }
}
