//! What a SCRAM proof is bound to, and whether one that is not will do.
//!
//! <https://www.postgresql.org/docs/current/sasl-authentication.html#SASL-SCRAM-SHA-256>

use postgres_protocol::authentication::sasl::{self, SCRAM_SHA_256, SCRAM_SHA_256_PLUS};

use super::ConnectError;
use crate::config::ChannelBinding;
use crate::net::Stream;

/// The mechanism to use out of those that the server offers, and what a proof is bound to.
pub(super) fn choose(
    offered: &[u8],
    stream: &Stream,
    wanted: ChannelBinding,
) -> Result<(&'static str, sasl::ChannelBinding), ConnectError> {
    let offers = |name: &str| offered.split(|byte| *byte == 0).any(|known| known == name.as_bytes());
    let (plain, plus) = (offers(SCRAM_SHA_256), offers(SCRAM_SHA_256_PLUS));
    if plus && stream.tls().is_none() {
        return Err(ConnectError::Binding("the server offers it on a connection that is not encrypted"));
    }
    let end_point = stream.tls().and_then(|tls| tls.end_point());
    let end_point = end_point.filter(|_| wanted != ChannelBinding::Disable);
    match end_point {
        Some(end_point) if plus => {
            Ok((SCRAM_SHA_256_PLUS, sasl::ChannelBinding::tls_server_end_point(end_point.to_vec())))
        }
        _ if wanted == ChannelBinding::Require => Err(unbound(stream)),
        // The server is told that it would have been used: it knows whether somebody has hidden that it offers it.
        Some(_) if plain => Ok((SCRAM_SHA_256, sasl::ChannelBinding::unrequested())),
        None if plain => Ok((SCRAM_SHA_256, sasl::ChannelBinding::unsupported())),
        _ => Err(ConnectError::Method(10)),
    }
}

/// Why nothing can be bound to this connection.
fn unbound(stream: &Stream) -> ConnectError {
    ConnectError::Binding(match stream.tls() {
        None => "the connection is not encrypted",
        Some(tls) if tls.end_point().is_none() => {
            "the server's certificate is signed in a way that nothing can be bound to (Ed25519)"
        }
        Some(_) => "the server does not offer it",
    })
}

/// Whether the server may let us in, or ask for something else, without a proof that is bound.
pub(super) fn may_do_without(wanted: ChannelBinding) -> Result<(), ConnectError> {
    match wanted {
        ChannelBinding::Require => Err(ConnectError::Binding("the server asks for no proof that is bound")),
        ChannelBinding::Disable | ChannelBinding::Prefer => Ok(()),
    }
}
