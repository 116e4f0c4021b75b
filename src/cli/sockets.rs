//! The sockets on which a proxy accepts clients.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use tokio::sync::mpsc::{Sender, channel};

use crate::config::{ListenAddress, socket_path};
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
}

impl Sockets {
    /// Binds all of them, or says which one cannot be bound and why.
    pub(super) fn bind(addresses: &[ListenAddress], workers: usize) -> Result<Self, String> {
        let workers = (0..workers).map(|_| Vec::new()).collect();
        let mut sockets = Self { addresses: Vec::new(), workers, shared: Vec::new(), files: Vec::new() };
        for address in addresses {
            let bound = match address {
                ListenAddress::Tcp(address) => sockets.bind_tcp(*address).map(ListenAddress::Tcp),
                ListenAddress::Unix { directory, port } => {
                    sockets.bind_unix(&socket_path(directory, *port)).map(|()| address.clone())
                }
            };
            sockets.addresses.push(bound.map_err(|error| cannot_listen(address, &error))?);
        }
        Ok(sockets)
    }

    /// A socket of its own for every worker. Returns the address with its port chosen.
    fn bind_tcp(&mut self, address: SocketAddr) -> io::Result<SocketAddr> {
        let mut address = is_free(address)?;
        for worker in &mut self.workers {
            let listener = session::bind(address)?;
            address = listener.local_addr()?;
            worker.push(Bound::Tcp(listener));
        }
        Ok(address)
    }

    /// One socket, which the workers share: a name in the file system is that of a single socket. If each of them
    /// accepted from it, whoever is awake first would take nearly all of a pool that connects at once.
    fn bind_unix(&mut self, path: &Path) -> io::Result<()> {
        let (listener, file) = SocketFile::listen(path, BACKLOG)?;
        self.files.push(file);
        let hand_to = |worker: &mut Vec<Bound>| {
            let (sender, receiver) = channel(HANDED);
            worker.push(Bound::Handed(receiver));
            sender
        };
        let senders = self.workers.iter_mut().map(hand_to).collect();
        self.shared.push((Bound::Unix(listener), senders));
        Ok(())
    }
}

fn cannot_listen(address: &ListenAddress, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "cannot listen on {address}: another program does already. Stop it, or choose another address with --listen"
            )
        }
        _ => format!("cannot listen on {address}: {error}"),
    }
}

/// Several sockets of ours share an address, which the system would also grant to a second proxy by mistake: one
/// socket that does not share is refused while any other is there. Returns the address with its port chosen.
fn is_free(address: SocketAddr) -> io::Result<SocketAddr> {
    std::net::TcpListener::bind(address)?.local_addr()
}
