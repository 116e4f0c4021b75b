//! HTTP, within limits: whoever connects has shown nothing yet, and may never finish what it says.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::access::Caller;

/// Connections at one time. More are closed at once.
const CONNECTIONS: usize = 256;
/// Longest time until the head of a request has arrived.
const HEAD: Duration = Duration::from_secs(5);
/// Longest time for a request and its answer.
const REQUEST: Duration = Duration::from_secs(30);
/// What the system keeps for a peer that does not read, in bytes: it soon shows that it does not.
const UNREAD: usize = 32 * 1024;
/// The longest head of a request, in bytes.
const HEAD_BYTES: usize = 16 * 1024;
/// Pause after the system had no socket to give.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a connection may last.
#[derive(Clone, Debug)]
pub(super) struct Life(Arc<watch::Sender<Instant>>);

impl Life {
    fn new(lasts: Duration) -> Self {
        Self(Arc::new(watch::Sender::new(Instant::now() + lasts)))
    }

    /// It may last for so long from now on.
    pub(super) fn lasts(&self, longer: Duration) {
        self.0.send_replace(Instant::now() + longer);
    }

    /// It ends at once, whatever is under way.
    pub(super) fn ends(&self) {
        self.lasts(Duration::ZERO);
    }

    /// Waits until it is over. Cancel safe.
    async fn is_over(&self) {
        let mut ends = self.0.subscribe();
        loop {
            let end = *ends.borrow_and_update();
            tokio::select! {
                () = tokio::time::sleep_until(end.into()) => return,
                _ = ends.changed() => {}
            }
        }
    }
}

/// Answers a request per connection, until the task is dropped.
pub(super) async fn serve(listener: TcpListener, router: Router) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                tracing::error!(%error, "a connection to the admin address could not be accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else { continue };
        let _ = socket2::SockRef::from(&stream).set_send_buffer_size(UNREAD);
        let life = Life::new(REQUEST);
        let router = router.clone().layer(Extension(Caller(peer.ip()))).layer(Extension(life.clone()));
        tokio::spawn(async move {
            let _place = place;
            tokio::select! {
                () = answer(stream, router) => {}
                () = life.is_over() => {}
            }
        });
    }
}

async fn answer(stream: TcpStream, router: Router) {
    let mut connection = http1::Builder::new();
    connection.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEAD_BYTES).keep_alive(false);
    let service = TowerToHyperService::new(router);
    if let Err(error) = connection.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection to the admin address has failed");
    }
}

/// Whether a connection was gone before it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
