//! Opening a connection and logging in.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use zeroize::Zeroizing;

use super::credential::Held;
use super::{ConnectError, Connection, Credential};
use crate::auth::{Binding, Keys, PLAIN, Prover};
use crate::config::{Host, socket_path};
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
    /// With what that user logs in.
    pub credential: Credential,
    /// Further start-up parameters.
    pub parameters: Vec<(String, String)>,
    /// Time for connecting and logging in together.
    pub connect_timeout: Duration,
    /// Prepared statements one connection may hold.
    pub prepared_limit: usize,
}

/// Opens a socket to a host.
pub(super) async fn open(host: &Host, port: u16) -> Result<Stream, ConnectError> {
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
        loop {
            let body = login.authentication().await?;
            match Authentication::read(&body)? {
                Authentication::Ok => return Ok(()),
                Authentication::Cleartext => login.password(self.credential.password()?),
                Authentication::Md5(salt) => login.password(&self.credential.md5(&self.user, salt)?),
                Authentication::Sasl(mechanisms) => login.scram(mechanisms, &self.credential).await?,
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

    async fn scram(&mut self, mechanisms: &[u8], credential: &Credential) -> Result<(), ConnectError> {
        if !mechanisms.split(|b| *b == 0).any(|m| m == PLAIN.as_bytes()) {
            return Err(ConnectError::Method(10));
        }
        match credential {
            Credential::None => Err(ConnectError::NoPassword),
            Credential::Password(password) => self.scram_by_password(password.expose()).await,
            Credential::Keyring(keyring) => match keyring.held().as_deref() {
                Some(Held::Scram(keys)) => self.scram_by_keys(keys).await,
                held => Err(unknown(held, "a proof by SCRAM")),
            },
        }
    }

    async fn scram_by_password(&mut self, password: &str) -> Result<(), ConnectError> {
        let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        encode::sasl_initial(&mut self.outbox, PLAIN, scram.message());
        let body = self.authentication().await?;
        scram.update(challenge(&body)?).map_err(ConnectError::Sasl)?;
        encode::password(&mut self.outbox, scram.message());
        let body = self.authentication().await?;
        scram.finish(proof(&body)?).map_err(ConnectError::Sasl)
    }

    async fn scram_by_keys(&mut self, keys: &Keys) -> Result<(), ConnectError> {
        let prover = Prover::new(Binding::None, rand::random());
        encode::sasl_initial(&mut self.outbox, PLAIN, prover.message.as_bytes());
        let body = self.authentication().await?;
        let awaited = prover.answer(keys, challenge(&body)?)?;
        encode::password(&mut self.outbox, awaited.message.as_bytes());
        let body = self.authentication().await?;
        Ok(awaited.check(proof(&body)?)?)
    }
}

impl Credential {
    fn password(&self) -> Result<&str, ConnectError> {
        match self {
            Self::None => Err(ConnectError::NoPassword),
            Self::Password(password) => Ok(password.expose()),
            Self::Keyring(keyring) => Err(unknown(keyring.held().as_deref(), "the password itself")),
        }
    }

    fn md5(&self, user: &str, salt: [u8; 4]) -> Result<Zeroizing<String>, ConnectError> {
        match self {
            Self::None => Err(ConnectError::NoPassword),
            Self::Password(password) => {
                Ok(md5_hash(user.as_bytes(), password.expose().as_bytes(), salt).into())
            }
            Self::Keyring(keyring) => match keyring.held().as_deref() {
                Some(Held::Md5(hash)) => Ok(hash.answer(salt)),
                held => Err(unknown(held, "its md5 hash")),
            },
        }
    }
}

/// The server wants what is not known.
fn unknown(held: Option<&Held>, wanted: &'static str) -> ConnectError {
    match held {
        None => ConnectError::NoKeys,
        Some(Held::Scram(_)) => ConnectError::Unknown { wanted, known: "what SCRAM needs" },
        Some(Held::Md5(_)) => ConnectError::Unknown { wanted, known: "its md5 hash" },
    }
}

fn challenge(body: &[u8]) -> Result<&[u8], ConnectError> {
    match Authentication::read(body)? {
        Authentication::SaslContinue(challenge) => Ok(challenge),
        _ => Err(wire::WireError::Malformed("SASL").into()),
    }
}

fn proof(body: &[u8]) -> Result<&[u8], ConnectError> {
    match Authentication::read(body)? {
        Authentication::SaslFinal(proof) => Ok(proof),
        _ => Err(wire::WireError::Malformed("SASL").into()),
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
