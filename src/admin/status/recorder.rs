//! Makes the document, and remembers what was counted, for the figures per second.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::document::{
    Clients, Counted, DatabaseStatus, EventStatus, Gate, Kept, NodeState, NodeStatus, Offloaded, Pinned,
    PoolStatus, Role, ShapeStatus, Statements, Status,
};
use crate::cluster::{Node, State};
use crate::config::Mode;
use crate::freshness::Lsn;
use crate::routing::{NodeId, Reason};
use crate::session::{Database, Passage, PinView, Proxy};
use crate::stats::{ShapeView, Work};

/// What was counted longer ago is no base for figures per second.
const OLDEST: Duration = Duration::from_mins(1);
/// Shares are those of so long a time.
const SHARES: Duration = Duration::from_secs(10);
/// Shapes that are shown.
const SHAPES: usize = 10;
/// Characters of a shape that are shown.
const SHAPE: usize = 300;
/// A replica that lacks something younger than this is about to have it.
const SOON: Duration = Duration::from_secs(1);

/// Makes one document after the other.
#[derive(Debug)]
pub(super) struct Recorder {
    started: Instant,
    /// What was counted of late, oldest first.
    samples: VecDeque<Sample>,
}

/// What was counted up to one moment.
#[derive(Debug)]
struct Sample {
    at: Instant,
    databases: HashMap<String, Counters>,
}

#[derive(Clone, Debug, Default)]
struct Counters {
    nodes: HashMap<NodeId, Work>,
    prevented: u64,
    /// By reason, in the order of [`Reason::ALL`].
    kept: Vec<u64>,
}

impl Counters {
    fn of(database: &Database) -> Self {
        let nodes = database.cluster.nodes();
        let nodes = nodes.iter().map(|node| (node.id, database.stats.work_of(node.id.0))).collect();
        let on_primary = database.stats.tally.decisions().filter(|(to_replica, ..)| !to_replica);
        Self {
            nodes,
            prevented: database.stats.prevented.get(),
            kept: on_primary.map(|(.., count)| count).collect(),
        }
    }

    /// What all nodes have run.
    fn ran(&self) -> Work {
        self.nodes.values().fold(Work::default(), Work::plus)
    }
}

impl Recorder {
    /// The proxy has just started.
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), samples: VecDeque::new() }
    }

    /// The document of this moment.
    pub(super) fn document(&mut self, proxy: &Proxy, now: Instant) -> Status {
        while self.samples.front().is_some_and(|sample| now.duration_since(sample.at) > OLDEST) {
            self.samples.pop_front();
        }
        let waiting = proxy.waiting_clients();
        let pins = proxy.pins.all();
        let all = proxy.databases();
        let mut databases: Vec<&Arc<Database>> = all.values().collect();
        databases.sort_by(|a, b| a.settings.name.cmp(&b.settings.name));
        let mut counted = HashMap::new();
        let documents = databases.into_iter().map(|database| {
            let counters = Counters::of(database);
            let name = &database.settings.name;
            let view = View { database, now: &counters, rates: self.rates(name, &counters, now) };
            let waiting = waiting.get(name).copied().unwrap_or(0);
            let document = view.document(waiting, pins.iter().filter(|pin| pin.database == *name));
            counted.insert(name.clone(), counters);
            document
        });
        let databases = documents.collect();
        let status = Status {
            format: Status::FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            time_ms: milliseconds(SystemTime::now()),
            uptime_seconds: tenths(now.duration_since(self.started).as_secs_f64()),
            interval_seconds: self
                .samples
                .back()
                .map(|last| tenths(now.duration_since(last.at).as_secs_f64())),
            stopping: !proxy.door.is_open(),
            databases,
        };
        self.samples.push_back(Sample { at: now, databases: counted });
        // The oldest one that is needed is the newest one that is old enough.
        while self.samples.get(1).is_some_and(|second| now.duration_since(second.at) >= SHARES) {
            self.samples.pop_front();
        }
        status
    }

    fn rates(&self, database: &str, counters: &Counters, now: Instant) -> Option<Rates> {
        let last = self.samples.back()?;
        let before = last.databases.get(database)?.clone();
        let seconds = now.duration_since(last.at).as_secs_f64().max(0.001);
        let lately = self.samples.iter().find_map(|sample| sample.databases.get(database))?;
        let lately = counters.ran().minus(&lately.ran());
        Some(Rates { seconds, before, lately })
    }
}

/// What to compare the counters with.
struct Rates {
    seconds: f64,
    /// What was counted when the document before was made.
    before: Counters,
    /// What has run since the oldest document that counts for shares.
    lately: Work,
}

impl Rates {
    fn per_second(&self, now: u64, before: u64) -> f64 {
        tenths(now.saturating_sub(before) as f64 / self.seconds)
    }
}

/// One database at the moment of the document.
struct View<'a> {
    database: &'a Database,
    now: &'a Counters,
    rates: Option<Rates>,
}

impl View<'_> {
    fn document<'p>(&self, waiting: usize, pins: impl Iterator<Item = &'p PinView>) -> DatabaseStatus {
        let (database, cluster) = (self.database, &self.database.cluster);
        let passage = match database.gate.passage() {
            Passage::Open => "open",
            Passage::Paused => "paused",
            Passage::Killed => "killed",
        };
        let event = |event: crate::cluster::Event| EventStatus {
            time_ms: milliseconds(event.at),
            node: event.node,
            event: event.what.label().to_owned(),
            detail: event.detail,
        };
        let mode = if database.settings.mode == Mode::Observe { "observe" } else { "route" };
        DatabaseStatus {
            name: database.settings.name.clone(),
            mode: mode.to_owned(),
            gate: passage.to_owned(),
            disabled: database.gate.is_disabled(),
            primary: cluster.primary().map(|primary| primary.name.clone()),
            clients: Clients { now: database.clients(), waiting, limit: database.settings.max_clients },
            statements: self.statements(),
            offloaded: self.offloaded(),
            stale_reads_prevented: Counted {
                total: self.now.prevented,
                per_second: self.per_second(self.now.prevented, |before| before.prevented),
            },
            nodes: self.nodes(),
            kept_on_primary: self.kept(),
            pins: by_reason(pins),
            shapes: database.stats.top_shapes(SHAPES).iter().map(shape).collect(),
            failovers: cluster.failovers(),
            events: cluster.chronicle.newest_first().into_iter().map(event).collect(),
        }
    }

    fn per_second(&self, now: u64, before: impl Fn(&Counters) -> u64) -> Option<f64> {
        self.rates.as_ref().map(|rates| rates.per_second(now, before(&rates.before)))
    }

    fn statements(&self) -> Statements {
        let on_primary = |ran: Work| ran.all.saturating_sub(ran.as_replica);
        let ran = self.now.ran();
        Statements {
            primary: on_primary(ran),
            replica: ran.as_replica,
            primary_per_second: self.per_second(on_primary(ran), |before| on_primary(before.ran())),
            replica_per_second: self.per_second(ran.as_replica, |before| before.ran().as_replica),
        }
    }

    fn offloaded(&self) -> Offloaded {
        let lately = self.rates.as_ref().map(|rates| rates.lately).unwrap_or_default();
        let ran = self.now.ran();
        Offloaded {
            share: share(lately.as_replica, lately.all),
            share_of_reads: share(lately.reads_as_replica, lately.reads),
            share_since_start: share(ran.as_replica, ran.all),
        }
    }

    fn kept(&self) -> Vec<Kept> {
        let reasons = Reason::ALL.into_iter().zip(&self.now.kept).enumerate();
        let kept = |(index, (reason, total)): (usize, (Reason, &u64))| Kept {
            reason: reason.label().to_owned(),
            meaning: reason.meaning().to_owned(),
            total: *total,
            per_second: self.per_second(*total, |before| before.kept.get(index).copied().unwrap_or(0)),
        };
        let mut all: Vec<Kept> = reasons.filter(|(_, (_, total))| **total > 0).map(kept).collect();
        all.sort_by_key(|kept| std::cmp::Reverse(kept.total));
        all
    }

    fn nodes(&self) -> Vec<NodeStatus> {
        let (cluster, nodes) = (&self.database.cluster, self.database.cluster.nodes());
        let weight = |node: &Node| if node.serves_reads() { u64::from(node.view().weight) } else { 0 };
        let all: u64 = nodes.iter().map(|node| weight(node)).sum();
        let pools = pools(self.database);
        let flushed = cluster.flushed();
        let one = |node: &Arc<Node>| NodeStatus {
            share: share(weight(node), all).unwrap_or(0.0),
            pool: pools.get(&node.id).copied().unwrap_or_default(),
            ..self.node(node, flushed)
        };
        nodes.iter().map(one).collect()
    }

    fn node(&self, node: &Node, flushed: Option<Lsn>) -> NodeStatus {
        let cluster = &self.database.cluster;
        let (role, state, reason) = standing(node);
        let is_replica = role == Some(Role::Replica);
        let horizon = node.horizon();
        let staleness = Duration::from_nanos(cluster.clock.now().since(horizon));
        let is_up_to_date = node.serves_reads() && horizon >= cluster.marks.newest();
        let gate = match role {
            Some(Role::Primary) => None,
            _ if is_up_to_date => Some(Gate::Open),
            _ if node.serves_reads() && staleness < SOON => Some(Gate::Filling),
            _ => Some(Gate::Closed),
        };
        let replayed = node.replayed();
        let ran = |counters: &Counters| counters.nodes.get(&node.id).copied().unwrap_or_default();
        let rate = |of: fn(Work) -> u64| self.per_second(of(ran(self.now)), |before| of(ran(before)));
        NodeStatus {
            name: node.name.clone(),
            role,
            state,
            reason,
            gate,
            level: gate.filter(|_| is_replica).map(|gate| level(gate, staleness)),
            share: 0.0,
            timeline: node.identity().map(|identity| identity.timeline),
            replayed_lsn: match role {
                Some(Role::Primary) => flushed.map(|lsn| lsn.to_string()),
                Some(Role::Replica) => Some(replayed.to_string()),
                None => None,
            },
            lag_bytes: flushed.filter(|_| is_replica).map(|flushed| flushed.0.saturating_sub(replayed.0)),
            staleness_ms: is_replica.then(|| tenths(staleness.as_secs_f64() * 1e3)),
            catch_up_ms: (is_replica && node.catch_up() > 0).then(|| tenths(node.catch_up() as f64 / 1e6)),
            outstanding: node.outstanding(),
            reads_per_second: rate(|ran| ran.reads),
            writes_per_second: rate(|ran| ran.writes),
            other_per_second: rate(|ran| ran.all.saturating_sub(ran.reads + ran.writes)),
            pool: PoolStatus::default(),
        }
    }
}

/// What a node is, whether it is used, and why not.
fn standing(node: &Node) -> (Option<Role>, NodeState, Option<String>) {
    let role = match node.seen() {
        State::Primary => Some(Role::Primary),
        State::Replica => Some(Role::Replica),
        State::Down | State::Refused => None,
    };
    match node.state() {
        _ if node.is_disabled() => (role, NodeState::Disabled, node.trouble()),
        State::Down => (role, NodeState::Down, node.trouble()),
        State::Refused => (role, NodeState::Refused, node.trouble()),
        State::Replica if node.settings.weight == 0 => {
            (role, NodeState::Up, Some("its weight is 0".to_owned()))
        }
        State::Replica if !node.serves_reads() => {
            let causes: Vec<_> = node.causes().iter().map(crate::health::Cause::label).collect();
            (role, NodeState::Out, Some(causes.join(", ")))
        }
        State::Primary | State::Replica => (role, NodeState::Up, None),
    }
}

fn level(gate: Gate, staleness: Duration) -> f64 {
    if gate == Gate::Open {
        return 1.0;
    }
    // Never quite full while something is missing.
    let level = 1.0 - 0.2 * (1.0 + staleness.as_secs_f64() * 1e3).log10();
    (level.clamp(0.0, 0.98) * 1e3).round() / 1e3
}

/// Connections of all users to each node.
fn pools(database: &Database) -> HashMap<NodeId, PoolStatus> {
    let mut pools: HashMap<NodeId, PoolStatus> = HashMap::new();
    let mut add = |node: NodeId, (open, idle, waiting): (usize, usize, usize), limit: usize| {
        let pool = pools.entry(node).or_insert(PoolStatus { limit: Some(0), ..PoolStatus::default() });
        pool.active += open.saturating_sub(idle);
        pool.idle += idle;
        pool.waiting += waiting;
        pool.limit = pool.limit.map(|before| before + limit);
    };
    for (node, pool) in database.users.values().flat_map(|user| &user.pools) {
        add(*node, pool.counts(), pool.terms().limit);
    }
    let has_guests = database.settings.has_guests();
    for (node, counts) in database.guest_connections() {
        add(node.id, counts, 0);
    }
    let together = database.settings.pool.database_connection_limit;
    for pool in pools.values_mut() {
        pool.limit = match together {
            Some(limit) => Some(limit),
            None => pool.limit.filter(|_| !has_guests),
        };
    }
    pools
}

fn by_reason<'p>(pins: impl Iterator<Item = &'p PinView>) -> Vec<Pinned> {
    let mut all: Vec<Pinned> = Vec::new();
    for pin in pins {
        let longest_seconds = pin.lasted().as_secs();
        match all.iter_mut().find(|pinned| pinned.reason == pin.reason) {
            Some(pinned) => {
                pinned.count += 1;
                pinned.longest_seconds = pinned.longest_seconds.max(longest_seconds);
            }
            None => all.push(Pinned { reason: pin.reason.to_owned(), count: 1, longest_seconds }),
        }
    }
    all.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.reason.cmp(&b.reason)));
    all
}

fn shape(view: &ShapeView) -> ShapeStatus {
    let total = view.total.as_secs_f64();
    ShapeStatus {
        text: view.text.chars().take(SHAPE).collect(),
        calls: view.calls(),
        on_replicas: view.on_replicas,
        errors: view.errors,
        total_seconds: (total * 1e3).round() / 1e3,
        mean_ms: (total * 1e6 / view.calls().max(1) as f64).round() / 1e3,
        longest_ms: (view.longest.as_secs_f64() * 1e6).round() / 1e3,
    }
}

/// A share, from 0 to 1; `None` of nothing.
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| (part as f64 / whole as f64 * 1e4).round() / 1e4)
}

/// More digits say nothing and take room.
fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gauge_falls_by_powers_of_ten() {
        let at = |ms: u64| level(Gate::Filling, Duration::from_millis(ms));
        assert!((level(Gate::Open, Duration::from_secs(100)) - 1.0).abs() < f64::EPSILON);
        for (ms, expected) in [(0, 0.98), (9, 0.8), (99, 0.6), (999, 0.4), (9_999, 0.2), (1_000_000, 0.0)] {
            assert!((at(ms) - expected).abs() < 0.001, "{ms} ms: {}", at(ms));
        }
    }

    #[test]
    fn shares_of_nothing_are_unknown() {
        assert_eq!(share(0, 0), None);
        assert_eq!(share(1, 3), Some(0.3333));
    }
}
