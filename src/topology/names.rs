//! The hosts of the configuration, and what their names lead to.
//!
//! Names are looked up by the system's resolver, in a thread of its own. Every answer must have all addresses of a name:
//! one that is not in it any more is gone.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use crate::config::{Address, Host, NodeSettings};

/// Longest wait for the resolver.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a resolver said of a host, or why it said nothing.
type Answer = Result<Vec<IpAddr>, String>;

/// The hosts of the configuration, followed through the names they have.
#[derive(Debug)]
pub(super) struct Names {
    hosts: Vec<NodeSettings>,
    /// Names whose failure has been told.
    failing: HashSet<String>,
}

impl Names {
    pub(super) fn new(hosts: Vec<NodeSettings>) -> Self {
        Self { hosts, failing: HashSet::new() }
    }

    /// Whether there is a name that can come to lead elsewhere.
    pub(super) fn can_change(&self) -> bool {
        self.hosts.iter().any(|host| name(host).is_some())
    }

    /// What the hosts were in a list of nodes.
    pub(super) fn among(&self, last: &[NodeSettings]) -> Vec<NodeSettings> {
        nodes(&self.hosts, &vec![None; self.hosts.len()], last)
    }

    /// Looks every name up, and returns the nodes. What a name led to in `last` stays while it cannot be looked up.
    pub(super) async fn look(&mut self, last: &[NodeSettings]) -> Vec<NodeSettings> {
        let lookups: Vec<_> = self
            .hosts
            .iter()
            .map(|host| name(host).map(|name| tokio::spawn(look_up(name.to_owned(), host.port))))
            .collect();
        let mut answers = Vec::with_capacity(lookups.len());
        for (lookup, host) in lookups.into_iter().zip(&self.hosts) {
            let Some(lookup) = lookup else {
                answers.push(None);
                continue;
            };
            let answer = lookup.await.unwrap_or_else(|error| Err(error.to_string()));
            told_once(&mut self.failing, name(host).unwrap_or_default(), answer.as_ref().err());
            answers.push(answer.ok());
        }
        nodes(&self.hosts, &answers, last)
    }
}

/// Says when a name begins to fail, and when it works again.
fn told_once(failing: &mut HashSet<String>, name: &str, error: Option<&String>) {
    match error {
        Some(error) if failing.insert(name.to_owned()) => {
            tracing::warn!(host = name, %error, "the name cannot be looked up: its last addresses stay in use");
        }
        None if failing.remove(name) => tracing::info!(host = name, "the name can be looked up again"),
        _ => {}
    }
}

/// The name of a host, if it is one that a resolver must be asked for.
fn name(host: &NodeSettings) -> Option<&str> {
    match &host.host {
        Host::Tcp(name) if host.ip().is_none() => {
            let is_local = name == "localhost" || name.ends_with(".localhost");
            (!is_local).then_some(name.as_str())
        }
        _ => None,
    }
}

async fn look_up(name: String, port: u16) -> Answer {
    let lookup = tokio::net::lookup_host((name, port));
    match tokio::time::timeout(PATIENCE, lookup).await {
        Ok(Ok(addresses)) => match addresses.map(|address| address.ip()).collect::<Vec<_>>() {
            none if none.is_empty() => Err("it has no address".to_owned()),
            addresses => Ok(addresses),
        },
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {PATIENCE:?}")),
    }
}

/// The nodes that the hosts are, given the addresses of each. `None` means that there was nothing to look up, or no answer.
fn nodes(
    hosts: &[NodeSettings],
    answers: &[Option<Vec<IpAddr>>],
    last: &[NodeSettings],
) -> Vec<NodeSettings> {
    let mut nodes: Vec<NodeSettings> = Vec::with_capacity(hosts.len());
    for (host, answer) in hosts.iter().zip(answers) {
        for node in nodes_of(host, answer.as_deref(), last) {
            let twin = nodes.iter_mut().find(|known| known.ip().is_some() && at(known) == at(&node));
            match twin {
                None => nodes.push(node),
                // Two names for one server: it is the node that it was.
                Some(twin) if !last.contains(twin) && last.contains(&node) => *twin = node,
                Some(_) => {}
            }
        }
    }
    nodes
}

fn at(node: &NodeSettings) -> (Option<IpAddr>, u16) {
    (node.ip(), node.port)
}

/// The nodes that one host is.
fn nodes_of(host: &NodeSettings, answer: Option<&[IpAddr]>, last: &[NodeSettings]) -> Vec<NodeSettings> {
    let is_ours = |node: &&NodeSettings| NodeSettings { address: None, ..(*node).clone() } == *host;
    let Some(answer) = answer else {
        let before: Vec<_> = last.iter().filter(is_ours).cloned().collect();
        return if before.is_empty() { vec![host.clone()] } else { before };
    };
    let addresses = one_per_server(answer);
    let is_sole = addresses.len() == 1;
    let node = |ip: IpAddr| {
        // A node keeps the name under which it was seen first, whatever other addresses come and go.
        let known = last.iter().find(|node| is_ours(node) && node.ip() == Some(ip));
        let address = if is_sole { Address::Sole(ip) } else { Address::Among(ip) };
        known.cloned().unwrap_or_else(|| NodeSettings { address: Some(address), ..host.clone() })
    };
    if addresses.is_empty() { vec![host.clone()] } else { addresses.into_iter().map(node).collect() }
}

/// The addresses that are servers of their own, sorted. A server may be in the list by IPv4 and by IPv6, and nothing tells
/// which belong together: where there is one of each, they are one server, to be connected to by name (nothing is returned);
/// where there are more, those of the family count that the system prefers.
fn one_per_server(answer: &[IpAddr]) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = answer.to_vec();
    let prefers_v4 = answer.first().is_some_and(IpAddr::is_ipv4);
    addresses.sort_unstable();
    addresses.dedup();
    let has_both = addresses.iter().any(IpAddr::is_ipv4) && addresses.iter().any(IpAddr::is_ipv6);
    match (has_both, addresses.len()) {
        (true, 2) => Vec::new(),
        (true, _) => addresses.into_iter().filter(|ip| ip.is_ipv4() == prefers_v4).collect(),
        (false, _) => addresses,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn hosts(names: &[&str]) -> Vec<NodeSettings> {
        names.iter().map(|name| NodeSettings::tcp(name, 5432).unwrap()).collect()
    }

    fn shown(nodes: &[NodeSettings]) -> Vec<String> {
        nodes.iter().map(ToString::to_string).collect()
    }

    fn addresses(list: &str) -> Option<Vec<IpAddr>> {
        (!list.is_empty()).then(|| list.split(' ').map(|ip| ip.parse().unwrap()).collect())
    }

    /// What one name is as its answers change: a step each, `""` being no answer.
    #[test]
    fn a_name_through_time() {
        let table: [(&[&str], &[&[&str]]); 7] = [
            (&["10.0.0.1"], &[&["pg:5432"]]),
            (&["10.0.0.1", "10.0.0.2"], &[&["pg:5432"], &["pg:5432"]]),
            (&["10.0.0.2 10.0.0.1"], &[&["pg[10.0.0.1]:5432", "pg[10.0.0.2]:5432"]]),
            (
                &["10.0.0.1", "10.0.0.1 10.0.0.2", "10.0.0.2"],
                &[&["pg:5432"], &["pg:5432", "pg[10.0.0.2]:5432"], &["pg[10.0.0.2]:5432"]],
            ),
            (&["", "10.0.0.1", ""], &[&["pg:5432"], &["pg:5432"], &["pg:5432"]]),
            (&["10.0.0.1 fd00::1"], &[&["pg:5432"]]),
            (&["fd00::1 10.0.0.1 fd00::2"], &[&["pg[fd00::1]:5432", "pg[fd00::2]:5432"]]),
        ];
        for (answers, expected) in table {
            let host = hosts(&["pg"]);
            let mut last = host.clone();
            for (answer, expected) in answers.iter().zip(expected) {
                last = nodes(&host, &[addresses(answer)], &last);
                assert_eq!(shown(&last), *expected, "{answers:?}");
            }
        }
    }

    #[test]
    fn another_address_is_another_node() {
        let host = hosts(&["pg"]);
        let before = nodes(&host, &[addresses("10.0.0.1")], &host);
        let after = nodes(&host, &[addresses("10.0.0.2")], &before);
        assert_ne!(before, after);
        assert_eq!(after[0].reach(), Host::Tcp("10.0.0.2".to_owned()));
        assert_eq!(nodes(&host, &[None], &after), after, "a resolver that fails changes nothing");
    }

    #[test]
    fn two_names_for_one_server_are_one_node() {
        let two = hosts(&["pg-rw", "pg1", "10.0.0.3"]);
        let list = nodes(&two, &[addresses("10.0.0.1"), addresses("10.0.0.1"), None], &two);
        assert_eq!(shown(&list), ["pg-rw:5432", "10.0.0.3:5432"]);
        // The name moves to a server that is known by another one.
        let moved = nodes(&two, &[addresses("10.0.0.3"), addresses("10.0.0.1"), None], &list);
        assert_eq!(shown(&moved), ["10.0.0.3:5432", "pg1:5432"]);
    }

    #[test]
    fn what_is_never_looked_up() {
        for host in ["localhost", "db.localhost", "127.0.0.1", "::1", "fe80::1%eth0"] {
            assert!(!Names::new(hosts(&[host])).can_change(), "{host}");
        }
        assert!(Names::new(hosts(&["127.0.0.1", "pg1"])).can_change());
    }
}
