//! The decision table.

use super::*;

fn read() -> Request {
    Request {
        wants: Wants::Read,
        held: None,
        intent: None,
        level: Level::Session,
        need: Need { mark: Tick(100), seen: None },
        stale: Stale { now: Tick(100), ..Stale::default() },
        doubt: None,
        avoid: None,
    }
}

fn replica(id: usize, horizon: u64, outstanding: usize) -> ReplicaView {
    ReplicaView {
        id: NodeId(id),
        horizon: Tick(horizon),
        outstanding,
        catch_up: 0,
        working_on: Tick::NEVER,
        life: 1,
        weight: ReplicaView::WHOLE.into(),
        share: ReplicaView::WHOLE,
        is_near: false,
    }
}

fn to(request: Request, replicas: &[ReplicaView]) -> (Target, Reason) {
    let decision = route(&request, replicas, 7);
    (decision.target, decision.reason)
}

#[allow(clippy::too_many_lines, reason = "a table")]
#[test]
fn the_table() {
    use Target::{Held as OnHeld, Primary, Replica};
    let fresh = [replica(1, 100, 0)];
    let stale = [replica(1, 99, 0)];
    let one = Replica(NodeId(1));
    let r = read();
    let rows: &[(&str, Request, &[ReplicaView], Target, Reason)] = &[
        ("fresh", r, &fresh, one, Reason::Fresh),
        ("one nanosecond short", r, &stale, Primary, Reason::Stale),
        ("no replica", r, &[], Primary, Reason::NoReplica),
        (
            "eventual takes a stale one",
            Request { level: Level::Eventual, need: Need::default(), ..r },
            &stale,
            one,
            Reason::Eventual,
        ),
        (
            "bounded",
            Request { level: Level::Bounded(std::time::Duration::from_secs(1)), ..r },
            &fresh,
            one,
            Reason::Bounded,
        ),
        ("strong", Request { level: Level::Strong, ..r }, &fresh, one, Reason::Strong),
        ("level primary", Request { level: Level::Primary, ..r }, &fresh, Primary, Reason::LevelPrimary),
        (
            "in a transaction",
            Request { held: Some(Held::Transaction), ..r },
            &fresh,
            OnHeld,
            Reason::Transaction,
        ),
        ("pinned", Request { held: Some(Held::Pin), ..r }, &fresh, OnHeld, Reason::Pinned),
        (
            "intent primary",
            Request { intent: Some(Intent::Primary), ..r },
            &fresh,
            Primary,
            Reason::IntentPrimary,
        ),
        (
            "intent replica",
            Request { intent: Some(Intent::Replica), ..r },
            &fresh,
            one,
            Reason::IntentReplica,
        ),
        (
            "intent replica, stale",
            Request { intent: Some(Intent::Replica), ..r },
            &stale,
            Primary,
            Reason::Stale,
        ),
        (
            "intent replica cannot move a write",
            Request { intent: Some(Intent::Replica), wants: Wants::Write, ..r },
            &fresh,
            Primary,
            Reason::Write,
        ),
        (
            "intent replica vouches for the unknown",
            Request { intent: Some(Intent::Replica), wants: Wants::Unknown, ..r },
            &fresh,
            one,
            Reason::IntentReplica,
        ),
        ("write", Request { wants: Wants::Write, ..r }, &fresh, Primary, Reason::Write),
        ("unknown", Request { wants: Wants::Unknown, ..r }, &fresh, Primary, Reason::Unknown),
        ("settings", Request { wants: Wants::SessionState, ..r }, &fresh, Primary, Reason::SessionState),
        ("BEGIN", Request { wants: Wants::Transaction, ..r }, &fresh, Primary, Reason::Transaction),
        (
            "BEGIN READ ONLY",
            Request { wants: Wants::ReadOnlyTransaction, ..r },
            &fresh,
            one,
            Reason::ReadOnlyTransaction,
        ),
        (
            "refused before",
            Request { doubt: Some(Doubt::RefusedBefore), ..r },
            &fresh,
            Primary,
            Reason::RefusedBefore,
        ),
        (
            "serializable",
            Request { doubt: Some(Doubt::Serializable), ..r },
            &fresh,
            Primary,
            Reason::Serializable,
        ),
        (
            "catalog being read",
            Request { doubt: Some(Doubt::Catalog), ..r },
            &fresh,
            Primary,
            Reason::Catalog,
        ),
        (
            "avoid the one that failed",
            Request { avoid: Some(NodeId(1)), ..r },
            &fresh,
            Primary,
            Reason::NoReplica,
        ),
    ];
    for (name, request, replicas, target, reason) in rows {
        assert_eq!(to(*request, replicas), (*target, *reason), "{name}");
    }
}

const MS: u64 = 1_000_000;

/// A read that arrived at 1 s and needs what was acknowledged at `mark`.
fn waiting(then: OnStale, mark: u64, waited: u64) -> Request {
    let stale = Stale { then, waited, now: Tick(1000 * MS + waited) };
    Request { need: Need { mark: Tick(mark), seen: None }, stale, ..read() }
}

#[test]
fn a_replica_is_waited_for_if_that_is_asked_for_and_promises_to_help() {
    let wait = OnStale::Wait(std::time::Duration::from_millis(5));
    let takes = |catch_up| [ReplicaView { catch_up, ..replica(1, 900 * MS, 0) }];
    let now = 1000 * MS;
    let target = |request, replicas: &[ReplicaView]| to(request, replicas).0;
    assert_eq!(target(waiting(wait, now, 0), &takes(2 * MS)), Target::Wait(5 * MS));
    assert_eq!(target(waiting(OnStale::Primary, now, 0), &takes(2 * MS)), Target::Primary);
    assert_eq!(target(waiting(OnStale::Error, now, 0), &takes(2 * MS)), Target::Nowhere);
    assert_eq!(target(waiting(OnStale::Error, now, 0), &[]), Target::Nowhere);
    // It usually takes longer than anybody is ready to wait.
    assert_eq!(target(waiting(wait, now, 0), &takes(6 * MS)), Target::Primary);
    // It should have been there 4 ms ago: it is stuck.
    let stuck = [ReplicaView { working_on: Tick(now - 6 * MS), ..takes(2 * MS)[0] }];
    assert_eq!(target(waiting(wait, now - 6 * MS, 0), &stuck), Target::Primary);
    assert_eq!(target(waiting(wait, now, 0), &stuck), Target::Primary);
    // One that lags all the time is not.
    let lags = [ReplicaView { working_on: Tick(now - 3 * MS), ..takes(3 * MS)[0] }];
    assert_eq!(target(waiting(wait, now, 0), &lags), Target::Wait(5 * MS));
    // The time is over.
    assert_eq!(target(waiting(wait, now, 5 * MS), &takes(2 * MS)), Target::Primary);
    assert_eq!(target(waiting(wait, now, 0), &[]), Target::Primary);
    let strong = Request { level: Level::Strong, ..waiting(OnStale::Primary, now, 0) };
    assert_eq!(target(strong, &takes(2 * MS)), Target::Wait(20 * MS));
    assert_eq!(target(strong, &takes(200 * MS)), Target::Primary);
    let strong = Request { level: Level::Strong, ..waiting(OnStale::Error, now, 0) };
    assert_eq!(target(strong, &takes(2 * MS)), Target::Wait(20 * MS));
}

#[test]
fn what_was_seen_on_one_node_is_seen_on_the_next() {
    let now = 1000 * MS;
    let seen = Seen { at: Tick(now), on: NodeId(1), life: 1 };
    let request =
        |seen| Request { need: Need { mark: Tick(5), seen: Some(seen) }, ..waiting(OnStale::Primary, 5, 0) };
    let (same, other) = (replica(1, 5, 0), ReplicaView { catch_up: MS, ..replica(2, 5, 0) });
    assert_eq!(to(request(seen), &[other, same]).0, Target::Replica(NodeId(1)));
    assert_eq!(to(request(seen), &[other]).0, Target::Wait(10 * MS), "it is waited for, for milliseconds");
    assert_eq!(to(request(seen), &[ReplicaView { catch_up: 50 * MS, ..other }]).0, Target::Primary);
    assert_eq!(to(request(seen), &[replica(2, now, 0)]).0, Target::Replica(NodeId(2)));
    let restarted = ReplicaView { life: 2, catch_up: MS, ..same };
    assert_eq!(
        to(request(seen), &[restarted]).0,
        Target::Wait(10 * MS),
        "a node that was restarted may stand further back"
    );
    // Where the mark itself is not reached either, nothing is waited for that was not asked for.
    let stale = ReplicaView { horizon: Tick(4), ..other };
    assert_eq!(to(request(seen), &[stale]).0, Target::Primary);
}

#[test]
fn freshness_is_checked_for_the_replica_that_serves() {
    // One replica caught up, the other did not: the read must go to the one that did, whatever the dice say.
    let replicas = [replica(1, 99, 0), replica(2, 100, 50)];
    for random in 0..1000u64 {
        let decision = route(&read(), &replicas, random.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        assert_eq!(decision.target, Target::Replica(NodeId(2)));
    }
}

#[test]
fn the_less_busy_of_two_is_taken_and_both_are_reached() {
    let mut replicas = [replica(1, 100, 3), replica(2, 100, 1)];
    for random in 0..100u64 {
        assert_eq!(route(&read(), &replicas, random << 31 | random).target, Target::Replica(NodeId(2)));
    }
    replicas[0].outstanding = 1;
    let taken: std::collections::BTreeSet<_> =
        (0..100u64).map(|i| format!("{:?}", route(&read(), &replicas, i << 57 | i << 25).target)).collect();
    assert_eq!(taken.len(), 2);
}

/// How many of 10,000 reads, one at a time, each of the replicas gets.
fn shares<const N: usize>(replicas: &[ReplicaView; N]) -> [u32; N] {
    let (mut counts, mut dice) = ([0; N], 0x9e37_79b9_7f4a_7c15_u64);
    for _ in 0..10_000 {
        let Target::Replica(id) = route(&read(), replicas, next(&mut dice)).target else { continue };
        counts[replicas.iter().position(|r| r.id == id).unwrap()] += 1;
    }
    counts
}

/// How many of 20,000 reads each of the replicas gets where so many are under way all the time, and all take as long.
fn shares_of(under_way: usize, replicas: &mut [ReplicaView]) -> Vec<u32> {
    let (mut counts, mut dice) = (vec![0; replicas.len()], 0x9e37_79b9_7f4a_7c15_u64);
    let mut queue = std::collections::VecDeque::new();
    for _ in 0..20_000 {
        if queue.len() == under_way {
            let done: usize = queue.pop_front().unwrap();
            replicas[done].outstanding -= 1;
        }
        let Target::Replica(id) = route(&read(), replicas, next(&mut dice)).target else { continue };
        let i = replicas.iter().position(|r| r.id == id).unwrap();
        replicas[i].outstanding += 1;
        counts[i] += 1;
        queue.push_back(i);
    }
    counts
}

/// xorshift64, as sessions have it.
fn next(dice: &mut u64) -> u64 {
    *dice ^= *dice << 13;
    *dice ^= *dice >> 7;
    *dice ^= *dice << 17;
    *dice
}

fn weighing(id: usize, weight: u32) -> ReplicaView {
    ReplicaView { weight: weight * u32::from(ReplicaView::WHOLE), ..replica(id, 100, 0) }
}

fn near(id: usize, outstanding: usize) -> ReplicaView {
    ReplicaView { is_near: true, ..replica(id, 100, outstanding) }
}

#[test]
fn reads_are_shared_by_weight() {
    let [a, b] = shares(&[weighing(1, 3), weighing(2, 1)]);
    assert!((7_300..7_700).contains(&a) && a + b == 10_000, "{a} {b}");
    let [a, b, c] = shares(&[weighing(1, 1), weighing(2, 2), weighing(3, 5)]);
    assert!((1_050..1_450).contains(&a) && (2_300..2_700).contains(&b), "{a} {b} {c}");
    // However much is done at a time.
    for under_way in [1, 2, 3, 4, 8, 32, 200] {
        let counts = shares_of(under_way, &mut [weighing(1, 3), weighing(2, 1)]);
        assert!((14_000..16_800).contains(&counts[0]), "{under_way}: {counts:?}");
        let counts = shares_of(under_way, &mut [weighing(1, 1), weighing(2, 1), weighing(3, 2)]);
        assert!((9_000..11_600).contains(&counts[2]), "{under_way}: {counts:?}");
    }
    // One in slow start is one of less weight.
    let slow = ReplicaView { weight: 100, share: 100, ..replica(2, 100, 0) };
    let [a, b] = shares(&[weighing(1, 1), slow]);
    assert!((700..1_100).contains(&b), "{a} {b}");
}

#[test]
fn a_replica_that_is_slow_gets_less_whatever_its_weight() {
    // The second one takes ten times as long: it always has what it got in the last ten turns.
    let (mut counts, mut dice) = ([0, 0], 7);
    let mut replicas = [weighing(1, 1), weighing(2, 3)];
    let mut ends: Vec<(u32, usize)> = Vec::new();
    for turn in 0..10_000 {
        ends.retain(|(end, i)| {
            *end > turn || {
                replicas[*i].outstanding -= 1;
                false
            }
        });
        let Target::Replica(id) = route(&read(), &replicas, next(&mut dice)).target else { continue };
        let i = usize::from(id == NodeId(2));
        replicas[i].outstanding += 1;
        counts[i] += 1;
        ends.push((turn + if i == 0 { 4 } else { 40 }, i));
    }
    assert!(counts[0] > 2 * counts[1], "{counts:?}");
}

#[test]
fn near_replicas_are_preferred_and_left_when_they_must_be() {
    let to_near = |replicas: &[ReplicaView]| {
        let mut dice = 11;
        let is_near = |id| replicas.iter().any(|r| r.id == id && r.is_near);
        (0..1000)
            .filter(|_| {
                matches!(route(&read(), replicas, next(&mut dice)).target, Target::Replica(id) if is_near(id))
            })
            .count()
    };
    let far = |outstanding| replica(9, 100, outstanding);
    assert_eq!(to_near(&[near(1, 0), far(0), replica(8, 100, 0)]), 1000);
    assert_eq!(to_near(&[near(1, 7), near(2, 5), far(0)]), 1000, "busy, but not very");
    assert_eq!(to_near(&[near(1, 16), far(7)]), 1000, "all are busy");
    assert_eq!(to_near(&[near(1, 20), near(2, 0), far(0)]), 1000, "the other near one");
    assert_eq!(to_near(&[near(1, 20), far(2)]), 0, "overloaded");
    assert_eq!(to_near(&[ReplicaView { horizon: Tick(99), ..near(1, 0) }, far(0)]), 0, "stale");
    assert_eq!(to_near(&[far(0)]), 0, "none is near");
    let slow = ReplicaView { weight: 100, share: 100, ..near(1, 0) };
    let counted = to_near(&[slow, far(0)]);
    assert!((120..260).contains(&counted), "slow start holds for near ones, too: {counted}");
    assert_eq!(to_near(&[slow]), 1000);
}

#[test]
fn labels_are_distinct() {
    let labels: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|r| r.label()).collect();
    assert_eq!(labels.len(), Reason::ALL.len());
}
