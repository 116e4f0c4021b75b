//! The settings of the whole proxy, as one source says them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::admin::{self, AdminOpen};
use super::admission::authentication_timeout;
use super::endpoint::{self, Endpoint, Share};
use super::layer::layer;
use super::listen::{ListenAddress, parse_listen, parse_tcp};
use super::mistake::{Problem, quoted};
use super::node::zone;
use super::peers::{PeerId, PeerSettings, parse_id, parse_peer};
use super::secret::Secret;
use super::settings::LogFormat;
use super::suggest::nearest;
use super::tls::{SniLayer, Ssl, TlsVersion, path};
use super::value::{count, duration, positive_duration, switch, word};

/// Where the admin console is, or that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admin {
    Off,
    At(SocketAddr),
}

layer! {
    /// What can be said about the whole proxy.
    pub(super) struct TopLayer {
        listen: Vec<ListenAddress>,
        admin: Admin,
        admin_open: AdminOpen,
        admin_token: Secret,
        workers: usize,
        locality: String,
        log: String,
        log_format: LogFormat,
        log_statements: bool,
        // Nothing stands for "off".
        otlp_endpoint: Option<Endpoint>,
        trace_sample: Share,
        shutdown_timeout: Duration,
        console_users: Vec<String>,
        console_password: Secret,
        shutdown_delay: Duration,
        upgrade_timeout: Duration,
        peer_id: PeerId,
        peers: Vec<PeerSettings>,
        ssl: Ssl,
        ssl_cert_file: PathBuf,
        ssl_key_file: PathBuf,
        ssl_ca_file: PathBuf,
        ssl_crl_file: PathBuf,
        ssl_min_protocol_version: TlsVersion,
        sni: Vec<SniLayer>,
        hba_file: PathBuf,
        ident_file: PathBuf,
        authentication_timeout: Duration,
        // Zero stands for "any number" in these.
        auth_failure_limit: usize,
        max_connections_per_address: usize,
        auth_failure_window: Duration,
        auth_failure_delay: Duration,
        max_unauthenticated_clients: usize,
    }
}

/// The keys of a file that [`TopLayer::set`] understands.
pub(super) const KEYS: [&str; 29] = [
    "listen",
    "admin",
    "admin_open",
    "workers",
    "locality",
    "log",
    "log_format",
    "log_statements",
    "otlp_endpoint",
    "trace_sample",
    "shutdown_timeout",
    "shutdown_delay",
    "upgrade_timeout",
    "console_users",
    "peer_id",
    "ssl",
    "ssl_cert_file",
    "ssl_key_file",
    "ssl_ca_file",
    "ssl_crl_file",
    "ssl_min_protocol_version",
    "hba_file",
    "ident_file",
    "authentication_timeout",
    "auth_failure_limit",
    "auth_failure_window",
    "auth_failure_delay",
    "max_unauthenticated_clients",
    "max_connections_per_address",
];

/// The keys of a file that [`TopLayer::set_secret`] understands; with `_file` behind them they name a file.
pub(super) const SECRETS: [&str; 2] = ["console_password", "admin_token"];

/// Those of [`KEYS`] that can be lists; each value is set for itself.
pub(super) const LISTS: [&str; 2] = ["listen", "console_users"];

impl TopLayer {
    /// Sets what `key`, one of [`KEYS`], says. What can be a list comes one at a time.
    pub(super) fn set(&mut self, key: &str, value: &str) -> Result<(), Problem> {
        match key {
            "listen" => {
                let address = parse_listen(value)?;
                let known = self.listen.get_or_insert_default();
                if known.contains(&address) {
                    return Err(Problem::new(
                        format!("the address {address} is given twice"),
                        "Give it once",
                    ));
                }
                known.push(address);
            }
            "admin" if value == "off" => self.admin = Some(Admin::Off),
            "admin" => self.admin = Some(Admin::At(parse_tcp(value, 6433)?)),
            "admin_open" => self.admin_open = Some(word(value)?),
            "workers" => self.workers = Some(count(value, 1, 1024)?),
            "locality" => self.locality = Some(zone(value)?),
            "log" => self.log = Some(filter(value)?),
            "log_format" => self.log_format = Some(word(value)?),
            "otlp_endpoint" => self.otlp_endpoint = Some(endpoint::read(value)?),
            "trace_sample" => self.trace_sample = Some(endpoint::share(value)?),
            "log_statements" => self.log_statements = Some(switch(value)?),
            "shutdown_timeout" => self.shutdown_timeout = Some(duration(value)?),
            "console_users" => {
                let known = self.console_users.get_or_insert_default();
                if value.is_empty() || known.iter().any(|name| name == value) {
                    return Err(Problem::new(
                        format!("{} is no name, or is given twice", quoted(value)),
                        "Name each user once",
                    ));
                }
                known.push(value.to_owned());
            }
            "shutdown_delay" => self.shutdown_delay = Some(duration(value)?),
            "upgrade_timeout" => self.upgrade_timeout = Some(duration(value)?),
            "peer_id" => self.peer_id = Some(parse_id(value)?),
            "ssl" => self.ssl = Some(word(value)?),
            "ssl_cert_file" => self.ssl_cert_file = Some(path(value)?),
            "ssl_key_file" => self.ssl_key_file = Some(path(value)?),
            "ssl_ca_file" => self.ssl_ca_file = Some(path(value)?),
            "ssl_crl_file" => self.ssl_crl_file = Some(path(value)?),
            "ssl_min_protocol_version" => self.ssl_min_protocol_version = Some(word(value)?),
            "hba_file" => self.hba_file = Some(path(value)?),
            "ident_file" => self.ident_file = Some(path(value)?),
            "authentication_timeout" => self.authentication_timeout = Some(authentication_timeout(value)?),
            "auth_failure_limit" => self.auth_failure_limit = Some(count(value, 0, 1_000_000)?),
            "auth_failure_window" => self.auth_failure_window = Some(positive_duration(value)?),
            "auth_failure_delay" => self.auth_failure_delay = Some(duration(value)?),
            "max_unauthenticated_clients" => {
                self.max_unauthenticated_clients = Some(count(value, 1, 1_000_000)?);
            }
            "max_connections_per_address" => {
                self.max_connections_per_address = Some(count(value, 0, 1_000_000)?);
            }
            _ => return Err(super::keys::unknown("setting", key, KEYS)),
        }
        Ok(())
    }
}

impl TopLayer {
    /// Sets the secret that `key`, one of [`SECRETS`], says; one that is empty is none.
    pub(super) fn set_secret(&mut self, key: &str, secret: Secret) -> Result<(), Problem> {
        let (slot, secret) = match key {
            "console_password" => (&mut self.console_password, secret),
            "admin_token" if secret.is_empty() => return Ok(()),
            "admin_token" => (&mut self.admin_token, admin::token(secret)?),
            _ => return Err(super::keys::unknown("setting", key, SECRETS)),
        };
        if slot.is_some() {
            return Err(Problem::new(format!("both {key} and {key}_file are given"), "Give one of the two"));
        }
        *slot = Some(secret).filter(|secret| !secret.is_empty());
        Ok(())
    }

    /// Adds one of the peers.
    pub(super) fn add_peer(&mut self, number: &str, address: &str) -> Result<(), Problem> {
        let peer = parse_peer(number, address)?;
        let known = self.peers.get_or_insert_default();
        if known.iter().any(|other| other.id == peer.id) {
            return Err(Problem::new(format!("the number {} is given twice", peer.id), "Give it once"));
        }
        known.push(peer);
        Ok(())
    }
}

/// Checks a log filter. A lone misspelt level would otherwise be taken for the name of a module.
pub(super) fn filter(text: &str) -> Result<String, Problem> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    const ADVICE: &str =
        "Write a level (off, error, warn, info, debug, trace) or target=level, joined by commas";
    let lowered = text.trim().to_ascii_lowercase();
    let misspelt = !LEVELS.contains(&lowered.as_str()) && nearest(&lowered, LEVELS).is_some();
    if misspelt || lowered.is_empty() || EnvFilter::try_new(text).is_err() {
        let advice = match nearest(&lowered, LEVELS) {
            Some(near) => format!("Did you mean {near}?"),
            None => ADVICE.to_owned(),
        };
        return Err(Problem::new(format!("{} is not a log filter", quoted(text)), advice));
    }
    Ok(text.trim().to_owned())
}
