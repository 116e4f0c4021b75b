//! What a pool does between leases: it closes what is old, idle or broken, and opens what is to be there.

use std::sync::Arc;
use std::time::Duration;

use super::age::milliseconds;
use super::manager::{Cause, Pooled};
use super::{Manager, Pool, Terms};
use crate::server::{ConnectError, ServerKey};

/// A pool is tended at least this often.
const OFTEN: Duration = Duration::from_secs(1);
/// And not more often than this.
const SELDOM: Duration = Duration::from_millis(50);

impl Pool {
    /// How often it wants to be tended: often enough that no limit is exceeded by much.
    pub fn pace(&self) -> Duration {
        let terms = self.terms();
        let times = [terms.lifetime, terms.idle_timeout];
        let shortest = times.into_iter().flatten().min();
        shortest.map_or(OFTEN, |time| (time / 10).clamp(SELDOM, OFTEN))
    }

    /// Closes idle connections that are too old, were not used for too long, or are broken.
    pub fn tend(&self) {
        let manager = self.inner.manager();
        let (open, ..) = self.counts();
        let mut check = Check { manager, now: manager.age.advance(), open, terms: self.terms() };
        // Those at the front were not used for longest. What is removed is closed when all locks are free again.
        let removed = self.inner.retain(|connection, _| check.keeps(connection));
        let mut spares = manager.spares();
        let all = std::mem::take(&mut *spares);
        let (kept, gone): (Vec<_>, Vec<_>) = all.into_iter().partition(|spare| check.keeps(spare));
        *spares = kept;
        drop(spares);
        drop((removed, gone));
    }

    /// All connections there are have to go: those that are idle at once, the others when they are given back.
    pub fn retire(&self) {
        self.inner.manager().age.retire();
        self.tend();
    }

    /// How many connections are to go and have not yet, because they are in use.
    pub fn outdated(&self) -> usize {
        self.inner.manager().age.outdated()
    }

    /// Whether a connection of its has to go when it is given back, because all there were had to.
    pub fn is_outdated(&self, key: &ServerKey) -> bool {
        self.inner.manager().age.is_outdated(key.opened)
    }

    /// Whether it has no connection, and nobody is about to get one.
    pub fn is_empty(&self) -> bool {
        let (open, _, waiting) = self.counts();
        open == 0 && waiting == 0
    }

    /// The server processes of the connections that are idle.
    pub fn idle(&self) -> Vec<Arc<ServerKey>> {
        let spares = self.inner.manager().spares();
        let mut found: Vec<_> = spares.iter().map(|spare| Arc::clone(&spare.key)).collect();
        drop(spares);
        self.inner.retain(|connection, _| {
            found.push(Arc::clone(&connection.key));
            true
        });
        found
    }

    /// How many connections are to be opened so that there are as many as there have to be.
    pub fn missing(&self) -> usize {
        self.terms().least.saturating_sub(self.counts().0)
    }

    /// Opens a connection for whoever comes next. Nobody waits for it meanwhile, and none is closed for it: false when
    /// there is no room.
    pub async fn open_ahead(&self) -> Result<bool, ConnectError> {
        let manager = self.inner.manager();
        let place = match &manager.share {
            None => None,
            Some(share) => match share.seat_at_once().zip(share.room_at_once()) {
                None => return Ok(false),
                place => place,
            },
        };
        let (seat, room) = place.unzip();
        let opened = manager.open(room).await?;
        // Clients may have opened some meanwhile.
        if self.missing() > 0 && !self.is_closed() {
            manager.spares().push(opened);
        }
        // Until it was there to be taken, the seat stood for it.
        drop(seat);
        Ok(true)
    }

    /// How often it has closed a good connection for this cause.
    pub fn closings(&self, cause: Cause) -> u64 {
        self.inner.manager().closings(cause)
    }
}

/// Looks at one connection after the other.
struct Check<'a> {
    manager: &'a Manager,
    terms: Terms,
    now: u64,
    /// Connections that are open, those in use among them.
    open: usize,
}

impl Check<'_> {
    fn keeps(&mut self, connection: &Pooled) -> bool {
        let terms = &self.terms;
        let unused = self.now.saturating_sub(connection.used);
        let idle = terms.idle_timeout.is_some_and(|limit| unused >= milliseconds(limit));
        if !connection.is_silent() {
            // The server has closed it, or is about to say so.
        } else if let Some(cause) = connection.objection(self.now) {
            self.manager.closed(cause);
        } else if idle && self.open > terms.least {
            self.manager.closed(Cause::Idle);
        } else {
            return true;
        }
        self.open -= 1;
        false
    }
}
