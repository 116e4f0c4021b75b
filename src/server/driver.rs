//! Connections that a driver speaks on: opened here like all others, and handed to tokio-postgres.

use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::config::{ChannelBinding as Binding, SslMode, SslNegotiation};
use tokio_postgres::tls::{ChannelBinding as BoundTo, TlsConnect, TlsStream};
use tokio_postgres::{Client, Config};

use super::{ConnectError, ServerAddress};
use crate::config::ChannelBinding;
use crate::net::Stream;

/// The connection that belongs to a client of tokio-postgres; whoever has it drives it.
pub type Driver = tokio_postgres::Connection<Stream, Opened>;

/// Why a driver has no connection.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// None could be opened.
    #[error("{0}")]
    Open(#[from] ConnectError),
    /// The login failed.
    #[error("{error}")]
    Login {
        /// Why.
        error: tokio_postgres::Error,
        /// Why a connection before that, with TLS or without, could not be used.
        first: Option<String>,
    },
}

/// Opens a connection and logs in; `config` says as whom.
pub async fn drive(address: &ServerAddress, config: &mut Config) -> Result<(Client, Driver), DriverError> {
    // As far as the driver knows, TLS begins with the first byte; it has been begun already, or there is none.
    config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
    config.channel_binding(match address.tls().channel_binding {
        ChannelBinding::Disable => Binding::Disable,
        ChannelBinding::Prefer => Binding::Prefer,
        ChannelBinding::Require => Binding::Require,
    });
    let mut attempts = address.attempts();
    loop {
        let stream = attempts.open().await?;
        let was_encrypted = stream.tls().is_some();
        let error = match config.connect_raw(stream, Already).await {
            Ok(connected) => return Ok(connected),
            Err(error) => error,
        };
        let goes_on = error
            .as_db_error()
            .is_some_and(|db| attempts.go_on_after(db.code().code(), db.message(), was_encrypted));
        if !goes_on {
            return Err(DriverError::Login { error, first: attempts.first().map(str::to_owned) });
        }
    }
}

/// Takes a stream as it is.
struct Already;

impl TlsConnect<Stream> for Already {
    type Stream = Opened;
    type Error = io::Error;
    type Future = Ready<io::Result<Opened>>;

    fn connect(self, stream: Stream) -> Self::Future {
        ready(Ok(Opened(stream)))
    }
}

/// A stream that is as encrypted as it will ever be.
#[derive(Debug)]
pub struct Opened(Stream);

impl TlsStream for Opened {
    fn channel_binding(&self) -> BoundTo {
        match self.0.tls().and_then(|tls| tls.end_point()) {
            Some(end_point) => BoundTo::tls_server_end_point(end_point.to_vec()),
            None => BoundTo::none(),
        }
    }
}

impl AsyncRead for Opened {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Opened {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
