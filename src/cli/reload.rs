//! Reading the configuration again while the proxy runs: what can change without dropping a connection changes, and what
//! cannot is said.

use std::sync::Arc;

use super::logging::Filter;
use super::nodes::Followers;
use crate::config::reference::NEEDS_RESTART;
use crate::config::{Adjustment, Mistakes, NotAdjusted, Settings, Sources, load};
use crate::session::{Encryption, Proxy, Unreadable};
use crate::topology;

/// The configuration that is in force, and where it came from.
pub(super) struct Reloader {
    sources: Sources,
    /// What is in force, and what would be after a restart.
    pub(super) settings: Settings,
    filter: Filter,
    followers: Option<Followers>,
}

/// Why a configuration is not taken over.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It has mistakes.
    #[error("{0}")]
    Mistakes(#[from] Mistakes),
    /// Whoever is to name the nodes of a database does not answer.
    #[error("{0}")]
    Nodes(String),
    /// A certificate, a key or a list of certificates cannot be used.
    #[error("{0}")]
    Tls(#[from] Unreadable),
    /// A setting cannot have a value.
    #[error("{0}")]
    Setting(#[from] NotAdjusted),
    /// The log filter cannot be changed.
    #[error("{0}")]
    Filter(String),
}

/// What a reload has done, in sentences.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What has changed.
    pub changed: Vec<String>,
    /// What has not, and needs a restart.
    pub pending: Vec<String>,
}

impl Outcome {
    /// All of it, a line each.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.changed.clone();
        if lines.is_empty() {
            lines.push("nothing has changed".to_owned());
        }
        lines.extend(self.pending.iter().map(|what| format!("{what}: needs a restart")));
        lines
    }
}

impl Reloader {
    pub(super) fn new(sources: Sources, settings: Settings, filter: Filter) -> Self {
        Self { sources, settings, filter, followers: None }
    }

    /// Follows the nodes of every database from now on, beginning with those in these settings.
    pub(super) fn follow(&mut self, proxy: &Arc<Proxy>, settings: &Settings) {
        self.followers = Some(Followers::begin(proxy, settings));
    }

    /// Reads the sources again and goes by them. If they cannot be used nothing changes, and it is returned why. Cancel safe.
    pub(super) async fn reload(&mut self, proxy: &Arc<Proxy>) -> Result<Outcome, Refusal> {
        let new = load(&self.sources)?;
        let encryption = Encryption::read(&new.tls)?;
        let located = topology::located(&new, |database| proxy.nodes_in_use(database)).await;
        let located = located.map_err(Refusal::Nodes)?;
        let mut outcome = Outcome { changed: changes(&self.settings, &new), pending: Vec::new() };
        let endpoint = |settings: &Settings| settings.spans.as_ref().map(|spans| spans.endpoint.clone());
        let sample = |settings: &Settings| settings.spans.as_ref().map(|spans| spans.sample);
        let differ = [
            new.listen != self.settings.listen,
            new.admin != self.settings.admin,
            new.workers != self.settings.workers,
            new.peer_id != self.settings.peer_id,
            new.log_format != self.settings.log_format,
            endpoint(&new) != endpoint(&self.settings),
            sample(&new) != sample(&self.settings),
        ];
        for (name, differs) in NEEDS_RESTART.into_iter().zip(differ) {
            if differs {
                outcome.pending.push(name.to_owned());
            }
        }
        if new.log != self.settings.log {
            match self.filter.change(&new.log) {
                Ok(()) => outcome.changed.push(format!("log: {}", new.log)),
                Err(text) => outcome.pending.push(text),
            }
        }
        for warning in new.warnings.iter().filter(|warning| !self.settings.warnings.contains(warning)) {
            tracing::warn!("{warning}");
        }
        for concern in encryption.concerns() {
            tracing::warn!("{concern}");
        }
        if new.tls == self.settings.tls && encryption.has_other_files_than(&proxy.encryption()) {
            outcome.changed.push("certificates: changed".to_owned());
        }
        proxy.encrypt(encryption);
        self.take_over(proxy, new, &located);
        Ok(outcome)
    }

    /// Gives a setting another value, until the sources are read again. Cancel safe.
    pub(super) async fn adjust(&mut self, proxy: &Arc<Proxy>, wanted: &Adjustment) -> Result<(), Refusal> {
        let mut new = self.settings.clone();
        new.adjust(wanted)?;
        let located = topology::located(&new, |database| proxy.nodes_in_use(database)).await;
        let located = located.map_err(Refusal::Nodes)?;
        if new.log != self.settings.log {
            self.filter.change(&new.log).map_err(Refusal::Filter)?;
        }
        self.take_over(proxy, new, &located);
        Ok(())
    }

    /// Goes by `new` from now on; `located` is the same with the nodes there are.
    fn take_over(&mut self, proxy: &Arc<Proxy>, new: Settings, located: &Settings) {
        proxy.reload(located);
        self.follow(proxy, located);
        // What needs a restart is still what it was.
        let Settings { listen, admin, workers, peer_id, log_format, spans, .. } = self.settings.clone();
        self.settings = Settings { listen, admin, workers, log_format, spans, peer_id, ..new };
        proxy.shows(&self.settings);
    }
}

/// What differs in the databases and in what holds for all of them.
fn changes(before: &Settings, now: &Settings) -> Vec<String> {
    let mut changes = Vec::new();
    let find = |settings: &Settings, name: &str| settings.databases.iter().find(|d| d.name == name).cloned();
    for database in &now.databases {
        match find(before, &database.name) {
            None => changes.push(format!("database {}: added", database.name)),
            Some(before) if before != *database => {
                changes.push(format!("database {}: changed", database.name));
            }
            Some(_) => {}
        }
    }
    let gone = before.databases.iter().filter(|database| find(now, &database.name).is_none());
    changes.extend(gone.map(|database| format!("database {}: removed", database.name)));
    let (was, is) = (&before.admission, &now.admission);
    for (name, differs) in [
        ("log_statements", before.log_statements != now.log_statements),
        ("shutdown_timeout", before.shutdown_timeout != now.shutdown_timeout),
        ("shutdown_delay", before.shutdown_delay != now.shutdown_delay),
        ("upgrade_timeout", before.upgrade_timeout != now.upgrade_timeout),
        ("admin_open", before.admin_open != now.admin_open),
        ("admin_token", before.admin_token != now.admin_token),
        ("console_users", before.console_users != now.console_users),
        ("peers", before.peers != now.peers),
        ("hba_file", before.access != now.access),
        ("authentication_timeout", was.authentication_timeout != is.authentication_timeout),
        ("auth_failure_limit, _window or _delay", was.failures != is.failures),
        ("max_unauthenticated_clients", was.max_unauthenticated_clients != is.max_unauthenticated_clients),
        ("max_connections_per_address", was.max_connections_per_address != is.max_connections_per_address),
        ("TLS towards clients", before.tls != now.tls),
    ] {
        if differs {
            changes.push(format!("{name}: changed"));
        }
    }
    changes
}
