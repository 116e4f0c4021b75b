//! A document in which nothing is left out, for tests.

use super::{
    Clients, Counted, DatabaseStatus, EventStatus, Gate, Kept, NodeState, NodeStatus, Offloaded, Pinned,
    PoolStatus, Role, ShapeStatus, Statements, Status,
};

/// A primary, a replica that keeps up, and one that does not.
pub(crate) fn sample() -> Status {
    let databases = vec![
        DatabaseStatus { name: "app".to_owned(), ..database() },
        DatabaseStatus { name: "other".to_owned(), primary: None, ..database() },
    ];
    Status {
        format: Status::FORMAT,
        version: "0.1.0".to_owned(),
        time_ms: 1_700_000_000_000,
        uptime_seconds: 90.0,
        interval_seconds: Some(1.0),
        stopping: false,
        databases,
    }
}

fn database() -> DatabaseStatus {
    let events = [("failover", "pg2:5432"), ("primary_lost", "pg1:5432")].map(|(event, node)| EventStatus {
        time_ms: 1_700_000_000_000,
        node: node.to_owned(),
        event: event.to_owned(),
        detail: "timeline 2".to_owned(),
    });
    DatabaseStatus {
        name: String::new(),
        mode: "route".to_owned(),
        gate: "open".to_owned(),
        disabled: false,
        primary: Some("pg2:5432".to_owned()),
        clients: Clients { now: 12, waiting: 3, limit: 100 },
        statements: Statements {
            primary: 1_000,
            replica: 9_000,
            primary_per_second: Some(100.0),
            replica_per_second: Some(900.0),
        },
        offloaded: Offloaded { share: Some(0.9), share_of_reads: Some(0.95), share_since_start: Some(0.9) },
        stale_reads_prevented: Counted { total: 1_234, per_second: Some(5.5) },
        nodes: vec![
            node("pg2:5432", Role::Primary, None),
            node("pg3:5432", Role::Replica, Some((Gate::Open, 1.0))),
            NodeStatus {
                state: NodeState::Out,
                reason: Some("lag".to_owned()),
                ..node("pg4:5432", Role::Replica, Some((Gate::Closed, 0.3)))
            },
        ],
        kept_on_primary: vec![Kept {
            reason: "write".to_owned(),
            meaning: "it writes".to_owned(),
            total: 1_000,
            per_second: Some(100.0),
        }],
        pins: vec![Pinned { reason: "listen".to_owned(), count: 2, longest_seconds: 75 }],
        shapes: vec![ShapeStatus {
            text: "select total from orders where id = ?".to_owned(),
            calls: 9_000,
            on_replicas: 8_900,
            errors: 1,
            total_seconds: 18.0,
            mean_ms: 2.0,
            longest_ms: 120.0,
        }],
        failovers: 1,
        events: events.to_vec(),
    }
}

fn node(name: &str, role: Role, gauge: Option<(Gate, f64)>) -> NodeStatus {
    let is_replica = role == Role::Replica;
    NodeStatus {
        name: name.to_owned(),
        role: Some(role),
        state: NodeState::Up,
        reason: None,
        gate: gauge.map(|(gate, _)| gate),
        level: gauge.map(|(_, level)| level),
        share: 0.5,
        timeline: Some(2),
        replayed_lsn: Some("0/3000060".to_owned()),
        lag_bytes: is_replica.then_some(16),
        staleness_ms: is_replica.then_some(3_000.0),
        catch_up_ms: is_replica.then_some(2.5),
        outstanding: 1,
        reads_per_second: Some(450.0),
        writes_per_second: Some(0.0),
        other_per_second: Some(0.0),
        pool: PoolStatus { active: 2, idle: 3, waiting: 0, limit: Some(20) },
    }
}
