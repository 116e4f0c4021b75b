//! A TCP connection in TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

/// A TCP connection in TLS, which either side may have opened.
#[derive(Debug)]
pub struct Tls {
    stream: TlsStream<Raw>,
    /// What a SCRAM proof is bound to, where the certificate names a hash for it.
    end_point: Option<Box<[u8]>>,
    /// Bytes that were encrypted and are not all sent yet. Whoever gave them gives them again.
    owed: usize,
    /// Those bytes: a caller that comes back with others would have the peer see neither.
    #[cfg(debug_assertions)]
    given: Vec<u8>,
}

impl Tls {
    /// Takes over a connection on which the handshake has succeeded. `end_point`: the data of `tls-server-end-point` for the
    /// server's certificate, see [`crate::tls::end_point`].
    pub fn new(stream: TlsStream<Raw>, end_point: Option<Vec<u8>>) -> Self {
        Self {
            stream,
            end_point: end_point.map(Vec::into_boxed_slice),
            owed: 0,
            #[cfg(debug_assertions)]
            given: Vec::new(),
        }
    }

    /// The data of `tls-server-end-point` (<https://www.rfc-editor.org/rfc/rfc5929#section-4>), unless the server's
    /// certificate is signed in a way that has none.
    pub fn end_point(&self) -> Option<&[u8]> {
        self.end_point.as_deref()
    }

    /// The certificates that the peer has shown, its own first; none if it has shown none.
    pub fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        let (_, connection) = self.stream.get_ref();
        connection.peer_certificates().unwrap_or_default()
    }

    /// Version of TLS and cipher suite, by their usual names: `TLSv1.3`, `TLS_AES_256_GCM_SHA384`.
    pub fn described(&self) -> (String, String) {
        let (_, connection) = self.stream.get_ref();
        let version = match connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3".to_owned(),
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2".to_owned(),
            other => format!("{other:?}"),
        };
        let suite = connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
        // The suites of TLS 1.3 have a name of their own here.
        (version, suite.unwrap_or_default().replacen("TLS13_", "TLS_", 1))
    }

    /// The TCP connection beneath.
    pub(super) fn socket(&self) -> Option<&TcpStream> {
        self.stream.get_ref().0.0.as_ref()
    }

    /// Moves the socket's registration to the runtime of the current thread.
    pub(super) fn rehome(&mut self) -> io::Result<()> {
        let (raw, _) = self.stream.get_mut();
        let socket = raw.0.take().ok_or(io::ErrorKind::NotConnected)?;
        raw.0 = Some(TcpStream::from_std(socket.into_std()?)?);
        Ok(())
    }

    /// Encrypts and sends some of `bytes`; ready when what it has taken is in the hands of the system. When it is not, it must
    /// be asked again with the same bytes at the front.
    pub(super) fn poll_write_some(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.owed == 0 {
            self.owed = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
            #[cfg(debug_assertions)]
            self.given.extend_from_slice(&bytes[..self.owed]);
        }
        // Nobody else would come back for what was encrypted and not sent.
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        // It may come with fewer than before: then the rest is still owed.
        let sent = self.owed.min(bytes.len());
        self.owed -= sent;
        #[cfg(debug_assertions)]
        self.check(&bytes[..sent]);
        Poll::Ready(Ok(sent))
    }

    #[cfg(debug_assertions)]
    fn check(&mut self, sent: &[u8]) {
        assert!(self.given.starts_with(sent), "other bytes than were encrypted");
        self.given = self.given.split_off(sent.len());
    }

    /// How many of the bytes that were given last have been encrypted, and must be given again.
    pub(super) fn owed(&self) -> usize {
        self.owed
    }
}

impl AsyncRead for Tls {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Tls {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_some(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The TCP connection under TLS. It is out of its place only while it moves to another runtime.
#[derive(Debug)]
pub struct Raw(Option<TcpStream>);

impl Raw {
    /// Takes a TCP connection on which no TLS has been spoken yet.
    pub fn new(socket: TcpStream) -> Self {
        Self(Some(socket))
    }

    fn socket(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.0.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl AsyncRead for Raw {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.get_mut().socket()?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Raw {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().socket()?.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().socket()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().socket()?.poll_shutdown(cx)
    }
}
