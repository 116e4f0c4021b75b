//! Where the list of a database's nodes comes from.

use std::time::Duration;

use super::layer::Tuning;
use super::mistake::{Findings, Origin, Problem};
use super::node::NodeSettings;

/// The port of Patroni's REST API where none is given.
pub(super) const PATRONI_PORT: &str = "8008";
const DNS_INTERVAL: Duration = Duration::from_secs(5);
const PATRONI_INTERVAL: Duration = Duration::from_secs(1);

/// Where the list of a database's nodes comes from, and how it is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopologySettings {
    /// Who names the nodes.
    pub source: NodeSource,
    /// How often the names of hosts are looked up; `None` means with every new connection, and one name is one node.
    pub dns_interval: Option<Duration>,
    /// How often Patroni is asked.
    pub patroni_interval: Duration,
    /// Whether, and how, servers that stream from the nodes are added to them.
    pub discovery: Option<DiscoverySettings>,
}

/// Who names the nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeSource {
    /// The configuration. A name that leads to several addresses is as many nodes.
    Hosts(Vec<NodeSettings>),
    /// Patroni, at one of these addresses of its REST API; it says which others there are.
    Patroni(Vec<NodeSettings>),
}

/// How replicas are found that nobody named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiscoverySettings {
    /// The port on which they listen; `None` means that of the node they stream from.
    pub port: Option<u16>,
}

/// What the hosts of a URL are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The servers.
    Servers,
    /// Patroni, which knows the servers.
    Patroni,
}

impl TopologySettings {
    /// What was said of the hosts, and the defaults elsewhere.
    pub(super) fn of(
        tuning: &Tuning,
        place: Place,
        hosts: Vec<NodeSettings>,
        origin: &Origin,
        findings: &mut Findings,
    ) -> Self {
        let discovers = tuning.discover_replicas.unwrap_or(false);
        if discovers && place == Place::Patroni {
            let problem = Problem::new("Patroni names every replica already", "Leave it out");
            findings.mistake(&origin.inside("discover_replicas"), problem);
        }
        if !discovers && tuning.discovered_port.is_some_and(|port| port > 0) {
            let warning = "it means nothing without discover_replicas = true";
            findings.warn(&origin.inside("discovered_port"), warning);
        }
        let port = tuning.discovered_port.filter(|port| *port > 0);
        Self {
            source: match place {
                Place::Servers => NodeSource::Hosts(hosts),
                Place::Patroni => NodeSource::Patroni(hosts),
            },
            dns_interval: Some(tuning.dns_interval.unwrap_or(DNS_INTERVAL)).filter(|every| !every.is_zero()),
            patroni_interval: tuning.patroni_interval.unwrap_or(PATRONI_INTERVAL),
            discovery: discovers.then_some(DiscoverySettings { port }),
        }
    }

    /// The nodes that are known before anybody was asked.
    pub(super) fn known(&self) -> Vec<NodeSettings> {
        match &self.source {
            NodeSource::Hosts(hosts) => hosts.clone(),
            NodeSource::Patroni(_) => Vec::new(),
        }
    }
}
