//! What a SCRAM proof is bound to, and whether one that is not will do.
//!
//! <https://www.postgresql.org/docs/current/sasl-authentication.html#SASL-SCRAM-SHA-256>

use postgres_protocol::authentication::sasl;

use super::ConnectError;
use crate::auth;
use crate::config::ChannelBinding;
use crate::net::Stream;

/// The mechanism to use, and what a proof is bound to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// SCRAM-SHA-256-PLUS, with the data of `tls-server-end-point`.
    Bound(Vec<u8>),
    /// SCRAM-SHA-256; the server is told that a proof would have been bound: it knows whether somebody has hidden that it
    /// offers that.
    Unrequested,
    /// SCRAM-SHA-256; nothing could be bound.
    Unsupported,
}

impl Chosen {
    pub(super) fn mechanism(&self) -> &'static str {
        match self {
            Self::Bound(_) => auth::PLUS,
            Self::Unrequested | Self::Unsupported => auth::PLAIN,
        }
    }

    pub(super) fn binding(&self) -> auth::Binding<'_> {
        match self {
            Self::Bound(end_point) => auth::Binding::EndPoint(end_point),
            Self::Unrequested => auth::Binding::Offered,
            Self::Unsupported => auth::Binding::None,
        }
    }

    pub(super) fn for_library(&self) -> sasl::ChannelBinding {
        match self {
            Self::Bound(end_point) => sasl::ChannelBinding::tls_server_end_point(end_point.clone()),
            Self::Unrequested => sasl::ChannelBinding::unrequested(),
            Self::Unsupported => sasl::ChannelBinding::unsupported(),
        }
    }
}

/// Chooses out of the mechanisms that the server offers.
pub(super) fn choose(
    offered: &[u8],
    stream: &Stream,
    wanted: ChannelBinding,
) -> Result<Chosen, ConnectError> {
    let offers = |name: &str| offered.split(|byte| *byte == 0).any(|known| known == name.as_bytes());
    let (plain, plus) = (offers(auth::PLAIN), offers(auth::PLUS));
    if plus && stream.tls().is_none() {
        return Err(ConnectError::Binding("the server offers it on a connection that is not encrypted"));
    }
    let end_point = stream.tls().and_then(|tls| tls.end_point());
    let end_point = end_point.filter(|_| wanted != ChannelBinding::Disable);
    match end_point {
        Some(end_point) if plus => Ok(Chosen::Bound(end_point.to_vec())),
        _ if wanted == ChannelBinding::Require => Err(unbound(stream)),
        Some(_) if plain => Ok(Chosen::Unrequested),
        None if plain => Ok(Chosen::Unsupported),
        _ => Err(ConnectError::Method(10)),
    }
}

/// A server says how often a password is hashed (PostgreSQL: `scram_iterations`, 4096). Nobody must be able to keep the proxy busy
/// with that.
pub(super) fn check_rounds(challenge: &[u8]) -> Result<(), ConnectError> {
    const MOST: u64 = 1_000_000;
    let rounds = challenge.rsplit(|byte| *byte == b',').find_map(|part| part.strip_prefix(b"i="));
    let rounds = rounds.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u64>().ok());
    match rounds.unwrap_or(0) {
        rounds if rounds > MOST => Err(ConnectError::Rounds(rounds)),
        _ => Ok(()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attack_a_server_that_asks_for_endless_hashing() {
        for (challenge, is_fine) in [
            ("r=a,s=b,i=4096", true),
            ("r=a,s=b,i=1000000", true),
            ("r=a,s=b,i=1000001", false),
            ("r=a,s=b,i=4294967295", false),
            ("r=a,s=b", true),
        ] {
            assert_eq!(check_rounds(challenge.as_bytes()).is_ok(), is_fine, "{challenge}");
        }
    }
}
