//! Why a statement has no answer.

use std::time::Duration;

use tokio_postgres::Error;
use tokio_postgres::error::{Severity, SqlState};

use crate::server::{ConnectError, DriverError};

/// An answer that takes longer than this is an error.
const ANSWER: Duration = Duration::from_secs(30);

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The server refused, or the connection broke.
    #[error("{}", text(.0))]
    Database(#[from] Error),
    /// No connection could be opened.
    #[error("{0}")]
    Connection(ConnectError),
    /// Nothing came.
    #[error("no answer within {} s", ANSWER.as_secs())]
    Silence,
    /// Something came that is none.
    #[error("{0}")]
    Nonsense(&'static str),
}

impl From<DriverError> for Trouble {
    fn from(error: DriverError) -> Self {
        match error {
            DriverError::Open(error) => Self::Connection(error),
            DriverError::Login { error, .. } => Self::Database(error),
        }
    }
}

impl Trouble {
    /// What it is counted by: the SQLSTATE, or a word where there is none.
    pub(super) fn code(&self) -> &str {
        match self {
            Self::Database(error) => error.code().map_or("connection", |code| code.code()),
            Self::Connection(_) => "connection",
            Self::Silence => "timeout",
            Self::Nonsense(_) => "answer",
        }
    }

    /// Whether a table was not there.
    pub(super) fn is_missing_table(&self) -> bool {
        matches!(self, Self::Database(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE))
    }

    /// Whether the same may well succeed the next time: the connection broke, or the statement was canceled.
    pub(super) fn may_pass(&self) -> bool {
        !self.leaves_connection() || ["40", "57"].iter().any(|class| self.code().starts_with(class))
    }

    /// Whether the connection can still be used.
    pub(super) fn leaves_connection(&self) -> bool {
        match self {
            Self::Database(error) => error.as_db_error().is_some_and(|said| {
                said.parsed_severity().is_none_or(|severity| severity == Severity::Error)
            }),
            Self::Connection(_) | Self::Silence => false,
            Self::Nonsense(_) => true,
        }
    }
}

/// Waits for an answer, but not for ever.
pub(super) async fn answer<T>(question: impl Future<Output = Result<T, Error>>) -> Result<T, Trouble> {
    match tokio::time::timeout(ANSWER, question).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Trouble::Silence),
    }
}

/// What the database said, where it said anything.
fn text(error: &Error) -> String {
    match error.as_db_error() {
        Some(said) => format!("{} (SQLSTATE {})", said.message(), said.code().code()),
        None => match std::error::Error::source(error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
    }
}
