//! A network that can be broken: a TCP relay in front of one server.
//!
//! Silence is what a peer sees of a cable that was pulled: sockets stay open and nothing comes. It is harder to notice here
//! than in earnest, since the system's own acknowledgements still come: no keepalive and no `TCP_USER_TIMEOUT` ends such a
//! connection, only somebody who waits for an answer.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// What becomes of bytes in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// They pass.
    Passes,
    /// They pass so much later.
    Late(Duration),
    /// They do not arrive, nor does the end of the connection; when the network is whole again, they do.
    Silent,
}

/// What becomes of new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    Open,
    /// They are reset.
    Reset,
}

/// The relay. It listens as long as its runtime lives.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    wires: Arc<Wires>,
}

/// What the connections of a relay look at.
#[derive(Debug)]
struct Wires {
    /// From whoever connects to the server.
    up: watch::Sender<Flow>,
    /// From the server.
    down: watch::Sender<Flow>,
    entry: watch::Sender<Entry>,
    /// Counts the times that all connections were reset.
    resets: watch::Sender<u64>,
    server: Mutex<SocketAddr>,
}

impl Link {
    /// In front of `server`.
    pub async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let wires = Arc::new(Wires {
            up: watch::Sender::new(Flow::Passes),
            down: watch::Sender::new(Flow::Passes),
            entry: watch::Sender::new(Entry::Open),
            resets: watch::Sender::new(0),
            server: Mutex::new(server),
        });
        let of_listener = Arc::clone(&wires);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let wires = Arc::clone(&of_listener);
                tokio::spawn(async move { wires.attend(near).await });
            }
        });
        Self { address, wires }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// New connections go there.
    pub fn lead_to(&self, server: SocketAddr) {
        *self.wires.server.lock().unwrap_or_else(PoisonError::into_inner) = server;
    }

    /// What becomes of bytes from now on: towards the server, and from it.
    pub fn flow(&self, up: Flow, down: Flow) {
        self.wires.up.send_replace(up);
        self.wires.down.send_replace(down);
    }

    /// What becomes of new connections from now on.
    pub fn entry(&self, entry: Entry) {
        self.wires.entry.send_replace(entry);
    }

    /// Resets every connection there is, on both sides.
    pub fn reset(&self) {
        self.wires.resets.send_modify(|times| *times += 1);
    }

    /// Everything passes again.
    pub fn heal(&self) {
        self.flow(Flow::Passes, Flow::Passes);
        self.entry(Entry::Open);
    }
}

impl Wires {
    async fn attend(&self, mut near: TcpStream) {
        let mut resets = self.resets.subscribe();
        let entry = *self.entry.borrow();
        let server = *self.server.lock().unwrap_or_else(PoisonError::into_inner);
        let reached = async {
            if entry == Entry::Reset {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            passing(&mut self.up.subscribe()).await;
            TcpStream::connect(server).await
        };
        let far = tokio::select! {
            reached = reached => reached,
            _ = resets.changed() => Err(io::ErrorKind::ConnectionReset.into()),
        };
        let Ok(mut far) = far else { return reset(&near) };
        let relayed = tokio::select! {
            relayed = self.relay(&mut near, &mut far) => relayed,
            _ = resets.changed() => Err(io::ErrorKind::ConnectionReset.into()),
        };
        if relayed.is_err() {
            reset(&near);
            reset(&far);
        }
    }

    async fn relay(&self, near: &mut TcpStream, far: &mut TcpStream) -> io::Result<()> {
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        let ((from_near, to_near), (from_far, to_far)) = (near.split(), far.split());
        let up = pump(from_near, to_far, self.up.subscribe());
        let down = pump(from_far, to_near, self.down.subscribe());
        tokio::try_join!(up, down).map(drop)
    }
}

/// Closes with a reset when it is dropped.
fn reset(stream: &TcpStream) {
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Waits while nothing gets through.
async fn passing(flow: &mut watch::Receiver<Flow>) -> Duration {
    // The sender lives as long as the relay; without it, everything passes.
    match flow.wait_for(|flow| *flow != Flow::Silent).await.as_deref() {
        Ok(Flow::Late(by)) => *by,
        _ => Duration::ZERO,
    }
}

async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, flow: watch::Receiver<Flow>) -> io::Result<()> {
    // So that late bytes are late, and not few.
    let (send, mut under_way) = mpsc::channel::<(Instant, Vec<u8>)>(64);
    let mut sending = flow.clone();
    let read = async move {
        loop {
            let mut bytes = vec![0; 16 * 1024];
            let length = from.read(&mut bytes).await?;
            bytes.truncate(length);
            let late = passing(&mut sending).await;
            if length == 0 || send.send((Instant::now() + late, bytes)).await.is_err() {
                return Ok(());
            }
        }
    };
    let mut arriving = flow;
    let write = async move {
        while let Some((due, bytes)) = under_way.recv().await {
            sleep_until(due).await;
            passing(&mut arriving).await;
            to.write_all(&bytes).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(read, write).map(drop)
}
