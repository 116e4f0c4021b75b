//! Opening a connection and logging in.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::ScramSha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{ConnectError, Connection, ServerAddress, bind};
use crate::config::{ChannelBinding, Secret};
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
    /// That user's password.
    pub password: Option<Secret>,
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
        let password = || self.password.as_ref().map(Secret::expose).ok_or(ConnectError::NoPassword);
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
                Authentication::Cleartext => login.password(password()?),
                Authentication::Md5(salt) => {
                    let hash = md5_hash(self.user.as_bytes(), password()?.as_bytes(), salt);
                    login.password(&hash);
                }
                Authentication::Sasl(mechanisms) => {
                    login.scram(mechanisms, password()?, binding).await?;
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

    fn password(&mut self, text: &str) {
        let mut body = text.as_bytes().to_vec();
        body.push(0);
        encode::password(&mut self.outbox, &body);
    }

    /// Proves that the password is known; fails unless the proof is bound as is demanded.
    async fn scram(
        &mut self,
        mechanisms: &[u8],
        password: &str,
        binding: ChannelBinding,
    ) -> Result<(), ConnectError> {
        let (mechanism, bound) = bind::choose(mechanisms, &self.stream, binding)?;
        let mut scram = ScramSha256::new(password.as_bytes(), bound);
        encode::sasl_initial(&mut self.outbox, mechanism, scram.message());
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

/// Whether it is TLS that has failed, and not the socket.
fn is_of_tls(error: &std::io::Error) -> bool {
    error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
