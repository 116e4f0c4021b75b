//! The handles of one database, made once.

use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge};

use super::{Count, Histogram, ShapeView, Shapes, Stats, Tally, Timing, Totals};
use crate::routing::Reason;

/// The handles of one database.
#[derive(Debug)]
pub struct DatabaseStats {
    stats: Arc<Stats>,
    name: String,
    nodes: Vec<NodeStats>,
    /// What a report says of it.
    pub tally: Arc<Tally>,
    /// Reads that no replica was fresh enough for.
    pub prevented: Count,
    /// Clients logged in.
    pub clients: Gauge,
    /// Statements that wait for a primary.
    pub without_primary: Gauge,
    /// Those of them that replicate.
    pub replication: Gauge,
    /// Reads served by replicas, by how old what they saw may have been.
    pub staleness: Arc<Histogram>,
    /// Reads that waited, by for how long.
    pub waits: Arc<Histogram>,
    /// How long its statements take.
    pub timing: Arc<Timing>,
    /// The same by shape.
    pub shapes: Arc<Shapes>,
    waited: [Counter; Waited::ALL.len()],
}

/// The handles of one node.
#[derive(Debug)]
struct NodeStats {
    number: usize,
    name: String,
    /// By role and reason.
    statements: [Vec<Count>; 2],
    transactions: Counter,
}

impl NodeStats {
    fn new(stats: &Stats, database: &str, (number, name): (usize, &str)) -> Self {
        let of_role = |target: &str| {
            let counter = |reason: &Reason| {
                let labels =
                    [("database", database), ("node", name), ("target", target), ("reason", reason.label())];
                stats.count("tidegate_statements_total", &labels)
            };
            Reason::ALL.iter().map(counter).collect::<Vec<_>>()
        };
        Self {
            number,
            name: name.to_owned(),
            statements: [of_role("primary"), of_role("replica")],
            transactions: stats
                .counter("tidegate_transactions_total", &[("database", database), ("node", name)]),
        }
    }
}

/// Statements that have run on a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// All of them.
    pub all: u64,
    /// Those that were [reads](Reason::is_read) for certain.
    pub reads: u64,
    /// Those that wrote for certain.
    pub writes: u64,
    /// Those that it ran as a replica.
    pub as_replica: u64,
    /// The reads among those.
    pub reads_as_replica: u64,
}

impl Work {
    fn add(&mut self, on_replica: bool, reason: Reason, count: u64) {
        self.all += count;
        self.reads += if reason.is_read() { count } else { 0 };
        self.writes += if reason == Reason::Write { count } else { 0 };
        self.as_replica += if on_replica { count } else { 0 };
        self.reads_as_replica += if on_replica && reason.is_read() { count } else { 0 };
    }

    /// What both have run.
    #[must_use]
    pub fn plus(self, other: &Self) -> Self {
        self.with(other, u64::wrapping_add)
    }

    /// What has run since there was `before`; nothing where there was more then, as of nodes that are gone.
    #[must_use]
    pub fn minus(self, before: &Self) -> Self {
        self.with(before, u64::saturating_sub)
    }

    fn with(self, other: &Self, of: fn(u64, u64) -> u64) -> Self {
        Self {
            all: of(self.all, other.all),
            reads: of(self.reads, other.reads),
            writes: of(self.writes, other.writes),
            as_replica: of(self.as_replica, other.as_replica),
            reads_as_replica: of(self.reads_as_replica, other.reads_as_replica),
        }
    }
}

/// What a read that waited got in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// A replica that was fresh enough.
    Replica,
    /// Room on the primary.
    Primary,
    /// Nothing within the time it had.
    InVain,
}

impl Waited {
    const ALL: [Self; 3] = [Self::Replica, Self::Primary, Self::InVain];

    fn label(self) -> &'static str {
        match self {
            Self::Replica => "replica",
            Self::Primary => "primary",
            Self::InVain => "in_vain",
        }
    }
}

/// What has taken longer than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// A statement: `query_timeout`.
    Query,
    /// A client that did not go on with its transaction: `idle_in_transaction_timeout`.
    IdleInTransaction,
    /// A client that did nothing: `client_idle_timeout`.
    ClientIdle,
}

impl Timeout {
    fn label(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::IdleInTransaction => "idle_in_transaction",
            Self::ClientIdle => "client_idle",
        }
    }
}

impl DatabaseStats {
    /// Makes the handles for a database and its nodes, by number and name.
    pub fn new<'a>(
        stats: &Arc<Stats>,
        name: &str,
        nodes: impl IntoIterator<Item = (usize, &'a str)>,
    ) -> Self {
        Self {
            nodes: nodes.into_iter().map(|node| NodeStats::new(stats, name, node)).collect(),
            tally: Arc::default(),
            prevented: stats.count("tidegate_stale_reads_prevented_total", &[("database", name)]),
            clients: stats.gauge("tidegate_clients", &[("database", name)]),
            without_primary: stats.gauge("tidegate_waiting_for_primary", &[("database", name)]),
            replication: stats.gauge("tidegate_replication_connections", &[("database", name)]),
            staleness: Arc::default(),
            waits: Arc::default(),
            timing: Arc::default(),
            shapes: Arc::default(),
            waited: Waited::ALL.map(|outcome| {
                stats.counter("tidegate_waits_total", &[("database", name), ("outcome", outcome.label())])
            }),
            stats: Arc::clone(stats),
            name: name.to_owned(),
        }
    }

    /// The same handles, for other nodes.
    #[must_use]
    pub fn with_nodes<'a>(&self, nodes: impl IntoIterator<Item = (usize, &'a str)>) -> Self {
        Self {
            tally: Arc::clone(&self.tally),
            staleness: Arc::clone(&self.staleness),
            waits: Arc::clone(&self.waits),
            timing: Arc::clone(&self.timing),
            shapes: Arc::clone(&self.shapes),
            ..Self::new(&self.stats, &self.name, nodes)
        }
    }

    fn node(&self, number: usize) -> Option<&NodeStats> {
        self.nodes.iter().find(|node| node.number == number)
    }

    /// `count` statements ran on the node, which was a replica or not, for this reason.
    pub fn ran(&self, node: usize, on_replica: bool, reason: Reason, count: u64) {
        if let Some(node) = self.node(node)
            && let Some(counter) = node.statements[usize::from(on_replica)].get(reason as usize)
        {
            counter.increment(count);
        }
    }

    /// What has run on a node so far, by the role it had; whose number is unknown has run nothing.
    pub fn work_of(&self, node: usize) -> Work {
        let Some(node) = self.node(node) else { return Work::default() };
        let mut ran = Work::default();
        for (counts, on_replica) in node.statements.iter().zip([false, true]) {
            for (reason, count) in Reason::ALL.into_iter().zip(counts) {
                ran.add(on_replica, reason, count.get());
            }
        }
        ran
    }

    /// `count` reads were served by a replica whose horizon lay `nanos` back.
    pub fn served(&self, nanos: u64, count: u64) {
        self.staleness.add(nanos, count);
    }

    /// A read has waited.
    pub fn waited(&self, outcome: Waited, time: Duration) {
        self.waited[outcome as usize].increment(1);
        self.waits.add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), 1);
    }

    /// What PgBouncer's `SHOW STATS` counts.
    pub fn totals(&self) -> Totals {
        self.timing.totals()
    }

    /// The shapes that have taken the most time, at most `limit`, the one with the most first.
    pub fn top_shapes(&self, limit: usize) -> Vec<ShapeView> {
        self.shapes.top(limit)
    }

    /// The histograms, in the order of [`super::HISTOGRAMS`].
    pub fn histograms(&self) -> [&Histogram; 2] {
        [&self.staleness, &self.waits]
    }

    /// A connection of the node's pool was lent.
    pub fn lent(&self, node: usize) {
        if let Some(node) = self.node(node) {
            node.transactions.increment(1);
        }
    }

    /// A read is run again elsewhere.
    pub fn rerun(&self, node: usize, cause: &'static str) {
        let labels = [("database", self.name.as_str()), ("node", self.name_of(node)), ("cause", cause)];
        self.stats.counter("tidegate_reruns_total", &labels).increment(1);
    }

    /// A read on a replica was interrupted: by what, and what came of it.
    pub fn interrupted(&self, node: usize, reason: &'static str, outcome: &'static str) {
        let labels = [
            ("database", self.name.as_str()),
            ("node", self.name_of(node)),
            ("reason", reason),
            ("outcome", outcome),
        ];
        self.stats.counter("tidegate_reads_interrupted_total", &labels).increment(1);
    }

    /// A server's error was passed on.
    pub fn server_error(&self, node: usize, code: &str) {
        let class = code.get(..2).unwrap_or("??");
        let labels = [("database", self.name.as_str()), ("node", self.name_of(node)), ("class", class)];
        self.stats.counter("tidegate_server_errors_total", &labels).increment(1);
    }

    /// Something has taken longer than it may.
    pub fn timed_out(&self, what: Timeout) {
        let labels = [("database", self.name.as_str()), ("kind", what.label())];
        self.stats.counter("tidegate_timeouts_total", &labels).increment(1);
    }

    /// Hints about settings that are locked were ignored.
    pub fn hints_ignored(&self) {
        self.stats.counter("tidegate_hints_ignored_total", &[("database", self.name.as_str())]).increment(1);
    }

    /// The proxy made an error itself.
    pub fn proxy_error(&self, code: &str) {
        let labels = [("database", self.name.as_str()), ("sqlstate", code)];
        self.stats.counter("tidegate_proxy_errors_total", &labels).increment(1);
    }

    /// The gauge of clients pinned for `reason`.
    pub fn pinned(&self, reason: &str) -> Gauge {
        self.stats.gauge("tidegate_pinned_clients", &[("database", self.name.as_str()), ("reason", reason)])
    }

    fn name_of(&self, number: usize) -> &str {
        self.node(number).map_or("?", |node| &node.name)
    }
}
