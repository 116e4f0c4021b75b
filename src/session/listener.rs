//! Accepting clients.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::mpsc::Sender;

use super::admission::{Arrival, Counted, Place};
use super::client::Client;
use super::door::{Closing, Presence};
use super::failure::{End, Failure};
use super::handshake::{Greeted, greet};
use super::login::one_line;
use super::proxy::Proxy;
use super::rest::{self, Served};
use crate::net::{Accepted, Bound, Kept, Listener, keep_alive};
use crate::wire::Severity;

/// A timer goes off so often in any case: a fourth of the usual `authentication_timeout`.
const EARLIER: Duration = Duration::from_secs(15);
/// Connections the kernel holds until they are accepted.
pub const BACKLOG: i32 = 4096;

/// A bound socket. Several may be bound to one address, one per worker; the kernel spreads clients over them.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    // Small messages must not wait for each other's acknowledgements. Accepted sockets inherit it.
    socket.set_tcp_nodelay(true)?;
    keep_alive(&socket, Kept::Client)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts clients until the door is closed; each gets a task of its own on this thread's runtime.
pub async fn accept(proxy: Arc<Proxy>, bound: Bound) -> io::Result<()> {
    let mut listener = Listener::register(bound)?;
    let mut closing = proxy.door.watch();
    let _accepting = proxy.door.enter();
    let counter = proxy.stats.counter("tidegate_connections_total", &[]);
    // Setting a timer that is the next one to go off costs a system call and a turn of the runtime. With this one, the
    // timer of a login never is.
    let mut earlier = tokio::time::interval(EARLIER);
    loop {
        let accepted = tokio::select! {
            accepted = next(&mut listener, &mut closing) => accepted,
            _ = earlier.tick() => continue,
        };
        let Some(Accepted { stream, peer }) = accepted else { return Ok(()) };
        counter.increment(1);
        let Arrival { counted, place } = proxy.admission.arrive(peer, stream.file_number());
        let client = Client::new(stream, peer);
        let presence = (proxy.door.enter(), counted);
        let entering = Box::pin(enter(Arc::clone(&proxy), client, place));
        tokio::spawn(attend(Arc::clone(&proxy), presence, entering));
    }
}

/// Accepts clients for others, each of whom gets the next one in turn, until the door is closed.
pub async fn hand_out(proxy: Arc<Proxy>, bound: Bound, workers: Vec<Sender<Accepted>>) -> io::Result<()> {
    let mut listener = Listener::register(bound)?;
    let mut closing = proxy.door.watch();
    // Until the last one is in the hands of a worker, which accepts until there can be no more.
    let _accepting = proxy.door.enter();
    let mut turns = workers.iter().cycle();
    while let Some(accepted) = next(&mut listener, &mut closing).await {
        if let Some(worker) = turns.next() {
            // A worker that is not there any more could not start.
            let _ = worker.send(accepted).await;
        }
    }
    Ok(())
}

/// The next client, or nobody when the door is closed. Cancel safe.
async fn next(listener: &mut Listener, closing: &mut Closing) -> Option<Accepted> {
    loop {
        // Those whom somebody else has accepted must be served, and come to an end by themselves.
        let are_accepted = listener.is_handed();
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = closing.closed(), if !are_accepted => return None,
        };
        match accepted {
            Ok(accepted) => return accepted,
            Err(error) => {
                // Out of file descriptors, most likely: those that are open can still be served.
                tracing::error!(%error, "cannot accept clients");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// A panic ends the connection it happens in, and is counted when it passes this: before a session has begun, or after.
struct Fault<'a>(&'a Proxy);

impl Drop for Fault<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("a fault of the proxy has ended a client's connection: please report the panic");
            self.0.stats.counter("tidegate_panics_total", &[]).increment(1);
        }
    }
}

/// Serves a client from its first byte to its last. Whatever is not there while the client is idle is boxed: the rest is
/// what an idle client costs.
pub(super) async fn attend(
    proxy: Arc<Proxy>,
    _presence: (Presence, Option<Counted>),
    entering: impl Future<Output = Option<Box<Served>>>,
) {
    let _fault = Fault(&proxy);
    let Some(served) = entering.await else { return };
    let (served, end) = rest::serve(served).await;
    Box::pin(leave(served, end)).await;
}

/// The client with its session once it has logged in. `None`: it needs nothing more.
pub(super) async fn enter(proxy: Arc<Proxy>, mut client: Client, place: Place) -> Option<Box<Served>> {
    let mut stopping = proxy.stopping.subscribe();
    let limit = proxy.admission.terms().settings.authentication_timeout;
    let greeted = tokio::select! {
        greeted = greet(&proxy, &mut client, place, limit) => greeted,
        _ = stopping.wait_for(|stop| *stop) => Err(Failure::fatal("57P03", "the proxy is shutting down").into()),
    };
    let end = match greeted {
        Ok(Greeted::Session(session)) => return Some(Box::new(Served { session, client })),
        Ok(Greeted::Replication(replication)) => Box::pin(replication.serve(&mut client)).await,
        Ok(Greeted::Console(console)) => Box::pin(console.serve(&mut client)).await,
        Ok(Greeted::Canceller) => End::Client,
        Err(end) => end,
    };
    farewell(&mut client, end).await;
    None
}

async fn leave(mut served: Box<Served>, end: End) {
    let Served { session, client } = &mut *served;
    let end = match end {
        End::Fault => session.break_off().await,
        end => session.last_word(client, end),
    };
    if session.holds_connections() {
        session.part().await;
    }
    farewell(client, end).await;
    session.moved(client);
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
        tracing::info!(sqlstate = %failure.code, "{}", one_line(&failure.message));
        failure.write(&mut client.outbox);
        let _ = tokio::time::timeout(patience, client.flush()).await;
    }
    if client.is_encrypted() {
        let _ = tokio::time::timeout(patience, client.close()).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn small_messages_do_not_wait_and_who_vanishes_is_noticed() {
        let listener = TcpListener::from_std(bind(([127, 0, 0, 1], 0).into()).unwrap()).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        assert!(socket.nodelay().unwrap());
        assert!(socket2::SockRef::from(&socket).keepalive().unwrap());
        assert_eq!(socket2::SockRef::from(&socket).tcp_keepalive_time().unwrap(), Duration::from_mins(1));
    }
}
