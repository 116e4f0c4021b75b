//! Spans of statements, sent to a collector by OTLP over HTTP (protobuf).
//!
//! Owns what a span says, a bounded queue and the task that sends. Whoever has a span never waits: where the queue is
//! full the span is dropped, and counted. Must not know sessions: which statements have spans, they decide.

mod export;
mod otlp;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use metrics::Counter;
use tokio::sync::mpsc::{Receiver, Sender, channel};

pub use export::Exporter;
use otlp::{KIND_CLIENT, KeyValue, STATUS_ERROR, Status, attribute};

/// Spans that wait to be sent. One takes half a kilobyte, and its shape is shared.
const QUEUE: usize = 2048;

/// A statement that a server has answered.
#[derive(Clone, Debug)]
pub struct Span {
    /// The trace it belongs to.
    pub trace: [u8; 16],
    /// Its own identifier; not all zeros.
    pub id: [u8; 8],
    /// The span of the application that it belongs to; `None`: it has none.
    pub parent: Option<[u8; 8]>,
    /// The statement without its literals.
    pub shape: Arc<str>,
    /// The database on the server.
    pub database: String,
    /// The node's host and port, as it is called in logs and metrics.
    pub node: String,
    /// `primary` or `replica`.
    pub target: &'static str,
    /// Why it went there.
    pub reason: &'static str,
    /// Statements in it.
    pub statements: u64,
    /// When its message arrived.
    pub arrived: Instant,
    /// How long it took until it was sent to the server.
    pub unsent: Duration,
    /// How long it took in all.
    pub total: Duration,
    /// It has failed: the SQLSTATE, where one is known.
    pub error: Option<String>,
}

/// Where spans go.
#[derive(Debug)]
pub struct Spans {
    queue: Sender<Span>,
    counters: Counters,
    sample: f64,
}

/// What became of spans.
#[derive(Clone)]
pub struct Counters {
    /// They were taken by the collector.
    pub sent: Counter,
    /// There was no room in the queue.
    pub dropped: Counter,
    /// The collector did not take them.
    pub failed: Counter,
}

impl std::fmt::Debug for Counters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Counters")
    }
}

impl Spans {
    /// Where spans go, and where they come out. Of statements that belong to no trace, `sample` (0 to 1) get one.
    pub fn new(counters: Counters, sample: f64) -> (Self, Receiver<Span>) {
        let (queue, spans) = channel(QUEUE);
        (Self { queue, counters, sample }, spans)
    }

    /// Whether a statement that belongs to no trace gets one. `dice` gives a random number.
    pub fn samples(&self, dice: impl FnOnce() -> u64) -> bool {
        // 53 bits are what a double holds.
        self.sample > 0.0 && ((dice() >> 11) as f64) < self.sample * (1u64 << 53) as f64
    }

    /// Sends a span, if there is room.
    pub fn send(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.counters.dropped.increment(1);
        }
    }
}

impl Span {
    /// As OTLP has it, by the semantic conventions of database clients.
    /// <https://opentelemetry.io/docs/specs/semconv/db/postgresql/>
    fn encoded(self, epoch: Epoch) -> otlp::Span {
        let operation = self.operation();
        let start = epoch.nanos(self.arrived);
        let (host, port) = address(&self.node);
        let mut attributes: Vec<KeyValue> = vec![
            attribute("db.system.name", "postgresql"),
            attribute("db.namespace", self.database.as_str()),
            attribute("server.address", host),
            attribute("tidegate.target", self.target),
            attribute("tidegate.reason", self.reason),
            attribute("tidegate.wait", self.unsent.as_secs_f64()),
        ];
        attributes.extend(port.map(|port| attribute("server.port", port)));
        if !self.shape.is_empty() {
            attributes.push(attribute("db.query.text", &*self.shape));
            attributes.push(attribute("db.operation.name", operation.as_str()));
        }
        if let Ok(size @ 2..) = i64::try_from(self.statements) {
            attributes.push(attribute("db.operation.batch.size", size));
        }
        if let Some(code) = &self.error {
            attributes.push(attribute("db.response.status_code", code.as_str()));
            attributes.push(attribute("error.type", code.as_str()));
        }
        otlp::Span {
            trace_id: self.trace.to_vec(),
            span_id: self.id.to_vec(),
            parent_span_id: self.parent.map(Vec::from).unwrap_or_default(),
            name: format!("{operation} {}", self.database),
            kind: KIND_CLIENT,
            start_time_unix_nano: start,
            end_time_unix_nano: start.saturating_add(nanos(self.total)),
            attributes,
            status: self.error.is_some().then_some(Status { code: STATUS_ERROR }),
        }
    }

    /// The first word of the statement.
    fn operation(&self) -> String {
        let start = self.shape.trim_start_matches(['(', ' ']);
        let word = start.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        if word.is_empty() { "QUERY".to_owned() } else { word.to_ascii_uppercase() }
    }
}

/// Host and port of a node that is called `host:port`, `host[address]:port` or `[address]:port`.
fn address(node: &str) -> (&str, Option<i64>) {
    let (host, port) = node.rsplit_once(':').unwrap_or((node, ""));
    let name = host.split('[').next().filter(|name| !name.is_empty());
    let host = name.unwrap_or_else(|| host.trim_matches(['[', ']']));
    (host, port.parse().ok())
}

/// One moment on both clocks.
#[derive(Clone, Copy, Debug)]
struct Epoch {
    instant: Instant,
    unix: u64,
}

impl Epoch {
    fn now() -> Self {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { instant: Instant::now(), unix: nanos(unix) }
    }

    /// Nanoseconds since 1970, of an instant before it.
    fn nanos(self, instant: Instant) -> u64 {
        self.unix.saturating_sub(nanos(self.instant.saturating_duration_since(instant)))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use metrics::Counter;

    use super::*;

    fn span() -> Span {
        Span {
            trace: [1; 16],
            id: [2; 8],
            parent: None,
            shape: "(select ?)".into(),
            database: "app".to_owned(),
            node: "[::1]:5432".to_owned(),
            target: "replica",
            reason: "fresh",
            statements: 1,
            arrived: Instant::now(),
            unsent: Duration::ZERO,
            total: Duration::from_secs(1),
            error: None,
        }
    }

    fn spans(sample: f64) -> (Spans, Receiver<Span>) {
        let counters = Counters { sent: Counter::noop(), dropped: Counter::noop(), failed: Counter::noop() };
        Spans::new(counters, sample)
    }

    #[test]
    fn a_full_queue_drops() {
        let (spans, mut received) = spans(0.0);
        (0..QUEUE + 5).for_each(|_| spans.send(span()));
        let mut count = 0;
        while received.try_recv().is_ok() {
            count += 1;
        }
        assert_eq!(count, QUEUE);
    }

    #[test]
    fn a_share_is_sampled() {
        for (sample, expected) in [(0.0, [false; 3]), (0.5, [true, false, false]), (1.0, [true; 3])] {
            let (spans, _received) = spans(sample);
            assert_eq!([0, 1 << 63, u64::MAX].map(|dice| spans.samples(|| dice)), expected, "{sample}");
        }
    }

    #[test]
    fn a_span_says_where_and_what() {
        let epoch = Epoch::now();
        let encoded = Span { arrived: epoch.instant, ..span() }.encoded(epoch);
        assert_eq!(encoded.name, "SELECT app");
        assert_eq!(encoded.end_time_unix_nano - encoded.start_time_unix_nano, 1_000_000_000);
        assert!(encoded.attributes.contains(&attribute("server.address", "::1")));
        assert!(encoded.attributes.contains(&attribute("server.port", 5432)));
        assert_eq!(encoded.status, None);
        let failed = Span { error: Some("40001".to_owned()), ..span() }.encoded(epoch);
        assert_eq!(failed.status, Some(Status { code: STATUS_ERROR }));
    }
}
