//! What Patroni says of its cluster.
//!
//! <https://patroni.readthedocs.io/en/latest/rest_api.html#cluster-status-endpoints>. Only what names a node is read:
//! the role that Patroni gives a member is left to what the member says itself.

use serde::Deserialize;
use serde_json::Value;

use super::RestHost;
use crate::config::NodeSettings;

const POSTGRES_PORT: u16 = 5432;

/// States of a member whose server takes connections, in the words of all versions. Everything else is on its way up or
/// down.
const RUNNING: [&str; 3] = ["running", "streaming", "in archive recovery"];

/// What the answer to `GET /cluster` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// The servers that run, sorted by the names of the members.
    pub nodes: Vec<NodeSettings>,
    /// The servers that do not run.
    pub stopped: Vec<NodeSettings>,
    /// Whether Patroni leaves the servers alone: they go on when it is stopped, and is then silent about them.
    pub is_paused: bool,
    /// Where members answer by HTTP, running or not.
    pub hosts: Vec<RestHost>,
    /// Members that answer by HTTPS only, by name.
    pub encrypted: Vec<String>,
}

/// An answer that is none.
#[derive(Debug, thiserror::Error)]
#[error("it is not Patroni that answers ({0})")]
pub struct NotMembers(#[from] serde_json::Error);

#[derive(Deserialize)]
struct Answer {
    members: Vec<Member>,
    #[serde(default)]
    pause: bool,
}

#[derive(Deserialize)]
struct Member {
    name: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    api_url: Option<String>,
    /// Absent until the member has said where it is.
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    port: Option<u16>,
    #[serde(default)]
    tags: Option<Value>,
}

impl Members {
    /// Reads the answer to `GET /cluster`.
    pub fn read(text: &[u8]) -> Result<Self, NotMembers> {
        let Answer { mut members, pause } = serde_json::from_slice(text)?;
        members.sort_by(|a, b| a.name.cmp(&b.name));
        let mut read = Self { is_paused: pause, ..Self::default() };
        for member in &members {
            let list = if member.is_running() { &mut read.nodes } else { &mut read.stopped };
            list.extend(member.server());
            let Some(url) = &member.api_url else { continue };
            match RestHost::in_url(url) {
                Some(host) => read.hosts.push(host),
                None if url.starts_with("https://") => read.encrypted.push(member.name.clone()),
                None => {}
            }
        }
        Ok(read)
    }
}

impl Member {
    fn is_running(&self) -> bool {
        RUNNING.contains(&self.state.as_str())
    }

    /// The server of this member, if it is known where that is.
    fn server(&self) -> Option<NodeSettings> {
        let node = NodeSettings::tcp(self.host.as_deref()?, self.port.unwrap_or(POSTGRES_PORT))?;
        let weight = if self.has("noloadbalance") { 0 } else { node.weight };
        Some(NodeSettings { weight, ..node })
    }

    /// Whether it has this tag. People write `true` with quotation marks and without.
    fn has(&self, tag: &str) -> bool {
        match self.tags.as_ref().and_then(|tags| tags.get(tag)) {
            Some(Value::Bool(is_set)) => *is_set,
            Some(Value::String(text)) => matches!(text.to_ascii_lowercase().as_str(), "true" | "yes" | "on"),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn shown(text: &str) -> (Vec<String>, Vec<String>) {
        let members = Members::read(text.as_bytes()).unwrap();
        let node = |node: &NodeSettings| format!("{node}{}", if node.weight > 0 { "" } else { " no reads" });
        (members.nodes.iter().map(node).collect(), members.hosts.iter().map(ToString::to_string).collect())
    }

    /// Recorded from Patroni 3.0.2.
    const THREE: &str = include_str!("recorded/patroni-3.0.json");
    /// As Patroni 4 writes it: a quorum, a replica that is being made, one that restores from an archive.
    const FOUR: &str = include_str!("recorded/patroni-4.0.json");
    /// A standby cluster: its leader replays what another cluster's primary writes.
    const STANDBY: &str = include_str!("recorded/patroni-standby.json");

    #[test]
    fn what_patroni_3_says() {
        let (nodes, hosts) = shown(THREE);
        assert_eq!(
            nodes,
            ["127.0.0.1:31978", "127.0.0.1:31843", "127.0.0.1:22040", "127.0.0.1:20711 no reads"]
        );
        assert_eq!(hosts, ["127.0.0.1:21899", "127.0.0.1:27496", "127.0.0.1:31693", "127.0.0.1:25290"]);
    }

    #[test]
    fn what_patroni_4_says() {
        let (nodes, hosts) = shown(FOUR);
        assert_eq!(nodes, ["10.0.0.1:5432", "10.0.0.2:5432", "pg4.example.com:5433", "[fd00::5]:5432"]);
        assert_eq!(hosts, ["10.0.0.1:8008", "10.0.0.2:8008", "10.0.0.3:8008", "[fd00::5]:8008"]);
        let members = Members::read(FOUR.as_bytes()).unwrap();
        assert_eq!(members.encrypted, ["pg4"]);
        assert_eq!(members.stopped, [NodeSettings::tcp("10.0.0.3", 5432).unwrap()]);
        assert!(members.is_paused && !Members::read(THREE.as_bytes()).unwrap().is_paused);
    }

    #[test]
    fn a_standby_cluster() {
        assert_eq!(shown(STANDBY).0, ["10.1.0.1:5432", "10.1.0.2:5432"]);
    }

    #[test]
    fn members_in_every_state() {
        let table = [
            ("running", true),
            ("streaming", true),
            ("in archive recovery", true),
            ("stopped", false),
            ("starting", false),
            ("start failed", false),
            ("creating replica", false),
            ("restarting", false),
            ("crashed", false),
            ("", false),
        ];
        for (state, is_in) in table {
            let text = format!(r#"{{"members": [{{"name": "a", "state": "{state}", "host": "h"}}]}}"#);
            assert_eq!(shown(&text).0.len(), usize::from(is_in), "{state}");
        }
    }

    #[test]
    fn what_is_no_answer() {
        for text in ["", "<html>", "[]", "{}", r#"{"members": {}}"#, r#"{"members": [{"state": "running"}]}"#]
        {
            assert!(Members::read(text.as_bytes()).is_err(), "{text}");
        }
        assert_eq!(Members::read(br#"{"members": []}"#).unwrap(), Members::default());
    }
}
