//! Accepting clients.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::mpsc::Sender;
use tokio::sync::watch;

use super::client::Client;
use super::failure::End;
use super::handshake::{Greeted, greet};
use super::proxy::Proxy;
use crate::net::{Bound, Listener, Stream};
use crate::wire::Severity;

/// Time for a client to log in.
const LOGIN: Duration = Duration::from_mins(1);
/// Connections the kernel holds until they are accepted.
pub const BACKLOG: i32 = 4096;

/// A bound socket. Several may be bound to one address, one per worker; the kernel spreads clients over them.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts clients until the proxy is to stop; each gets a task of its own on this thread's runtime.
pub async fn accept(proxy: Arc<Proxy>, bound: Bound) -> io::Result<()> {
    let mut listener = Listener::register(bound)?;
    let mut stopping = proxy.stopping.subscribe();
    let counter = proxy.stats.counter("tidegate_connections_total", &[]);
    while let Some(stream) = next(&mut listener, &mut stopping).await {
        counter.increment(1);
        let proxy = Arc::clone(&proxy);
        tokio::spawn(async move {
            let _fault = Fault(&proxy);
            attend(&proxy, stream).await;
        });
    }
    Ok(())
}

/// Accepts clients for others, each of whom gets the next one in turn, until the proxy is to stop.
pub async fn hand_out(proxy: Arc<Proxy>, bound: Bound, workers: Vec<Sender<Stream>>) -> io::Result<()> {
    let mut listener = Listener::register(bound)?;
    let mut stopping = proxy.stopping.subscribe();
    let mut turns = workers.iter().cycle();
    while let Some(stream) = next(&mut listener, &mut stopping).await {
        if let Some(worker) = turns.next() {
            // A worker that is not there any more has been told to stop, as this will be.
            let _ = worker.send(stream).await;
        }
    }
    Ok(())
}

/// The next client, or nobody when the proxy is to stop.
async fn next(listener: &mut Listener, stopping: &mut watch::Receiver<bool>) -> Option<Stream> {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stop| *stop) => return None,
        };
        match accepted {
            Ok(stream) => return Some(stream),
            Err(error) => {
                // Out of file descriptors, most likely: those that are open can still be served.
                tracing::error!(%error, "cannot accept clients");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// A panic ends the session it happens in, and is counted when it passes this.
struct Fault<'a>(&'a Proxy);

impl Drop for Fault<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stats.counter("tidegate_panics_total", &[]).increment(1);
        }
    }
}

async fn attend(proxy: &Arc<Proxy>, stream: Stream) {
    let mut client = Client::new(stream);
    // The handshake's state is large and short-lived; the session's stays.
    let greeted = Box::pin(tokio::time::timeout(LOGIN, greet(proxy, &mut client))).await;
    let end = match greeted {
        Ok(Ok(Greeted::Session(mut session))) => {
            let Err(end) = session.serve(&mut client).await;
            Box::pin(session.part()).await;
            end
        }
        Ok(Ok(Greeted::Replication(replication))) => Box::pin(replication.serve(&mut client)).await,
        Ok(Err(end)) => end,
        Ok(Ok(Greeted::Canceller)) | Err(_) => return,
    };
    farewell(&mut client, end).await;
}

/// Tells the client why, if there is something to tell and it takes it.
async fn farewell(client: &mut Client, end: End) {
    if let End::Io(error) = &end {
        tracing::debug!(%error, "a client's connection failed");
    }
    let patience = Duration::from_secs(1);
    if matches!(end, End::Client) && !client.outbox.is_empty() {
        let _ = tokio::time::timeout(patience, client.flush()).await;
    }
    if let End::Failure(failure) = end {
        debug_assert_eq!(failure.severity, Severity::Fatal);
        tracing::info!(sqlstate = %failure.code, "{}", failure.message);
        failure.write(&mut client.outbox);
        let _ = tokio::time::timeout(patience, client.flush()).await;
    }
}
