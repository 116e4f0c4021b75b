//! Control connections: how the monitor, and `tidegate check`, talk to a node.

use std::time::Duration;

use tokio_postgres::Client;

use super::Identity;
use crate::config::{DatabaseSettings, NodeSettings, Secret, ServerTls};
use crate::server::{About, Attempt, ConnectError, Driver, DriverError, ServerAddress, drive};

/// Longest wait for the answer to a question on a control connection.
pub(super) const ANSWER: Duration = Duration::from_secs(1);

/// Why a node could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// No connection to it could be opened.
    #[error("{0}")]
    Open(ConnectError),
    /// It refused the login or the question.
    #[error("{}", describe(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// It refused the login, after a first attempt with TLS, or without, had failed.
    #[error("{}; and before that: {}", describe(.0), .1)]
    Twice(tokio_postgres::Error, String),
    /// It did not answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

impl From<DriverError> for ProbeError {
    fn from(error: DriverError) -> Self {
        match error {
            DriverError::Open(error) => Self::Open(error),
            DriverError::Login { error, first: Some(first) } => Self::Twice(error, first),
            DriverError::Login { error, first: None } => Self::Postgres(error),
        }
    }
}

impl ProbeError {
    /// What to do about it: a sentence, or nothing where the error says it itself.
    pub fn advice(&self, attempt: Attempt<'_>) -> Option<String> {
        match self {
            Self::Open(error) => attempt.advice(error),
            Self::Postgres(error) | Self::Twice(error, _) => advice(error, attempt),
            Self::Timeout(within) => attempt.advice(&ConnectError::Timeout(*within)),
        }
    }

    /// The error and what to do about it, in whole sentences.
    pub fn with_advice(&self, attempt: Attempt<'_>) -> String {
        match self.advice(attempt) {
            Some(advice) => format!("{self}. {advice}"),
            None => self.to_string(),
        }
    }
}

fn advice(error: &tokio_postgres::Error, attempt: Attempt<'_>) -> Option<String> {
    if let Some(db) = error.as_db_error() {
        return attempt.on_refusal(db.code().code(), db.message());
    }
    if error.to_string().contains("password missing") {
        return attempt.advice(&ConnectError::NoPassword);
    }
    match std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>()) {
        Some(io) => attempt.on_io(io),
        // It is in the middle of a login, and says nothing that belongs there.
        None if error.is_closed() => attempt.on_io(&std::io::ErrorKind::UnexpectedEof.into()),
        None => None,
    }
}

/// tokio-postgres says "db error" and keeps the server's words in the source.
fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        return format!("{} (SQLSTATE {})", db.message(), db.code().code());
    }
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Bounds any question on a control connection.
pub(super) async fn bounded<T, E: Into<ProbeError>>(
    within: Duration,
    question: impl Future<Output = Result<T, E>>,
) -> Result<T, ProbeError> {
    match tokio::time::timeout(within, question).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(ProbeError::Timeout(within)),
    }
}

/// How control connections log in: the database's first user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    database: String,
    user: String,
    password: Option<Secret>,
    tls: ServerTls,
    connect_timeout: Duration,
    /// Settings of the session, as a start-up packet has them.
    options: String,
    about: About,
}

impl Control {
    /// Takes what is needed from the settings.
    pub fn new(settings: &DatabaseSettings) -> Self {
        let user = settings.users.first();
        Self {
            database: settings.server_name.clone(),
            user: user.map(|u| u.name.clone()).unwrap_or_default(),
            password: user.and_then(|u| u.password.clone()),
            tls: settings.server_tls.clone(),
            connect_timeout: settings.pool.connect_timeout,
            options: String::new(),
            about: About::Public,
        }
    }

    /// How whoever is to ask for other users' passwords logs in. What the names in the query mean is settled, and the server
    /// gives up when nobody waits for the answer any more.
    pub fn for_accounts(settings: &DatabaseSettings) -> Self {
        let (first, about) = (Self::new(settings), About::Passwords);
        let patience = first.connect_timeout.as_millis();
        let options =
            format!("-c search_path=pg_catalog -c statement_timeout={patience} -c lock_timeout={patience}");
        let asker = settings.accounts.user.as_ref();
        match asker.and_then(|name| settings.users.iter().find(|user| user.name == *name)) {
            Some(user) => {
                Self { user: user.name.clone(), password: user.password.clone(), options, about, ..first }
            }
            None => Self { options, about, ..first },
        }
    }

    /// Who logs in.
    pub(super) fn user(&self) -> &str {
        &self.user
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// Opens a control connection; its driver task ends with the client.
    pub async fn connect(&self, node: &NodeSettings) -> Result<Client, ProbeError> {
        let (client, driver) = self.open(node, "tidegate monitor").await?;
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "control connection ended");
            }
        });
        // A commit of ours must flush the WAL (that is what it is for) and wait for nothing else.
        bounded(self.connect_timeout, client.batch_execute("set synchronous_commit = local")).await?;
        Ok(client)
    }

    /// Opens a control connection under a name of its own. Whoever calls this drives it.
    pub(super) async fn open(&self, node: &NodeSettings, name: &str) -> Result<(Client, Driver), ProbeError> {
        let mut config = tokio_postgres::Config::new();
        config.user(&self.user).dbname(&self.database).application_name(name);
        if !self.options.is_empty() {
            config.options(&self.options);
        }
        if let Some(password) = &self.password {
            config.password(password.expose());
        }
        let address = ServerAddress::new(node, &self.tls);
        bounded(self.connect_timeout, drive(&address, &mut config, self.about)).await
    }
}

/// Connects to a node and asks who it is.
pub async fn probe(control: &Control, node: &NodeSettings) -> Result<(Client, Identity), ProbeError> {
    let client = control.connect(node).await?;
    let identity = bounded(control.connect_timeout, Identity::ask(&client)).await?;
    Ok((client, identity))
}
