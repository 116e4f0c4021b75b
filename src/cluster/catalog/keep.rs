//! The task that keeps the snapshot: connects to whoever is the primary, reads, waits for a reason to read again.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_postgres::AsyncMessage;

use super::Snapshot;
use super::read::{ReadError, Reader};
use crate::cluster::{Cluster, Control, Node};
use crate::server::Driver as Driving;
use crate::sql::catalog::Catalog;
use crate::sql::catalog::Vouched;

/// Pause before the primary is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// Longest time without a look whether something has changed: for changes that did not come through this proxy, where the
/// database does not announce them.
const REGULARLY: Duration = Duration::from_secs(30);
/// Shortest time from one question to the next reading, when nothing was announced.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long somebody else may be the primary before this notices.
const LOOK: Duration = Duration::from_secs(1);

/// Keeps the cluster's snapshot for ever; ends with the runtime.
pub(in crate::cluster) async fn keep(cluster: Arc<Cluster>) {
    let mut quiet = false;
    loop {
        let Some(primary) = cluster.primary_within(REGULARLY).await else { continue };
        let Some(control) = cluster.control.load_full() else { return };
        let error = match attend(&cluster, &control, &primary, &mut quiet).await {
            Ok(()) => {
                tokio::time::sleep(RETRY / 5).await;
                continue;
            }
            Err(error) => error,
        };
        if let ReadError::Denied(what) = &error {
            let grant = grant(what);
            if !quiet {
                tracing::warn!(node = %primary.name, error = %what, %grant, "the catalog cannot be read: what is not built in goes to the primary");
            }
            let announced = cluster.catalog.announced.load(Ordering::Acquire);
            cluster.catalog.publish(Snapshot::default(), announced, Duration::ZERO);
            quiet = true;
            tokio::time::sleep(REGULARLY).await;
        } else {
            if !quiet {
                tracing::warn!(node = %primary.name, %error, "the catalog cannot be read, trying again");
            }
            quiet = true;
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// What would help against `permission denied for table pg_proc`.
fn grant(message: &str) -> String {
    let table = message.rsplit(' ').next().unwrap_or_default();
    format!("GRANT SELECT ON pg_catalog.{table} TO the first user of the configuration")
}

/// Reads over one connection for as long as it lasts and the node is the primary.
async fn attend(
    cluster: &Arc<Cluster>,
    control: &Control,
    primary: &Node,
    quiet: &mut bool,
) -> Result<(), ReadError> {
    let (client, connection) = control.open(&primary.settings, "tidegate catalog").await?;
    let mut driver = Driver(tokio::spawn(drive(connection, Arc::clone(cluster))));
    let reader = Reader::new(client).await?;
    let mut print = Print::default();
    while is_primary(cluster, primary) && !reader.is_closed() {
        look(cluster, primary, &reader, &mut print).await?;
        *quiet = false;
        wait(cluster, primary, &mut driver).await;
    }
    Ok(())
}

/// What the last reading was made from: the catalog's fingerprint, and what the operator vouches for.
#[derive(Default, PartialEq, Eq)]
struct Print {
    catalog: String,
    vouched: Arc<Vouched>,
}

fn is_primary(cluster: &Cluster, node: &Node) -> bool {
    cluster.primary().is_none_or(|primary| primary.id == node.id)
}

/// One look, and a reading if the fingerprint is not the last reading's. Most changes that are announced are none: a
/// function that may make tables makes temporary ones.
async fn look(cluster: &Cluster, primary: &Node, reader: &Reader, last: &mut Print) -> Result<(), ReadError> {
    let keeper = &cluster.catalog;
    let announced = keeper.announced.load(Ordering::Acquire);
    let began = Instant::now();
    // Taken before the reading: what changes in between is found by the next look.
    let vouched = keeper.vouched.load_full();
    let print = Print { catalog: reader.fingerprint().await?, vouched };
    if print == *last {
        keeper.seen.store(announced, Ordering::Release);
        return Ok(());
    }
    let reading = reader.read().await?;
    let vouched = Arc::clone(&print.vouched);
    let build = move || Snapshot {
        catalog: Catalog::build(reading.facts, &vouched),
        paths: reading.paths,
        generation: 0,
        vouched,
    };
    let snapshot = match tokio::task::spawn_blocking(build).await {
        Ok(snapshot) => snapshot,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    };
    let took = began.elapsed();
    *last = print;
    if keeper.publish(snapshot, announced, took) {
        let figures = keeper.figures();
        tracing::info!(node = %primary.name, generation = figures.generation, objects = figures.objects, ?took, "catalog read");
    }
    Ok(())
}

/// Waits for a reason to read again, or to connect again.
async fn wait(cluster: &Cluster, primary: &Node, driver: &mut Driver) {
    let keeper = &cluster.catalog;
    let since = Instant::now();
    loop {
        tokio::select! {
            () = keeper.change.notified() => return,
            () = keeper.question.notified() => {
                // A change does not wait for a question's patience.
                let rest = PATIENCE.saturating_sub(since.elapsed());
                tokio::select! {
                    () = tokio::time::sleep(rest) => {}
                    () = keeper.change.notified() => {}
                }
                return;
            }
            _ = &mut driver.0 => return,
            () = tokio::time::sleep(LOOK) => {
                if since.elapsed() >= REGULARLY || !is_primary(cluster, primary) {
                    return;
                }
            }
        }
    }
}

/// The task that drives a connection; it ends with this.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Drives the connection, and passes on what the database announces.
async fn drive(mut connection: Driving, cluster: Arc<Cluster>) {
    loop {
        match poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notification(_))) => cluster.catalog.changed(),
            Some(Ok(_)) => {}
            Some(Err(error)) => return tracing::debug!(%error, "catalog connection ended"),
            None => return,
        }
    }
}
