//! The list of a database's nodes: made once at the start, then followed.

use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::Unnamed;
use super::names::Names;
use super::patroni::Patroni;
use super::streaming::Streaming;
use crate::cluster::Control;
use crate::config::{DatabaseSettings, NodeSettings, NodeSource, Settings};

/// How often nodes are asked who streams from them.
const DISCOVERY: Duration = Duration::from_secs(2);
/// Shortest time between two looks, however often somebody asks for one.
const AT_LEAST: Duration = Duration::from_millis(100);
/// Between two attempts to get a first list.
const RETRY: Duration = Duration::from_millis(250);

/// Who is asked for the nodes.
#[derive(Debug)]
enum Source {
    /// Nobody: the list is what it is.
    Fixed(Vec<NodeSettings>),
    Names(Names),
    Patroni(Patroni),
}

impl Source {
    /// The source, and how often it is asked.
    fn of(settings: &DatabaseSettings) -> (Self, Option<Duration>) {
        let topology = &settings.topology;
        match &topology.source {
            NodeSource::Patroni(hosts) => {
                (Self::Patroni(Patroni::new(hosts)), Some(topology.patroni_interval))
            }
            NodeSource::Hosts(hosts) => {
                let names = Names::new(hosts.clone());
                match topology.dns_interval.filter(|_| names.can_change()) {
                    Some(every) => (Self::Names(names), Some(every)),
                    None => (Self::Fixed(hosts.clone()), None),
                }
            }
        }
    }

    /// Those of these nodes that it has named.
    fn among(&self, nodes: &[NodeSettings]) -> Vec<NodeSettings> {
        match self {
            Self::Fixed(hosts) => hosts.clone(),
            Self::Names(names) => names.among(nodes),
            Self::Patroni(_) => nodes.to_vec(),
        }
    }

    async fn look(&mut self, last: &[NodeSettings]) -> Result<Vec<NodeSettings>, Unnamed> {
        match self {
            Self::Fixed(nodes) => Ok(nodes.clone()),
            Self::Names(names) => Ok(names.look(last).await),
            Self::Patroni(patroni) => patroni.look(last).await,
        }
    }
}

/// The settings with the nodes that every database has: those `in_use`, if there are such, otherwise those that its source
/// names. An error says which database has none. Cancel safe.
pub async fn located(
    settings: &Settings,
    in_use: impl Fn(&DatabaseSettings) -> Option<Vec<NodeSettings>>,
) -> Result<Settings, String> {
    let mut located = settings.clone();
    for database in &mut located.databases {
        database.nodes = match in_use(database) {
            Some(nodes) => nodes,
            None => locate(database).await.map_err(|error| format!("database {}: {error}", database.name))?,
        };
    }
    Ok(located)
}

/// The nodes of a database at this moment, from its source. Patroni is asked until it answers, or `startup_timeout` is
/// over.
async fn locate(settings: &DatabaseSettings) -> Result<Vec<NodeSettings>, Unnamed> {
    let (mut source, _) = Source::of(settings);
    let until = Instant::now() + settings.startup_timeout;
    loop {
        match source.look(&settings.nodes).await {
            Err(_) if Instant::now() < until => tokio::time::sleep(RETRY).await,
            outcome => return outcome,
        }
    }
}

/// Something to be done every so often.
#[derive(Debug)]
struct Due {
    every: Duration,
    at: Instant,
}

impl Due {
    /// Done just now.
    fn after(every: Duration) -> Self {
        Self { every, at: Instant::now() + every }
    }

    fn is_now(&self) -> bool {
        self.at <= Instant::now()
    }
}

/// Follows the nodes of a database, from the list in its settings on, and calls `publish` with the whole list whenever it has
/// changed. The source is asked at once when `hurry` is notified. Returns when the list cannot change; otherwise never.
/// Cancel safe.
pub async fn follow(settings: &DatabaseSettings, hurry: &Notify, mut publish: impl FnMut(Vec<NodeSettings>)) {
    let (mut source, every) = Source::of(settings);
    let mut base = source.among(&settings.nodes);
    let mut published = settings.nodes.clone();
    let found = published.iter().filter(|node| !base.contains(node)).cloned().collect();
    let discovery = settings.topology.discovery;
    let mut streaming = discovery.map(|how| Streaming::new(Control::new(settings), how, found));
    let mut look = every.map(Due::after);
    let mut discovery = streaming.as_ref().map(|_| Due { every: DISCOVERY, at: Instant::now() });
    loop {
        let found = streaming.as_ref().map(|streaming| streaming.found(&base)).unwrap_or_default();
        let nodes: Vec<_> = base.iter().cloned().chain(found).collect();
        if nodes != published {
            tracing::info!(database = %settings.name, nodes = %list(&nodes), "the list of nodes has changed");
            published.clone_from(&nodes);
            publish(nodes);
        }
        let Some(next) = look.iter().chain(&discovery).map(|due| due.at).min() else { return };
        let is_asked = tokio::select! {
            () = tokio::time::sleep_until(next.into()) => false,
            () = hurry.notified() => true,
        };
        if let Some(due) = look.as_mut().filter(|due| is_asked || due.is_now()) {
            // What fails was logged there.
            base = source.look(&base).await.unwrap_or(base);
            *due = Due::after(due.every);
        }
        if let (Some(streaming), Some(due)) = (&mut streaming, discovery.as_mut().filter(|due| due.is_now()))
        {
            streaming.look(&base).await;
            *due = Due::after(due.every);
        }
        if is_asked {
            tokio::time::sleep(AT_LEAST).await;
        }
    }
}

/// `pg1:5432, pg2:5432`
fn list(nodes: &[NodeSettings]) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
