//! The gate before a database's servers, and its door towards new clients.
//!
//! ```text
//!            pause                  resume
//!   Open ────────────▶ Paused ────────────▶ Open
//!     │                  │ kill               ▲
//!     └──────────────▶ Killed ────────────────┘
//!            kill                   resume
//! ```
//!
//! A pause that is given up before it is complete opens the gate, unless it has been killed meanwhile.
//!
//! Whoever needs a server connection and has none passes the gate, and looks at it once more when it has one: what was
//! lent in between is counted by the pool before that look, so whoever has closed the gate sees either.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use tokio::sync::Notify;

/// Whether statements pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Passage {
    /// They do.
    Open = 0,
    /// They wait.
    Paused = 1,
    /// They wait, and whoever was there when it began was disconnected.
    Killed = 2,
}

/// The gate of one database. It outlives changes of the configuration.
#[derive(Debug, Default)]
pub struct Gate {
    state: AtomicU8,
    /// Whether new clients are turned away.
    is_disabled: AtomicBool,
    resumed: Notify,
}

impl Gate {
    /// Whether statements pass.
    pub fn passage(&self) -> Passage {
        match self.state.load(Ordering::SeqCst) {
            0 => Passage::Open,
            1 => Passage::Paused,
            _ => Passage::Killed,
        }
    }

    /// Whether statements pass. Asked for every statement that needs a server connection.
    pub(super) fn is_open(&self) -> bool {
        self.state.load(Ordering::Relaxed) == Passage::Open as u8
    }

    /// From here on statements wait. False if they do already.
    pub(super) fn pause(&self) -> bool {
        let (open, paused) = (Passage::Open as u8, Passage::Paused as u8);
        self.state.compare_exchange(open, paused, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// From here on statements wait, and whoever is there is disconnected.
    pub(super) fn kill(&self) {
        self.state.store(Passage::Killed as u8, Ordering::SeqCst);
    }

    /// Lets statements pass, those first that have waited for longest. False if they do already.
    pub(super) fn resume(&self) -> bool {
        let was_closed = self.state.swap(Passage::Open as u8, Ordering::SeqCst) != Passage::Open as u8;
        self.resumed.notify_waiters();
        was_closed
    }

    /// Whoever has paused it does not want that any more.
    pub(super) fn pause_is_given_up(&self) {
        let (open, paused) = (Passage::Open as u8, Passage::Paused as u8);
        if self.state.compare_exchange(paused, open, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            self.resumed.notify_waiters();
        }
    }

    /// Waits until statements pass. Cancel safe.
    pub(super) async fn passed(&self) {
        loop {
            let mut resumed = pin!(self.resumed.notified());
            // From here on no call is missed.
            resumed.as_mut().enable();
            if self.passage() == Passage::Open {
                return;
            }
            resumed.await;
        }
    }

    /// Whether new clients are turned away.
    pub fn is_disabled(&self) -> bool {
        self.is_disabled.load(Ordering::Relaxed)
    }

    /// New clients are turned away. False if they are already.
    pub(super) fn disable(&self) -> bool {
        !self.is_disabled.swap(true, Ordering::Relaxed)
    }

    /// New clients are let in. False if they are already.
    pub(super) fn enable(&self) -> bool {
        self.is_disabled.swap(false, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Wake, Waker};

    use super::*;

    #[test]
    fn every_event_in_every_state() {
        let gate = Gate::default();
        assert!(gate.is_open() && !gate.resume() && gate.pause());
        assert_eq!((gate.passage(), gate.is_open(), gate.pause()), (Passage::Paused, false, false));
        assert!(gate.resume() && gate.is_open());
        gate.kill();
        assert_eq!((gate.passage(), gate.pause()), (Passage::Killed, false));
        assert!(gate.resume() && gate.pause());
        gate.kill();
        gate.pause_is_given_up();
        assert_eq!(gate.passage(), Passage::Killed);
        assert!(gate.resume() && gate.pause());
        gate.pause_is_given_up();
        assert!(gate.is_open() && !gate.resume());
        assert!(gate.disable() && !gate.disable() && gate.is_disabled() && gate.is_open());
        assert!(gate.enable() && !gate.enable() && !gate.is_disabled());
    }

    /// Notes that it was woken.
    struct Bell(usize, Arc<Mutex<Vec<usize>>>);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push(self.0);
        }
    }

    #[test]
    fn who_came_first_is_woken_first_and_who_gave_up_is_not() {
        let (gate, woken) = (Gate::default(), Arc::default());
        gate.pause();
        let mut waiting: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
        for number in 0..5 {
            let waker = Waker::from(Arc::new(Bell(number, Arc::clone(&woken))));
            let mut passed: Pin<Box<dyn Future<Output = ()> + '_>> = Box::pin(gate.passed());
            assert!(passed.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            waiting.push(passed);
        }
        drop(waiting.remove(2));
        gate.resume();
        assert_eq!(*woken.lock().unwrap(), [0, 1, 3, 4]);
        let mut context = Context::from_waker(Waker::noop());
        assert!(waiting.iter_mut().all(|passed| passed.as_mut().poll(&mut context).is_ready()));
    }
}
