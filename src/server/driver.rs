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

/// What is going to be asked on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// What others may know.
    Public,
    /// What is kept of passwords.
    Passwords,
}

/// Opens a connection and logs in; `config` says as whom.
pub async fn drive(
    address: &ServerAddress,
    config: &mut Config,
    about: About,
) -> Result<(Client, Driver), DriverError> {
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
        if about == About::Passwords && stream.is_open_to_network() {
            return Err(ConnectError::NotPrivate.into());
        }
        let was_encrypted = stream.tls().is_some();
        let error = match config.connect_raw(stream, Already).await {
            Ok(connected) => return Ok(connected),
            Err(error) => error,
        };
        let said = error.as_db_error().map(|db| (db.code().code(), db.message()));
        // By TLS it may have the password.
        let said = said.or_else(|| is_clear_text(&error).then_some(("28000", "clear text")));
        let goes_on = said.is_some_and(|(code, why)| attempts.go_on_after(code, why, was_encrypted));
        if !goes_on {
            return Err(DriverError::Login { error, first: attempts.first().map(str::to_owned) });
        }
    }
}

/// Whether the server was not told the password that it has asked for.
fn is_clear_text(error: &tokio_postgres::Error) -> bool {
    let io = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    let inner = io.and_then(|io| io.get_ref()).and_then(|inner| inner.downcast_ref::<ConnectError>());
    matches!(inner, Some(ConnectError::ClearText))
}

/// Takes a stream as it is.
struct Already;

impl TlsConnect<Stream> for Already {
    type Stream = Opened;
    type Error = io::Error;
    type Future = Ready<io::Result<Opened>>;

    fn connect(self, stream: Stream) -> Self::Future {
        ready(Ok(Opened { head: stream.is_open_to_others().then(Vec::new), stream }))
    }
}

/// A stream that is as encrypted as it will ever be.
#[derive(Debug)]
pub struct Opened {
    stream: Stream,
    /// The beginning of what the server says, until it is known whether that is a question for the password itself; `None` when
    /// it may be.
    head: Option<Vec<u8>>,
}

/// `AuthenticationCleartextPassword`. The driver takes it as the first message only.
const CLEAR_TEXT: &[u8] = b"R\0\0\0\x08\0\0\0\x03";

impl Opened {
    /// A driver would tell anybody the password who asks for it, and others may read along.
    fn check(&mut self, said: &[u8]) -> io::Result<()> {
        let Some(head) = &mut self.head else { return Ok(()) };
        head.extend(said.iter().take(CLEAR_TEXT.len() - head.len()));
        if head.len() == CLEAR_TEXT.len() {
            if head == CLEAR_TEXT {
                return Err(io::Error::other(ConnectError::ClearText));
            }
            self.head = None;
        }
        Ok(())
    }
}

impl TlsStream for Opened {
    fn channel_binding(&self) -> BoundTo {
        match self.stream.tls().and_then(|tls| tls.end_point()) {
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
        let before = buf.filled().len();
        std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        Poll::Ready(self.check(&buf.filled()[before..]))
    }
}

impl AsyncWrite for Opened {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    async fn read(said: &[&[u8]]) -> io::Result<()> {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut opened = Opened { stream: Stream::Memory(ours), head: Some(Vec::new()) };
        let mut outcome = Ok(());
        for part in said {
            tokio::io::AsyncWriteExt::write_all(&mut theirs, part).await?;
            outcome = opened.read(&mut [0; 64]).await.map(drop);
        }
        outcome
    }

    #[tokio::test]
    async fn attack_asking_a_control_connection_for_the_password_in_clear_text() {
        for at in 1..CLEAR_TEXT.len() {
            let (first, rest) = CLEAR_TEXT.split_at(at);
            assert!(read(&[first, rest]).await.is_err(), "in two parts, at {at}");
        }
        assert!(read(&[CLEAR_TEXT]).await.is_err());
        assert!(
            read(&[b"R\0\0\0\x08\0\0\0\0", CLEAR_TEXT]).await.is_ok(),
            "later it is nothing to the driver"
        );
    }
}
