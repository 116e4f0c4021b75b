//! HTTP, within limits: whoever connects has shown nothing yet, and may never finish what it says.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::access::Caller;

/// Connections at one time. More are closed at once.
const CONNECTIONS: usize = 256;
/// Longest time until the head of a request has arrived.
const HEAD: Duration = Duration::from_secs(5);
/// Longest time for a request and its answer.
const REQUEST: Duration = Duration::from_secs(30);
/// The longest head of a request, in bytes.
const HEAD_BYTES: usize = 16 * 1024;
/// Pause after the system had no socket to give.
const PAUSE: Duration = Duration::from_secs(1);

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
        let router = router.clone().layer(Extension(Caller(peer.ip())));
        tokio::spawn(async move {
            let _place = place;
            let _ = tokio::time::timeout(REQUEST, answer(stream, router)).await;
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
