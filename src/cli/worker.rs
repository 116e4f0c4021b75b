//! A worker: a thread with a single-threaded runtime, which gives way before it sleeps.
//!
//! What a worker sends wakes servers and clients, and on a machine they share with it each of them could answer at once.
//! A worker that goes to sleep right away is woken for every single answer, and takes the processor from whoever is at
//! work to do so. If it lets the others run first, it finds several answers together: fewer switches for all of them.
//!
//! That pays where there is somebody to give way to, and only for as long as they take microseconds: on a processor that
//! others keep busy it would cost a whole time slice each time. So every turn is timed, and the worker stops giving way as
//! soon as it is of no use.

use std::cell::Cell;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::pulse::Pulse;
use crate::net::Bound;
use crate::session::{self, Proxy};

/// A worker that sleeps less often than this has no need to.
const BUSY: Duration = Duration::from_micros(100);
/// How often a worker looks at the clock to see how often it sleeps.
const LOOK: u32 = 64;
/// A turn that is shorter than this was nobody else's.
const NOBODY: Duration = Duration::from_micros(2);
/// Turns in a row that nobody took, before the worker rests.
const IN_VAIN: u32 = 16;
/// For so long it does not give way then.
const SHORT_REST: Duration = Duration::from_millis(100);
/// A turn that took longer was that of somebody who is not working for us.
const TOO_LONG: Duration = Duration::from_millis(1);
/// For so long the worker does not give way after that.
const LONG_REST: Duration = Duration::from_secs(5);

/// When a worker gives way.
#[derive(Clone, Copy, Debug)]
struct Manners {
    sleeps: u32,
    looked: Instant,
    is_busy: bool,
    in_vain: u32,
    rests_until: Instant,
}

impl Manners {
    fn new(now: Instant) -> Self {
        Self { sleeps: 0, looked: now, is_busy: false, in_vain: 0, rests_until: now }
    }

    /// The worker is about to sleep. Whether it gives way first; `clock` is looked at seldom.
    fn gives_way(&mut self, clock: impl Fn() -> Instant) -> bool {
        self.sleeps += 1;
        if self.sleeps == LOOK {
            let now = clock();
            let rests = now < self.rests_until;
            self.is_busy = !rests && now.duration_since(self.looked) < BUSY * LOOK;
            (self.sleeps, self.looked) = (0, now);
        }
        self.is_busy
    }

    /// It gave way, until `now`.
    fn gave_way(&mut self, took: Duration, now: Instant) {
        self.in_vain = if took < NOBODY { self.in_vain + 1 } else { 0 };
        let rest = if took >= TOO_LONG {
            LONG_REST
        } else if self.in_vain == IN_VAIN {
            SHORT_REST
        } else {
            return;
        };
        *self = Self { is_busy: false, in_vain: 0, rests_until: now + rest, ..*self };
    }
}

/// Gives way to others, if that is of use.
fn before_sleep() {
    thread_local! {
        static MANNERS: Cell<Manners> = Cell::new(Manners::new(Instant::now()));
    }
    MANNERS.with(|cell| {
        let mut manners = cell.get();
        if manners.gives_way(Instant::now) {
            let begun = Instant::now();
            thread::yield_now();
            let now = Instant::now();
            manners.gave_way(now.duration_since(begun), now);
        }
        cell.set(manners);
    });
}

/// Serves what comes to `listeners` as the worker of this number, until the process ends.
pub(super) fn work(proxy: &Arc<Proxy>, listeners: Vec<Bound>, pulse: Arc<Pulse>, number: usize) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().on_thread_park(before_sleep).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "a worker could not start"),
    };
    runtime.block_on(async {
        tokio::spawn(pulse.answer(number));
        let accepting: Vec<_> =
            listeners.into_iter().map(|l| tokio::spawn(session::accept(Arc::clone(proxy), l))).collect();
        for task in accepting {
            if let Ok(Err(error)) = task.await {
                tracing::error!(%error, "a listener failed");
            }
        }
        // Accepting has ended because the proxy stops; sessions that are left go on until the process ends.
        std::future::pending::<()>().await;
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICRO: Duration = Duration::from_micros(1);

    /// A worker that has slept often enough, every `gap`, to know whether it is busy.
    fn after(gap: Duration, begun: Instant) -> (Manners, Instant) {
        let (mut manners, mut now) = (Manners::new(begun), begun);
        for _ in 0..LOOK {
            now += gap;
            manners.gives_way(|| now);
        }
        (manners, now)
    }

    #[test]
    fn only_a_busy_worker_gives_way() {
        let begun = Instant::now();
        assert!(after(20 * MICRO, begun).0.gives_way(Instant::now));
        assert!(!after(200 * MICRO, begun).0.gives_way(Instant::now));
    }

    #[test]
    fn it_rests_when_nobody_takes_the_turn_or_somebody_keeps_it() {
        let (mut manners, now) = after(20 * MICRO, Instant::now());
        for _ in 0..IN_VAIN {
            assert!(manners.gives_way(|| now));
            manners.gave_way(MICRO, now);
        }
        assert!(!manners.gives_way(|| now));
        let (mut manners, now) = after(20 * MICRO, Instant::now());
        manners.gave_way(4000 * MICRO, now);
        let goes_on = |manners: &mut Manners, from: Instant| {
            (1..=2 * LOOK).any(|i| manners.gives_way(|| from + i * MICRO))
        };
        assert!(!goes_on(&mut manners, now + LONG_REST / 2), "it rests");
        assert!(goes_on(&mut manners, now + LONG_REST), "and tries again");
    }
}
