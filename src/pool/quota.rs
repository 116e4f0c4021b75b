//! The connections of all users of a database to one node, which are not to be more than a limit together.
//!
//! Nobody uses a connection without a [`Seat`], and there are no more seats than connections. So whoever has a seat and
//! no connection finds an idle one, of its own user or of another; that one is closed to make room.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use deadpool::managed::WeakPool;

use super::manager::{Cause, Manager};
use super::seats::{Seat, Seats};

/// How often an idle connection is looked for. That there is none can only be a matter of moments.
const ATTEMPTS: usize = 1_000;

/// What the pools of one node share.
#[derive(Debug)]
pub struct Quota {
    limit: usize,
    /// Connections that are open, or being opened.
    open: AtomicUsize,
    seats: Arc<Seats>,
    members: Mutex<Vec<Member>>,
}

/// A pool that counts towards a quota.
#[derive(Debug)]
struct Member {
    pool: WeakPool<Manager>,
    /// Connections it should have at least.
    least: usize,
    /// The user's number among the seats.
    user: usize,
}

/// A pool's share in a quota.
#[derive(Debug)]
pub(super) struct Share {
    quota: Arc<Quota>,
    /// The user's number among the seats.
    user: usize,
}

/// Room for one connection; dropping it leaves it to others.
#[derive(Debug)]
pub(super) struct Room(Arc<Quota>);

impl Drop for Room {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Quota {
    /// Room for `limit` connections, at least 1.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            open: AtomicUsize::new(0),
            seats: Arc::new(Seats::new(limit)),
            members: Mutex::default(),
        })
    }

    /// A share for one more pool, of at most so many connections.
    pub(super) fn share(self: &Arc<Self>, limit: usize) -> Share {
        Share { quota: Arc::clone(self), user: self.seats.join(limit) }
    }

    /// Closes an idle connection of the pool that has most above what it should have at least. False if none was idle.
    fn close_one(&self) -> bool {
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let pools = members.iter().filter_map(|member| Some((member.pool.upgrade()?, member.least)));
        let mut pools: Vec<_> = pools
            .map(|(pool, least)| {
                let open = pool.status().size + pool.manager().spares().len();
                (open.saturating_sub(least), open, pool)
            })
            .collect();
        drop(members);
        pools.sort_by_key(|(above, open, _)| std::cmp::Reverse((*above, *open)));
        pools.into_iter().any(|(_, _, pool)| {
            let spare = pool.manager().spares().pop();
            let mut wanted = usize::from(spare.is_none());
            // The first one was not used for longest.
            let idle = pool.retain(|_, _| {
                let kept = wanted == 0;
                wanted = 0;
                kept
            });
            let found = spare.is_some() || !idle.removed.is_empty();
            if found {
                pool.manager().closed(Cause::Room);
            }
            found
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut members = self.quota.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.retain(|member| member.user != self.user);
        drop(members);
        self.quota.seats.part(self.user);
    }
}

impl Share {
    /// The pool itself, as soon as there is one, and how many connections it should have at least.
    pub(super) fn is_of(&self, pool: WeakPool<Manager>, least: usize) {
        let mut members = self.quota.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.push(Member { pool, least, user: self.user });
    }

    /// Whether it is a share in this quota.
    pub(super) fn is_in(&self, quota: &Arc<Quota>) -> bool {
        Arc::ptr_eq(&self.quota, quota)
    }

    /// The right to use a connection, waited for in turn. Cancel safe.
    pub(super) async fn seat(&self) -> Seat {
        self.quota.seats.take(self.user).await
    }

    /// The right to use a connection, if nobody has to wait for that.
    pub(super) fn seat_at_once(&self) -> Option<Seat> {
        self.quota.seats.take_at_once(self.user)
    }

    /// Room for a connection. Whoever asks for it has a seat. Cancel safe.
    pub(super) async fn room(&self) -> Room {
        let room = Room(Arc::clone(&self.quota));
        self.quota.open.fetch_add(1, Ordering::AcqRel);
        for _ in 0..ATTEMPTS {
            if self.quota.open.load(Ordering::Acquire) <= self.quota.limit || self.quota.close_one() {
                return room;
            }
            // It is on its way from one pool to another's seat.
            tokio::task::yield_now().await;
        }
        tracing::warn!(
            limit = self.quota.limit,
            "database_connection_limit is exceeded: no connection is idle"
        );
        room
    }

    /// Room for a connection, if none has to be closed for it.
    pub(super) fn room_at_once(&self) -> Option<Room> {
        let quota = &self.quota;
        let more = |open| (open < quota.limit).then_some(open + 1);
        let taken = quota.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        taken.is_ok().then(|| Room(Arc::clone(quota)))
    }

    /// How many clients wait for a seat.
    pub(super) fn waiting(&self) -> usize {
        self.quota.seats.waiting(self.user)
    }

    /// The limit, unless it is the user's own limit that is reached.
    pub(super) fn exhausted(&self) -> Option<usize> {
        (!self.quota.seats.is_full(self.user)).then_some(self.quota.limit)
    }
}
