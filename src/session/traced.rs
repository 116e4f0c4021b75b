//! Spans of statements: which ones have one, and what it says.

use std::time::Duration;

use super::leased::{Leased, ServesAs};
use super::serve::Session;
use super::timing::Run;
use crate::spans::{Span, Spans};

impl Session {
    /// Sends the span of what was answered, if the application traces it or it is one of those that are sampled.
    pub(super) fn trace(&self, spans: &Spans, leased: &Leased, run: &Run, total: Duration, failed: bool) {
        let parent = leased.turn.summary.trace;
        let is_wanted = parent.map_or_else(|| spans.samples(rand::random), |parent| parent.sampled);
        if is_wanted {
            self.send_span(spans, leased, run, total, failed);
        }
    }

    #[cold]
    fn send_span(&self, spans: &Spans, leased: &Leased, run: &Run, total: Duration, failed: bool) {
        let parent = leased.turn.summary.trace;
        let code = |code: [u8; 5]| String::from_utf8_lossy(&code).into_owned();
        let error = failed.then(|| run.error.map_or_else(|| "_OTHER".to_owned(), code));
        spans.send(Span {
            trace: parent.map_or_else(|| rand::random::<u128>().max(1).to_be_bytes(), |parent| parent.trace),
            id: rand::random::<u64>().max(1).to_be_bytes(),
            parent: parent.map(|parent| parent.span),
            shape: leased.turn.summary.known.as_ref().map(|known| known.shape.clone()).unwrap_or_default(),
            database: self.database.settings.server_name.clone(),
            node: leased.node.node().name.clone(),
            target: if leased.serves_as == ServesAs::Replica { "replica" } else { "primary" },
            reason: run.reason.label(),
            statements: run.statements,
            arrived: run.arrived,
            unsent: run.sent - run.arrived,
            total,
            error,
        });
    }
}
