//! Looks at the health of all replicas again and again, and publishes what comes of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::MissedTickBehavior;

use super::{Cluster, Node, State, What};
use crate::health::{Cause, Causes, Health, LOOK, Limits, Panel};

/// Looks at the replicas' health until the runtime ends.
pub(super) async fn keep(cluster: Arc<Cluster>) {
    let mut panel = Panel::default();
    let mut turns = tokio::time::interval(LOOK);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = turns.tick() => {}
            // Who has come back is not to wait for its turn.
            () = cluster.arrivals.notified() => {}
        }
        cluster.look(&mut panel);
    }
}

impl Cluster {
    /// Looks at every replica once.
    fn look(&self, panel: &mut Panel) {
        let (now, limits) = (self.clock.now(), **self.limits.load());
        let has_primary = self.primary().is_some();
        // One that serves no reads whatever its health is no help to the others.
        let all = self.nodes();
        let nodes: Vec<&Node> = all.iter().map(Arc::as_ref).filter(|node| node.settings.weight > 0).collect();
        let mut judged: Vec<_> = nodes.iter().map(|node| node.vitals.judged()).collect();
        let seen: Vec<_> =
            judged.iter_mut().zip(&nodes).map(|(judged, node)| judged.see(node, has_primary, now)).collect();
        let mut healths: Vec<&mut Health> = judged.iter_mut().map(|judged| &mut judged.health).collect();
        let overruled = panel.look(&mut healths, &seen, &limits, now);
        for (node, health) in nodes.into_iter().zip(healths) {
            let (before, share) = (node.vitals.causes(), health.share(&limits, now));
            let comes_in = share > 0 && node.share() == 0;
            node.vitals.publish(health, node.settings.weight, share);
            if comes_in {
                // Reads may be waiting for it.
                self.progressed();
            }
            self.tell(node, before, health.causes());
            if health.is_in_doubt() && node.state() == State::Replica {
                // Its next answer tells.
                node.wake();
            }
        }
        self.overrule(overruled);
    }

    /// Replicas are taken out, and come back, by these limits from now on.
    pub fn set_limits(&self, limits: Limits) {
        self.limits.store(Arc::new(limits));
    }

    /// The causes that are not followed at this moment, because they would take out too many.
    pub fn overruled(&self) -> Causes {
        Causes::from_bits(self.overruled.load(Ordering::Relaxed))
    }

    fn overrule(&self, causes: Causes) {
        let before = Causes::from_bits(self.overruled.swap(causes.bits(), Ordering::Relaxed));
        for cause in causes.without(before).iter() {
            let reason = cause.label();
            tracing::warn!(reason, "not followed: it would take out too many replicas, or the last one");
        }
        for cause in before.without(causes).iter() {
            tracing::info!(reason = cause.label(), "no longer too many replicas at once");
        }
    }

    /// Logs what nobody else has: that a node is lost or refused is the monitor's to say.
    fn tell(&self, node: &Node, before: Causes, now: Causes) {
        for cause in now.without(before).iter().filter(|cause| cause.is_soft()) {
            let node = &node.name;
            if cause == Cause::Flapping {
                tracing::warn!(%node, "replica held back: it was lost again and again");
            } else {
                tracing::warn!(%node, reason = cause.label(), "replica taken out");
            }
            self.chronicle.note(node, What::TakenOut, cause.label());
        }
        if now.is_empty() && !before.is_empty() && node.state() == State::Replica {
            tracing::info!(node = %node.name, "replica let in again");
            // What was lost and is back has been noted where it was seen.
            if before.iter().any(Cause::is_soft) {
                self.chronicle.note(&node.name, What::LetIn, "");
            }
        }
    }
}
