//! The task that sends spans to a collector: in batches, with a few attempts each, and never faster than it takes them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::sync::mpsc::Receiver;
use tokio::task::{JoinHandle, JoinSet};

use super::otlp::{ExportRequest, Resource, ResourceSpans, Scope, ScopeSpans, attribute};
use super::{Counters, Epoch, Span};
use crate::config::Endpoint;

/// Most spans that are sent at once.
const BATCH: usize = 512;
/// How long spans are gathered.
const GATHER: Duration = Duration::from_millis(500);
/// Longest wait for the collector, connecting included.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pauses before a batch is tried again; after the last one it is dropped.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];
/// How long the end of the proxy waits for the last spans.
const LAST: Duration = Duration::from_secs(1);

/// The task that sends.
#[derive(Debug)]
pub struct Exporter {
    task: JoinHandle<()>,
    ends: Arc<Notify>,
}

impl Exporter {
    /// Sends what comes out of the queue, from now on.
    pub fn start(endpoint: Endpoint, spans: Receiver<Span>, counters: Counters) -> Self {
        let ends = Arc::new(Notify::new());
        let sending = Sending { endpoint, counters, is_failing: false };
        Self { task: tokio::spawn(sending.run(spans, Arc::clone(&ends))), ends }
    }

    /// Sends what is left, for a moment.
    pub async fn finish(mut self) {
        self.ends.notify_one();
        if tokio::time::timeout(LAST, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

struct Sending {
    endpoint: Endpoint,
    counters: Counters,
    /// The last batch was not taken, and that was logged.
    is_failing: bool,
}

impl Sending {
    async fn run(mut self, mut spans: Receiver<Span>, ends: Arc<Notify>) {
        let mut is_last = false;
        while !is_last {
            let mut batch = Vec::new();
            let first = tokio::select! {
                first = spans.recv() => first,
                () = ends.notified() => {
                    is_last = true;
                    spans.try_recv().ok()
                }
            };
            let Some(first) = first else { return };
            batch.push(first);
            if !is_last {
                tokio::select! {
                    () = tokio::time::sleep(GATHER) => {}
                    () = ends.notified() => is_last = true,
                }
            }
            while let Ok(span) = spans.try_recv() {
                batch.push(span);
                if batch.len() == BATCH {
                    self.send(std::mem::take(&mut batch), is_last).await;
                }
            }
            self.send(batch, is_last).await;
        }
    }

    /// Sends a batch, a few times if need be; the last one once.
    async fn send(&mut self, batch: Vec<Span>, is_last: bool) {
        let count = batch.len() as u64;
        if count == 0 {
            return;
        }
        let body = Bytes::from(request(batch, Epoch::now()).encode_to_vec());
        let mut pauses = PAUSES.into_iter().filter(|_| !is_last);
        loop {
            let posted = tokio::time::timeout(PATIENCE, post(&self.endpoint, body.clone())).await;
            let error = match posted.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}"))) {
                Ok(()) => {
                    if std::mem::take(&mut self.is_failing) {
                        tracing::warn!(endpoint = %self.endpoint, "the collector takes spans again");
                    }
                    return self.counters.sent.increment(count);
                }
                Err(error) => error,
            };
            let Some(pause) = pauses.next() else {
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(endpoint = %self.endpoint, error, "the collector takes no spans, they are dropped until it does");
                }
                return self.counters.failed.increment(count);
            };
            tokio::time::sleep(pause).await;
        }
    }
}

fn request(batch: Vec<Span>, epoch: Epoch) -> ExportRequest {
    let version = env!("CARGO_PKG_VERSION");
    let attributes = vec![attribute("service.name", "tidegate"), attribute("service.version", version)];
    let scope = Scope { name: "tidegate".to_owned(), version: version.to_owned() };
    let spans = batch.into_iter().map(|span| span.encoded(epoch)).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans }];
    ExportRequest {
        resource_spans: vec![ResourceSpans { resource: Some(Resource { attributes }), scope_spans }],
    }
}

/// Posts a body. The error says what went wrong.
async fn post(endpoint: &Endpoint, body: Bytes) -> Result<(), String> {
    let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await;
    let stream = stream.map_err(|error| error.to_string())?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    // Ends with this request, also when that is cancelled.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let request = Request::post(endpoint.path.as_str())
        .header(HOST, endpoint.authority())
        .header(CONTENT_TYPE, "application/x-protobuf")
        .body(Full::new(body))
        .map_err(|error| error.to_string())?;
    let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
    if answer.status().is_success() { Ok(()) } else { Err(format!("it answered {}", answer.status())) }
}
