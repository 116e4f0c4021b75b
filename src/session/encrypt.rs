//! The TLS handshake with a client: counted, logged when it fails, and bounded in time by whoever waits for it.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;

use super::client::Client;
use super::failure::End;
use super::proxy::Proxy;
use crate::net::{Peer, Raw, Tls};
use crate::tls::{ALPN, Acceptor, peer_identity};

/// How a client begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// With a request, and then TLS.
    Asked,
    /// With TLS at once.
    Direct,
}

/// Puts the connection in TLS. What fails is logged and counted here; nothing more can be said to the client.
pub(super) async fn encrypt(
    proxy: &Proxy,
    client: &mut Client,
    acceptor: &Acceptor,
    opening: Opening,
) -> Result<(), End> {
    let mut attempt = Attempt { proxy, address: client.address(), outcome: Outcome::TimedOut };
    let Some(socket) = client.take_socket() else { return Err(End::Client) };
    match Box::pin(handshake(socket, acceptor, opening)).await {
        Ok(tls) => {
            client.put_in_tls(tls);
            attempt.outcome = Outcome::Done;
            Ok(())
        }
        Err(refusal) => {
            attempt.outcome = Outcome::Failed(refusal);
            Err(End::Client)
        }
    }
}

/// The connection in TLS. How much is held of a client that has not said anything to the purpose is bounded by rustls: a
/// message of the handshake has 64 KiB at most.
async fn handshake(socket: TcpStream, acceptor: &Acceptor, opening: Opening) -> Result<Tls, HandshakeError> {
    let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), Raw::new(socket)).await?;
    let hello = start.client_hello();
    let means_us = hello.alpn().is_some_and(|mut offered| offered.any(|protocol| protocol == ALPN));
    if opening == Opening::Direct && !means_us {
        return Err(HandshakeError::Protocol);
    }
    let identity = acceptor.identity(hello.server_name());
    let stream = start.into_stream(Arc::clone(&identity.config)).await?;
    let tls = Tls::new(stream.into(), identity.end_point.clone());
    match tls.peer_certificates().first() {
        Some(certificate) if peer_identity(certificate).is_none() => Err(HandshakeError::Name),
        _ => Ok(tls),
    }
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
enum HandshakeError {
    /// The connection has broken, or what came was no TLS that both sides speak.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Whoever begins with TLS must say that it means PostgreSQL: it may have been sent here from elsewhere.
    #[error("a direct TLS connection without the ALPN protocol postgresql")]
    Protocol,
    /// Its certificate was signed by an authority, but has no name that can be read in one way only.
    #[error("the names in the client's certificate cannot be used")]
    Name,
}

impl HandshakeError {
    /// One word for the metrics.
    fn word(&self) -> &'static str {
        let Self::Io(error) = self else {
            return if matches!(self, Self::Name) { "certificate" } else { "protocol" };
        };
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
                "certificate"
            }
            Some(rustls::Error::NoApplicationProtocol) => "protocol",
            Some(rustls::Error::PeerIncompatible(_)) => "version",
            Some(rustls::Error::AlertReceived(_)) => "alert",
            Some(_) => "malformed",
            None => "closed",
        }
    }
}

/// How a handshake ends.
enum Outcome {
    Done,
    Failed(HandshakeError),
    /// Unless something else is said.
    TimedOut,
}

/// A handshake, counted and logged when this is dropped, however that comes.
struct Attempt<'a> {
    proxy: &'a Proxy,
    address: Peer,
    outcome: Outcome,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let address = &self.address;
        let word = match &self.outcome {
            Outcome::Done => "ok",
            Outcome::Failed(error) => {
                tracing::info!(%address, "a client's TLS handshake has failed: {error}");
                error.word()
            }
            Outcome::TimedOut => {
                tracing::info!(%address, "a client's TLS handshake was not finished in time");
                "timeout"
            }
        };
        self.proxy.stats.counter("tidegate_tls_handshakes_total", &[("outcome", word)]).increment(1);
    }
}
