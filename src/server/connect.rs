//! Opening a connection and logging in.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::{ConnectError, Connection};
use crate::config::{Host, Secret, socket_path};
use crate::net::Stream;
use crate::wire::{
    self, Authentication, Backend, CancelKey, ErrorFields, StartupParameters, backend_message, encode,
    parameter_status,
};

/// Where and as whom to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Host name, address or socket directory.
    pub host: Host,
    /// Port; also part of a Unix socket's name.
    pub port: u16,
    /// Database on the server.
    pub database: String,
    /// User to log in as.
    pub user: String,
    /// That user's password.
    pub password: Option<Secret>,
    /// Further start-up parameters.
    pub parameters: Vec<(String, String)>,
    /// Time for connecting and logging in together.
    pub connect_timeout: Duration,
    /// Prepared statements one connection may hold.
    pub prepared_limit: usize,
}

/// Opens a socket to a host.
pub(super) async fn open(host: &Host, port: u16) -> Result<Stream, ConnectError> {
    #[cfg(any(test, fuzzing))]
    if let Some(stream) = super::in_process::dial(host) {
        return Ok(stream);
    }
    Ok(match host {
        Host::Tcp(name) => Stream::tcp(TcpStream::connect((name.as_str(), port)).await?)?,
        Host::Unix(dir) => Stream::Unix(UnixStream::connect(socket_path(dir, port)).await?),
    })
}

impl Endpoint {
    /// Connects and logs in.
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        let login = async { self.login(open(&self.host, self.port).await?).await };
        match tokio::time::timeout(self.connect_timeout, login).await {
            Ok(result) => result,
            Err(_) => Err(ConnectError::Timeout(self.connect_timeout)),
        }
    }

    /// Logs in on an open stream.
    pub async fn login(&self, stream: Stream) -> Result<Connection, ConnectError> {
        let mut login = Login { stream, inbox: BytesMut::with_capacity(1024), outbox: BytesMut::new() };
        encode::startup(&mut login.outbox, &self.startup_parameters());
        self.authenticate(&mut login).await?;
        let (mut key, mut parameters) = (CancelKey { pid: 0, secret: vec![0; 4] }, Vec::new());
        loop {
            let (kind, body) = login.message().await?;
            match kind {
                Backend::BackendKeyData => key = CancelKey::read(&body)?,
                Backend::ParameterStatus => {
                    let (name, value) = parameter_status(&body)?;
                    parameters.push((lossy(name), lossy(value)));
                }
                Backend::ReadyForQuery => break,
                _ => {}
            }
        }
        Ok(Connection::new(login.stream, login.inbox, key, parameters, self.prepared_limit))
    }

    fn startup_parameters(&self) -> StartupParameters {
        let own = [("user", &self.user), ("database", &self.database)];
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value.clone()));
        StartupParameters {
            minor: 0,
            values: own.chain(self.parameters.iter().cloned()).collect(),
            options: vec![],
        }
    }

    async fn authenticate(&self, login: &mut Login) -> Result<(), ConnectError> {
        let password = || self.password.as_ref().map(Secret::expose).ok_or(ConnectError::NoPassword);
        loop {
            let body = login.authentication().await?;
            match Authentication::read(&body)? {
                Authentication::Ok => return Ok(()),
                Authentication::Cleartext => login.password(password()?),
                Authentication::Md5(salt) => {
                    let hash = md5_hash(self.user.as_bytes(), password()?.as_bytes(), salt);
                    login.password(&hash);
                }
                Authentication::Sasl(mechanisms) => login.scram(mechanisms, password()?).await?,
                Authentication::SaslContinue(_) | Authentication::SaslFinal(_) => {
                    return Err(wire::WireError::Malformed("Authentication").into());
                }
                Authentication::Unsupported(method) => return Err(ConnectError::Method(method)),
            }
        }
    }
}

/// A connection that is not logged in yet.
struct Login {
    stream: Stream,
    inbox: BytesMut,
    outbox: BytesMut,
}

impl Login {
    /// Sends what waits, then the next message that is neither a notice nor an error; an error ends the login.
    async fn message(&mut self) -> Result<(Backend, BytesMut), ConnectError> {
        self.stream.write_all_buf(&mut self.outbox).await?;
        loop {
            let Some(header) = backend_message(&self.inbox)?.filter(|h| h.len <= self.inbox.len()) else {
                if self.stream.read_buf(&mut self.inbox).await? == 0 {
                    return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
                }
                continue;
            };
            let mut body = self.inbox.split_to(header.len);
            body.advance(wire::HEADER_LEN);
            match header.kind {
                Backend::ErrorResponse => {
                    let error = ErrorFields::read(&body);
                    return Err(ConnectError::Refused {
                        code: lossy(error.code),
                        message: lossy(error.message),
                    });
                }
                Backend::NoticeResponse => {}
                kind => return Ok((kind, body)),
            }
        }
    }

    async fn authentication(&mut self) -> Result<BytesMut, ConnectError> {
        loop {
            match self.message().await? {
                (Backend::Authentication, body) => return Ok(body),
                (Backend::NegotiateProtocolVersion, _) => {}
                _ => return Err(wire::WireError::Malformed("Authentication").into()),
            }
        }
    }

    fn password(&mut self, text: &str) {
        let mut body = text.as_bytes().to_vec();
        body.push(0);
        encode::password(&mut self.outbox, &body);
    }

    async fn scram(&mut self, mechanisms: &[u8], password: &str) -> Result<(), ConnectError> {
        if !mechanisms.split(|b| *b == 0).any(|m| m == SCRAM_SHA_256.as_bytes()) {
            return Err(ConnectError::Method(10));
        }
        let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        encode::sasl_initial(&mut self.outbox, SCRAM_SHA_256, scram.message());
        let body = self.authentication().await?;
        let Authentication::SaslContinue(challenge) = Authentication::read(&body)? else {
            return Err(wire::WireError::Malformed("SASL").into());
        };
        scram.update(challenge).map_err(ConnectError::Sasl)?;
        encode::password(&mut self.outbox, scram.message());
        let body = self.authentication().await?;
        let Authentication::SaslFinal(proof) = Authentication::read(&body)? else {
            return Err(wire::WireError::Malformed("SASL").into());
        };
        scram.finish(proof).map_err(ConnectError::Sasl)
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
