//! One task per node: connects, asks who it is, then samples (a primary) or follows replay (a replica).

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::replica::Follow;
use super::{Cluster, Control, Identity, Node, ProbeError, State, probe, replica, sampler};

/// Pause before a node that is down is tried again.
const RETRY: Duration = Duration::from_millis(250);
/// A node that answers nothing, and has said nothing for so long on new connections either, is given up: whoever still waits for its answer is
/// told. Those that work on a primary wait as long as the network lets them, or until there is another one: a primary that
/// is only slow has none that could take its place.
const GIVEN_UP: Duration = Duration::from_secs(2);
/// Pause before a node that is refused is asked again who it is.
const REFUSED: Duration = Duration::from_millis(250);
/// Longest wait for a write that is to show that a primary takes writes.
const WRITE: Duration = Duration::from_secs(1);
/// Longest wait for a node to say who it is.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an identity is trusted before the node is asked again who it is. (Whether it is in recovery is part of
/// every question.)
pub(super) const ROLE_TRUST: Duration = Duration::from_secs(2);

/// Starts watching every node of the cluster, and the catalog of its database; the tasks end with the runtime.
pub fn spawn(cluster: &Arc<Cluster>, control: Control) {
    cluster.set_control(control);
    for node in cluster.nodes().iter() {
        begin(cluster, node);
    }
    let keeping = super::catalog::keep(Arc::clone(cluster));
    let looking = super::health::keep(Arc::clone(cluster));
    let cluster = Arc::clone(cluster);
    tokio::spawn(async move {
        tokio::select! {
            () = keeping => {}
            () = looking => {}
            () = cluster.has_ended() => {}
        }
    });
}

/// Starts watching a node, until it is removed.
pub(super) fn begin(cluster: &Arc<Cluster>, node: &Arc<Node>) {
    let (cluster, node) = (Arc::clone(cluster), Arc::clone(node));
    tokio::spawn(async move {
        tokio::select! {
            () = watch(&cluster, &node) => {}
            () = node.retired() => {}
        }
        cluster.resign(&node);
    });
}

async fn watch(cluster: &Cluster, node: &Arc<Node>) {
    let mut quiet = false;
    let mut silence = Silence::default();
    loop {
        let Some(control) = cluster.control.load_full() else { return };
        let was_replica = node.identity().is_some_and(|identity| identity.in_recovery);
        let probed = tokio::select! {
            probed = probe(&control, &node.settings) => probed,
            () = silence.is_too_long(), if was_replica => {
                tracing::warn!(node = %node.name, "no answer for {GIVEN_UP:?}: what is under way there is given up");
                silence = Silence::Told;
                cluster.give_up(node);
                continue;
            }
        };
        let error = match probed {
            Ok((client, identity)) => {
                quiet = false;
                silence = Silence::default();
                node.set_identity(identity.clone());
                cluster.first_look(node).await;
                node.vitals.linked();
                serve(cluster, node, &client, identity).await
            }
            Err(error) => error,
        };
        node.vitals.unlinked();
        if matches!(node.seen(), State::Primary | State::Replica) {
            cluster.note_loss(node, &error);
        }
        cluster.resign(node);
        cluster.hear(node);
        node.is_out(&error);
        silence.began();
        if !quiet {
            tracing::warn!(node = %node.name, %error, "node is not usable, trying again");
            quiet = true;
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY) => {}
            () = node.woken() => tokio::time::sleep(RETRY / 5).await,
        }
    }
}

/// Since when a node has said nothing.
#[derive(Clone, Copy, Debug, Default)]
enum Silence {
    #[default]
    None,
    Since(Instant),
    /// Who waited for it has been told.
    Told,
}

impl Silence {
    fn began(&mut self) {
        if matches!(self, Self::None) {
            *self = Self::Since(Instant::now());
        }
    }

    /// Waits until it has lasted too long. Cancel safe.
    async fn is_too_long(&self) {
        match self {
            Self::Since(since) => tokio::time::sleep_until((*since + GIVEN_UP).into()).await,
            Self::None | Self::Told => std::future::pending().await,
        }
    }
}

/// Whether the node takes a write, as far as one may be tried: a record in the WAL that nobody reads.
async fn takes_writes(node: &Node, client: &Client) -> bool {
    match super::probe::bounded(WRITE, client.execute(sampler::NUDGE, &[])).await {
        Ok(_) => true,
        Err(ProbeError::Postgres(error)) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => true,
        Err(error) => {
            tracing::warn!(node = %node.name, %error, "the primary does not take a write");
            false
        }
    }
}

/// Follows the node in the role it has until that changes or the connection fails.
async fn serve(cluster: &Cluster, node: &Arc<Node>, client: &Client, mut identity: Identity) -> ProbeError {
    let mut follow = Follow::new(cluster, node.id, identity.version);
    loop {
        let is_known_to_write = cluster.holds_office(node) && node.is_writable();
        if !identity.in_recovery && !is_known_to_write {
            node.set_writable(takes_writes(node, client).await);
        }
        let admitted = cluster.admit(node, &identity);
        if admitted != State::Replica || !follow.is_current(cluster) {
            follow = Follow::new(cluster, node.id, identity.version);
        }
        let outcome = match admitted {
            State::Primary => sampler::run(cluster, node, client).await,
            State::Replica => replica::run(cluster, node, client, &mut follow).await,
            State::Down | State::Refused => {
                tokio::select! {
                    () = tokio::time::sleep(REFUSED) => {}
                    () = node.woken() => {}
                }
                Ok(())
            }
        };
        let asked = match outcome {
            Ok(()) => {
                node.asked();
                node.vitals.asks(cluster.clock.now());
                super::probe::bounded(PATIENCE, Identity::ask(client)).await.inspect(|_| node.vitals.heard())
            }
            Err(error) => Err(error),
        };
        match asked {
            Ok(answer) => identity = answer,
            Err(error) => return error,
        }
    }
}
