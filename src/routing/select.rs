//! Choosing among the replicas.

use super::{Level, NodeId, Reason, ReplicaView, Request, Wants};
use crate::sql::Intent;

/// A near replica with fewer statements than this is not called busy.
const BUSY: usize = 8;

/// One of the replicas fresh enough for `request`: a near one if there is one that is not overloaded, otherwise any.
pub(super) fn replica(request: &Request, replicas: &[ReplicaView], random: u64) -> Result<NodeId, Reason> {
    let healthy = || replicas.iter().filter(|r| Some(r.id) != request.avoid);
    let fresh = || healthy().filter(|r| request.need.is_met_by(r));
    let (mut all, mut near) = (0, 0);
    for r in fresh() {
        all += u64::from(r.weight);
        near += if r.is_near { u64::from(r.weight) } else { 0 };
    }
    let Some(any) = pick(fresh, all, random) else {
        return Err(if healthy().next().is_some() { Reason::Stale } else { Reason::NoReplica });
    };
    if near == 0 || any.is_near {
        return Ok(any.id);
    }
    let near = pick(|| fresh().filter(|r| r.is_near), near, random.rotate_left(16));
    Ok(near.filter(|near| !is_left(near, any, random)).unwrap_or(any).id)
}

/// The less busy of two random picks, for its weight. A pick is as likely as its weight is large; together they weigh `all`.
///
/// Two picks keep the load even without herding onto the momentarily least busy node: Mitzenmacher, "The Power of
/// Two Choices in Randomized Load Balancing", IEEE TPDS 12(10), 2001. The second one is taken only if the read will
/// have no more company there, itself counted, than it would find with the first: so where little is done at a time
/// the weights alone say who gets what.
fn pick<'a, I: Iterator<Item = &'a ReplicaView>>(
    candidates: impl Fn() -> I,
    all: u64,
    random: u64,
) -> Option<&'a ReplicaView> {
    let first = at(candidates(), spread(random, all))?;
    let others = all - u64::from(first.weight);
    if others == 0 {
        return Some(first);
    }
    let second = at(candidates().filter(|r| r.id != first.id), spread(random >> 32, others))?;
    let company = |r: &ReplicaView, more: usize, other: &ReplicaView| {
        (r.outstanding + more) as u64 * u64::from(other.weight)
    };
    Some(if company(second, 1, first) <= company(first, 0, second) { second } else { first })
}

/// The one that `point` falls on where all lie side by side, each as broad as its weight.
fn at<'a>(mut candidates: impl Iterator<Item = &'a ReplicaView>, point: u64) -> Option<&'a ReplicaView> {
    let mut left = point;
    candidates.find(|r| {
        let is_here = left < u64::from(r.weight);
        left = left.wrapping_sub(r.weight.into());
        is_here
    })
}

/// A number below `most`, by the lower half of `random`.
fn spread(random: u64, most: u64) -> u64 {
    ((random & u64::from(u32::MAX)) * most) >> 32
}

/// Whether `near` is left for `far`, which is not where the proxy is: it has much to do, and for its weight twice as much
/// as the other one will have; or it is in slow start, and this read is not of its share.
fn is_left(near: &ReplicaView, far: &ReplicaView, random: u64) -> bool {
    let company = near.outstanding as u64 * u64::from(far.weight);
    let there = (far.outstanding as u64 + 1) * u64::from(near.weight);
    (near.outstanding >= BUSY && company > 2 * there)
        || spread(random.rotate_left(48), ReplicaView::WHOLE.into()) >= near.share.into()
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
