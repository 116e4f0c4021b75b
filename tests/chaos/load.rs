//! Clients at work: writers in every way, readers of what they were told, readers of a table at rest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::client::{Actor, FACTS, PATIENCE, Shared, Way, Work, fact};
use super::dice::Dice;
use super::ledger::{Account, Falsehood};
use super::progress::{Kind, Progress, Summary};

const WRITERS: [Way; 4] = [Way::Simple, Way::Prepared, Way::SimpleBlock, Way::PreparedBlock];
const READERS: [Way; 3] = [Way::Simple, Way::Prepared, Way::SimpleBlock];
/// Not in a transaction: what it will read is not known at its BEGIN, so it would be a read of what was written.
const READERS_AT_REST: [Way; 3] = [Way::Simple, Way::Prepared, Way::Prepared];

/// What the load needs on the cluster, as the superuser.
pub fn schema() -> String {
    // Nothing is unique here: what is done twice must show, and not be refused.
    format!(
        "create table ledger (writer int not null, seq bigint not null, part int not null);
         create index on ledger (writer, seq);
         create table facts (id int primary key, n int not null);
         insert into facts select id, id * 7 + {} from generate_series(0, {}) as id;
         grant all on ledger, facts to app;
         grant pg_read_all_stats to app;",
        fact(0),
        FACTS - 1
    )
}

/// A running load.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<Arc<Progress>>,
    accounts: Arc<[Arc<Account>]>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    runtime: Handle,
}

impl Load {
    /// Starts it. `round` tells its writers from those of former loads on the same cluster.
    pub fn start(runtime: &Handle, url: String, seed: u64, round: usize) -> Self {
        let shared = Arc::new(Shared { url, stop: watch::Sender::new(false), wrong: Mutex::default() });
        let writer = |i: usize| i32::try_from(round * WRITERS.len() + i).unwrap();
        let accounts: Arc<[_]> = WRITERS
            .iter()
            .enumerate()
            .map(|(i, way)| Arc::new(Account::new(writer(i), if way.is_block() { &[1, 2] } else { &[0] })))
            .collect();
        let mut load = Self {
            shared,
            clients: Vec::new(),
            accounts: Arc::clone(&accounts),
            tasks: Mutex::default(),
            runtime: runtime.clone(),
        };
        for (account, way) in accounts.iter().zip(WRITERS) {
            load.add(Work::Write(Arc::clone(account)), Kind::Write, way, seed);
        }
        for way in READERS {
            load.add(Work::ReadBack(Arc::clone(&accounts)), Kind::ReadBack, way, seed);
        }
        for way in READERS_AT_REST {
            load.add(Work::Rest, Kind::Rest, way, seed);
        }
        load
    }

    fn add(&mut self, work: Work, kind: Kind, way: Way, seed: u64) {
        let progress = Arc::new(Progress::new(kind, way));
        let dice = Dice::new(seed, self.clients.len(), 0);
        let (shared, of_client) = (Arc::clone(&self.shared), Arc::clone(&progress));
        let actor = Actor { shared, progress: of_client, work, way, dice };
        self.clients.push(progress);
        let task = self.runtime.spawn(actor.run());
        self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner).push(task);
    }

    /// The lowest number of its writers; no load after it has a lower one.
    pub fn first_writer(&self) -> i32 {
        self.accounts[0].writer
    }

    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Progress> {
        self.clients.iter().map(Arc::as_ref).filter(move |client| client.kind == kind)
    }

    /// Waits until every client of the kind has been served with something that it began after `since`. When that was for
    /// the last of them, or `None` if it is not so within `limit` from now.
    pub fn served_since(&self, kind: Kind, since: Instant, limit: Duration) -> Option<Instant> {
        let begun = Instant::now();
        loop {
            let served: Option<Vec<_>> = self.of(kind).map(|client| client.served_since(since)).collect();
            if let Some(served) = served {
                return served.into_iter().max();
            }
            if begun.elapsed() > limit {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops it and waits until nobody is at work any more. False when somebody still is.
    pub fn stop(&self) -> bool {
        self.shared.stop.send_replace(true);
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let ended = async {
            for task in tasks {
                task.await.unwrap();
            }
        };
        // A block has three answers to wait for.
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE * 4, ended).await }).is_ok()
    }

    /// What clients of a kind went through until `end`.
    pub fn summary(&self, kind: Kind, end: Instant) -> Summary {
        Summary::of(self.of(kind), end)
    }

    /// Reads that were stale or wrong.
    pub fn wrong(&self) -> Vec<String> {
        self.shared.wrong.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes that were acknowledged, refused, and are of an unknown outcome.
    pub fn tally(&self) -> [usize; 3] {
        self.accounts
            .iter()
            .map(|account| account.tally())
            .fold([0; 3], |sum, one| [sum[0] + one[0], sum[1] + one[1], sum[2] + one[2]])
    }

    /// Holds what writers were told against the rows that the primary has.
    pub fn audit(&self, rows: &[(i32, i64, i32)]) -> Vec<Falsehood> {
        let mut by_writer: BTreeMap<i32, BTreeMap<i64, Vec<i32>>> = BTreeMap::new();
        for (writer, seq, part) in rows {
            by_writer.entry(*writer).or_default().entry(*seq).or_default().push(*part);
        }
        let none = BTreeMap::new();
        let mut found = Vec::new();
        for account in &*self.accounts {
            let mut rows = by_writer.get(&account.writer).unwrap_or(&none).clone();
            for parts in rows.values_mut() {
                parts.sort_unstable();
            }
            found.extend(account.audit(&rows));
        }
        found
    }
}
