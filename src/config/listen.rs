//! The addresses on which clients are accepted.

use std::fmt;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::mistake::{Problem, quoted};
use super::node::parse_port;
use super::settings::DEFAULT_LISTEN;

/// Longest name of a Unix socket, in bytes: `sun_path` has 108, and the last one is NUL.
/// <https://man7.org/linux/man-pages/man7/unix.7.html>
const LONGEST_SOCKET_NAME: usize = 107;

/// Where clients are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// An IP address and a port; port 0 means any free port.
    Tcp(SocketAddr),
    /// A Unix socket, named as libpq looks for it: `.s.PGSQL.<port>` in the directory.
    Unix {
        /// The directory, which must be there.
        directory: PathBuf,
        /// The number in the socket's name, never 0.
        port: u16,
    },
}

impl ListenAddress {
    /// Its address, if it is one of TCP.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix { .. } => None,
        }
    }

    /// Whether it takes clients from other machines.
    pub(super) fn is_open_to_others(&self) -> bool {
        self.tcp().is_some_and(|address| !address.ip().is_loopback())
    }

    /// Whether one socket takes the port from the other.
    pub(super) fn clashes_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(a), Self::Tcp(b)) => clash(a, b),
            _ => self == other,
        }
    }
}

/// Whether one socket takes the port from the other.
pub(super) fn clash(a: &SocketAddr, b: &SocketAddr) -> bool {
    let any = a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || (any && a.is_ipv4() == b.is_ipv4()))
}

/// `127.0.0.1:6432`, `[::1]:6432`, `/run/tidegate:6432`.
impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix { directory, port } => write!(f, "{}:{port}", directory.display()),
        }
    }
}

/// The socket that libpq looks for in a directory.
/// <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-HOST>
pub fn socket_path(directory: &Path, port: u16) -> PathBuf {
    directory.join(format!(".s.PGSQL.{port}"))
}

/// `ip:port`, `/directory:port` or `/directory`.
pub(super) fn parse_listen(text: &str) -> Result<ListenAddress, Problem> {
    let text = text.trim();
    if text.starts_with('/') {
        return parse_unix(text);
    }
    let problem =
        |problem: Problem| problem.or_write("/run/tidegate:6432 for a Unix socket in that directory");
    parse_tcp(text, DEFAULT_LISTEN.port()).map(ListenAddress::Tcp).map_err(problem)
}

/// `ip:port`; the port given is the one that advice shows.
pub(super) fn parse_tcp(text: &str, port: u16) -> Result<SocketAddr, Problem> {
    text.trim().parse().map_err(|_| {
        Problem::new(
            format!("{} is not an IP address with a port", quoted(text)),
            format!("Write 127.0.0.1:{port} for this machine only, 0.0.0.0:{port} or [::]:{port} for every interface"),
        )
    })
}

fn parse_unix(text: &str) -> Result<ListenAddress, Problem> {
    let (directory, port) = match text.rsplit_once(':') {
        None => (text, Some(DEFAULT_LISTEN.port())),
        Some((directory, "")) => (directory, None),
        Some((directory, port)) => (directory, parse_port(port)),
    };
    let port = port.ok_or_else(|| {
        let problem = format!("the port in {} is not a number from 1 to 65535", quoted(text));
        Problem::new(problem, "Write it as /run/tidegate:6432; it is the number in the socket's name")
    })?;
    // Slashes too many are left out, so that one directory has one name.
    let directory: PathBuf = Path::new(directory).components().collect();
    let length = socket_path(&directory, port).as_os_str().as_bytes().len();
    if length > LONGEST_SOCKET_NAME {
        let problem = format!(
            "the socket in {} would have a name of {length} bytes, and the system allows {LONGEST_SOCKET_NAME}",
            quoted(text)
        );
        return Err(Problem::new(problem, "Choose a directory with a shorter name"));
    }
    Ok(ListenAddress::Unix { directory, port })
}

/// A directory that is not there is a mistake like any other, told with them and not after the servers were asked.
pub(super) fn check_directory(address: &ListenAddress) -> Result<(), Problem> {
    match address {
        ListenAddress::Unix { directory, .. } if !directory.is_dir() => Err(Problem::new(
            format!("there is no directory {}", quoted(&directory.to_string_lossy())),
            "Create it, so that the user Tidegate runs as may write into it",
        )),
        _ => Ok(()),
    }
}
