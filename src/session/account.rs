//! Counting what was decided, before it is sent.

use std::time::Instant;

use super::client::Client;
use super::explain::Taken;
use super::leased::ServesAs;
use super::serve::Session;
use super::summary::Summary;
use crate::routing::{Decision, Reason, Target};
use crate::wire::encode;

impl Session {
    /// Counts a decision, keeps it for who asks, and tells the client of it where it wants to know.
    pub(super) fn account_for(&mut self, client: &mut Client, summary: &Summary, taken: Taken, now: Instant) {
        let trace = self.settings.steering.trace;
        let Some(leased) = &mut self.leased else { return };
        if trace {
            // What was said before comes first.
            leased.hand_over(client);
        }
        let (node, reason) = (leased.node.node().id, taken.decision.reason);
        let stats = &self.database.stats;
        let on_replica = leased.serves_as == ServesAs::Replica;
        stats.ran(node.0, on_replica, reason, summary.count);
        if reason == Reason::Stale {
            stats.prevented.increment(summary.count);
        }
        let now = self.database.cluster.clock.at(now);
        if on_replica {
            stats.served(now.since(leased.node.node().horizon()), summary.count);
        }
        self.tally(summary, taken, on_replica);
        self.remember(summary, taken, Some(node), now);
        if let Some(route) = self.last_route.as_ref().filter(|_| trace) {
            let text = format!("tidegate: {}", self.headline(route));
            encode::notice(&mut client.outbox, &text, &route.why().join("\n"));
        }
    }

    /// Counts a decision for the report.
    fn tally(&self, summary: &Summary, taken: Taken, on_replica: bool) {
        let Decision { target, reason } = taken.would.unwrap_or(taken.decision);
        let tally = &self.database.stats.tally;
        let to_replica = match target {
            Target::Replica(_) | Target::Wait(_) => true,
            Target::Primary | Target::Nowhere => false,
            Target::Held => on_replica,
        };
        tally.decided(to_replica, reason, summary.count);
        if matches!(reason, Reason::Fresh | Reason::Strong | Reason::Stale) && !self.view.is_empty() {
            let any = self.dice % self.view.len() as u64;
            let any = usize::try_from(any).ok().and_then(|any| self.view.get(any));
            tally.read(any.is_some_and(|replica| replica.horizon < summary.need.mark), summary.count);
        }
        if let Some(known) = summary.known.as_ref().filter(|_| !to_replica)
            && let Some(blocker) = known.blocker(reason, tally)
        {
            blocker.add(summary.count);
        }
    }
}
