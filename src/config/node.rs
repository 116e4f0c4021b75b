//! The addresses of servers.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use super::mistake::{Problem, may_hold_password, quoted};
use super::value::count;
use crate::sql::words::words;

/// PostgreSQL's port where none is given.
pub(super) const DEFAULT_PORT: u16 = 5432;
/// What a replica weighs of which nothing is said.
pub const DEFAULT_WEIGHT: u32 = 1;
const MOST_WEIGHT: usize = 1000;

/// One server of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeSettings {
    /// The machine, or the directory of its Unix socket.
    pub host: Host,
    /// The TCP port, or the number in the socket's file name.
    pub port: u16,
    /// Which of the host's addresses it is; `None` means whatever its name leads to.
    pub address: Option<Address>,
    /// The role that the configuration says it has; `None` means found out by asking the node.
    pub declared: Option<Role>,
    /// How much of the reads is for it while it is a replica, beside the weights of the others; 0: none, ever.
    pub weight: u32,
    /// Where it is, if that was said.
    pub zone: Option<String>,
    /// Whether that is where the proxy is.
    pub is_near: bool,
}

/// One address of a host whose name was looked up ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// It was the only one when it was seen first; the host's name is enough to tell it by.
    Sole(IpAddr),
    /// There were others.
    Among(IpAddr),
}

impl Address {
    /// The address.
    pub fn ip(self) -> IpAddr {
        match self {
            Self::Sole(ip) | Self::Among(ip) => ip,
        }
    }
}

impl NodeSettings {
    /// A server reached by TCP; `None` if that is no name or address of a host.
    pub fn tcp(host: &str, port: u16) -> Option<Self> {
        let host = parse_host(host).ok().filter(|host| matches!(host, Host::Tcp(_)))?;
        Some(Self::at(host, port))
    }

    /// A server of which nothing more is said.
    fn at(host: Host, port: u16) -> Self {
        Self { host, port, address: None, declared: None, weight: DEFAULT_WEIGHT, zone: None, is_near: false }
    }

    /// What to connect to: the one address that is meant, where there is one.
    pub fn reach(&self) -> Host {
        match self.address {
            Some(address) => Host::Tcp(address.ip().to_string()),
            None => self.host.clone(),
        }
    }

    /// Its IP address, where that is known without asking.
    pub fn ip(&self) -> Option<IpAddr> {
        match (&self.host, self.address) {
            (_, Some(address)) => Some(address.ip()),
            (Host::Tcp(name), None) => name.split('%').next()?.parse().ok(),
            (Host::Unix(_), None) => None,
        }
    }
}

/// How a server is reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A host name or IP address (IPv6 without brackets).
    Tcp(String),
    /// The directory that holds the socket `.s.PGSQL.<port>`.
    Unix(PathBuf),
}

words! {
    /// What a server is in its cluster.
    pub enum Role {
        /// It takes writes.
        Primary = "primary",
        /// It replays what the primary wrote.
        Replica = "replica",
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(name) if name.contains(':') => write!(f, "[{name}]"),
            Self::Tcp(name) => f.write_str(name),
            Self::Unix(directory) => write!(f, "{}", directory.display()),
        }
    }
}

/// `pg1:5432`, `[::1]:5432`, `/var/run/postgresql:5432`, and `pg[10.0.0.5]:5432` for one of several addresses.
impl fmt::Display for NodeSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(Address::Among(ip)) => write!(f, "{}[{ip}]:{}", self.host, self.port),
            _ => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// A node from its decoded host and its port as it was written. An empty port is PostgreSQL's.
pub(super) fn node(host: &str, port: &str) -> Result<NodeSettings, Problem> {
    let host = parse_host(host)?;
    let port = parse_port(port).ok_or_else(|| {
        // What stands in the place of a port may be half a password, so it is not shown.
        Problem::new(
            format!("the port of host {host} is not a number from 1 to 65535"),
            "Write it as host:5432",
        )
    })?;
    Ok(NodeSettings::at(host, port))
}

/// How much of the reads a replica gets, beside the others.
pub(super) fn weight(text: &str) -> Result<u32, Problem> {
    Ok(u32::try_from(count(text, 0, MOST_WEIGHT)?).unwrap_or(DEFAULT_WEIGHT))
}

/// The name of a place: a zone, a rack, a region.
pub(super) fn zone(text: &str) -> Result<String, Problem> {
    let is_name = (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'/'));
    if is_name {
        return Ok(text.to_owned());
    }
    Err(Problem::new(
        format!("{} is not the name of a zone", quoted(text)),
        "Write at most 64 letters, digits and . - _ /, such as eu-west-1a",
    ))
}

/// `host`, `host:port`, `[ipv6]:port` or `/socket/directory:port`, not percent-encoded.
pub(super) fn parse_address(text: &str) -> Result<NodeSettings, Problem> {
    if may_hold_password(text) {
        return Err(Problem::new(
            format!("{} is not the address of a server", quoted(text)),
            "Write host:port only, and the user under [database.NAME.user.USER]",
        ));
    }
    let (host, port) = split_port(text)?;
    node(host, port)
}

/// Splits `host:port`; the brackets of an IPv6 address are left out. The port is empty where there is none.
pub(super) fn split_port(text: &str) -> Result<(&str, &str), Problem> {
    if let Some(rest) = text.strip_prefix('[') {
        return match rest.split_once(']') {
            Some((host, "")) => Ok((host, "")),
            Some((host, rest)) if rest.starts_with(':') => Ok((host, &rest[1..])),
            _ => Err(Problem::new("an IPv6 address is not closed properly", "Write it as [::1]:5432")),
        };
    }
    match text.rsplit_once(':') {
        None => Ok((text, "")),
        Some((host, _)) if host.contains(':') => Err(Problem::new(
            "a host has more than one colon",
            "Write an IPv6 address in brackets, as [::1]:5432",
        )),
        Some(parts) => Ok(parts),
    }
}

fn parse_host(host: &str) -> Result<Host, Problem> {
    if host.is_empty() {
        return Err(Problem::new(
            "a host is empty",
            "Name every host; to reach one on this machine, write localhost",
        ));
    }
    if host.starts_with('/') {
        return Ok(Host::Unix(PathBuf::from(host)));
    }
    let address = host.split('%').next().unwrap_or(host);
    let valid = if host.contains(':') {
        address.parse::<Ipv6Addr>().is_ok()
    } else {
        host.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_'))
    };
    if valid {
        Ok(Host::Tcp(host.to_ascii_lowercase()))
    } else {
        Err(Problem::new(
            "a host is neither a name, nor an IP address, nor the absolute path of a socket directory",
            "Write it as pg1, 192.0.2.1, [::1] or %2Fvar%2Frun%2Fpostgresql",
        ))
    }
}

/// A port as it was written; an empty one is PostgreSQL's.
pub(super) fn parse_port(port: &str) -> Option<u16> {
    if port.is_empty() {
        return Some(DEFAULT_PORT);
    }
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    port.parse().ok().filter(|&number| digits && number != 0)
}
