//! Opening a connection and logging in.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::ScramSha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use zeroize::{Zeroize, Zeroizing};

use super::bind::{self, Chosen};
use super::credential::Held;
use super::{ConnectError, Connection, Credential, ServerAddress};
use crate::auth::{Keys, Prover};
use crate::config::ChannelBinding;
use crate::net::Stream;
use crate::wire::{
    self, Authentication, Backend, CancelKey, ErrorFields, StartupParameters, backend_message, encode,
    parameter_status,
};

/// Where and as whom to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where, and how encrypted.
    pub address: ServerAddress,
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

impl Endpoint {
    /// Connects and logs in.
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        match tokio::time::timeout(self.connect_timeout, self.connect_in_time()).await {
            Ok(result) => result,
            Err(_) => Err(ConnectError::Timeout(self.connect_timeout)),
        }
    }

    async fn connect_in_time(&self) -> Result<Connection, ConnectError> {
        let mut attempts = self.address.attempts();
        loop {
            let stream = attempts.open().await?;
            let was_encrypted = stream.tls().is_some();
            match self.login(stream).await {
                Err(ConnectError::Refused { code, message }) => {
                    if !attempts.go_on_after(&code, &message, was_encrypted) {
                        let before = attempts.first().map(|first| format!("; and before that: {first}"));
                        return Err(ConnectError::Refused {
                            code,
                            message: message + &before.unwrap_or_default(),
                        });
                    }
                }
                // By TLS it may have the password.
                Err(ConnectError::ClearText)
                    if attempts.go_on_after("28000", "clear text", was_encrypted) => {}
                // With TLS 1.3 a server may find out after the handshake that it does not like our certificate.
                Err(ConnectError::Io(error)) if is_of_tls(&error) => {
                    return Err(ConnectError::Tls(self.address.words(&error)));
                }
                result => return result,
            }
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
        let binding = self.address.tls().channel_binding;
        // Once a proof has been checked that was bound to this connection, nobody is in between.
        let mut is_bound = false;
        loop {
            let body = login.authentication().await?;
            let request = Authentication::read(&body)?;
            if !is_bound && !matches!(request, Authentication::Sasl(_)) {
                bind::may_do_without(binding)?;
            }
            match request {
                Authentication::Ok => return Ok(()),
                Authentication::Cleartext if login.stream.is_open_to_others() => {
                    return Err(ConnectError::ClearText);
                }
                Authentication::Cleartext => login.password(self.credential.password()?).await?,
                Authentication::Md5(salt) => {
                    login.password(&self.credential.md5(&self.user, salt)?).await?;
                }
                Authentication::Sasl(mechanisms) => {
                    login.scram(mechanisms, &self.credential, binding).await?;
                    is_bound = true;
                }
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

    /// Sends a password past the outbox, which would keep a copy of it.
    async fn password(&mut self, text: &str) -> Result<(), ConnectError> {
        let mut body = Zeroizing::new(vec![0; text.len() + 1]);
        body[..text.len()].copy_from_slice(text.as_bytes());
        let mut message = Wiped(BytesMut::with_capacity(wire::HEADER_LEN + body.len()));
        encode::password(&mut message.0, &body);
        Ok(self.stream.write_all(&message.0).await?)
    }

    /// Proves that the password is known; fails unless the proof is bound as is demanded.
    async fn scram(
        &mut self,
        mechanisms: &[u8],
        credential: &Credential,
        binding: ChannelBinding,
    ) -> Result<(), ConnectError> {
        let chosen = bind::choose(mechanisms, &self.stream, binding)?;
        match credential {
            Credential::None => Err(ConnectError::NoPassword),
            Credential::Password(password) => self.scram_by_password(password.expose(), &chosen).await,
            Credential::Keyring(keyring) => match keyring.held().as_deref() {
                Some(Held::Scram(keys)) => self.scram_by_keys(keys, &chosen).await,
                held => Err(unknown(held, "a proof by SCRAM")),
            },
        }
    }

    async fn scram_by_password(&mut self, password: &str, chosen: &Chosen) -> Result<(), ConnectError> {
        let mut scram = ScramSha256::new(password.as_bytes(), chosen.for_library());
        encode::sasl_initial(&mut self.outbox, chosen.mechanism(), scram.message());
        let body = self.authentication().await?;
        let challenge = challenge(&body)?;
        bind::check_rounds(challenge)?;
        scram.update(challenge).map_err(ConnectError::Sasl)?;
        encode::password(&mut self.outbox, scram.message());
        let body = self.authentication().await?;
        scram.finish(proof(&body)?).map_err(ConnectError::Sasl)
    }

    async fn scram_by_keys(&mut self, keys: &Keys, chosen: &Chosen) -> Result<(), ConnectError> {
        let prover = Prover::new(chosen.binding(), rand::random());
        encode::sasl_initial(&mut self.outbox, chosen.mechanism(), prover.message.as_bytes());
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

/// Bytes that are overwritten when they go, also when the login is given up.
struct Wiped(BytesMut);

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.as_mut().zeroize();
    }
}

/// Whether it is TLS that has failed, and not the socket.
fn is_of_tls(error: &std::io::Error) -> bool {
    error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
