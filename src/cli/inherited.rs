//! Listening sockets that were open before this process began: from systemd (`LISTEN_FDS`) or from the process whose
//! place it takes.

use std::env;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;

use crate::net::handover::{Offer, Origin, Purpose};

/// The name (`FileDescriptorName=`) of the socket that is the admin address.
const ADMIN: &str = "admin";

/// TCP sockets of one address.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) address: SocketAddr,
    pub(super) origin: Origin,
    pub(super) sockets: Vec<TcpListener>,
}

/// A Unix socket.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) path: PathBuf,
    pub(super) origin: Origin,
    pub(super) socket: UnixListener,
    /// The file that is locked for the name, if it is ours.
    pub(super) lock: Option<OwnedFd>,
}

/// What was open before, by what it is for.
#[derive(Debug, Default)]
pub(super) struct Inherited {
    tcp: Vec<Group>,
    unix: Vec<Named>,
    admin: Vec<Group>,
}

impl Inherited {
    /// Sockets that systemd hands over, as
    /// [sd_listen_fds(3)](https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html) says. The error
    /// says what cannot be used. To be asked before there are threads.
    pub(super) fn from_environment() -> Result<Self, String> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut fds = ListenFd::from_env();
        let mut offers = Vec::new();
        for index in 0..fds.len() {
            let name = names.next().unwrap_or_default();
            let offer = take(&mut fds, index, name).map_err(|error| {
                format!("socket {index} that was handed over (LISTEN_FDS) cannot be used: {error}")
            })?;
            offers.push(offer);
        }
        Self::sort(offers)
    }

    /// Sorts what was handed over.
    pub(super) fn sort(offers: Vec<Offer>) -> Result<Self, String> {
        let mut inherited = Self::default();
        for offer in offers {
            inherited.add(offer).map_err(|error| format!("a socket that was handed over: {error}"))?;
        }
        Ok(inherited)
    }

    fn add(&mut self, Offer { purpose, origin, socket, lock }: Offer) -> io::Result<()> {
        let groups = match purpose {
            Purpose::Unix => {
                let socket = UnixListener::from(socket);
                socket.set_nonblocking(true)?;
                let path = socket.local_addr()?.as_pathname().map(Path::to_owned);
                let path =
                    path.ok_or_else(|| io::Error::other("a Unix socket without a name in the file system"))?;
                self.unix.push(Named { path, origin, socket, lock });
                return Ok(());
            }
            Purpose::Tcp => &mut self.tcp,
            Purpose::Admin => &mut self.admin,
        };
        let socket = TcpListener::from(socket);
        socket.set_nonblocking(true)?;
        // Accepted sockets inherit it; whoever has opened this one may not have thought of it.
        socket2::SockRef::from(&socket).set_tcp_nodelay(true)?;
        let address = socket.local_addr()?;
        match groups.iter_mut().find(|group| group.address == address) {
            Some(group) => group.sockets.push(socket),
            None => groups.push(Group { address, origin, sockets: vec![socket] }),
        }
        Ok(())
    }

    /// The sockets that stand for an address of the settings.
    pub(super) fn take_tcp(&mut self, wanted: SocketAddr) -> Option<Group> {
        take_group(&mut self.tcp, wanted)
    }

    /// The socket that stands for the admin address of the settings.
    pub(super) fn take_admin(&mut self, wanted: SocketAddr) -> Option<Group> {
        // One that systemd calls so is meant, whatever its address.
        let given = self.admin.iter().position(|group| group.origin == Origin::Given);
        given.map(|index| self.admin.swap_remove(index)).or_else(|| take_group(&mut self.admin, wanted))
    }

    /// The Unix socket of this name.
    pub(super) fn take_unix(&mut self, path: &Path) -> Option<Named> {
        let index = self.unix.iter().position(|named| named.path == path)?;
        Some(self.unix.swap_remove(index))
    }

    /// What no address of the settings asks for.
    pub(super) fn rest(self) -> (Vec<Group>, Vec<Named>) {
        (self.tcp, self.unix)
    }
}

fn take(fds: &mut ListenFd, index: usize, name: &str) -> io::Result<Offer> {
    let (socket, purpose): (OwnedFd, _) = match fds.take_tcp_listener(index) {
        Ok(Some(socket)) if name == ADMIN => (socket.into(), Purpose::Admin),
        Ok(Some(socket)) => (socket.into(), Purpose::Tcp),
        Ok(None) => return Err(io::ErrorKind::NotFound.into()),
        Err(_) => match fds.take_unix_listener(index) {
            Ok(Some(socket)) => (socket.into(), Purpose::Unix),
            _ => return Err(io::Error::other("it is neither a TCP nor a Unix stream socket")),
        },
    };
    if !socket_acceptconn(&socket)? {
        return Err(io::Error::other("it does not listen (socket units need Accept=no)"));
    }
    Ok(Offer { purpose, origin: Origin::Given, socket, lock: None })
}

/// The group of exactly this address, or one that takes its clients, too. Port 0 is any.
fn take_group(groups: &mut Vec<Group>, wanted: SocketAddr) -> Option<Group> {
    let exactly = groups.iter().position(|group| group.address == wanted);
    let takes = |group: &Group| match group.origin {
        _ if wanted.port() == 0 => group.address.ip() == wanted.ip(),
        Origin::Given => covers(group.address, wanted),
        Origin::Own => false,
    };
    let index = exactly.or_else(|| groups.iter().position(takes))?;
    Some(groups.swap_remove(index))
}

/// Whether a socket on `address` gets the clients that come to `wanted`. One on `[::]` also gets those of IPv4, as
/// systemd makes it by default.
fn covers(address: SocketAddr, wanted: SocketAddr) -> bool {
    let any = address.ip().is_unspecified() && (address.is_ipv6() || wanted.is_ipv4());
    address.port() == wanted.port() && any
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(origin: Origin, address: &str) -> Group {
        Group { address: address.parse().unwrap(), origin, sockets: Vec::new() }
    }

    fn taken(groups: &[(Origin, &str)], wanted: &str) -> Option<String> {
        let mut groups: Vec<_> = groups.iter().map(|(origin, address)| group(*origin, address)).collect();
        take_group(&mut groups, wanted.parse().unwrap()).map(|group| group.address.to_string())
    }

    #[test]
    fn sockets_stand_for_addresses() {
        type Case<'a> = (&'a [(Origin, &'a str)], &'a str, Option<&'a str>);
        use Origin::{Given, Own};
        let cases: [Case<'_>; 9] = [
            (&[], "127.0.0.1:6432", None),
            (&[(Own, "127.0.0.1:6432")], "127.0.0.1:6432", Some("127.0.0.1:6432")),
            (&[(Own, "127.0.0.1:6432")], "127.0.0.1:6433", None),
            (&[(Own, "0.0.0.0:6432")], "127.0.0.1:6432", None),
            (&[(Given, "0.0.0.0:6432")], "127.0.0.1:6432", Some("0.0.0.0:6432")),
            (&[(Given, "[::]:6432")], "127.0.0.1:6432", Some("[::]:6432")),
            (&[(Given, "0.0.0.0:6432")], "[::1]:6432", None),
            (&[(Given, "[::]:6432"), (Given, "127.0.0.1:6432")], "127.0.0.1:6432", Some("127.0.0.1:6432")),
            (&[(Own, "127.0.0.1:40000")], "127.0.0.1:0", Some("127.0.0.1:40000")),
        ];
        for (groups, wanted, expected) in cases {
            assert_eq!(taken(groups, wanted).as_deref(), expected, "{wanted} of {groups:?}");
        }
    }
}
