//! The workload: all actors, from their start to their end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::actor::Actor;
use super::tally::Tally;

/// How long actors may take to finish what they are doing.
const FINISH: Duration = Duration::from_secs(5);

/// Clients at work. They end when this is stopped or dropped.
pub(super) struct Workload {
    tally: Arc<Tally>,
    actors: JoinSet<()>,
    stopping: watch::Sender<bool>,
}

impl Workload {
    /// Sends so many clients to the proxy at `address`.
    pub(super) fn start(address: SocketAddr, clients: u32) -> Self {
        let clients = usize::try_from(clients).unwrap_or(1);
        let tally = Arc::new(Tally::new(clients));
        let stopping = watch::Sender::new(false);
        let actors = (0..clients)
            .map(|number| Actor::new(number, address, Arc::clone(&tally)).run(stopping.subscribe()))
            .collect();
        Self { tally, actors, stopping }
    }

    /// What the actors find.
    pub(super) fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }

    /// Lets every actor finish what it is doing. One that does not has failed.
    pub(super) async fn stop(mut self) {
        self.stopping.send_replace(true);
        let all = async {
            while let Some(ended) = self.actors.join_next().await {
                if let Err(error) = ended {
                    self.tally.failed(format!("a client ended early: {error}"));
                }
            }
        };
        if tokio::time::timeout(FINISH, all).await.is_err() {
            for _ in 0..self.actors.len() {
                self.tally.failed(format!("a client had no answer {} s after the end", FINISH.as_secs()));
            }
        }
    }
}
