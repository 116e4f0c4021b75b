//! Clients that have not logged in yet.
//!
//! When there are too many, the one that has been there for the longest must go: who means it logs in within moments, and
//! who only wants to be in the way (slowloris) is the oldest sooner or later.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::Crowded;
use crate::session::lock::lock;

/// Those that are there, by the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Unproven(Mutex<Line>);

#[derive(Debug, Default)]
struct Line {
    next: u64,
    waiting: BTreeMap<u64, Arc<Notify>>,
}

/// A client that has not logged in yet, until this is dropped.
#[derive(Debug)]
pub(in crate::session) struct Place {
    unproven: Arc<Unproven>,
    number: u64,
    must_go: Arc<Notify>,
    /// Why it may only go to the console, if it may.
    pub(in crate::session) crowded: Option<Crowded>,
}

impl Unproven {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        lock(&self.0).waiting.len()
    }

    /// One more, where `most` may be; `makes_room`: another one must go in any case.
    pub(super) fn enter(self: &Arc<Self>, most: usize, makes_room: bool, crowded: Option<Crowded>) -> Place {
        let must_go = Arc::new(Notify::new());
        let mut line = lock(&self.0);
        let excess = (line.waiting.len() + 1).saturating_sub(most).max(usize::from(makes_room));
        for _ in 0..excess {
            if let Some((_, oldest)) = line.waiting.pop_first() {
                oldest.notify_one();
            }
        }
        let number = line.next;
        line.next += 1;
        line.waiting.insert(number, Arc::clone(&must_go));
        drop(line);
        Place { unproven: Arc::clone(self), number, must_go, crowded }
    }
}

impl Place {
    /// Returns when it must go. Cancel safe.
    pub(in crate::session) async fn must_go(&self) {
        self.must_go.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.unproven.0).waiting.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn must_go(place: &Place) -> bool {
        tokio::select! {
            biased;
            () = place.must_go() => true,
            () = tokio::task::yield_now() => false,
        }
    }

    #[tokio::test]
    async fn attack_slowloris_the_oldest_must_go() {
        let unproven = Arc::new(Unproven::default());
        let enter = || unproven.enter(2, false, None);
        let (one, two) = (enter(), enter());
        assert!(!must_go(&one).await);
        let three = enter();
        assert!(must_go(&one).await && !must_go(&two).await && !must_go(&three).await);
        // Who has logged in makes room.
        drop(two);
        let four = enter();
        assert!(!must_go(&three).await && !must_go(&four).await);
        let _five = unproven.enter(9, true, Some(Crowded::Files));
        assert!(must_go(&three).await && !must_go(&four).await);
        assert_eq!(lock(&unproven.0).waiting.len(), 2);
    }
}
