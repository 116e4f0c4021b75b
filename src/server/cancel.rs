//! Asking a server to cancel what a connection runs.

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{ConnectError, Endpoint};
use crate::wire::{CancelKey, encode};

/// Sends a cancel request and waits until the server has dealt with it, which it says by hanging up: only then is
/// it certain that the request cannot hit a later statement of the same connection.
/// <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS>
pub async fn cancel(endpoint: &Endpoint, key: &CancelKey) -> Result<(), ConnectError> {
    let exchange = async {
        let mut stream = endpoint.open().await?;
        let mut out = BytesMut::new();
        encode::cancel_request(&mut out, key);
        stream.write_all_buf(&mut out).await?;
        let mut rest = [0; 16];
        while stream.read(&mut rest).await? > 0 {}
        Ok(())
    };
    match tokio::time::timeout(endpoint.connect_timeout, exchange).await {
        Ok(result) => result,
        Err(_) => Err(ConnectError::Timeout(endpoint.connect_timeout)),
    }
}
