//! Whether clients come in, how many are there, and whether another process serves clients beside this one.
//!
//! ```text
//!   Open ──leave──▶ Leaving ──close──▶ Closed      Leaving: clients still come in, but are sent elsewhere if
//!     └───────────────close──────────────▲                  somebody asks whether this process is ready
//! ```

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, oneshot, watch};

use super::lock::lock;
use crate::wire::CancelKey;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    #[default]
    Open,
    Leaving,
    Closed,
}

/// A cancel request for a session of the process that served here before.
#[derive(Debug)]
pub struct Forwarded {
    /// The key the client gave.
    pub key: CancelKey,
    /// To be dropped or told when the request has been dealt with.
    pub done: oneshot::Sender<()>,
}

/// Whether clients come in, and who is there.
#[derive(Debug, Default)]
pub struct Door {
    stage: watch::Sender<Stage>,
    present: Arc<AtomicUsize>,
    /// Another process serves clients of the same databases, for which this one's marks do not stand.
    is_shared: AtomicBool,
    former: Mutex<Option<mpsc::Sender<Forwarded>>>,
}

impl Door {
    /// Whether new clients should be sent here.
    pub fn is_open(&self) -> bool {
        *self.stage.borrow() == Stage::Open
    }

    /// New clients should go elsewhere; those who come are served all the same.
    pub fn leave(&self) {
        self.advance(Stage::Leaving);
    }

    /// Nobody is accepted any more.
    pub fn close(&self) {
        self.advance(Stage::Closed);
    }

    fn advance(&self, to: Stage) {
        self.stage.send_if_modified(|stage| {
            let is_later = *stage < to;
            *stage = to.max(*stage);
            is_later
        });
    }

    /// How many clients are there, logged in or not, and how many tasks still accept some.
    pub fn present(&self) -> usize {
        self.present.load(Ordering::Acquire)
    }

    /// Another process serves clients beside this one: from here on, a read must see what was acknowledged by anybody.
    pub fn share(&self) {
        self.is_shared.store(true, Ordering::SeqCst);
    }

    /// The other process has ended. What it wrote must have its marks already.
    pub fn share_no_more(&self) {
        *lock(&self.former) = None;
        self.is_shared.store(false, Ordering::SeqCst);
    }

    /// Whether another process serves clients beside this one.
    pub fn is_shared(&self) -> bool {
        self.is_shared.load(Ordering::Relaxed)
    }

    /// Where cancel requests go that are for no session of this process.
    pub fn forward_to(&self, former: mpsc::Sender<Forwarded>) {
        *lock(&self.former) = Some(former);
    }

    /// Passes a cancel request on to the process that served here before, if it is still there, and waits until it has
    /// been dealt with. False if there is none. Cancel safe.
    pub(super) async fn forward(&self, key: CancelKey) -> bool {
        let Some(former) = lock(&self.former).clone() else { return false };
        let (done, dealt_with) = oneshot::channel();
        if former.send(Forwarded { key, done }).await.is_err() {
            return false;
        }
        let _ = dealt_with.await;
        true
    }

    /// Somebody is there until this is dropped.
    pub(super) fn enter(&self) -> Presence {
        self.present.fetch_add(1, Ordering::Relaxed);
        Presence(Arc::clone(&self.present))
    }

    /// To wait for the end of accepting.
    pub(super) fn watch(&self) -> Closing {
        Closing(self.stage.subscribe())
    }
}

/// A client, or a task that accepts clients. Gone when this is dropped.
#[derive(Debug)]
pub(super) struct Presence(Arc<AtomicUsize>);

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// Waits for the end of accepting.
#[derive(Debug)]
pub(super) struct Closing(watch::Receiver<Stage>);

impl Closing {
    /// Returns when nobody is to be accepted any more. Cancel safe.
    pub(super) async fn closed(&mut self) {
        // An error means that the proxy is gone.
        let _ = self.0.wait_for(|stage| *stage == Stage::Closed).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_door_only_closes() {
        let door = Door::default();
        assert!(door.is_open());
        door.leave();
        assert!(!door.is_open());
        let mut closing = door.watch();
        assert!(tokio::time::timeout(std::time::Duration::from_millis(5), closing.closed()).await.is_err());
        door.close();
        door.leave();
        closing.closed().await;
        door.watch().closed().await;
    }

    #[test]
    fn who_is_there_is_counted() {
        let door = Door::default();
        let (one, two) = (door.enter(), door.enter());
        assert_eq!(door.present(), 2);
        drop((one, two));
        assert_eq!(door.present(), 0);
    }

    #[tokio::test]
    async fn cancel_requests_are_passed_on_while_somebody_is_there() {
        let door = Door::default();
        let key = || CancelKey { pid: 7, secret: vec![1] };
        assert!(!door.forward(key()).await);
        let (former, mut requests) = mpsc::channel::<Forwarded>(1);
        door.forward_to(former);
        let deals = async {
            let request = requests.recv().await.unwrap();
            assert_eq!(request.key.pid, 7);
            request.done.send(()).unwrap();
        };
        assert!(tokio::join!(door.forward(key()), deals).0);
        door.share_no_more();
        assert!(!door.forward(key()).await);
    }
}
