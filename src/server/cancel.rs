//! Asking a server to cancel what a connection runs.

use std::io;
use std::time::{Instant, SystemTime};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::open::open_plain;
use super::{ConnectError, Endpoint};
use crate::config::Host;
use crate::net::{Ends, Stream};
use crate::wire::{CancelKey, encode};

/// What lets a connection's statements be cancelled, by a request that is encrypted if the connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerKey {
    /// The number of the server process.
    pub pid: u32,
    /// What encrypts the connection, for people: `TLSv1.3/TLS_AES_256_GCM_SHA384`.
    pub tls: Option<Box<str>>,
    /// The two ends of the connection, if it is one of TCP.
    pub ends: Option<Ends>,
    /// The number of the proxy's file that the connection is.
    pub file: Option<u64>,
    /// When it was opened, for people.
    pub since: SystemTime,
    /// When it was opened.
    pub opened: Instant,
    key: CancelKey,
}

impl ServerKey {
    /// What the server has said on this connection.
    pub(super) fn new(key: CancelKey, stream: &Stream) -> Self {
        let tls = stream.tls().map(|tls| {
            let (version, suite) = tls.described();
            format!("{version}/{suite}").into()
        });
        Self {
            pid: key.pid,
            tls,
            ends: stream.ends(),
            file: stream.file_number(),
            since: SystemTime::now(),
            opened: Instant::now(),
            key,
        }
    }
}

/// Sends a cancel request and waits until the server has dealt with it, which it says by hanging up: only then is
/// it certain that the request cannot hit a later statement of the same connection.
/// <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS>
pub async fn cancel(endpoint: &Endpoint, key: &ServerKey) -> Result<(), ConnectError> {
    let exchange = async { request(endpoint.address.open_like(key.tls.is_some()).await?, &key.key).await };
    match tokio::time::timeout(endpoint.connect_timeout, exchange).await {
        Ok(result) => result,
        Err(_) => Err(ConnectError::Timeout(endpoint.connect_timeout)),
    }
}

/// Sends a cancel request to whoever listens there, and waits for as long as it takes until that has dealt with it.
pub async fn cancel_at(host: &Host, port: u16, key: &CancelKey) -> Result<(), ConnectError> {
    request(open_plain(host, port).await?, key).await
}

async fn request(mut stream: Stream, key: &CancelKey) -> Result<(), ConnectError> {
    let mut out = BytesMut::new();
    encode::cancel_request(&mut out, key);
    stream.write_all_buf(&mut out).await?;
    let mut rest = [0; 16];
    loop {
        match stream.read(&mut rest).await {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            // Nothing is expected, so nothing can have been cut off: TLS need not be taken leave of.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
