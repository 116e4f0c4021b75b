//! Replicas that nobody named: servers that stream from a node, by its `pg_stat_replication`.
//!
//! <https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-REPLICATION-VIEW>. That view has the
//! address a replica connects from, and no port it listens on. So what it says is a guess, and what is guessed counts only
//! once it has answered as a replica of the same system.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use tokio_postgres::Client;

use crate::cluster::{Control, ProbeError, probe};
use crate::config::{DiscoverySettings, NodeSettings};

/// A replica of which nothing was heard or seen for so long is gone.
const GONE_AFTER: Duration = Duration::from_mins(1);
/// What did not answer as a replica is not tried again before.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
/// Longest wait for a node to say who streams from it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Physical replication only: subscriptions have slots that say so. `state` is NULL for who may not see it.
const QUESTION: &str = "
select pg_catalog.host(r.client_addr), r.application_name, r.state is null
  from pg_catalog.pg_stat_replication r
 where r.state is null
    or (r.state in ('startup', 'catchup', 'streaming')
        and not exists (select from pg_catalog.pg_replication_slots s
                        where s.active_pid = r.pid and s.slot_type = 'logical'))";

/// One who streams from a node, as that node sees it.
#[derive(Debug, PartialEq, Eq)]
struct Stream {
    /// `None`: by a Unix socket.
    address: Option<String>,
    application_name: String,
}

/// A connection on which a node is asked.
#[derive(Debug)]
struct Line {
    client: Client,
    system: String,
}

/// What a node said, and the connection to ask it again.
struct Answer {
    line: Line,
    /// `None`: it may not be seen.
    streams: Option<Vec<Stream>>,
}

/// The replicas that were found.
#[derive(Debug)]
pub(super) struct Streaming {
    control: Control,
    settings: DiscoverySettings,
    lines: HashMap<NodeSettings, Line>,
    /// With when they were last heard of.
    found: HashMap<NodeSettings, Instant>,
    /// With when they were tried.
    in_vain: HashMap<NodeSettings, Instant>,
    /// The cluster's system identifier: that of the first node that answered.
    system: Option<String>,
    /// Nodes of which it has been said that they do not show who streams from them.
    hiding: HashSet<NodeSettings>,
}

impl Streaming {
    /// Goes on from replicas that were found before.
    pub(super) fn new(control: Control, settings: DiscoverySettings, known: Vec<NodeSettings>) -> Self {
        let now = Instant::now();
        Self {
            control,
            settings,
            lines: HashMap::new(),
            found: known.into_iter().map(|node| (node, now)).collect(),
            in_vain: HashMap::new(),
            system: None,
            hiding: HashSet::new(),
        }
    }

    /// The replicas known to exist besides `base`, sorted by name.
    pub(super) fn found(&self, base: &[NodeSettings]) -> Vec<NodeSettings> {
        let is_base = |node: &&NodeSettings| base.iter().any(|known| is_same(known, node, &[]));
        let mut found: Vec<_> = self.found.keys().filter(|node| !is_base(node)).cloned().collect();
        found.sort_by_key(ToString::to_string);
        found
    }

    /// Asks every node, those found before too, who streams from it.
    pub(super) async fn look(&mut self, base: &[NodeSettings]) {
        let nodes: Vec<_> = base.iter().cloned().chain(self.found(base)).collect();
        self.lines.retain(|node, _| nodes.contains(node));
        let asked: Vec<_> = nodes
            .iter()
            .map(|node| tokio::spawn(ask(self.control.clone(), node.clone(), self.lines.remove(node))))
            .collect();
        let mut guesses = Vec::new();
        let now = Instant::now();
        let mut anybody = false;
        for (task, node) in asked.into_iter().zip(&nodes) {
            let Ok(Ok(Answer { line, streams })) = task.await else { continue };
            let system = self.system.get_or_insert_with(|| line.system.clone());
            if line.system != *system {
                continue;
            }
            anybody = true;
            self.hides(node, streams.is_none());
            self.lines.insert(node.clone(), line);
            self.heard_of(node, now);
            guesses.extend(streams.unwrap_or_default().iter().filter_map(|stream| self.guess(node, stream)));
        }
        if !guesses.is_empty() {
            self.consider(guesses, base, now).await;
        }
        // Who hears of nobody is cut off, and knows nothing.
        if anybody {
            self.found.retain(|_, heard| now.duration_since(*heard) < GONE_AFTER);
            self.in_vain.retain(|_, tried| now.duration_since(*tried) < AGAIN_AFTER);
        }
    }

    fn heard_of(&mut self, node: &NodeSettings, now: Instant) {
        if let Some(heard) = self.found.get_mut(node) {
            *heard = now;
        }
    }

    fn hides(&mut self, node: &NodeSettings, hides: bool) {
        if !hides {
            self.hiding.remove(node);
        } else if self.hiding.insert(node.clone()) {
            tracing::warn!(%node, "replicas cannot be discovered: the first user may not see pg_stat_replication; grant it pg_monitor");
        }
    }

    /// Where the server may be that streams from `node`.
    fn guess(&self, node: &NodeSettings, stream: &Stream) -> Option<NodeSettings> {
        let port = named_port(&stream.application_name).or(self.settings.port).unwrap_or(node.port);
        let address = stream.address.as_deref().filter(|address| {
            // On the machine of the node; what reaches that reaches the replica.
            !address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        });
        match address {
            Some(address) => NodeSettings::tcp(address, port),
            None => Some(NodeSettings {
                port,
                declared: None,
                weight: crate::config::DEFAULT_WEIGHT,
                ..node.clone()
            }),
        }
    }

    /// Takes the guesses that are right.
    async fn consider(&mut self, guesses: Vec<NodeSettings>, base: &[NodeSettings], now: Instant) {
        let mut addresses = Vec::with_capacity(base.len());
        for node in base {
            addresses.push(addresses_of(node).await);
        }
        for guess in guesses {
            let is_base = base.iter().zip(&addresses).any(|(node, ips)| is_same(node, &guess, ips));
            if let Some(heard) = self.found.get_mut(&guess) {
                *heard = now;
            } else if !is_base && !self.in_vain.contains_key(&guess) {
                match self.is_replica(&guess).await {
                    Ok(true) => {
                        tracing::info!(node = %guess, "replica discovered");
                        self.found.insert(guess, now);
                    }
                    Ok(false) => {
                        tracing::debug!(node = %guess, "something streams from there that is no replica of this cluster");
                        self.in_vain.insert(guess, now);
                    }
                    Err(error) => {
                        tracing::debug!(node = %guess, %error, "something streams from there and cannot be connected to");
                        self.in_vain.insert(guess, now);
                    }
                }
            }
        }
    }

    async fn is_replica(&self, guess: &NodeSettings) -> Result<bool, ProbeError> {
        let (_, identity) = probe(&self.control, guess).await?;
        Ok(identity.in_recovery && self.system.as_ref() == Some(&identity.system))
    }
}

/// Asks a node who streams from it, on the connection there is or on a new one.
async fn ask(control: Control, node: NodeSettings, line: Option<Line>) -> Result<Answer, ProbeError> {
    let line = if let Some(line) = line.filter(|line| !line.client.is_closed()) {
        line
    } else {
        let (client, identity) = probe(&control, &node).await?;
        Line { client, system: identity.system }
    };
    let rows = tokio::time::timeout(PATIENCE, line.client.query(QUESTION, &[])).await;
    let rows = rows.map_err(|_| ProbeError::Timeout(PATIENCE))??;
    let mut streams = Some(Vec::with_capacity(rows.len()));
    for row in rows {
        if row.try_get(2)? {
            streams = None;
        } else if let Some(streams) = &mut streams {
            let application_name = row.try_get::<_, Option<String>>(1)?.unwrap_or_default();
            streams.push(Stream { address: row.try_get(0)?, application_name });
        }
    }
    Ok(Answer { line, streams })
}

/// The port in an `application_name` such as `pg2:5433`.
fn named_port(application_name: &str) -> Option<u16> {
    let (_, port) = application_name.rsplit_once(':')?;
    port.parse().ok().filter(|port| *port > 0)
}

/// The addresses a node may be seen under; none if it is the same by its own words only.
async fn addresses_of(node: &NodeSettings) -> Vec<IpAddr> {
    match (&node.host, node.ip()) {
        (_, Some(ip)) => vec![ip],
        (crate::config::Host::Tcp(name), None) => {
            let lookup = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((name.as_str(), node.port)));
            match lookup.await {
                Ok(Ok(addresses)) => addresses.map(|address| address.ip()).collect(),
                _ => Vec::new(),
            }
        }
        (crate::config::Host::Unix(_), None) => Vec::new(),
    }
}

/// Whether two settings lead to the same server, as far as their addresses tell; `ips` are those of `node`.
fn is_same(node: &NodeSettings, other: &NodeSettings, ips: &[IpAddr]) -> bool {
    let meets = |ip: IpAddr| ips.contains(&ip) || node.ip() == Some(ip);
    node.port == other.port && (node.reach() == other.reach() || other.ip().is_some_and(meets))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::config::{Given, Secret, Sources, load};

    fn streaming(port: Option<u16>) -> Streaming {
        let url = Some(Secret::new("postgres://a:b@h"));
        let settings = load(&Sources { flags: Given { url, ..Given::default() }, ..Sources::default() });
        let control = Control::new(&settings.unwrap().databases[0]);
        Streaming::new(control, DiscoverySettings { port }, Vec::new())
    }

    #[test]
    fn where_a_replica_may_be() {
        let table = [
            (None, Some("10.0.0.2"), "walreceiver", "10.0.0.2:5433"),
            (None, Some("10.0.0.2"), "pg2:6000", "10.0.0.2:6000"),
            (None, Some("10.0.0.2"), "a:b:0", "10.0.0.2:5433"),
            (Some(7000), Some("10.0.0.2"), "walreceiver", "10.0.0.2:7000"),
            (Some(7000), Some("10.0.0.2"), "pg2:6000", "10.0.0.2:6000"),
            (None, Some("fd00::2"), "", "[fd00::2]:5433"),
            (None, Some("127.0.0.1"), "r1:6000", "pg1:6000"),
            (None, None, "r1:6000", "pg1:6000"),
        ];
        let node = NodeSettings::tcp("pg1", 5433).unwrap();
        for (port, address, name, expected) in table {
            let stream = Stream { address: address.map(str::to_owned), application_name: name.to_owned() };
            let guess = streaming(port).guess(&node, &stream).unwrap();
            assert_eq!(guess.to_string(), expected, "{stream:?}");
        }
    }

    #[test]
    fn one_server_by_two_names() {
        let (name, ip) =
            (NodeSettings::tcp("pg2", 5432).unwrap(), NodeSettings::tcp("10.0.0.2", 5432).unwrap());
        assert!(is_same(&name, &ip, &["10.0.0.2".parse().unwrap()]));
        assert!(!is_same(&name, &ip, &["10.0.0.3".parse().unwrap()]));
        assert!(!is_same(&name, &NodeSettings { port: 5433, ..ip.clone() }, &["10.0.0.2".parse().unwrap()]));
        assert!(is_same(&ip, &ip, &[]));
    }
}
