//! A network that is slow, dead or silent: a relay in front of a real server, for everything that comes by.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// What the network does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// It passes everything on.
    Well,
    /// It passes on what the server says this much later.
    Slow(Duration),
    /// It passes nothing on, and says nothing.
    Silent,
    /// It hangs up on everybody.
    Dead,
}

/// The relay. It listens for as long as the process lives.
pub struct Faulty {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    network: Mutex<Network>,
    changed: Condvar,
    open: Mutex<Vec<TcpStream>>,
}

impl Faulty {
    /// In front of the server that listens on this port.
    pub fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            network: Mutex::new(Network::Well),
            changed: Condvar::new(),
            open: Mutex::default(),
        });
        let of_listener = Arc::clone(&shared);
        thread::spawn(move || {
            for proxy in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&of_listener);
                thread::spawn(move || attend(&proxy, port, &shared));
            }
        });
        Self { address, shared }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How metrics call it.
    pub fn label(&self) -> String {
        format!("node=\"127.0.0.1:{}\"", self.port())
    }

    /// From now on.
    pub fn be(&self, network: Network) {
        *self.shared.network.lock().unwrap() = network;
        self.shared.changed.notify_all();
        if network == Network::Dead {
            for stream in self.shared.open.lock().unwrap().drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }
}

fn attend(proxy: &TcpStream, port: u16, shared: &Arc<Shared>) -> Option<()> {
    if *shared.network.lock().unwrap() == Network::Dead {
        return None;
    }
    let server = TcpStream::connect(("127.0.0.1", port)).ok()?;
    for stream in [proxy, &server] {
        stream.set_nodelay(true).ok()?;
        shared.open.lock().unwrap().push(stream.try_clone().ok()?);
    }
    let (from, to, of_thread) = (proxy.try_clone().ok()?, server.try_clone().ok()?, Arc::clone(shared));
    thread::spawn(move || carry(from, to, &of_thread, |_| Duration::ZERO));
    carry(server, proxy.try_clone().ok()?, shared, |network| match network {
        Network::Slow(delay) => delay,
        _ => Duration::ZERO,
    });
    Some(())
}

fn carry(mut from: TcpStream, mut to: TcpStream, shared: &Shared, delay: impl Fn(Network) -> Duration) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        let network = shared.network.lock().unwrap();
        let network = *shared.changed.wait_while(network, |network| *network == Network::Silent).unwrap();
        thread::sleep(delay(network));
        if network == Network::Dead || to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
