//! Cancel requests by where they came from and what became of them.

use metrics::Counter;

use super::Stats;

/// Where a cancel request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelSource {
    /// A client, or somebody who pretends to be one.
    Client,
    /// Another instance of the proxy, or somebody who pretends to be one.
    Peer,
}

/// What became of a cancel request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    /// Its session is one of ours. What it ran, if anything, was cancelled.
    Served,
    /// Its session is one of a peer's, or of the process that was here before, which has dealt with it.
    PassedOn,
    /// There is no such session that we know of, or the secret is wrong: nothing was done.
    Unknown,
    /// The server or the peer was not reached.
    Failed,
}

/// Counters of cancel requests.
pub struct CancelStats {
    counters: [[Counter; 4]; 2],
}

impl std::fmt::Debug for CancelStats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CancelStats")
    }
}

impl CancelStats {
    /// All of them at 0.
    pub fn new(stats: &Stats) -> Self {
        let of = |source| {
            ["served", "passed_on", "unknown", "failed"].map(|outcome| {
                let labels = [("from", source), ("outcome", outcome)];
                stats.counter("tidegate_cancel_requests_total", &labels)
            })
        };
        Self { counters: [of("client"), of("peer")] }
    }

    /// One more.
    pub fn count(&self, source: CancelSource, outcome: CancelOutcome) {
        self.counters[source as usize][outcome as usize].increment(1);
    }
}
