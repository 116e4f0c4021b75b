//! The admin address: health, readiness, metrics, the status document and the dashboard over HTTP.
//!
//! Owns what is shown there. It must not know sessions' insides: it reads counters, nodes and pools.

mod access;
mod health;
mod pages;
mod serve;
pub mod status;
mod times;

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, middleware};

pub use self::access::Access;
use self::access::{Trusted, guard};
use self::status::Feed;
use crate::cluster;
use crate::config::Mode;
use crate::pool::Cause;
use crate::session::{Database, Passage, PinView, Proxy};

/// Serves the admin address until the task is dropped.
pub async fn serve(
    proxy: Arc<Proxy>,
    access: Arc<Access>,
    listener: tokio::net::TcpListener,
) -> std::io::Result<()> {
    let feed = Arc::new(Feed::new(Arc::clone(&proxy), Arc::clone(&access)));
    let _open = feed.open();
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/report", get(report))
        .route("/pins", get(pins))
        .route("/shapes", get(times::shapes))
        .route("/learned", get(learned).delete(forget))
        .route("/status", get(status::status))
        .route("/events", get(status::events))
        .merge(pages::router())
        .layer(Extension(feed))
        .layer(middleware::from_fn_with_state(access, guard))
        .with_state(proxy);
    serve::serve(listener, router).await
}

/// Ready when every database has a node that takes writes, and new clients are welcome. Names are for those who may know
/// them.
async fn ready(State(proxy): State<Arc<Proxy>>, Extension(trusted): Extension<Trusted>) -> Response {
    let mut text = String::new();
    let mut status = StatusCode::OK;
    if !proxy.door.is_open() {
        status = StatusCode::SERVICE_UNAVAILABLE;
        text.push_str("shutting down\n");
    }
    for (name, database) in proxy.databases().iter() {
        let word = if let Some(primary) = database.cluster.primary() {
            format!("primary {}", primary.name)
        } else {
            status = StatusCode::SERVICE_UNAVAILABLE;
            "no primary".to_owned()
        };
        let _ = writeln!(text, "{name}: {word}");
    }
    if !trusted.0 {
        status.canonical_reason().unwrap_or_default().clone_into(&mut text);
        text.push('\n');
    }
    (status, text).into_response()
}

/// What went where, and what keeps reads from replicas.
async fn report(State(proxy): State<Arc<Proxy>>) -> String {
    let databases = proxy.databases();
    let mut names: Vec<_> = databases.iter().collect();
    names.sort_by_key(|(name, _)| *name);
    let one = |(name, database): (&String, &Arc<Database>)| {
        database.stats.tally.report(name, database.settings.mode == Mode::Observe)
    };
    names.into_iter().map(one).collect()
}

/// What binds clients to server connections, the oldest first: a line each, its columns divided by tabs.
async fn pins(State(proxy): State<Arc<Proxy>>) -> String {
    let line = |cells: &[String]| {
        cells.iter().map(|cell| cell.replace(['\t', '\n'], " ")).collect::<Vec<_>>().join("\t") + "\n"
    };
    let head = PinView::COLUMNS.map(str::to_owned);
    proxy.pins.all().iter().fold(line(&head), |text, pin| text + &line(&pin.cells()))
}

/// The shapes that replicas have refused, one a line.
async fn learned(State(proxy): State<Arc<Proxy>>) -> String {
    let mut shapes = proxy.learned();
    shapes.sort_unstable();
    shapes.iter().fold(String::new(), |text, shape| text + shape + "\n")
}

/// Forgets them.
async fn forget(State(proxy): State<Arc<Proxy>>) -> String {
    format!("{} forgotten\n", proxy.forget_learned())
}

async fn metrics(State(proxy): State<Arc<Proxy>>) -> Response {
    for (name, database) in proxy.databases().iter() {
        gauge_nodes(&proxy, name, database);
        health::gauge(&proxy, name, database);
        gauge_marks(&proxy, name, database);
        let failovers = proxy.stats.counter("tidegate_failovers_total", &[("database", name)]);
        failovers.absolute(database.cluster.failovers());
        gauge_gate(&proxy, name, database);
        count_decisions(&proxy, name, database);
        gauge_catalog(&proxy, name, database);
        gauge_pools(&proxy, database);
    }
    proxy.gauge_certificates();
    let (shapes, bytes) = proxy.known_shapes();
    for (name, value) in [("tidegate_known_shapes", shapes), ("tidegate_known_shapes_bytes", bytes)] {
        proxy.stats.gauge(name, &[]).set(value as f64);
    }
    let text = proxy.stats.render() + &times::render(&proxy);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

/// What nodes are good for is read off at the moment somebody asks.
fn gauge_nodes(proxy: &Proxy, name: &str, database: &Database) {
    let now = database.cluster.clock.now();
    for node in database.cluster.nodes().iter() {
        let state = node.state();
        for (role, is) in [("primary", cluster::State::Primary), ("replica", cluster::State::Replica)] {
            let labels = [("database", name), ("node", node.name.as_str()), ("role", role)];
            proxy.stats.gauge("tidegate_node_up", &labels).set(f64::from(u8::from(state == is)));
        }
        let labels = [("database", name), ("node", node.name.as_str())];
        proxy.stats.gauge("tidegate_node_disabled", &labels).set(f64::from(u8::from(node.is_disabled())));
        let staleness = match state {
            cluster::State::Replica => {
                std::time::Duration::from_nanos(now.since(node.horizon())).as_secs_f64()
            }
            _ => f64::NAN,
        };
        proxy.stats.gauge("tidegate_replica_staleness_seconds", &labels).set(staleness);
        let catch_up = if state == cluster::State::Replica { node.catch_up() as f64 / 1e9 } else { f64::NAN };
        proxy.stats.gauge("tidegate_replica_catch_up_seconds", &labels).set(catch_up);
        proxy.stats.counter("tidegate_monitor_questions_total", &labels).absolute(node.questions());
    }
}

/// What was said at the console.
fn gauge_gate(proxy: &Proxy, name: &str, database: &Database) {
    let labels = [("database", name)];
    let is_paused = database.gate.passage() != Passage::Open;
    for (metric, is_so) in
        [("tidegate_database_paused", is_paused), ("tidegate_database_disabled", database.gate.is_disabled())]
    {
        proxy.stats.gauge(metric, &labels).set(f64::from(u8::from(is_so)));
    }
}

/// How many marks are outstanding, and what they all take.
fn gauge_marks(proxy: &Proxy, name: &str, database: &Database) {
    let cluster = &database.cluster;
    let nodes = cluster.nodes();
    let replicas = nodes.iter().filter(|node| node.state() == cluster::State::Replica);
    let open =
        replicas.map(|node| node.horizon()).min().map_or(0, |horizon| cluster.marks.newer_than(horizon));
    let labels = [("database", name)];
    proxy.stats.gauge("tidegate_open_marks", &labels).set(open as f64);
    proxy.stats.gauge("tidegate_marks_bytes", &labels).set(cluster.marks.bytes() as f64);
}

/// Decisions are tallied apart from the metrics; here they become some.
fn count_decisions(proxy: &Proxy, name: &str, database: &Database) {
    let tally = &database.stats.tally;
    for (to_replica, reason, count) in tally.decisions().filter(|(.., count)| *count > 0) {
        let target = if to_replica { "replica" } else { "primary" };
        let labels = [("database", name), ("target", target), ("reason", reason.label())];
        proxy.stats.counter("tidegate_decisions_total", &labels).absolute(count);
    }
    let stale = proxy.stats.counter("tidegate_stale_if_eventual_total", &[("database", name)]);
    stale.absolute(tally.stale_if_eventual());
}

fn gauge_catalog(proxy: &Proxy, name: &str, database: &Database) {
    let figures = database.cluster.catalog.figures();
    for (metric, value) in [
        ("tidegate_catalog_generation", figures.generation as f64),
        ("tidegate_catalog_objects", figures.objects as f64),
        ("tidegate_catalog_bytes", figures.bytes as f64),
        ("tidegate_catalog_read_seconds", figures.took.as_secs_f64()),
    ] {
        proxy.stats.gauge(metric, &[("database", name)]).set(value);
    }
}

fn gauge_pools(proxy: &Proxy, database: &Database) {
    for (_, pool) in database.users.values().flat_map(|u| &u.pools) {
        gauge_pool(proxy, pool.name(), pool.counts());
        for cause in Cause::ALL {
            let labels = [("pool", pool.name()), ("cause", cause.label())];
            let counter = proxy.stats.counter("tidegate_server_connections_closed_total", &labels);
            counter.absolute(pool.closings(cause));
        }
    }
    // Those who come and go are counted together: a series of each would stay for ever.
    if database.settings.has_guests() {
        for (node, counts) in database.guest_connections() {
            gauge_pool(proxy, &format!("*@{}/{}", node.name, database.settings.server_name), counts);
        }
    }
}

fn gauge_pool(proxy: &Proxy, pool: &str, (size, available, waiting): (usize, usize, usize)) {
    for (state, n) in [("idle", available), ("used", size.saturating_sub(available))] {
        let labels = [("pool", pool), ("state", state)];
        proxy.stats.gauge("tidegate_pool_connections", &labels).set(n as f64);
    }
    proxy.stats.gauge("tidegate_pool_waiting", &[("pool", pool)]).set(waiting as f64);
}
