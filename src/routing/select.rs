//! Choosing among the replicas.

use super::{Level, NodeId, Reason, ReplicaView, Request, Wants};
use crate::sql::Intent;

/// The less busy of two random picks among the replicas fresh enough for `request`.
///
/// Two picks keep the load even without herding onto the momentarily least busy node: Mitzenmacher, "The Power of
/// Two Choices in Randomized Load Balancing", IEEE TPDS 12(10), 2001.
pub(super) fn replica(request: &Request, replicas: &[ReplicaView], random: u64) -> Result<NodeId, Reason> {
    let healthy = || replicas.iter().filter(|r| Some(r.id) != request.avoid);
    let fresh = || healthy().filter(|r| request.need.is_met_by(r));
    let nth = |n: u64| fresh().nth(usize::try_from(n).unwrap_or(0));
    let count = fresh().count() as u64;
    if count == 0 {
        return Err(if healthy().next().is_some() { Reason::Stale } else { Reason::NoReplica });
    }
    let first = random % count;
    // A second pick that differs from the first whenever there are two.
    let second = (first + 1 + (random >> 32) % (count - 1).max(1)) % count;
    let (Some(a), Some(b)) = (nth(first), nth(second)) else { return Err(Reason::NoReplica) };
    Ok(if b.outstanding < a.outstanding { b.id } else { a.id })
}

/// Why a replica may serve `request`.
pub(super) fn reason(request: &Request) -> Reason {
    match (request.wants, request.level) {
        (Wants::ReadOnlyTransaction, _) => Reason::ReadOnlyTransaction,
        _ if request.intent == Some(Intent::Replica) => Reason::IntentReplica,
        (_, Level::Eventual) => Reason::Eventual,
        (_, Level::Bounded(_)) => Reason::Bounded,
        (_, Level::Strong) => Reason::Strong,
        _ => Reason::Fresh,
    }
}
