//! What the document says. Names of fields do not change within a [format](Status::format).

use serde::{Deserialize, Serialize};

/// The state of a proxy at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// [`Status::FORMAT`]. It changes when a field is renamed or goes, not when one is added.
    pub format: u32,
    /// The version of the proxy.
    pub version: String,
    /// When this was, in milliseconds since 1970 (UTC).
    pub time_ms: u64,
    /// For how long the proxy has been running, in seconds.
    pub uptime_seconds: f64,
    /// What the figures per second are an average of, in seconds: the time since the document before. `None`: there was
    /// none within a minute, and those figures are `None`, too.
    pub interval_seconds: Option<f64>,
    /// Whether the proxy has been told to stop.
    pub stopping: bool,
    /// The databases, by name.
    pub databases: Vec<DatabaseStatus>,
}

impl Status {
    /// The format that this version of the proxy writes, and reads.
    pub const FORMAT: u32 = 1;
}

/// One database.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DatabaseStatus {
    /// What clients call it.
    pub name: String,
    /// `route`, or `observe`: everything goes to the primary.
    pub mode: String,
    /// `open`; `paused` or `killed`: its statements wait.
    pub gate: String,
    /// Whether new clients are turned away (`DISABLE`).
    pub disabled: bool,
    /// The node that takes writes.
    pub primary: Option<String>,
    /// Clients.
    pub clients: Clients,
    /// Statements by where they ran.
    pub statements: Statements,
    /// How much of them replicas have taken off the primary.
    pub offloaded: Offloaded,
    /// Reads that went to the primary because no replica had replayed enough.
    pub stale_reads_prevented: Counted,
    /// The nodes, in the order of the configuration.
    pub nodes: Vec<NodeStatus>,
    /// Why statements went to the primary, the most frequent reason first.
    pub kept_on_primary: Vec<Kept>,
    /// What binds clients to server connections, the most frequent reason first.
    pub pins: Vec<Pinned>,
    /// The shapes of statements that have taken the most time since the start, at most ten, the one with the most first.
    pub shapes: Vec<ShapeStatus>,
    /// How often another node has become the primary.
    pub failovers: u64,
    /// What has happened to the nodes of late, the newest first; at most 20.
    pub events: Vec<EventStatus>,
}

/// Clients of a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Clients {
    /// Logged in.
    pub now: usize,
    /// Those that wait for something before a server can work for them.
    pub waiting: usize,
    /// Most there may be.
    pub limit: usize,
}

/// Statements by the role of the node that ran them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Statements {
    /// On a primary, since the start.
    pub primary: u64,
    /// On replicas, since the start.
    pub replica: u64,
    /// On a primary, per second.
    pub primary_per_second: Option<f64>,
    /// On replicas, per second.
    pub replica_per_second: Option<f64>,
}

/// Shares of statements that ran on replicas, from 0 to 1. `None`: there were no statements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Offloaded {
    /// Of all statements of the last ten seconds, or since the document before if that is longer ago.
    pub share: Option<f64>,
    /// Of the reads among them: of those that are known to be reads.
    pub share_of_reads: Option<f64>,
    /// Of all statements since the start.
    pub share_since_start: Option<f64>,
}

/// Something that is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    /// Since the start.
    pub total: u64,
    /// Per second.
    pub per_second: Option<f64>,
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It takes writes.
    Primary,
    /// It follows the primary.
    Replica,
}

/// Whether a node is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// It is.
    Up,
    /// It is a replica that serves no reads, for the sake of its health.
    Out,
    /// It cannot be reached.
    Down,
    /// It must not be used.
    Refused,
    /// It was taken out by hand.
    Disabled,
}

impl NodeState {
    /// As the document writes it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Out => "out",
            Self::Down => "down",
            Self::Refused => "refused",
            Self::Disabled => "disabled",
        }
    }
}

/// Which reads a replica may serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// All: whatever was written through this proxy has arrived.
    Open,
    /// Those that need nothing of the last moments: it is less than a second behind.
    Filling,
    /// It serves no reads, or only those that need nothing new.
    Closed,
}

impl Gate {
    /// As the document writes it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Filling => "filling",
            Self::Closed => "closed",
        }
    }
}

/// One node of a database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// `host:port`.
    pub name: String,
    /// What it is, as far as that is known.
    pub role: Option<Role>,
    /// Whether it is used.
    pub state: NodeState,
    /// Why it is not.
    pub reason: Option<String>,
    /// Which reads it may serve; of replicas, and of nodes that are not used.
    pub gate: Option<Gate>,
    /// How full its gauge is, from 0 to 1: 1 with an open gate, otherwise 0.2 less for each power of ten milliseconds of
    /// staleness. `None`: a primary, or unknown.
    pub level: Option<f64>,
    /// How much of the reads is for it at this moment, from 0 to 1: its weight times what its health leaves of that.
    pub share: f64,
    /// Its timeline, when it was last asked.
    pub timeline: Option<u32>,
    /// How far a replica has replayed, or how far a primary has flushed.
    pub replayed_lsn: Option<String>,
    /// How much WAL a replica has yet to replay, in bytes.
    pub lag_bytes: Option<u64>,
    /// What a replica may lack is younger than this, in milliseconds.
    pub staleness_ms: Option<f64>,
    /// How long a replica takes to come to an instant, lately, in milliseconds.
    pub catch_up_ms: Option<f64>,
    /// Statements that it works on for this proxy.
    pub outstanding: usize,
    /// Statements per second that are known to be reads.
    pub reads_per_second: Option<f64>,
    /// Statements per second that are known to write.
    pub writes_per_second: Option<f64>,
    /// The other statements per second: transaction blocks, the session's state, and what is not known to be a read.
    pub other_per_second: Option<f64>,
    /// The proxy's connections to it, of all users.
    pub pool: PoolStatus,
}

/// Server connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PoolStatus {
    /// Those that work for a client.
    pub active: usize,
    /// Those that work for nobody.
    pub idle: usize,
    /// Clients that wait for one.
    pub waiting: usize,
    /// Most there may be. `None`: each user has a limit, and there can be any number of users.
    pub limit: Option<usize>,
}

/// A reason for which statements went, or in mode `observe` would have gone, to the primary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// Its label, as in metrics.
    pub reason: String,
    /// What it means.
    pub meaning: String,
    /// Statements since the start.
    pub total: u64,
    /// Statements per second.
    pub per_second: Option<f64>,
}

/// A reason for which clients are bound to a server connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pinned {
    /// Its label, as in metrics.
    pub reason: String,
    /// So many pins.
    pub count: usize,
    /// For how long the oldest of them has lasted, in seconds.
    pub longest_seconds: u64,
}

/// What is known of the statements of one shape, since the start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShapeStatus {
    /// The text with `?` in the place of literals, without comments; cut where it is long.
    pub text: String,
    /// How often they were run.
    pub calls: u64,
    /// How often by a replica.
    pub on_replicas: u64,
    /// How often they have failed.
    pub errors: u64,
    /// The time of all calls, in seconds.
    pub total_seconds: f64,
    /// The time of a call, on average, in milliseconds.
    pub mean_ms: f64,
    /// The time of the longest call, in milliseconds.
    pub longest_ms: f64,
}

/// Something that has happened to a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventStatus {
    /// When, in milliseconds since 1970 (UTC).
    pub time_ms: u64,
    /// The node.
    pub node: String,
    /// What: a word.
    pub event: String,
    /// Why, or more about it; may be empty.
    pub detail: String,
}
