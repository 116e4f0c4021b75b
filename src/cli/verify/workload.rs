//! All actors, from their start to their end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::actor::{Actor, Scene};

/// How long actors may take to finish what they are doing.
const FINISH: Duration = Duration::from_secs(5);

/// Actors at work. They end when this is stopped or dropped.
pub(super) struct Workload {
    scene: Arc<Scene>,
    actors: JoinSet<()>,
    stopping: watch::Sender<bool>,
}

impl Workload {
    /// Sends all actors to work.
    pub(super) fn start(scene: &Arc<Scene>) -> Self {
        let stopping = watch::Sender::new(false);
        let actor = |number| Actor::new(number, Arc::clone(scene)).run(stopping.subscribe());
        let actors = (0..scene.plan.actors).map(actor).collect();
        Self { scene: Arc::clone(scene), actors, stopping }
    }

    /// Lets every actor finish what it is doing. One that does not is an error.
    pub(super) async fn stop(mut self) {
        self.stopping.send_replace(true);
        let book = &self.scene.book;
        let all = async {
            while let Some(ended) = self.actors.join_next().await {
                if let Err(error) = ended {
                    book.count(|tally| tally.failed("actor", || format!("an actor ended early: {error}")));
                }
            }
        };
        if tokio::time::timeout(FINISH, all).await.is_err() {
            for _ in 0..self.actors.len() {
                let text = || format!("an actor had no answer {} s after the end", FINISH.as_secs());
                book.count(|tally| tally.failed("timeout", text));
            }
        }
    }
}
