//! The sockets on which a proxy accepts clients.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use tokio::sync::mpsc::{Sender, channel};

use super::inherited::{Group, Inherited, Named};
use crate::config::{ListenAddress, socket_path};
use crate::net::handover::{Offer, Origin, Purpose};
use crate::net::{Accepted, Bound, SocketFile};
use crate::session::{self, BACKLOG};

/// Clients that a worker has been handed and has not taken yet, at most; more wait in the kernel.
const HANDED: usize = 64;

/// Bound sockets: for every worker, one for each address.
#[derive(Debug)]
pub(super) struct Sockets {
    /// Where clients connect, with the ports that were chosen.
    pub(super) addresses: Vec<ListenAddress>,
    /// The sockets of each worker.
    pub(super) workers: Vec<Vec<Bound>>,
    /// Sockets that the workers share: clients are accepted for them, and each gets the next one in turn.
    pub(super) shared: Vec<(Bound, Vec<Sender<Accepted>>)>,
    /// The names of Unix sockets.
    pub(super) files: Vec<SocketFile>,
    /// Names that still belong to the process whose place this one takes.
    pub(super) names: Vec<Name>,
    /// Copies of all of them, for the process that will take this one's place.
    pub(super) offers: Vec<Offer>,
}

/// A Unix socket's name that another process will give up.
#[derive(Debug)]
pub(super) struct Name {
    path: PathBuf,
    lock: OwnedFd,
    /// It is to be kept; otherwise it goes with the other process.
    is_wanted: bool,
}

impl Name {
    /// The other process has given it up.
    pub(super) fn take_over(self) -> io::Result<Option<SocketFile>> {
        let file = SocketFile::take_over(&self.path, self.lock)?;
        Ok(self.is_wanted.then_some(file))
    }
}

impl Sockets {
    /// Binds all that are not there yet, or says which one cannot be bound and why.
    pub(super) fn bind(
        addresses: &[ListenAddress],
        workers: usize,
        inherited: &mut Inherited,
    ) -> Result<Self, String> {
        let mut sockets = Self {
            addresses: Vec::new(),
            workers: (0..workers).map(|_| Vec::new()).collect(),
            shared: Vec::new(),
            files: Vec::new(),
            names: Vec::new(),
            offers: Vec::new(),
        };
        for address in addresses {
            let bound = sockets.open(address, inherited);
            sockets.addresses.push(bound.map_err(|error| cannot_listen(address, &error))?);
        }
        sockets.take_rest(std::mem::take(inherited))?;
        Ok(sockets)
    }

    /// Sockets for one address of the settings. Returns it with its port chosen.
    fn open(&mut self, address: &ListenAddress, inherited: &mut Inherited) -> io::Result<ListenAddress> {
        match address {
            ListenAddress::Tcp(wanted) => {
                let group = match inherited.take_tcp(*wanted) {
                    Some(group) => group,
                    None => self.bind_tcp(*wanted)?,
                };
                self.add_tcp(group).map(ListenAddress::Tcp)
            }
            ListenAddress::Unix { directory, port } => {
                let path = socket_path(directory, *port);
                match inherited.take_unix(&path) {
                    Some(named) => self.add_unix(named)?,
                    None => self.bind_unix(&path)?,
                }
                Ok(address.clone())
            }
        }
    }

    /// What was handed over and the settings do not name: whoever has given it wants it to be used. What a process of
    /// ours had opened goes, its settings were others.
    fn take_rest(&mut self, inherited: Inherited) -> Result<(), String> {
        let failed = |e: io::Error| format!("a socket that was handed over: {e}");
        let (tcp, unix) = inherited.rest();
        for group in tcp.into_iter().filter(|group| group.origin == Origin::Given) {
            let address = self.add_tcp(group).map_err(failed)?;
            self.addresses.push(ListenAddress::Tcp(address));
        }
        for named in unix {
            match (named.origin, named.lock) {
                (Origin::Given, lock) => {
                    self.addresses.push(address_of(&named.path)?);
                    self.add_unix(Named { lock, ..named }).map_err(failed)?;
                }
                (Origin::Own, Some(lock)) => {
                    self.names.push(Name { path: named.path, lock, is_wanted: false });
                }
                (Origin::Own, None) => {}
            }
        }
        Ok(())
    }

    /// A socket of its own for every worker.
    fn bind_tcp(&self, address: SocketAddr) -> io::Result<Group> {
        let mut address = is_free(address)?;
        let mut sockets = Vec::new();
        for _ in &self.workers {
            let listener = session::bind(address)?;
            address = listener.local_addr()?;
            sockets.push(listener);
        }
        Ok(Group { address, origin: Origin::Own, sockets })
    }

    /// If there are too few sockets, the workers share them: if each of them accepted from one, whoever is awake first
    /// would take nearly all of a pool that connects at once.
    fn add_tcp(&mut self, group: Group) -> io::Result<SocketAddr> {
        let is_enough = group.sockets.len() >= self.workers.len();
        let count = self.workers.len();
        for (index, socket) in group.sockets.into_iter().enumerate() {
            self.offer(Purpose::Tcp, group.origin, &socket, None)?;
            if is_enough {
                self.workers[index % count].push(Bound::Tcp(socket));
            } else {
                self.share(Bound::Tcp(socket));
            }
        }
        Ok(group.address)
    }

    fn bind_unix(&mut self, path: &Path) -> io::Result<()> {
        let (socket, file) = SocketFile::listen(path, BACKLOG)?;
        self.offer(Purpose::Unix, Origin::Own, &socket, Some(file.lock()?))?;
        self.files.push(file);
        self.share(Bound::Unix(socket));
        Ok(())
    }

    /// A Unix socket that another process has opened.
    fn add_unix(&mut self, Named { path, origin, socket, lock }: Named) -> io::Result<()> {
        let copy = lock.as_ref().map(OwnedFd::try_clone).transpose()?;
        self.offer(Purpose::Unix, origin, &socket, copy)?;
        self.names.extend(lock.map(|lock| Name { path, lock, is_wanted: true }));
        self.share(Bound::Unix(socket));
        Ok(())
    }

    /// One socket, which the workers share: a name in the file system is that of a single socket.
    fn share(&mut self, bound: Bound) {
        let hand_to = |worker: &mut Vec<Bound>| {
            let (sender, receiver) = channel(HANDED);
            worker.push(Bound::Handed(receiver));
            sender
        };
        let senders = self.workers.iter_mut().map(hand_to).collect();
        self.shared.push((bound, senders));
    }

    fn offer(
        &mut self,
        purpose: Purpose,
        origin: Origin,
        socket: &impl AsFd,
        lock: Option<OwnedFd>,
    ) -> io::Result<()> {
        self.offers.push(Offer { purpose, origin, socket: socket.as_fd().try_clone_to_owned()?, lock });
        Ok(())
    }
}

/// The admin address: a socket that is there already, or one of its own. Returns who has opened it, too.
pub(super) fn admin(address: SocketAddr, inherited: &mut Inherited) -> io::Result<(TcpListener, Origin)> {
    if let Some(Group { origin, mut sockets, .. }) = inherited.take_admin(address)
        && let Some(socket) = sockets.pop()
    {
        return Ok((socket, origin));
    }
    let socket = TcpListener::bind(address)?;
    socket.set_nonblocking(true)?;
    Ok((socket, Origin::Own))
}

/// How the settings would call a Unix socket.
fn address_of(path: &Path) -> Result<ListenAddress, String> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let port = name.strip_prefix(".s.PGSQL.").and_then(|port| port.parse().ok());
    match (path.parent(), port) {
        (Some(directory), Some(port)) => Ok(ListenAddress::Unix { directory: directory.to_owned(), port }),
        _ => Err(format!(
            "the Unix socket {} that was handed over has a name that no client looks for: call it .s.PGSQL.6432 or the like",
            path.display()
        )),
    }
}

fn cannot_listen(address: &ListenAddress, error: &io::Error) -> String {
    let advice = match (error.kind(), address) {
        (io::ErrorKind::AddrInUse, _) => {
            return format!(
                "cannot listen on {address}: another program does already. Stop it, or choose another address with --listen"
            );
        }
        (io::ErrorKind::AddrNotAvailable, _) => {
            "This machine has no such address: choose one that it has, or 0.0.0.0 for all of them"
        }
        (io::ErrorKind::PermissionDenied, ListenAddress::Unix { .. }) => {
            "The user Tidegate runs as must be allowed to write into the directory: give it to that user, or choose another one"
        }
        (io::ErrorKind::PermissionDenied, _) => {
            "Ports below 1024 need the capability CAP_NET_BIND_SERVICE: choose another port"
        }
        _ => return format!("cannot listen on {address}: {error}"),
    };
    format!("cannot listen on {address}: {error}. {advice}")
}

/// Several sockets of ours share an address, which the system would also grant to a second proxy by mistake: one
/// socket that does not share is refused while any other is there. Returns the address with its port chosen.
fn is_free(address: SocketAddr) -> io::Result<SocketAddr> {
    TcpListener::bind(address)?.local_addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_listened_on_is_told_with_what_to_do() {
        let unix = ListenAddress::Unix { directory: PathBuf::from("/run/tidegate"), port: 6432 };
        let tcp = ListenAddress::Tcp(([127, 0, 0, 1], 80).into());
        for (address, kind, part) in [
            (&unix, io::ErrorKind::PermissionDenied, "allowed to write into the directory"),
            (&tcp, io::ErrorKind::PermissionDenied, "CAP_NET_BIND_SERVICE"),
            (&tcp, io::ErrorKind::AddrNotAvailable, "no such address"),
            (&unix, io::ErrorKind::AddrInUse, "another program does already"),
        ] {
            let text = cannot_listen(address, &kind.into());
            assert!(text.contains(part) && text.contains(&address.to_string()), "{text}");
        }
    }
}
