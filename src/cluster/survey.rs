//! One look at every node, before the proxy starts or for `tidegate check`.

use std::time::{Duration, Instant};

use super::identity::OLDEST_VERSION;
use super::{Control, Identity, ProbeError, probe};
use crate::config::{DatabaseSettings, NodeSettings, NodeSource, Role};
use crate::server::Attempt;

/// What one node said, or why it said nothing.
#[derive(Debug)]
pub struct Finding {
    /// The node.
    pub node: NodeSettings,
    /// Who it is.
    pub answer: Result<Identity, ProbeError>,
}

impl Finding {
    /// Why the node cannot be used, and what to do about it; `None` if it has answered.
    pub fn trouble(&self, settings: &DatabaseSettings) -> Option<String> {
        let user = settings.users.first().map_or("", |user| user.name.as_str());
        let attempt = Attempt { user, database: &settings.server_name };
        self.answer.as_ref().err().map(|error| error.with_advice(attempt))
    }
}

/// What all nodes of one database said at about the same time.
#[derive(Debug)]
pub struct Survey {
    /// A finding per node, in the order of the configuration.
    pub findings: Vec<Finding>,
}

impl Survey {
    /// Looks at every node at once.
    pub async fn take(settings: &DatabaseSettings) -> Self {
        let control = Control::new(settings);
        let tasks: Vec<_> =
            settings.nodes.iter().map(|n| tokio::spawn(look(control.clone(), n.clone()))).collect();
        let mut findings = Vec::new();
        for (task, node) in tasks.into_iter().zip(&settings.nodes) {
            let answer = match task.await {
                Ok(answer) => answer,
                Err(_) => Err(ProbeError::Timeout(settings.pool.connect_timeout)),
            };
            findings.push(Finding { node: node.clone(), answer });
        }
        Self { findings }
    }

    /// Looks again and again until there is a primary, or `settings.startup_timeout` is over.
    pub async fn take_patiently(settings: &DatabaseSettings) -> Self {
        let until = Instant::now() + settings.startup_timeout;
        loop {
            let survey = Self::take(settings).await;
            if survey.primaries().count() > 0 || Instant::now() >= until {
                return survey;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// The nodes that take writes.
    pub fn primaries(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|f| f.answer.as_ref().is_ok_and(|id| !id.in_recovery))
    }

    /// What keeps the database from being served at all, in words; empty when it can be.
    pub fn faults(&self, settings: &DatabaseSettings) -> Vec<String> {
        let name = &settings.name;
        let mut faults = Vec::new();
        if self.findings.iter().all(|f| f.answer.is_err()) {
            let each = self
                .findings
                .iter()
                .filter_map(|f| Some(format!("\n  {}: {}", f.node, f.trouble(settings)?)));
            faults.push(format!("database {name}: no node can be used:{}", each.collect::<String>()));
        }
        let mut systems: Vec<_> =
            self.primaries().filter_map(|f| Some(&f.answer.as_ref().ok()?.system)).collect();
        systems.sort();
        systems.dedup();
        if systems.len() > 1 {
            let primaries: Vec<_> = self.primaries().map(|f| f.node.to_string()).collect();
            let list = primaries.join(" and ");
            faults.push(format!(
                "database {name}: {list} are primaries of different clusters (system identifiers). \
                 Which one is meant is not clear: remove those that are not"
            ));
        }
        faults
    }

    /// What keeps no node from being used, but less is done than could be or was asked for, in words.
    pub fn concerns(&self, settings: &DatabaseSettings) -> Vec<String> {
        let (name, mut concerns) = (&settings.name, Vec::new());
        let user = settings.users.first().map_or("", |user| user.name.as_str());
        let is_named = matches!(settings.topology.source, NodeSource::Hosts(_));
        let discovers = settings.topology.discovery.is_some();
        if is_named && !discovers && settings.nodes.len() == 1 && self.primaries().next().is_some() {
            concerns.push(format!(
                "database {name}: there is no replica, so all reads go to the primary. Name the replicas beside it \
                 (postgres://…@pg1,pg2,pg3/…), or say discover_replicas"
            ));
        }
        let mut seen = self.findings.iter().filter_map(|f| f.answer.as_ref().ok());
        if discovers && seen.any(|identity| !identity.shows_timeline) {
            concerns.push(format!(
                "database {name}: discover_replicas finds nothing, because {user} may not see who streams from a node. \
                 GRANT pg_monitor TO {user} lets it"
            ));
        }
        concerns
    }

    /// What is not as it should be and keeps nodes from being used, in words. The others serve.
    pub fn oddities(&self, settings: &DatabaseSettings) -> Vec<String> {
        let name = &settings.name;
        let mut oddities = Vec::new();
        let primaries: Vec<_> = self.primaries().map(|f| f.node.to_string()).collect();
        if primaries.len() > 1 {
            let list = primaries.join(" and ");
            oddities.push(format!(
                "database {name}: {list} are all primaries; the one on the highest timeline is used, and if that is more \
                 than one, nothing is written. Make the others replicas, or remove them"
            ));
        }
        let systems: Vec<_> = self.findings.iter().filter_map(|f| f.answer.as_ref().ok()).collect();
        if let Some(first) = systems.first()
            && systems.iter().any(|id| id.system != first.system)
        {
            oddities.push(format!(
                "database {name}: the nodes have different system identifiers, so they are not one cluster; those that are \
                 not of the primary's are not used. Compare `tidegate check` node by node"
            ));
        }
        oddities.extend(self.findings.iter().filter_map(|f| fault(name, f)));
        oddities
    }
}

/// What is wrong with one node that answered.
fn fault(database: &str, finding: &Finding) -> Option<String> {
    let identity = finding.answer.as_ref().ok()?;
    let node = &finding.node;
    if identity.version < OLDEST_VERSION {
        let version = &identity.version_text;
        return Some(format!(
            "database {database}: {node} runs PostgreSQL {version}; 13 or newer is needed. Upgrade it, or leave it out"
        ));
    }
    let (is, declared) = match (node.declared?, identity.in_recovery) {
        (Role::Primary, true) => ("a replica", "a primary"),
        (Role::Replica, false) => ("a primary", "a replica"),
        _ => return None,
    };
    Some(format!(
        "database {database}: {node} is declared to be {declared}, but it is {is}. Declare the others as they are, or leave it to \
         be found out (--url, nodes without role)"
    ))
}

async fn look(control: Control, node: NodeSettings) -> Result<Identity, ProbeError> {
    Ok(probe(&control, &node).await?.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Given, Secret, Sources, load};
    use crate::freshness::Lsn;

    #[test]
    fn what_is_too_old_is_told() {
        let url = Some(Secret::new("postgres://app:secret@pg1/app"));
        let flags = Given { url, ..Given::default() };
        let settings =
            load(&Sources { flags, ..Sources::default() }).expect("it is right").databases.remove(0);
        let identity = |version: u32, text: &str| Identity {
            in_recovery: false,
            system: "1".to_owned(),
            timeline: 1,
            shows_timeline: true,
            position: Lsn(1),
            version,
            version_text: text.to_owned(),
            async_commit: false,
            serializable: false,
        };
        for (version, text, is_old) in [(120_022, "12.22", true), (130_000, "13.0", false)] {
            let node = settings.nodes[0].clone();
            let survey = Survey { findings: vec![Finding { node, answer: Ok(identity(version, text)) }] };
            let oddities = survey.oddities(&settings);
            assert_eq!(
                oddities.iter().any(|oddity| oddity.contains("13 or newer is needed. Upgrade it")),
                is_old,
                "{oddities:?}"
            );
        }
    }
}
