//! Faults on the replicas while actors read and write, and their end: whatever was changed is changed back, however the
//! run ends.
//!
//! Owns when which fault is made. What it does to one replica is in [`replica`].

mod replica;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::args::FaultKind;
use super::plan::Plan;
use super::trouble::Trouble;
use replica::Replica;

/// The delays that replicas are given in turn.
const DELAYS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(20), Duration::from_millis(200)];
/// How long each of them lasts.
const DELAY_LASTS: Duration = Duration::from_secs(2);
/// A fault under way, such as a pause, may take so long to end by itself.
const FINISH: Duration = Duration::from_secs(10);

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    /// Times that replay was paused on a replica.
    pub(super) pauses: u64,
    /// Times that the apply delay of a replica was changed.
    pub(super) delays: u64,
    /// Connections that were terminated.
    pub(super) terminated: u64,
    /// What was not possible, and why.
    pub(super) impossible: Vec<String>,
    /// What could not be undone, and what to do about it.
    pub(super) not_undone: Vec<String>,
}

impl Done {
    /// Whether anything was done at all.
    pub(super) fn is_nothing(&self) -> bool {
        self.pauses + self.delays + self.terminated == 0
    }
}

/// Faults being made.
pub(super) struct Faults {
    replicas: Arc<[Replica]>,
    done: Arc<Mutex<Done>>,
    tasks: JoinSet<()>,
    stopping: watch::Sender<bool>,
}

impl Faults {
    /// Connects to the replicas and begins. What is not possible is noted, and the rest goes on.
    pub(super) async fn start(plan: &Plan) -> Self {
        let done = Arc::new(Mutex::new(Done::default()));
        let mut replicas = Vec::new();
        for target in &plan.replicas {
            match Replica::open(target).await {
                Ok(replica) => replicas.push(replica),
                Err(why) => note(&done, format!("faults on {}: {why}", target.shown)),
            }
        }
        let mut faults = Self {
            replicas: replicas.into(),
            done,
            tasks: JoinSet::new(),
            stopping: watch::Sender::new(false),
        };
        let user = plan.proxies.first().and_then(|proxy| proxy.config.get_user()).unwrap_or_default();
        for kind in &plan.faults {
            faults.begin(*kind, user.to_owned());
        }
        faults
    }

    fn begin(&mut self, kind: FaultKind, user: String) {
        if self.replicas.is_empty() {
            return;
        }
        let (replicas, done) = (Arc::clone(&self.replicas), Arc::clone(&self.done));
        let mut stopping = self.stopping.subscribe();
        self.tasks.spawn(async move {
            let mut works = vec![true; replicas.len()];
            for turn in 0_usize.. {
                if !pause(gap(kind), &mut stopping).await {
                    return;
                }
                for number in chosen(kind, &works) {
                    let made = match kind {
                        FaultKind::Pause => replicas[number].pause_for(rand::random_range(200..1000)).await,
                        FaultKind::Delay => replicas[number].delay(DELAYS[(turn + 1) % DELAYS.len()]).await,
                        FaultKind::Terminate => replicas[number].terminate(&user).await,
                    };
                    works[number] = noted(kind, &replicas[number], made, &done);
                }
                if !works.contains(&true) {
                    return;
                }
            }
        });
    }

    /// Ends the faults and undoes what is left of them.
    pub(super) async fn stop(mut self) -> Done {
        self.stopping.send_replace(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        // What does not end by itself is undone all the same.
        let _ = tokio::time::timeout(FINISH, all).await;
        self.tasks.shutdown().await;
        for replica in self.replicas.iter() {
            if let Err(left) = replica.restore().await {
                locked(&self.done).not_undone.push(left);
            }
        }
        locked(&self.done).clone()
    }
}

/// Time before the next fault.
fn gap(kind: FaultKind) -> Duration {
    match kind {
        FaultKind::Pause => Duration::from_millis(rand::random_range(200..1200)),
        FaultKind::Delay => DELAY_LASTS,
        FaultKind::Terminate => Duration::from_millis(rand::random_range(1000..3000)),
    }
}

/// The replicas it is made on: all for a delay, one of those where it works for the rest.
fn chosen(kind: FaultKind, works: &[bool]) -> Vec<usize> {
    let mut possible: Vec<usize> = (0..works.len()).filter(|number| works[*number]).collect();
    if kind != FaultKind::Delay && !possible.is_empty() {
        possible = vec![possible[rand::random_range(0..possible.len())]];
    }
    possible
}

/// Counts what was made. False when it need not be tried again on this replica.
fn noted(kind: FaultKind, replica: &Replica, made: Result<u64, Trouble>, done: &Mutex<Done>) -> bool {
    match made {
        Ok(count) => {
            let mut done = locked(done);
            match kind {
                FaultKind::Pause => done.pauses += count,
                FaultKind::Delay => done.delays += count,
                FaultKind::Terminate => done.terminated += count,
            }
            true
        }
        Err(trouble) if trouble.may_pass() => true,
        Err(trouble) => {
            let what = format!("{kind:?}").to_lowercase();
            note(done, format!("{what} on {}: {trouble}", replica.shown()));
            false
        }
    }
}

fn note(done: &Mutex<Done>, text: String) {
    eprintln!("tidegate: not possible: {text}");
    locked(done).impossible.push(text);
}

/// Nothing is left half done in here.
fn locked(done: &Mutex<Done>) -> std::sync::MutexGuard<'_, Done> {
    done.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits; false when it is time to stop. Cancel safe.
async fn pause(time: Duration, stopping: &mut watch::Receiver<bool>) -> bool {
    tokio::time::timeout(time, stopping.wait_for(|stop| *stop)).await.is_err()
}
