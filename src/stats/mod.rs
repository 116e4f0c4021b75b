//! Counters and gauges: what is counted, under which name, and nothing else.
//!
//! Owns the names of the metrics (`docs/metrics.md` lists them). Handles are made once and are plain atomics
//! afterwards; there is no global recorder, so that two proxies can live in one process.

mod cancels;
mod count;
mod database;
mod figures;
mod histogram;
mod logins;
mod shapes;
mod tally;
mod timing;

use metrics::{Counter, Gauge, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

pub use cancels::{CancelOutcome, CancelSource, CancelStats};
pub use count::Count;
pub use database::{DatabaseStats, Timeout, Waited, Work};
pub use figures::Figures;
pub use histogram::Histogram;
pub use logins::{LoginRefusal, Logins};
pub use shapes::{Ran, ShapeStats, ShapeView, Shapes};
pub use tally::{Blocker, Tally};
pub use timing::{Timing, Took, Totals};

use count::Counts;

const METADATA: Metadata<'static> = Metadata::new("tidegate", Level::INFO, None);

/// Every metric of one proxy.
pub struct Stats {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    counts: Counts,
}

impl std::fmt::Debug for Stats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stats")
    }
}

impl Default for Stats {
    fn default() -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let stats = Self { recorder, handle, counts: Counts::default() };
        for (name, text) in COUNTERS {
            stats.recorder.describe_counter((*name).into(), None, (*text).into());
        }
        for (name, text) in GAUGES {
            stats.recorder.describe_gauge((*name).into(), None, (*text).into());
        }
        // There from the beginning: for Prometheus, a counter that appears as 1 has not increased, and nobody would be told of
        // the first.
        stats.counter("tidegate_panics_total", &[]).increment(0);
        stats
    }
}

const COUNTERS: &[(&str, &str)] = &[
    (
        "tidegate_statements_total",
        "Statements run, by the node that ran them, its role and the reason for the choice.",
    ),
    (
        "tidegate_transactions_total",
        "Times a server connection was lent: transactions, or statements outside one.",
    ),
    (
        "tidegate_stale_reads_prevented_total",
        "Reads that went to the primary because no replica had replayed enough.",
    ),
    (
        "tidegate_decisions_total",
        "Statements by where they went, or in mode observe would have gone, and why.",
    ),
    (
        "tidegate_stale_if_eventual_total",
        "Reads that a replica taken at random, whether fresh enough or not, would have answered stale.",
    ),
    (
        "tidegate_waits_total",
        "Reads that waited, for a replica or for room on the primary, by what they got.",
    ),
    ("tidegate_reruns_total", "Reads run again elsewhere before the client saw anything, by cause."),
    (
        "tidegate_reads_interrupted_total",
        "Reads on a replica that were interrupted through no fault of theirs, by reason and outcome.",
    ),
    ("tidegate_node_ejections_total", "Times a replica that served reads was taken out, by node and reason."),
    ("tidegate_server_errors_total", "Errors of a server passed to a client, by node and SQLSTATE class."),
    ("tidegate_hints_ignored_total", "Queries and pipelines with hints about settings that are locked."),
    ("tidegate_proxy_errors_total", "Errors made by the proxy itself, by SQLSTATE."),
    ("tidegate_timeouts_total", "What took longer than it may, by what it was."),
    (
        "tidegate_server_connections_closed_total",
        "Good server connections that were closed, by pool and cause.",
    ),
    ("tidegate_monitor_questions_total", "Questions of the monitor about freshness and roles, by node."),
    ("tidegate_connections_total", "Client connections accepted."),
    ("tidegate_logins_total", "Logins by outcome, and by why they were refused."),
    ("tidegate_tls_handshakes_total", "TLS handshakes of clients, by outcome."),
    ("tidegate_cancel_requests_total", "Cancel requests, by where they came from and what became of them."),
    ("tidegate_failovers_total", "Changes of the primary."),
    ("tidegate_spans_total", "Spans of statements, by what became of them."),
    ("tidegate_panics_total", "Sessions ended by a fault of the proxy."),
];

const GAUGES: &[(&str, &str)] = &[
    ("tidegate_clients", "Clients logged in."),
    ("tidegate_replication_connections", "Replication connections, each with one to the primary of its own."),
    ("tidegate_waiting_for_primary", "Statements that wait for a primary."),
    ("tidegate_pinned_clients", "Clients bound to their server connection, by reason."),
    (
        "tidegate_catalog_generation",
        "Readings of the database's catalog that found something new; 0: not read.",
    ),
    ("tidegate_catalog_objects", "Functions and relations the catalog knows, but for the server's own."),
    ("tidegate_catalog_bytes", "Bytes the catalog takes, about."),
    ("tidegate_catalog_read_seconds", "How long the last reading of the catalog took."),
    ("tidegate_known_shapes", "Shapes of statements whose classification is kept."),
    ("tidegate_known_shapes_bytes", "Bytes these take, about."),
    ("tidegate_node_up", "1 when the node is used, by node and role."),
    ("tidegate_node_health", "1 while a replica is out for this reason, by node and reason."),
    ("tidegate_node_share", "How much of its weight a replica has: 0 while it is out, 1 in full, by node."),
    (
        "tidegate_health_overruled",
        "1 while a reason takes no replica out, because it would take out too many, by reason.",
    ),
    ("tidegate_node_disabled", "1 when the node was taken out by hand."),
    ("tidegate_database_paused", "1 when statements of the database wait: PAUSE or KILL."),
    ("tidegate_database_disabled", "1 when new clients of the database are turned away."),
    (
        "tidegate_replica_staleness_seconds",
        "Now minus the replica's horizon: what it may lack is younger than this.",
    ),
    (
        "tidegate_replica_catch_up_seconds",
        "How long the replica's horizon takes to come to an instant, lately.",
    ),
    ("tidegate_open_marks", "Slots of tables whose mark some healthy replica has not passed."),
    ("tidegate_marks_bytes", "Bytes the marks take, whatever is marked."),
    ("tidegate_pool_connections", "Server connections by pool and state."),
    (
        "tidegate_certificate_expiry_seconds",
        "Seconds until a certificate that clients are shown expires, by its file; negative: since it has.",
    ),
    ("tidegate_pool_waiting", "Clients waiting for a server connection, by pool."),
    ("tidegate_waiting_for_primary", "Statements that wait for a primary."),
];

/// The histograms of a database, which no recorder keeps: see [`DatabaseStats::histograms`].
pub const HISTOGRAMS: [(&str, &str); 2] = [
    (
        "tidegate_read_staleness_seconds",
        "Reads served by replicas, by how far back the replica's horizon lay: what they lacked was younger.",
    ),
    ("tidegate_wait_seconds", "Reads that waited, by for how long."),
];

/// The histograms of a database by target and reason: see [`Timing::write`].
pub const STATEMENT_SECONDS: (&str, &str) = (
    "tidegate_statement_seconds",
    "Statements by how long they took, from arrival to the last byte of the answer.",
);

/// A counter: its name, what it says, and how it is made.
pub type Total = (&'static str, &'static str, fn(&Totals) -> f64);

/// What is rendered of a database's [`Totals`], as counters.
pub const TOTALS: [Total; 4] = [
    (
        "tidegate_transaction_seconds_total",
        "Time of transactions, and of statements outside one.",
        |totals| totals.transaction_time.as_secs_f64(),
    ),
    ("tidegate_unsent_seconds_total", "Time of statements before they were sent to a server.", |totals| {
        totals.wait_time.as_secs_f64()
    }),
    ("tidegate_received_bytes_total", "Bytes received from clients.", |totals| totals.received as f64),
    ("tidegate_sent_bytes_total", "Bytes sent to clients.", |totals| totals.sent as f64),
];

/// A metric of this type, from its name and what it says.
fn of(
    kind: &'static str,
) -> impl Fn(&(&'static str, &'static str)) -> (&'static str, &'static str, &'static str) {
    move |(name, help)| (*name, kind, *help)
}

/// Every metric: its name, its type as Prometheus calls it, and what it says.
pub fn metrics() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let totals = TOTALS.iter().map(|(name, help, _)| (*name, "counter", *help));
    let histograms = HISTOGRAMS.iter().chain([&STATEMENT_SECONDS]).map(of("histogram"));
    COUNTERS.iter().map(of("counter")).chain(GAUGES.iter().map(of("gauge"))).chain(histograms).chain(totals)
}

impl Stats {
    /// A counter with these labels.
    pub fn counter(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Counter {
        self.recorder.register_counter(&key(name, labels), &METADATA)
    }

    /// A counter with these labels that can be read.
    pub fn count(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Count {
        self.counts.of(key(name, labels), |key| self.recorder.register_counter(key, &METADATA))
    }

    /// A gauge with these labels.
    pub fn gauge(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Gauge {
        self.recorder.register_gauge(&key(name, labels), &METADATA)
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> String {
        self.counts.publish();
        self.handle.run_upkeep();
        self.handle.render()
    }
}

fn key(name: &'static str, labels: &[(&'static str, &str)]) -> Key {
    let labels: Vec<Label> = labels.iter().map(|(k, v)| Label::new(*k, (*v).to_owned())).collect();
    Key::from_parts(name, labels)
}

/// Counts something that is there until this is dropped.
#[derive(Debug)]
pub struct Present(Gauge);

impl Present {
    /// One more.
    pub fn new(gauge: &Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge.clone())
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
