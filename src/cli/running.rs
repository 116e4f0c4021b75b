//! A proxy that runs: its threads, its sockets, and how it stops.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Sender;

use super::sockets::Sockets;
use super::worker;
use crate::cluster::Clock;
use crate::config::{ListenAddress, Settings};
use crate::net::{Accepted, Bound, SocketFile};
use crate::session::{self, Proxy};
use crate::stats::Stats;

/// A proxy that runs. It owns one thread per worker, each with a single-threaded runtime and listening sockets of its
/// own: a session stays on the thread that accepted it. The runtime this is started from carries the monitors and
/// the admin address.
pub struct Running {
    /// What the sessions share.
    pub proxy: Arc<Proxy>,
    /// Where clients connect.
    pub listen: Vec<ListenAddress>,
    /// Where the admin address is, if there is one.
    pub admin: Option<SocketAddr>,
    /// The names of Unix sockets, which nobody finds any more once the sockets are closed.
    files: Vec<SocketFile>,
}

/// How long the start waits for the monitors to have seen a primary: one answer, as a rule.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// Time for clients to be told that the process ends at once.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Workers when none are configured. One serves tens of thousands of transactions a second and leaves the other cores
/// to whom they belong; see `docs/performance.md`.
fn default_workers() -> usize {
    thread::available_parallelism().map_or(1, |cores| (cores.get() / 4).clamp(1, 8))
}

impl Running {
    /// Binds every socket, then starts workers, monitors and the admin address.
    pub async fn start(settings: &Settings) -> Result<Self, String> {
        let proxy = Arc::new(Proxy::new(settings, Arc::new(Stats::default()), Clock::start()));
        let workers = settings.workers.unwrap_or_else(default_workers);
        let Sockets { addresses: listen, workers: listeners, shared, files } =
            Sockets::bind(&settings.listen, workers)?;
        let admin = match settings.admin {
            None => None,
            Some(address) => Some(serve_admin(&proxy, address).await?),
        };
        let databases: Vec<_> = proxy.databases().values().cloned().collect();
        databases.iter().for_each(|database| proxy.watch(database));
        for database in &databases {
            if database.cluster.primary_within(FIRST_LOOK).await.is_none() {
                tracing::warn!(database = %database.settings.name, "starting without a primary");
            } else if !database.cluster.catalog.read_within(FIRST_LOOK).await {
                tracing::warn!(database = %database.settings.name, "starting before the catalog has been read: reads run on the primary until it has");
            }
        }
        session::keep(&proxy);
        for (i, listeners) in listeners.into_iter().enumerate() {
            let proxy = Arc::clone(&proxy);
            let worker = thread::Builder::new().name(format!("worker-{i}"));
            worker
                .spawn(move || worker::work(&proxy, listeners))
                .map_err(|e| format!("cannot start a thread: {e}"))?;
        }
        for (bound, workers) in shared {
            tokio::spawn(hand_out(Arc::clone(&proxy), bound, workers));
        }
        Ok(Self { proxy, listen, admin, files })
    }

    /// Ends every session at once; they have a moment to be told.
    pub async fn stop_now(self, patience: Duration) {
        self.proxy.stop_now();
        self.stop(patience.min(LAST_WORDS)).await;
    }

    /// Lets sessions end when they are outside a transaction, for so long at most.
    pub async fn stop(self, patience: Duration) {
        self.proxy.stop();
        drop(self.files);
        let until = Instant::now() + patience;
        while self.proxy.databases().values().any(|d| d.clients() > 0) && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn hand_out(proxy: Arc<Proxy>, bound: Bound, workers: Vec<Sender<Accepted>>) {
    if let Err(error) = session::hand_out(proxy, bound, workers).await {
        tracing::error!(%error, "a listener failed");
    }
}

async fn serve_admin(proxy: &Arc<Proxy>, address: SocketAddr) -> Result<SocketAddr, String> {
    let failed = |e: io::Error| {
        format!("cannot serve the admin address {address}: {e} (choose another with --admin, or off)")
    };
    let listener = tokio::net::TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let proxy = Arc::clone(proxy);
    tokio::spawn(async move {
        if let Err(error) = crate::admin::serve(proxy, listener).await {
            tracing::error!(%error, "the admin address failed");
        }
    });
    Ok(bound)
}
