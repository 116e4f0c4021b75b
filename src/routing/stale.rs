//! What becomes of a read when no replica is fresh enough.

use std::time::Duration;

use super::{Level, OnStale, ReplicaView, Request, Target};
use crate::freshness::Tick;

/// How long a strong read waits for a replica to come to the instant it arrived, where nothing else is said. None can be
/// there before it was asked, so without any wait all strong reads would go to the primary.
const STRONG: Duration = Duration::from_millis(20);
/// How long a read waits when only a read mark keeps it from a replica. On the primary it could see still more that
/// nobody was told of, and a session that only reads would never come back to the replicas.
const READ_MARK: Duration = Duration::from_millis(10);
/// No replica is called late before it has taken twice this long, in nanoseconds.
const USUAL: u64 = 1_000_000;

/// Where a read goes that no replica is fresh enough for at this moment.
pub(super) fn target(request: &Request, replicas: &[ReplicaView]) -> Target {
    let left = nanos(patience(request, replicas)).saturating_sub(request.stale.waited);
    let healthy = || replicas.iter().filter(|r| Some(r.id) != request.avoid);
    if left > 0 && healthy().any(|replica| expected(request, replica) <= left) {
        return Target::Wait(left);
    }
    match request.stale.then {
        OnStale::Error => Target::Nowhere,
        OnStale::Primary | OnStale::Wait(_) => Target::Primary,
    }
}

/// How long it may wait, all in all.
fn patience(request: &Request, replicas: &[ReplicaView]) -> Duration {
    let asked = match request.stale.then {
        OnStale::Wait(patience) => patience,
        OnStale::Primary | OnStale::Error => Duration::ZERO,
    };
    let only_seen = || replicas.iter().any(|replica| replica.horizon >= request.need.mark);
    match request.level {
        Level::Strong => asked.max(STRONG),
        _ if request.need.seen.is_some() && only_seen() => asked.max(READ_MARK),
        _ => asked,
    }
}

/// How long `replica` will take to be fresh enough, in nanoseconds, as far as its past tells. One that takes much longer
/// than usual is expected to take as long again.
fn expected(request: &Request, replica: &ReplicaView) -> u64 {
    let now = request.stale.now;
    let lag = if replica.working_on == Tick::NEVER { 0 } else { now.since(replica.working_on) };
    if lag > 2 * replica.catch_up.max(USUAL) {
        return lag;
    }
    request.need.mark_for(replica).0.saturating_add(replica.catch_up).saturating_sub(now.0)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
