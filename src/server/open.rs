//! Opening connections to servers, encrypted or not.
//!
//! ```text
//!   disable   plain
//!   allow     plain ──refused──▶ TLS, or plain if the server has none
//!   prefer    TLS, or plain if the server has none ──handshake failed, refused──▶ plain
//!   require…  TLS
//! ```
//!
//! As libpq does it: <https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-SSLMODE-STATEMENTS>. "Refused" means that the
//! server does not let this user in (SQLSTATE class 28): a rule of its `pg_hba.conf` may be for the other kind of connection only.
//! Nobody speaks TLS through a Unix socket.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::BytesMut;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::ConnectError;
use crate::config::{Host, NodeSettings, ServerTls, SslMode, SslNegotiation, socket_path};
use crate::net::{Kept, Raw, Stream, Tls, keep_alive};
use crate::tls;
use crate::wire::{SslAnswer, encode};

/// Where a server is, and how connections to it are encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    host: Host,
    port: u16,
    /// Whose certificate it must show: the name in the configuration, whatever address that has led to.
    name: String,
    tls: ServerTls,
}

/// What connections are made of: plain bytes, or TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    Encrypted,
}

/// The connections that are opened to a server until one can be used: one, or two.
#[derive(Debug)]
pub struct Attempts<'a> {
    address: &'a ServerAddress,
    kind: Kind,
    /// Why the first one could not be used.
    first: Option<String>,
}

impl ServerAddress {
    /// Where a node is.
    pub fn new(node: &NodeSettings, tls: &ServerTls) -> Self {
        let name = match &node.host {
            // The name of an interface is nobody else's business.
            Host::Tcp(name) => name.split('%').next().unwrap_or(name).to_owned(),
            Host::Unix(_) => String::new(),
        };
        Self { host: node.reach(), port: node.port, name, tls: tls.clone() }
    }

    /// How proofs of passwords are bound to connections, and the like.
    pub(super) fn tls(&self) -> &ServerTls {
        &self.tls
    }

    /// Begins to connect.
    pub fn attempts(&self) -> Attempts<'_> {
        let kind = match self.tls.mode {
            SslMode::Disable | SslMode::Allow => Kind::Plain,
            _ => Kind::Encrypted,
        };
        Attempts { address: self, kind, first: None }
    }

    /// A connection for a request that needs no login, encrypted like the one it is about.
    pub(super) async fn open_like(&self, is_encrypted: bool) -> Result<Stream, ConnectError> {
        #[cfg(any(test, fuzzing))]
        if let Some(stream) = super::in_process::dial(&self.host) {
            return Ok(stream);
        }
        if !is_encrypted {
            return self.plain().await;
        }
        let stream = self.encrypted().await?;
        if stream.tls().is_none() {
            Err(ConnectError::NoTls("the connection before was encrypted"))
        } else {
            Ok(stream)
        }
    }

    async fn plain(&self) -> Result<Stream, ConnectError> {
        match &self.host {
            Host::Tcp(host) => Ok(Stream::Tcp(dial(host, self.port).await?)),
            Host::Unix(directory) => unix(directory, self.port).await,
        }
    }

    /// An encrypted connection, or a plain one if the server has no other and none is demanded.
    async fn encrypted(&self) -> Result<Stream, ConnectError> {
        let (Host::Tcp(host), Some(client)) = (&self.host, self.tls.client()) else {
            return self.plain().await;
        };
        let mut socket = dial(host, self.port).await?;
        let is_direct = self.tls.negotiation == SslNegotiation::Direct;
        if !is_direct && !has_tls(&mut socket).await? {
            if self.tls.mode >= SslMode::Require {
                return Err(ConnectError::NoTls(self.tls.mode.as_str()));
            }
            return Ok(Stream::Tcp(socket));
        }
        self.shake_hands(socket, client, is_direct).await
    }

    async fn shake_hands(
        &self,
        socket: TcpStream,
        client: &Arc<ClientConfig>,
        is_direct: bool,
    ) -> Result<Stream, ConnectError> {
        let failed = |why: String| ConnectError::Tls(why);
        let name = ServerName::try_from(self.name.clone());
        let name =
            name.map_err(|_| failed(format!("\"{}\" is no name a certificate can have", self.name)))?;
        let shaken = TlsConnector::from(Arc::clone(client)).connect(name, Raw::new(socket)).await;
        let stream = shaken.map_err(|error| failed(self.words(&error)))?;
        let (_, session) = stream.get_ref();
        if is_direct && session.alpn_protocol() != Some(tls::ALPN) {
            return Err(failed(
                "it has not agreed to speak PostgreSQL's protocol (sslnegotiation=direct)".to_owned(),
            ));
        }
        let own = session.peer_certificates().and_then(<[_]>::first);
        let end_point = own.and_then(tls::end_point);
        Ok(Stream::Tls(Box::new(Tls::new(stream.into(), end_point))))
    }

    /// Why TLS has failed. rustls hides in errors of sockets.
    pub(super) fn words(&self, error: &io::Error) -> String {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match inner {
            Some(error) => tls::describe(error, &self.name),
            None if error.kind() == io::ErrorKind::UnexpectedEof => "it has hung up".to_owned(),
            None => error.to_string(),
        }
    }
}

impl Attempts<'_> {
    /// Opens the next one.
    pub async fn open(&mut self) -> Result<Stream, ConnectError> {
        let address = self.address;
        #[cfg(any(test, fuzzing))]
        if let Some(stream) = super::in_process::dial(&address.host) {
            return Ok(stream);
        }
        let stream = match self.kind {
            Kind::Plain => address.plain().await?,
            Kind::Encrypted => match address.encrypted().await {
                Err(ConnectError::Tls(why)) if self.may_go_on(Kind::Encrypted) => {
                    self.go_on(Kind::Plain, why);
                    address.plain().await?
                }
                opened => opened?,
            },
        };
        if matches!(stream, Stream::Tcp(_)) && address.tls.mode == SslMode::Prefer {
            self.say_plain();
        }
        Ok(stream)
    }

    /// Whether there is another one to be tried, now that the server has not let the user in.
    pub fn go_on_after(&mut self, sqlstate: &str, message: &str, was_encrypted: bool) -> bool {
        let was = if was_encrypted { Kind::Encrypted } else { Kind::Plain };
        if !sqlstate.starts_with("28") || !self.may_go_on(was) {
            return false;
        }
        let next = if was_encrypted { Kind::Plain } else { Kind::Encrypted };
        self.go_on(next, message.to_owned());
        true
    }

    /// Why the first one could not be used, where there was one before this.
    pub fn first(&self) -> Option<&str> {
        self.first.as_deref()
    }

    fn may_go_on(&self, after: Kind) -> bool {
        let is_other = match self.address.tls.mode {
            SslMode::Allow => after == Kind::Plain,
            SslMode::Prefer => after == Kind::Encrypted,
            _ => false,
        };
        is_other && self.first.is_none() && matches!(self.address.host, Host::Tcp(_))
    }

    fn go_on(&mut self, next: Kind, why: String) {
        self.kind = next;
        self.first = Some(why);
    }

    fn say_plain(&self) {
        let ServerAddress { name, port, tls, .. } = self.address;
        if tls.is_news(&format!("{name}:{port}")) {
            let why = self.first.as_deref().unwrap_or("the server has no TLS");
            tracing::info!(host = name, port, why, "connections are not encrypted (sslmode=prefer)");
        }
    }
}

/// Opens a plain socket to a host.
pub(super) async fn open_plain(host: &Host, port: u16) -> Result<Stream, ConnectError> {
    match host {
        Host::Tcp(name) => Ok(Stream::Tcp(dial(name, port).await?)),
        Host::Unix(directory) => unix(directory, port).await,
    }
}

async fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    let socket = TcpStream::connect((host, port)).await?;
    socket.set_nodelay(true)?;
    keep_alive(&socket, Kept::Server)?;
    Ok(socket)
}

async fn unix(directory: &Path, port: u16) -> Result<Stream, ConnectError> {
    Ok(Stream::Unix(UnixStream::connect(socket_path(directory, port)).await?))
}

/// Asks the server whether it has TLS.
async fn has_tls(socket: &mut TcpStream) -> Result<bool, ConnectError> {
    let mut request = BytesMut::with_capacity(8);
    encode::ssl_request(&mut request);
    socket.write_all_buf(&mut request).await?;
    let mut answer = [0; 2];
    let read = socket.read(&mut answer).await?;
    if read == 0 {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    match SslAnswer::read(answer[0])? {
        // An error is in nobody's name yet, so it is not shown.
        SslAnswer::Error => Err(ConnectError::ErrorBeforeTls),
        // It is our turn to speak. Whoever has added something wants it to be taken for what comes after the handshake.
        _ if read > 1 => Err(ConnectError::Stuffed),
        SslAnswer::Yes => Ok(true),
        SslAnswer::No => Ok(false),
    }
}
