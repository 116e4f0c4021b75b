//! The admin address: health, readiness and metrics over HTTP.
//!
//! Owns what is shown there. It must not know sessions' insides: it reads counters, nodes and pools.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::cluster;
use crate::session::{Database, Proxy};

/// Serves the admin address until the task is dropped.
pub async fn serve(proxy: Arc<Proxy>, listener: tokio::net::TcpListener) -> std::io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(proxy);
    axum::serve(listener, router).await
}

/// Ready when every database has a node that takes writes.
async fn ready(State(proxy): State<Arc<Proxy>>) -> Response {
    let mut text = String::new();
    let mut status = StatusCode::OK;
    for (name, database) in &proxy.databases {
        let word = if let Some(primary) = database.cluster.primary() {
            format!("primary {}", primary.name)
        } else {
            status = StatusCode::SERVICE_UNAVAILABLE;
            "no primary".to_owned()
        };
        let _ = writeln!(text, "{name}: {word}");
    }
    (status, text).into_response()
}

async fn metrics(State(proxy): State<Arc<Proxy>>) -> Response {
    for (name, database) in &proxy.databases {
        gauge_nodes(&proxy, name, database);
        gauge_pools(&proxy, database);
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], proxy.stats.render()).into_response()
}

/// What nodes are good for is read off at the moment somebody asks.
fn gauge_nodes(proxy: &Proxy, name: &str, database: &Database) {
    let now = database.cluster.clock.now();
    for node in &database.cluster.nodes {
        let state = node.state();
        for (role, is) in [("primary", cluster::State::Primary), ("replica", cluster::State::Replica)] {
            let labels = [("database", name), ("node", node.name.as_str()), ("role", role)];
            proxy.stats.gauge("tidegate_node_up", &labels).set(f64::from(u8::from(state == is)));
        }
        let labels = [("database", name), ("node", node.name.as_str())];
        let staleness = match state {
            cluster::State::Replica => {
                std::time::Duration::from_nanos(now.since(node.horizon())).as_secs_f64()
            }
            _ => f64::NAN,
        };
        proxy.stats.gauge("tidegate_replica_staleness_seconds", &labels).set(staleness);
    }
}

fn gauge_pools(proxy: &Proxy, database: &Database) {
    for pool in database.users.values().flat_map(|u| &u.pools) {
        let (size, available, waiting) = pool.counts();
        let count = |state, n: usize| {
            let labels = [("pool", pool.name()), ("state", state)];
            proxy.stats.gauge("tidegate_pool_connections", &labels).set(n as f64);
        };
        count("idle", available);
        count("used", size.saturating_sub(available));
        proxy.stats.gauge("tidegate_pool_waiting", &[("pool", pool.name())]).set(waiting as f64);
    }
}
