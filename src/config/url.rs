//! Connection URLs, as libpq reads them.
//!
//! <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS>. One rule is stricter: the only
//! bare `@` is the one that ends the credentials. A password with an unencoded `@`, `/` or `?` is then always
//! recognised, instead of being taken for a host and shown in a message.

use percent_encoding::percent_decode_str;
use zeroize::{Zeroize, Zeroizing};

use super::keys::{self, Said};
use super::layer::{DatabaseLayer, NodesLayer, Tuning, UserLayer};
use super::mistake::{Findings, Origin, Problem};
use super::node::{Host, NodeSettings, node, split_port, weight, zone};
use super::notes::Notes;
use super::secret::Secret;
use super::settings::UserTuning;
use super::topology::{PATRONI_PORT, Place};

/// The schemes of PostgreSQL's URLs, and the one in which the hosts are Patroni's.
pub(super) const SCHEMES: [&str; 3] = ["postgres", "postgresql", PATRONI];
const PATRONI: &str = "patroni";
/// What people may write for Patroni by way of TLS.
const ENCRYPTED: [&str; 4] = ["patronis", "patroni+https", "patronis+https", "https"];

/// The pieces of a URL, still percent-encoded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    pub(super) scheme: &'a str,
    pub(super) credentials: Option<(&'a str, Option<&'a str>)>,
    pub(super) hosts: &'a str,
    pub(super) path: Option<&'a str>,
    pub(super) query: Option<&'a str>,
}

/// Cuts a URL into its pieces. The problem shows nothing of the text.
pub(super) fn split(text: &str) -> Result<Parts<'_>, Problem> {
    const FORM: &str = "Write it as postgres://user:password@host:5432/database, without quotation marks";
    let (scheme, rest) = text.split_once("://").ok_or_else(|| Problem::new("it is not a URL", FORM))?;
    if ENCRYPTED.contains(&scheme) {
        return Err(Problem::new(
            "TLS towards Patroni is not available in this version",
            "Reach its REST API over a network you trust, by HTTP, and write patroni://",
        ));
    }
    if !SCHEMES.contains(&scheme) {
        return Err(Problem::new("it is not a URL of PostgreSQL", FORM));
    }
    let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if tail.contains('@') || authority.matches('@').count() > 1 {
        return Err(Problem::new(
            "it has an @ besides the one between password and host",
            "In user, password and parameters, write @ as %40, / as %2F, ? as %3F, : as %3A and % as %25",
        ));
    }
    let (credentials, hosts) = match authority.split_once('@') {
        None => (None, authority),
        Some((login, hosts)) => match login.split_once(':') {
            None => (Some((login, None)), hosts),
            Some((user, password)) => (Some((user, Some(password))), hosts),
        },
    };
    let (path, query) = match tail.split_once('?') {
        None => (tail, None),
        Some((path, query)) => (path, Some(query)),
    };
    Ok(Parts { scheme, credentials, hosts, path: path.strip_prefix('/'), query })
}

/// Whether a URL that can be read has a password in it.
pub(super) fn has_password(text: &str) -> bool {
    let parameter = |query: &str| query.split('&').any(|parameter| parameter.starts_with("password="));
    split(text.trim()).is_ok_and(|parts| {
        parts.credentials.is_some_and(|(_, password)| password.is_some())
            || parts.query.is_some_and(parameter)
    })
}

/// What a URL says, decoded.
#[derive(Clone, Debug)]
pub(super) struct Url {
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) database: Option<String>,
    pub(super) nodes: Vec<NodeSettings>,
    /// What is at these addresses.
    pub(super) place: Place,
    pub(super) tuning: Tuning,
    /// What its parameters say, in which words.
    pub(super) said: Notes,
    /// Whether a piece could not be read, so that its absence is no second mistake.
    pub(super) broken: bool,
}

impl Url {
    /// The layer of settings that this URL is, said at `origin`.
    pub(super) fn into_layer(self, origin: &Origin) -> DatabaseLayer {
        let mut layer = DatabaseLayer::new(origin.clone());
        let Self { user, password, database, nodes, place, tuning, said, broken } = self;
        let mut of_user = Notes::default();
        if password.is_some() {
            of_user.hide("password", origin);
        }
        layer.nodes = (!nodes.is_empty()).then(|| NodesLayer { nodes, place, origin: origin.clone() });
        layer.users.extend(user.map(|name| UserLayer {
            name,
            password,
            tuning: UserTuning::default(),
            limits: Tuning::default(),
            said: of_user,
            origin: origin.clone(),
        }));
        layer.said = said;
        if let Some(name) = &database {
            layer.said.say("dbname", name, origin);
        }
        layer.server_name = database;
        layer.tuning = tuning;
        layer.broken = broken;
        layer
    }
}

/// Reads a URL and notes every mistake in it; `None` if it cannot even be cut into pieces.
pub(super) fn read(text: &str, origin: &Origin, findings: &mut Findings) -> Option<Url> {
    let parts = findings.keep(origin, split(text.trim()))?;
    let mut reader = Reader {
        origin,
        findings,
        raw: Raw::default(),
        tuning: Tuning::default(),
        said: Notes::default(),
        broken: false,
    };
    reader.authority(&parts);
    reader.parameters(parts.query.unwrap_or_default());
    let place = if parts.scheme == PATRONI { Place::Patroni } else { Place::Servers };
    let nodes = reader.nodes(place);
    let Raw { user, password, database, .. } = reader.raw;
    let Reader { tuning, said, broken, .. } = reader;
    Some(Url { user, password, database, nodes, place, tuning, said, broken })
}

/// The words of libpq's connection string that a URL sets.
#[derive(Default)]
struct Raw {
    user: Option<String>,
    password: Option<Secret>,
    database: Option<String>,
    hosts: Vec<(String, String)>,
    other_hosts: Option<String>,
    other_ports: Option<String>,
    weights: Option<String>,
    zones: Option<String>,
}

struct Reader<'a> {
    origin: &'a Origin,
    findings: &'a mut Findings,
    raw: Raw,
    tuning: Tuning,
    said: Notes,
    broken: bool,
}

impl Reader<'_> {
    fn authority(&mut self, parts: &Parts<'_>) {
        if let Some((user, password)) = parts.credentials {
            self.raw.user = self.decoded(user, "user");
            self.raw.password = password.and_then(|password| self.secret(password));
        }
        self.raw.database = parts.path.and_then(|path| self.decoded(path, "database"));
        if parts.hosts.is_empty() {
            return;
        }
        for host in parts.hosts.split(',') {
            let split = split_port(host).map(|(host, port)| (host, port.to_owned()));
            let pair = split.and_then(|(host, port)| Ok((decode(host)?.to_string(), port)));
            match self.findings.keep(&self.origin.inside("host"), pair) {
                Some(pair) => self.raw.hosts.push(pair),
                None => self.broken = true,
            }
        }
    }

    fn parameters(&mut self, query: &str) {
        let mut seen: Vec<String> = Vec::new();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let pair = parameter
                .split_once('=')
                .and_then(|(key, value)| Some((decode(key).ok()?.to_string(), value)));
            // A key with anything else in it may be a piece of a password, so it is not shown.
            let Some((key, value)) = pair.filter(|(key, _)| keys::is_plain(key)) else {
                let advice =
                    "Write parameters as name=value, joined by &; in a password, write ? as %3F and & as %26";
                self.mistake(Problem::new("a parameter is not written as name=value", advice));
                continue;
            };
            if seen.contains(&key) {
                self.mistake(Problem::new(format!("the parameter {key} is given twice"), "Give it once"));
                continue;
            }
            if key == "password" {
                self.password(value);
            } else if let Some(value) = self.decoded(value, &key) {
                self.parameter(&key, value);
            }
            seen.push(key);
        }
    }

    /// The password, where it is a parameter.
    fn password(&mut self, text: &str) {
        let Some(password) = self.secret(text) else { return };
        if self.raw.password.as_ref().is_some_and(|known| *known != password) {
            self.mistake(given_twice("password"));
        } else {
            self.raw.password = Some(password);
        }
    }

    fn parameter(&mut self, key: &str, value: String) {
        let slot = match key {
            "user" => &mut self.raw.user,
            "dbname" => &mut self.raw.database,
            "host" => &mut self.raw.other_hosts,
            "port" => &mut self.raw.other_ports,
            "tidegate_weight" => &mut self.raw.weights,
            "tidegate_zone" => &mut self.raw.zones,
            _ => return self.tune(key, &value),
        };
        if slot.as_ref().is_some_and(|known| *known != value) {
            self.mistake(given_twice(key));
        } else {
            *slot = Some(value).filter(|value| !value.is_empty());
        }
    }

    fn tune(&mut self, key: &str, value: &str) {
        let origin = self.origin.inside(key);
        match keys::set_from_url(&mut self.tuning, key, value) {
            Said::Understood(result) => {
                self.findings.keep(&origin, result);
                self.said.say(keys::in_file(key), value, &origin);
            }
            Said::Ignored(why) => self.findings.warn(&origin, format_args!("ignored, {why}")),
        }
    }

    /// The nodes by libpq's rules: `host=` replaces the hosts before it, and so does `port=` with the ports.
    fn nodes(&mut self, place: Place) -> Vec<NodeSettings> {
        let mut pairs = std::mem::take(&mut self.raw.hosts);
        if let Some(hosts) = self.raw.other_hosts.take() {
            if pairs.iter().any(|(host, _)| host != "localhost") {
                self.findings
                    .warn(self.origin, "the hosts after host= replace those before the question mark");
            }
            let ports: Vec<String> = pairs.into_iter().map(|(_, port)| port).collect();
            pairs = hosts.split(',').map(|host| (host.trim().to_owned(), String::new())).collect();
            if ports.len() == 1 || ports.len() == pairs.len() {
                let spread = ports.iter().cycle();
                pairs.iter_mut().zip(spread).for_each(|(pair, port)| pair.1.clone_from(port));
            }
        }
        if let Some(ports) = self.raw.other_ports.take() {
            let ports: Vec<&str> = ports.split(',').map(str::trim).collect();
            if ports.len() == 1 || ports.len() == pairs.len() {
                pairs
                    .iter_mut()
                    .zip(ports.iter().cycle())
                    .for_each(|(pair, port)| (*port).clone_into(&mut pair.1));
            } else {
                let problem = format!("{} ports are given for {} hosts", ports.len(), pairs.len());
                self.mistake(Problem::new(problem, "Give one port for all hosts, or one for each"));
            }
        }
        let mut nodes = Vec::with_capacity(pairs.len());
        for (host, port) in pairs {
            let node = match place {
                Place::Servers => node(&host, &port),
                Place::Patroni => patroni(&host, &port),
            };
            match self.findings.keep(&self.origin.inside("host"), node) {
                Some(node) => nodes.push(node),
                None => self.broken = true,
            }
        }
        if !self.broken {
            let (weights, zones) = (self.raw.weights.take(), self.raw.zones.take());
            let set_weight = |node: &mut NodeSettings, text: &str| {
                node.weight = weight(text)?;
                Ok(())
            };
            let set_zone = |node: &mut NodeSettings, text: &str| {
                node.zone = Some(zone(text)?);
                Ok(())
            };
            self.each("tidegate_weight", weights, &mut nodes, set_weight);
            self.each("tidegate_zone", zones, &mut nodes, set_zone);
        }
        nodes
    }

    /// What is said of the nodes: once for all, or of each, in their order. Of one of them nothing may be said.
    fn each(
        &mut self,
        name: &str,
        said: Option<String>,
        nodes: &mut [NodeSettings],
        set: impl Fn(&mut NodeSettings, &str) -> Result<(), Problem>,
    ) {
        let said = said.unwrap_or_default();
        let said: Vec<&str> = said.split(',').map(str::trim).collect();
        if said.len() != 1 && said.len() != nodes.len() {
            let problem = format!("{} of it are given for {} hosts", said.len(), nodes.len());
            let advice = "Give one for all hosts, or one for each";
            return self.findings.mistake(&self.origin.inside(name), Problem::new(problem, advice));
        }
        for (node, text) in nodes.iter_mut().zip(said.iter().cycle()).filter(|(_, text)| !text.is_empty()) {
            self.findings.keep(&self.origin.inside(name), set(node, text));
        }
    }

    fn mistake(&mut self, problem: Problem) {
        self.findings.mistake(self.origin, problem);
    }

    /// A password, decoded; `None` if there is none or it cannot be decoded.
    fn secret(&mut self, text: &str) -> Option<Secret> {
        let decoded = self.findings.keep(&self.origin.inside("password"), decode(text));
        self.broken |= decoded.is_none();
        decoded.map(Secret::from).filter(|password| !password.is_empty())
    }

    /// The decoded text; `None` if there is nothing or it cannot be decoded.
    fn decoded(&mut self, text: &str, what: &str) -> Option<String> {
        let decoded = self.findings.keep(&self.origin.inside(what), decode(text));
        self.broken |= decoded.is_none();
        decoded
            .map(|text| text.to_string())
            .filter(|text| !text.is_empty() || !matches!(what, "user" | "database"))
    }
}

/// An address of Patroni's REST API.
fn patroni(host: &str, port: &str) -> Result<NodeSettings, Problem> {
    let node = node(host, if port.is_empty() { PATRONI_PORT } else { port })?;
    match node.host {
        Host::Tcp(_) => Ok(node),
        Host::Unix(_) => Err(Problem::new(
            "Patroni is not asked by a Unix socket",
            "Write the name or the address on which its REST API listens, as patroni1:8008",
        )),
    }
}

fn given_twice(key: &str) -> Problem {
    let problem = format!("the {key} is given twice, before the question mark and after it");
    Problem::new(problem, "Give it once")
}

/// Undoes percent-encoding. The problem shows nothing of the text, and no copy of what was decoded stays behind.
fn decode(text: &str) -> Result<Zeroizing<String>, Problem> {
    let mut pieces = text.split('%');
    pieces.next();
    if !pieces.all(|piece| piece.len() >= 2 && piece.bytes().take(2).all(|byte| byte.is_ascii_hexdigit())) {
        return Err(Problem::new("a % is not followed by two hexadecimal digits", "Write % itself as %25"));
    }
    // What is decoded is never longer: a vector that must grow would leave what it held in its former memory.
    let mut bytes = Vec::with_capacity(text.len());
    bytes.extend(percent_decode_str(text));
    match String::from_utf8(bytes).map(Zeroizing::new) {
        Ok(text) if text.contains('\0') => {
            Err(Problem::new("it contains %00", "PostgreSQL knows no zero bytes in text"))
        }
        Ok(text) => Ok(text),
        Err(error) => {
            error.into_bytes().zeroize();
            Err(Problem::new("it is not UTF-8 once it is decoded", "Encode the bytes of its UTF-8 form"))
        }
    }
}
