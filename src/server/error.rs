//! Why a server could not be connected to.

use std::io;
use std::time::Duration;

use crate::auth::ProveError;
use crate::wire::WireError;

/// Why a server could not be connected to. Never contains a password.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The socket failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Nothing was settled within the time allowed.
    #[error("no connection within {0:?} (connect_timeout)")]
    Timeout(Duration),
    /// The server sent something that is not its protocol.
    #[error("protocol error: {0}")]
    Wire(#[from] WireError),
    /// The server said no.
    #[error("{message} (SQLSTATE {code})")]
    Refused {
        /// SQLSTATE.
        code: String,
        /// The server's own words.
        message: String,
    },
    /// The server asks for a password and none is configured.
    #[error("the server asks for a password, and none is configured for this user")]
    NoPassword,
    /// The server asks for a password, and nobody who knows it has been here, or it is not the right one any more.
    #[error(
        "the server asks for a password, and nothing is known of this user's: whoever logs in to the proxy anew makes it known"
    )]
    NoKeys,
    /// The server asks for what cannot be made from what is known of the password.
    #[error(
        "the server asks for {wanted}, and of this user's password only {known} is known (use scram-sha-256 in pg_hba.conf)"
    )]
    Unknown {
        /// What it asks for.
        wanted: &'static str,
        /// What there is.
        known: &'static str,
    },
    /// The exchange with what is known of the password failed.
    #[error("authentication failed: {0}")]
    Prove(#[from] ProveError),
    /// The server, or somebody in between, asks for the password itself where others may read along.
    #[error(
        "the server asks for the password in clear text on a connection that is not encrypted \
         (say sslmode=require, or scram-sha-256 in the server's pg_hba.conf)"
    )]
    ClearText,
    /// What the server keeps of passwords is asked for where others may read along.
    #[error(
        "what the server keeps of passwords is not asked for on a connection that is not encrypted and leads to another machine \
         (say sslmode=require)"
    )]
    NotPrivate,
    /// The server asks for so much work that it can only be meant to keep the proxy busy.
    #[error("the server asks for {0} rounds of hashing, more than is ever done here")]
    Rounds(u64),
    /// The server asks for a method that is not spoken here.
    #[error("the server asks for authentication method {0}, which is not supported (use scram-sha-256)")]
    Method(u32),
    /// The server has no TLS, and something demands it: `sslmode`.
    #[error("the server has no TLS, and it is demanded ({0})")]
    NoTls(&'static str),
    /// The handshake failed, or what the server has shown in it is not accepted.
    #[error("TLS with the server failed: {0}")]
    Tls(String),
    /// The server answered with an error when it was asked for TLS. Who says so is not known, so neither is what it says.
    #[error("the server answered with an error when it was asked for TLS; look at its log")]
    ErrorBeforeTls,
    /// Bytes followed the answer to the request for TLS, as if they had come through TLS.
    #[error("the server has sent something unencrypted before the TLS handshake: somebody may be in between")]
    Stuffed,
    /// `channel_binding=require`, and the proof cannot be bound.
    #[error("the proof of the password cannot be bound to the connection (channel_binding): {0}")]
    Binding(&'static str),
    /// The SASL exchange failed: most likely the server does not know the password.
    #[error("authentication failed: {0}")]
    Sasl(io::Error),
}

impl ConnectError {
    /// Whether the server does not take what is known of the user's password, or nothing is known of it.
    pub fn is_about_the_user(&self) -> bool {
        match self {
            Self::Refused { code, .. } => code.starts_with("28"),
            Self::NoKeys | Self::Prove(ProveError::OtherVerifier) => true,
            _ => false,
        }
    }

    /// Whether the server itself answered: it lives, whatever it said.
    pub fn is_answer(&self) -> bool {
        match self {
            Self::Refused { code, .. } => !code.starts_with("57P"),
            Self::NoPassword
            | Self::NoKeys
            | Self::Unknown { .. }
            | Self::Prove(_)
            | Self::ClearText
            | Self::Rounds(_)
            | Self::Method(_)
            | Self::Sasl(_)
            | Self::Binding(_) => true,
            Self::Io(_)
            | Self::Timeout(_)
            | Self::Wire(_)
            | Self::NoTls(_)
            | Self::Tls(_)
            | Self::ErrorBeforeTls
            | Self::NotPrivate
            | Self::Stuffed => false,
        }
    }
}
