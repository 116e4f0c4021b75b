//! The decision table.

use super::*;

fn read() -> Request {
    Request {
        wants: Wants::Read,
        held: None,
        intent: None,
        level: Level::Session,
        mark: Tick(100),
        doubt: None,
        avoid: None,
    }
}

fn replica(id: usize, horizon: u64, outstanding: usize) -> ReplicaView {
    ReplicaView { id: NodeId(id), horizon: Tick(horizon), outstanding }
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
            Request { level: Level::Eventual, ..r },
            &stale,
            one,
            Reason::Eventual,
        ),
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
        (0..100u64).map(|i| format!("{:?}", route(&read(), &replicas, i).target)).collect();
    assert_eq!(taken.len(), 2);
}

#[test]
fn labels_are_distinct() {
    let labels: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|r| r.label()).collect();
    assert_eq!(labels.len(), Reason::ALL.len());
}
