//! A proxy that runs: its threads, its sockets, and how it stops.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Sender;
use tokio::task::JoinHandle;

use super::inherited::Inherited;
use super::link::{Line, Link};
use super::pulse::Pulse;
use super::sockets::{self, Name, Sockets};
use super::takeover::{self, Former};
use super::worker;
use crate::admin::Access;
use crate::cluster::Clock;
use crate::config::{ListenAddress, Settings, SpanSettings};
use crate::net::handover::{Offer, Purpose};
use crate::net::{Accepted, Bound, SocketFile};
use crate::session::{self, Encryption, Proxy};
use crate::spans::{Counters, Exporter, Spans};
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
    access: Option<Arc<Access>>,
    serves_admin: Option<JoinHandle<()>>,
    /// Whether the workers live.
    pub(super) pulse: Arc<Pulse>,
    /// The names of Unix sockets, which nobody finds any more once the sockets are closed.
    files: Vec<SocketFile>,
    /// Copies of the listening sockets, for a process that takes the place of this one.
    pub(super) offers: Vec<Offer>,
    /// Sends spans of statements, if somebody wants them.
    exporter: Option<Exporter>,
    shutdown_timeout: Duration,
    shutdown_delay: Duration,
}

/// How long the start waits for the monitors to have seen a primary: one answer, as a rule.
const FIRST_LOOK: Duration = Duration::from_secs(2);
/// Sessions that are cut off get this long to tell their clients, and to end what their servers do.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Idle sessions get this long to end when all of them are to end at once.
const AT_ONCE: Duration = Duration::from_millis(100);
/// How often it is looked whether clients are left.
const LOOK: Duration = Duration::from_millis(20);

/// Workers when none are configured. One serves tens of thousands of transactions a second and leaves the other cores
/// to whom they belong; see `docs/performance.md`.
fn default_workers() -> usize {
    thread::available_parallelism().map_or(1, |cores| (cores.get() / 4).clamp(1, 8))
}

impl Running {
    /// Binds every socket, then starts workers, monitors and the admin address.
    pub async fn start(settings: &Settings) -> Result<Self, String> {
        Self::start_with(settings, Inherited::default(), None).await
    }

    /// The same with sockets that are there already, and in the place of another process. Clients that connect meanwhile
    /// wait in the sockets' queues.
    pub(super) async fn start_with(
        settings: &Settings,
        mut inherited: Inherited,
        former: Option<Former>,
    ) -> Result<Self, String> {
        let encryption = Encryption::read(&settings.tls).map_err(|unreadable| unreadable.to_string())?;
        let proxy = Arc::new(Proxy::new(settings, Arc::new(Stats::default()), Clock::start()));
        proxy.encrypt(encryption);
        let workers = settings.workers.unwrap_or_else(default_workers);
        let admin = open_admin(settings.admin, &mut inherited)?;
        let Sockets { addresses: listen, workers: listeners, shared, mut files, names, mut offers } =
            Sockets::bind(&settings.listen, workers, &mut inherited)?;
        let mut running = Self {
            proxy: Arc::clone(&proxy),
            listen,
            admin: None,
            access: None,
            serves_admin: None,
            pulse: Pulse::new(workers),
            files: Vec::new(),
            offers: Vec::new(),
            exporter: send_spans(settings, &proxy),
            shutdown_timeout: settings.shutdown_timeout,
            shutdown_delay: settings.shutdown_delay,
        };
        if let Some((socket, offer)) = admin {
            let address = socket.local_addr().map_err(|e| format!("the admin address: {e}"))?;
            let access = Arc::new(Access::new(address, settings));
            (running.admin, running.access) = (Some(address), Some(Arc::clone(&access)));
            running.serves_admin = Some(tokio::spawn(serve_admin(Arc::clone(&proxy), access, socket)));
            offers.push(offer);
        }
        watch_nodes(&proxy).await;
        let mut link = None;
        if let Some(former) = former {
            // Its clients write, and no mark of this process stands for that.
            proxy.door.share();
            let pid = former.pid;
            link = Some((former.take_turn(&proxy).await?, pid));
            files.extend(names.into_iter().filter_map(keep_name));
        }
        (running.files, running.offers) = (files, offers);
        accept(&proxy, &running.pulse, listeners, shared)?;
        if let Some((link, pid)) = link {
            take_over(link, pid, &proxy).await?;
        }
        Ok(running)
    }

    /// Another process accepts the clients from now on. Those that are here stay.
    pub(super) fn hand_over(&mut self) {
        self.proxy.door.close();
        // For those who would still come.
        self.shutdown_delay = Duration::ZERO;
        self.serves_admin.iter().for_each(JoinHandle::abort);
        self.offers.clear();
        self.files.drain(..).for_each(SocketFile::hand_over);
    }

    /// A stop waits for so long from now on, and the admin address is open to those.
    pub(super) fn follow(&mut self, settings: &Settings) {
        if let (Some(access), Some(address)) = (&self.access, self.admin) {
            access.follow(address, settings);
        }
        (self.shutdown_timeout, self.shutdown_delay) = (settings.shutdown_timeout, settings.shutdown_delay);
    }

    /// Returns when no client is left. Cancel safe.
    pub(super) async fn empty(&self) {
        while self.proxy.door.present() > 0 {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Lets sessions end when they are outside a transaction, for as long as the settings allow.
    pub async fn stop(self) {
        self.stop_unless(std::future::pending()).await;
    }

    /// The same, but ends all sessions at once when `hurry` returns.
    pub(super) async fn stop_unless(mut self, hurry: impl Future<Output = ()>) {
        self.end_sessions(hurry).await;
        if let Some(exporter) = self.exporter {
            exporter.finish().await;
        }
    }

    async fn end_sessions(&mut self, hurry: impl Future<Output = ()>) {
        tokio::pin!(hurry);
        self.proxy.door.leave();
        let is_hurried = tokio::select! {
            () = tokio::time::sleep(self.shutdown_delay) => false,
            () = &mut hurry => true,
        };
        self.proxy.stop();
        self.files.clear();
        self.offers.clear();
        let begun = Instant::now();
        let patience = if is_hurried { AT_ONCE } else { self.shutdown_timeout };
        tokio::select! {
            () = self.empty() => return,
            () = tokio::time::sleep(patience) => {}
            () = &mut hurry, if !is_hurried => {}
        }
        let clients = self.proxy.door.present();
        self.proxy.cut_off();
        let _ = tokio::time::timeout(LAST_WORDS, self.empty()).await;
        tracing::warn!(clients, after = ?begun.elapsed(), "clients that were in a transaction have been cut off");
    }
}

/// Spans of statements are sent from now on, if the settings say so.
fn send_spans(settings: &Settings, proxy: &Proxy) -> Option<Exporter> {
    let SpanSettings { endpoint, sample } = settings.spans.clone()?;
    let of = |outcome| proxy.stats.counter("tidegate_spans_total", &[("outcome", outcome)]);
    let counters = Counters { sent: of("sent"), dropped: of("dropped"), failed: of("failed") };
    let (spans, queue) = Spans::new(counters.clone(), sample.as_f64());
    proxy.send_spans(spans);
    Some(Exporter::start(endpoint, queue, counters))
}

/// The monitors begin, and have had a first look if they find somebody.
async fn watch_nodes(proxy: &Arc<Proxy>) {
    let databases: Vec<_> = proxy.databases().values().cloned().collect();
    for database in &databases {
        proxy.watch(database);
    }
    for database in &databases {
        if database.cluster.primary_within(FIRST_LOOK).await.is_none() {
            tracing::warn!(database = %database.settings.name, "starting without a primary");
        } else if !database.cluster.catalog.read_within(FIRST_LOOK).await {
            tracing::warn!(database = %database.settings.name, "starting before the catalog has been read: reads run on the primary until it has");
        }
    }
    session::keep(proxy);
}

/// Clients are accepted from here on.
fn accept(
    proxy: &Arc<Proxy>,
    pulse: &Arc<Pulse>,
    listeners: Vec<Vec<Bound>>,
    shared: Vec<(Bound, Vec<Sender<Accepted>>)>,
) -> Result<(), String> {
    for (i, listeners) in listeners.into_iter().enumerate() {
        let (proxy, pulse) = (Arc::clone(proxy), Arc::clone(pulse));
        let worker = thread::Builder::new().name(format!("worker-{i}"));
        worker
            .spawn(move || worker::work(&proxy, listeners, pulse, i))
            .map_err(|e| format!("cannot start a thread: {e}"))?;
    }
    for (bound, workers) in shared {
        tokio::spawn(hand_out(Arc::clone(proxy), bound, workers));
    }
    Ok(())
}

async fn take_over(mut link: Link, pid: u32, proxy: &Arc<Proxy>) -> Result<(), String> {
    link.say(&Line::Serving).await.map_err(|e| format!("process {pid} is gone: {e}"))?;
    tokio::spawn(takeover::attend(link, pid, Arc::clone(proxy)));
    Ok(())
}

fn keep_name(name: Name) -> Option<SocketFile> {
    name.take_over()
        .inspect_err(|error| tracing::warn!(%error, "the name of a Unix socket could not be taken over"))
        .ok()?
}

async fn hand_out(proxy: Arc<Proxy>, bound: Bound, workers: Vec<Sender<Accepted>>) {
    if let Err(error) = session::hand_out(proxy, bound, workers).await {
        tracing::error!(%error, "a listener failed");
    }
}

/// The socket of the admin address, and a copy to be handed over.
fn open_admin(
    address: Option<SocketAddr>,
    inherited: &mut Inherited,
) -> Result<Option<(std::net::TcpListener, Offer)>, String> {
    let Some(address) = address else { return Ok(None) };
    let opened = sockets::admin(address, inherited).and_then(|(socket, origin)| {
        let copy = socket.try_clone()?.into();
        Ok((socket, Offer { purpose: Purpose::Admin, origin, socket: copy, lock: None }))
    });
    let failed = |e: io::Error| {
        format!("cannot serve the admin address {address}: {e} (choose another with --admin, or off)")
    };
    opened.map(Some).map_err(failed)
}

async fn serve_admin(proxy: Arc<Proxy>, access: Arc<Access>, socket: std::net::TcpListener) {
    let served = match tokio::net::TcpListener::from_std(socket) {
        Ok(listener) => crate::admin::serve(proxy, access, listener).await,
        Err(error) => Err(error),
    };
    if let Err(error) = served {
        tracing::error!(%error, "the admin address failed");
    }
}
