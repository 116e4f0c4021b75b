//! Errors of the proxy's own towards a client: whose fault, which SQLSTATE, and what the client may read.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use bytes::BytesMut;

use crate::pool::LeaseError;
use crate::wire::{Severity, WireError, encode};

/// An error the client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) severity: Severity,
    pub(super) code: Cow<'static, str>,
    pub(super) message: String,
    pub(super) hint: &'static str,
    /// The function of PostgreSQL that says the same: some drivers go by it.
    pub(super) routine: &'static str,
}

impl Failure {
    /// The statement fails, the session goes on.
    pub(super) fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code: code.into(), message: message.into(), hint: "", routine: "" }
    }

    /// The session ends.
    pub(super) fn fatal(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Fatal, code: code.into(), message: message.into(), hint: "", routine: "" }
    }

    /// The same, but the session ends: it has not begun.
    pub(super) fn into_fatal(self) -> Self {
        Self { severity: Severity::Fatal, ..self }
    }

    /// With advice what to do.
    pub(super) fn with_hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }

    /// As this function of PostgreSQL says it.
    pub(super) fn with_routine(self, routine: &'static str) -> Self {
        Self { routine, ..self }
    }

    /// No server connection could be lent.
    pub(super) fn from_lease(error: LeaseError) -> Self {
        let message = error.to_string();
        match error {
            LeaseError::Exhausted { .. } => Self::error("53300", message).with_hint(
                "Raise connection_limit or pool_timeout, or look for long transactions in pg_stat_activity.",
            ),
            LeaseError::Crowded { .. } => Self::error("53300", message).with_hint(
                "Raise database_connection_limit or pool_timeout, or look for long transactions in pg_stat_activity.",
            ),
            LeaseError::Connect { error: crate::server::ConnectError::Refused { code, message }, .. } => {
                Self { severity: Severity::Error, code: code.into(), message, hint: "", routine: "" }
            }
            LeaseError::Connect { error, .. } if error.is_about_the_user() => Self::error("28P01", message)
                .with_hint("Connect to the proxy again, with the password that the servers have now."),
            LeaseError::Connect { .. } | LeaseError::Closed { .. } => Self::error("08001", message),
        }
    }

    /// The configuration names no such database.
    pub(super) fn no_database(name: &str) -> Self {
        Self::fatal("3D000", format!("database \"{name}\" does not exist"))
    }

    /// PostgreSQL's words.
    pub(super) fn in_failed_transaction() -> Self {
        Self::error(
            "25P02",
            "current transaction is aborted, commands ignored until end of transaction block",
        )
    }

    /// Nothing can serve this.
    pub(super) fn no_node(database: &str) -> Self {
        Self::error("57P03", format!("no node of database \"{database}\" can be reached at the moment"))
            .with_hint("The nodes and their state are in the proxy's log and metrics.")
    }

    /// Only the primary can serve this.
    pub(super) fn no_primary(database: &str, waited: Duration) -> Self {
        let text = format!(
            "no primary of database \"{database}\" could be reached within {waited:?} (failover_timeout)"
        );
        Self::error("57P03", text)
            .with_hint("Reads on replicas still work; try again when a node has been promoted or is back.")
    }

    /// Several nodes take themselves for the primary.
    pub(super) fn contested(database: &str, why: &str) -> Self {
        Self::error("57P03", format!("database \"{database}\" takes no writes: {why}"))
            .with_hint("Stop those that should not be, or make them replicas; writes go on when one is left.")
    }

    /// Writes the error message.
    pub(super) fn write(&self, out: &mut BytesMut) {
        encode::error(out, self.severity, &self.code, &self.message, self.hint, self.routine);
    }
}

/// Why a session ends.
#[derive(Debug)]
pub(super) enum End {
    /// The client said good-bye or hung up.
    Client,
    /// The client is told why.
    Failure(Failure),
    /// The client's socket failed.
    Io(io::Error),
    /// The proxy itself is at fault.
    Fault,
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<WireError> for End {
    fn from(error: WireError) -> Self {
        Self::Failure(Failure::fatal("08P01", error.to_string()))
    }
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}
