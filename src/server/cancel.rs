//! Asking a server to cancel what a connection runs.

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::connect::open;
use super::{ConnectError, Endpoint};
use crate::config::Host;
use crate::wire::{CancelKey, encode};

/// Sends a cancel request and waits until the server has dealt with it, which it says by hanging up: only then is
/// it certain that the request cannot hit a later statement of the same connection.
/// <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS>
pub async fn cancel(endpoint: &Endpoint, key: &CancelKey) -> Result<(), ConnectError> {
    let exchange = cancel_at(&endpoint.host, endpoint.port, key);
    match tokio::time::timeout(endpoint.connect_timeout, exchange).await {
        Ok(result) => result,
        Err(_) => Err(ConnectError::Timeout(endpoint.connect_timeout)),
    }
}

/// Sends a cancel request to whoever listens there, and waits for as long as it takes until that has dealt with it.
pub async fn cancel_at(host: &Host, port: u16, key: &CancelKey) -> Result<(), ConnectError> {
    let mut stream = open(host, port).await?;
    let mut out = BytesMut::new();
    encode::cancel_request(&mut out, key);
    stream.write_all_buf(&mut out).await?;
    let mut rest = [0; 16];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}
