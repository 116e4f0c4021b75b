//! Patroni's members, as its REST API names them.

use std::collections::HashSet;

use super::members::Members;
use super::{RestHost, Unnamed};
use crate::config::NodeSettings;

/// Patroni, at the addresses of the configuration and at those its members have named.
#[derive(Debug)]
pub(super) struct Patroni {
    configured: Vec<RestHost>,
    /// Where members answered when they were last named.
    learned: Vec<RestHost>,
    /// The one that answered last.
    good: Option<RestHost>,
    is_silent: bool,
    /// Members of which it has been said that they answer by HTTPS only.
    encrypted: HashSet<String>,
}

impl Patroni {
    pub(super) fn new(hosts: &[NodeSettings]) -> Self {
        Self {
            configured: hosts.iter().filter_map(RestHost::of).collect(),
            learned: Vec::new(),
            good: None,
            is_silent: false,
            encrypted: HashSet::new(),
        }
    }

    /// Asks for the members until one address has named them; `last` is what they were. It never returns an empty list.
    pub(super) async fn look(&mut self, last: &[NodeSettings]) -> Result<Vec<NodeSettings>, Unnamed> {
        let mut failures = Vec::new();
        for host in self.hosts() {
            match ask(&host).await {
                Ok(members) => return Ok(self.named(host, members, last)),
                Err(error) => failures.push(format!("{host}: {error}")),
            }
        }
        let silence = Unnamed(failures.join("; "));
        if !std::mem::replace(&mut self.is_silent, true) {
            tracing::warn!(error = %silence, "the last list of nodes stays in use");
        }
        Err(silence)
    }

    /// Every address there is, the one that answered last first.
    fn hosts(&self) -> Vec<RestHost> {
        let mut hosts: Vec<RestHost> = Vec::new();
        for host in self.good.iter().chain(&self.learned).chain(&self.configured) {
            if !hosts.contains(host) {
                hosts.push(host.clone());
            }
        }
        hosts
    }

    fn named(&mut self, host: RestHost, members: Members, last: &[NodeSettings]) -> Vec<NodeSettings> {
        if std::mem::take(&mut self.is_silent) {
            tracing::info!(%host, "Patroni answers again");
        }
        for member in members.encrypted {
            if self.encrypted.insert(member.clone()) {
                tracing::warn!(
                    member,
                    "its REST API answers by HTTPS only, which is not available in this version: it is not asked"
                );
            }
        }
        self.good = Some(host);
        self.learned = members.hosts;
        let mut nodes = members.nodes;
        if members.is_paused {
            // A member whose Patroni is stopped for maintenance is no longer named, and its server goes on, if it is the
            // primary too.
            let is_named = |node: &NodeSettings| {
                nodes.iter().chain(&members.stopped).any(|n| (&n.host, n.port) == (&node.host, node.port))
            };
            let silent: Vec<_> = last.iter().filter(|node| !is_named(node)).cloned().collect();
            nodes.extend(silent);
        }
        nodes
    }
}

/// The members that one address names. A cluster of which no member runs says nothing of use.
async fn ask(host: &RestHost) -> Result<Members, String> {
    let text = host.get("/cluster").await.map_err(|error| error.to_string())?;
    match Members::read(&text) {
        Ok(members) if members.nodes.is_empty() => Err("none of its members runs".to_owned()),
        Ok(members) => Ok(members),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
#[path = "patroni_tests.rs"]
mod tests;
