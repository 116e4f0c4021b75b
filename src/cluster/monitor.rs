//! One task per node: connects, asks who it is, then samples (a primary) or follows replay (a replica).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_postgres::Client;

use super::identity::OLDEST_VERSION;
use super::replica::Follow;
use super::{Cluster, Control, Identity, NO_PRIMARY, Node, ProbeError, State, probe, replica, sampler};

/// Pause before a node that is down is tried again.
const RETRY: Duration = Duration::from_millis(250);
/// Longest wait for a node to say who it is.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an identity is trusted before the node is asked again who it is. (Whether it is in recovery is part of
/// every question.)
pub(super) const ROLE_TRUST: Duration = Duration::from_secs(2);

/// Starts watching every node of the cluster, and the catalog of its database; the tasks end with the runtime.
pub fn spawn(cluster: &Arc<Cluster>, control: &Control) {
    for node in &cluster.nodes {
        tokio::spawn(watch(Arc::clone(cluster), control.clone(), Arc::clone(node)));
    }
    tokio::spawn(super::catalog::keep(Arc::clone(cluster), control.clone()));
}

async fn watch(cluster: Arc<Cluster>, control: Control, node: Arc<Node>) {
    let mut quiet = false;
    loop {
        let error = match probe(&control, &node.settings).await {
            Ok((client, identity)) => {
                quiet = false;
                serve(&cluster, &node, &client, identity).await
            }
            Err(error) => error,
        };
        cluster.resign(&node);
        node.is_out(&error);
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

/// Follows the node in the role it has until that changes or the connection fails.
async fn serve(cluster: &Cluster, node: &Node, client: &Client, mut identity: Identity) -> ProbeError {
    let mut follow = Follow::new(cluster, node.id, identity.version);
    loop {
        let admitted = cluster.admit(node, &identity);
        if admitted != State::Replica || !follow.is_current(cluster) {
            follow = Follow::new(cluster, node.id, identity.version);
        }
        let outcome = match admitted {
            State::Primary => sampler::run(cluster, node, client).await,
            State::Replica => replica::run(cluster, node, client, &mut follow).await,
            State::Down | State::Refused => {
                tokio::time::sleep(ROLE_TRUST / 4).await;
                Ok(())
            }
        };
        let asked = match outcome {
            Ok(()) => {
                node.asked();
                super::probe::bounded(PATIENCE, Identity::ask(client)).await
            }
            Err(error) => Err(error),
        };
        match asked {
            Ok(answer) => identity = answer,
            Err(error) => return error,
        }
    }
}

impl Cluster {
    /// Decides what the node may be used for, given what it says of itself, and publishes that.
    fn admit(&self, node: &Node, identity: &Identity) -> State {
        node.set_identity(identity.clone());
        if !identity.in_recovery {
            self.serializable.store(identity.serializable, Ordering::Relaxed);
        }
        if identity.async_commit {
            self.commits_asynchronously();
        }
        let state = match self.objection(node, identity) {
            Some(objection) => {
                node.is_out(&objection);
                if node.seen() != State::Refused {
                    tracing::error!(node = %node.name, "node refused: {objection}");
                }
                self.resign(node);
                State::Refused
            }
            None if identity.in_recovery => State::Replica,
            None => {
                self.crown(node, identity);
                State::Primary
            }
        };
        let before = node.seen();
        if state == State::Replica && before != State::Replica {
            node.forget_horizon();
        }
        // A replica opens when its first horizon is known (see `replica`).
        if state != State::Replica {
            node.set_state(state);
        }
        if before != state {
            tracing::info!(node = %node.name, ?state, timeline = identity.timeline, "node seen");
        }
        state
    }

    /// Why the node must not be used, if it must not.
    fn objection(&self, node: &Node, identity: &Identity) -> Option<String> {
        if identity.version < OLDEST_VERSION {
            return Some(format!("PostgreSQL {} is too old, 13 or newer is needed", identity.version_text));
        }
        let mut system = self.system.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let expected = system.get_or_insert_with(|| identity.system.clone());
        if *expected != identity.system {
            let found = &identity.system;
            return Some(format!(
                "its system identifier is {found}, the cluster's is {expected}: another database"
            ));
        }
        let term = *self.samples.borrow();
        if identity.in_recovery {
            let known = term.number > 0 && identity.timeline != term.timeline;
            return known.then(|| {
                format!("it is on timeline {}, the primary on {}", identity.timeline, term.timeline)
            });
        }
        let rival = self.reigning().filter(|p| p.id != node.id && p.seen() == State::Primary)?;
        let reigning = rival.identity().map_or(0, |i| i.timeline);
        (identity.timeline <= reigning).then(|| {
            format!("it is not in recovery, but {} is the primary on timeline {reigning}", rival.name)
        })
    }

    fn crown(&self, node: &Node, identity: &Identity) {
        let timeline = identity.timeline;
        let before = self.primary.swap(node.id.0, Ordering::AcqRel);
        if before != node.id.0 {
            if let Some(rival) = self.nodes.get(before) {
                rival.is_out(&format_args!("{} has become the primary", node.name));
                rival.suspect();
            }
            tracing::info!(node = %node.name, timeline, "primary");
        }
        self.samples.send_modify(|term| {
            if before != node.id.0 || term.timeline != timeline || term.number == 0 {
                self.history.begin(&identity.system, timeline, node.reached());
                *term = super::Term { number: term.number + 1, timeline, sample: None };
            }
        });
    }

    /// The node is not to be used any more.
    fn resign(&self, node: &Node) {
        node.set_state(State::Down);
        node.forget_horizon();
        let _ = self.primary.compare_exchange(node.id.0, NO_PRIMARY, Ordering::AcqRel, Ordering::Acquire);
    }
}
