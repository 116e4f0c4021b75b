//! Whether the workers live: whoever tells systemd so asks them first. It costs nothing while nobody asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// Asks the workers for a sign of life.
#[derive(Debug)]
pub(super) struct Pulse {
    /// Counts the questions.
    asked: watch::Sender<u64>,
    /// The last question that each worker has answered.
    answered: Vec<AtomicU64>,
}

impl Pulse {
    pub(super) fn new(workers: usize) -> Arc<Self> {
        let answered = (0..workers).map(|_| AtomicU64::default()).collect();
        Arc::new(Self { asked: watch::Sender::new(0), answered })
    }

    /// Answers for a worker, on its runtime, for as long as somebody may ask.
    pub(super) async fn answer(self: Arc<Self>, worker: usize) {
        let mut questions = self.asked.subscribe();
        let Some(answered) = self.answered.get(worker) else { return };
        while questions.changed().await.is_ok() {
            answered.store(*questions.borrow_and_update(), Ordering::Relaxed);
        }
    }

    /// The workers that have not answered the last question, if there was one; asks the next.
    pub(super) fn silent(&self) -> Vec<usize> {
        let last = *self.asked.borrow();
        let is_silent = |(_, answered): &(usize, &AtomicU64)| answered.load(Ordering::Relaxed) < last;
        let silent = self.answered.iter().enumerate().filter(is_silent).map(|(index, _)| index).collect();
        self.asked.send_modify(|asked| *asked += 1);
        silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_worker_that_hangs_is_found() {
        let pulse = Pulse::new(2);
        let lives = tokio::spawn(Arc::clone(&pulse).answer(0));
        let hangs = tokio::spawn(Arc::clone(&pulse).answer(1));
        let rounds = async |pulse: &Pulse| {
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            pulse.silent()
        };
        assert_eq!(rounds(&pulse).await, [0; 0], "nobody has asked");
        assert_eq!(rounds(&pulse).await, [0; 0]);
        hangs.abort();
        assert_eq!(rounds(&pulse).await, [1]);
        lives.abort();
    }
}
