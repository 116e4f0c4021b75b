//! Other instances of the proxy, which stand beside this one behind one address.

use std::fmt;

use super::listen::ListenAddress;
use super::mistake::{Findings, Origin, Problem, quoted};
use super::node::{Host, NodeSettings, node, split_port};
use super::settings::DEFAULT_LISTEN;
use super::value::count;

/// The number of an instance among its peers, from 1 to [`PeerId::MOST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(u16);

impl PeerId {
    /// The largest one. It takes ten bits, which the process numbers that clients are told have to spare.
    pub const MOST: u16 = 1023;

    /// The instance of this number, if it can be one.
    pub fn new(number: u16) -> Option<Self> {
        (1..=Self::MOST).contains(&number).then_some(Self(number))
    }

    /// Its number.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Another instance, or this one: all of them may have the same list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerSettings {
    /// Its number.
    pub id: PeerId,
    /// The machine, or the directory of its Unix socket.
    pub host: Host,
    /// The TCP port, or the number in the socket's file name.
    pub port: u16,
}

/// `3 at tidegate-3:6432`
impl fmt::Display for PeerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}:{}", self.id, self.host, self.port)
    }
}

/// The number of an instance as it is written.
pub(super) fn parse_id(text: &str) -> Result<PeerId, Problem> {
    let number = count(text, 1, usize::from(PeerId::MOST))?;
    // What was counted is in range.
    let id = u16::try_from(number).ok().and_then(PeerId::new);
    id.ok_or_else(|| Problem::new(format!("{} is no number of an instance", quoted(text)), "Write 1"))
}

/// A line of the list: a number, and `host:port`, `[ipv6]:port` or `/directory:port`. Without a port, it is the one that
/// clients are accepted on by default.
pub(super) fn parse_peer(number: &str, address: &str) -> Result<PeerSettings, Problem> {
    let advice = "Write it as 2 = \"tidegate-2:6432\", or 2 = \"/run/tidegate2:6432\" for a Unix socket";
    let here = |problem: Problem| Problem::new(problem.problem, advice);
    let id = parse_id(number)?;
    let (host, port) = split_port(address.trim()).map_err(here)?;
    let default = DEFAULT_LISTEN.port().to_string();
    let NodeSettings { host, port, .. } =
        node(host, if port.is_empty() { &default } else { port }).map_err(here)?;
    Ok(PeerSettings { id, host, port })
}

/// What only shows when everything is known.
pub(super) fn check(
    own: Option<PeerId>,
    peers: &[PeerSettings],
    listen: &[ListenAddress],
    findings: &mut Findings,
) {
    let origin = Origin::new("peers");
    if own.is_none() && !peers.is_empty() {
        let advice = "Say which of them this one is, with peer_id, --peer-id or TIDEGATE_PEER_ID";
        findings.mistake(
            &Origin::new("peer_id"),
            Problem::new("there are peers, and no number of its own", advice),
        );
    }
    for (index, peer) in peers.iter().enumerate() {
        let same = |other: &&PeerSettings| other.host == peer.host && other.port == peer.port;
        if let Some(other) = peers[..index].iter().find(same) {
            let problem = format!("{peer} has the address of {}", other.id);
            findings
                .mistake(&origin, Problem::new(problem, "Give each one its own, not that of the balancer"));
        }
        if Some(peer.id) != own && listen.iter().any(|address| is_at(peer, address)) {
            let problem = format!("{peer} has an address of this instance, whose number is another");
            findings.mistake(&origin, Problem::new(problem, "Give each one its own address and number"));
        }
    }
}

/// Whether clients are accepted at the peer's very address. Names are not looked up.
fn is_at(peer: &PeerSettings, address: &ListenAddress) -> bool {
    match (&peer.host, address) {
        (Host::Tcp(host), ListenAddress::Tcp(address)) => {
            address.port() == peer.port && host.parse() == Ok(address.ip())
        }
        (Host::Unix(directory), ListenAddress::Unix { directory: own, port }) => {
            *port == peer.port && directory.components().eq(own.components())
        }
        _ => false,
    }
}
