//! A server that hangs up, or stutters, at a byte of one's choice: a relay in front of a real one.
//!
//! What the proxy's monitor and catalog ask passes as it is. On all other connections, what the server says is at the
//! relay's mercy.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// Asks for TLS.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// What becomes of what the server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// It passes.
    Pass,
    /// It passes one byte at a time.
    Drip,
    /// So many bytes pass, then both sides are hung up on. After that, everything passes again.
    Cut(usize),
    /// These bytes come in the place of the next thing it says, then both sides are hung up on. After that, everything
    /// passes again.
    Say(Vec<u8>),
}

/// The relay. It listens for as long as the process lives.
pub struct Cutting {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    plan: Mutex<Plan>,
    passed: AtomicUsize,
}

impl Cutting {
    /// In front of the server that listens on this port.
    pub fn before(port: u16) -> Self {
        Self::at(([127, 0, 0, 1], 0), port)
    }

    /// In front of the server that listens on this port, at an address of one's choice.
    pub fn at(address: impl Into<SocketAddr>, port: u16) -> Self {
        let listener = TcpListener::bind(address.into()).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { plan: Mutex::new(Plan::Pass), passed: AtomicUsize::new(0) });
        let of_listener = Arc::clone(&shared);
        thread::spawn(move || {
            for proxy in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&of_listener);
                thread::spawn(move || attend(proxy, port, &shared));
            }
        });
        Self { address, shared }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// From now on.
    pub fn plan(&self, plan: Plan) {
        self.shared.passed.store(0, Ordering::SeqCst);
        *self.shared.plan.lock().unwrap() = plan;
    }

    /// Whether a cut, or what it is to say, is still ahead.
    pub fn is_pending(&self) -> bool {
        !matches!(*self.shared.plan.lock().unwrap(), Plan::Pass | Plan::Drip)
    }

    /// Bytes the server has said since the last plan was made, apart from monitor and catalog.
    pub fn passed(&self) -> usize {
        self.shared.passed.load(Ordering::SeqCst)
    }
}

fn attend(mut proxy: TcpStream, port: u16, shared: &Arc<Shared>) -> Option<()> {
    let mut server = TcpStream::connect(("127.0.0.1", port)).ok()?;
    proxy.set_nodelay(true).ok()?;
    server.set_nodelay(true).ok()?;
    let mut packet = first_packet(&mut proxy)?;
    if packet == SSL_REQUEST {
        // What is encrypted could not be cut where one wants.
        proxy.write_all(b"N").ok()?;
        packet = first_packet(&mut proxy)?;
    }
    server.write_all(&packet).ok()?;
    let own = packet.windows(9).any(|part| part == b"tidegate ") || packet.len() == 16;
    let (mut from_proxy, mut to_server) = (proxy.try_clone().ok()?, server.try_clone().ok()?);
    thread::spawn(move || {
        let _ = std::io::copy(&mut from_proxy, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Both);
    });
    let mut buffer = [0; 16 * 1024];
    while let Ok(n @ 1..) = server.read(&mut buffer) {
        if !(if own { proxy.write_all(&buffer[..n]).is_ok() } else { pass(&buffer[..n], &mut proxy, shared) })
        {
            break;
        }
    }
    let _ = proxy.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
    Some(())
}

fn first_packet(proxy: &mut TcpStream) -> Option<Vec<u8>> {
    let mut packet = vec![0; 4];
    proxy.read_exact(&mut packet).ok()?;
    packet.resize(u32::from_be_bytes(packet[..4].try_into().ok()?) as usize, 0);
    proxy.read_exact(&mut packet[4..]).ok()?;
    Some(packet)
}

/// Passes on what the server says as the plan wants it. False when that was the last.
fn pass(said: &[u8], proxy: &mut TcpStream, shared: &Shared) -> bool {
    let mut plan = shared.plan.lock().unwrap();
    shared.passed.fetch_add(said.len(), Ordering::SeqCst);
    match &mut *plan {
        Plan::Pass => {
            drop(plan);
            proxy.write_all(said).is_ok()
        }
        Plan::Drip => {
            drop(plan);
            said.chunks(1).all(|byte| proxy.write_all(byte).is_ok())
        }
        Plan::Cut(left) if *left >= said.len() => {
            *left -= said.len();
            proxy.write_all(said).is_ok()
        }
        Plan::Cut(left) => {
            let _ = proxy.write_all(&said[..*left]);
            *plan = Plan::Pass;
            false
        }
        Plan::Say(words) => {
            let _ = proxy.write_all(words);
            *plan = Plan::Pass;
            false
        }
    }
}
