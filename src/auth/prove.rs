//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS from the client's side, for who has the keys and no password: RFC 5802 and RFC 7677.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::Hmac;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::scram::{Key, hmac, sign};
use super::{Binding, Keys, same};

/// Why a server could not be logged in to with keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProveError {
    /// It is none of SCRAM's messages.
    #[error("malformed SCRAM message of the server")]
    Malformed,
    /// What is shown to this server would not be what it wants to see.
    #[error(
        "the server keeps this user's password in another form than the one its client has proven: the password was changed, \
         or this server is behind"
    )]
    OtherVerifier,
    /// Whoever answers does not have what the server must have.
    #[error("the server could not prove that it knows this user's password: it may not be the right server")]
    FalseServer,
}

/// An exchange that waits for the server's challenge.
pub struct Prover {
    /// To be sent to the server.
    pub message: String,
    nonce: String,
    /// The header and what the proof is bound to.
    bound: Vec<u8>,
}

impl Prover {
    /// Begins an exchange; `nonce` is fresh random bytes. [`Binding::Offered`] is what could be bound to a channel, but the
    /// server has not offered it.
    pub fn new(binding: Binding<'_>, nonce: [u8; 18]) -> Self {
        let (header, data) = match binding {
            Binding::None => ("n,,", &[][..]),
            Binding::Offered => ("y,,", &[][..]),
            Binding::EndPoint(data) => ("p=tls-server-end-point,,", data),
        };
        let nonce = BASE64.encode(nonce);
        // PostgreSQL goes by the name in the start-up packet.
        Self { message: format!("{header}n=,r={nonce}"), nonce, bound: [header.as_bytes(), data].concat() }
    }

    /// Answers the server's challenge. Nothing is shown to a server whose challenge is not that of the verifier the keys are for.
    pub fn answer(self, keys: &Keys, challenge: &[u8]) -> Result<Awaited, ProveError> {
        let challenge = std::str::from_utf8(challenge).map_err(|_| ProveError::Malformed)?;
        let mut parts = challenge.split(',');
        let mut part =
            |name: &str| parts.next().and_then(|part| part.strip_prefix(name)).ok_or(ProveError::Malformed);
        let (nonce, salt, iterations) = (part("r=")?, part("s=")?, part("i=")?);
        if nonce.strip_prefix(&self.nonce).is_none_or(str::is_empty) {
            return Err(ProveError::Malformed);
        }
        if salt != keys.salt || iterations != keys.iterations {
            return Err(ProveError::OtherVerifier);
        }
        let without_proof = format!("c={},r={nonce}", BASE64.encode(&self.bound));
        // What follows the header is the bare first message.
        let bare = self.message.splitn(3, ',').last().unwrap_or_default();
        let transcript = format!("{bare},{challenge},{without_proof}");
        let client_key = keys.client_key.expose();
        let stored: Key = Sha256::digest(client_key).into();
        let mut proof = Zeroizing::new(*client_key);
        proof.iter_mut().zip(sign(&hmac(&stored), &transcript)).for_each(|(key, signed)| *key ^= signed);
        let message = format!("{without_proof},p={}", BASE64.encode(*proof));
        Ok(Awaited { message, transcript, server: keys.server.clone() })
    }
}

/// An exchange that waits for the server's proof.
pub struct Awaited {
    /// To be sent to the server.
    pub message: String,
    transcript: String,
    server: Hmac<Sha256>,
}

impl Awaited {
    /// Checks the server's proof.
    pub fn check(&self, server_final: &[u8]) -> Result<(), ProveError> {
        let proof = server_final.strip_prefix(b"v=").ok_or(ProveError::Malformed)?;
        let proof = BASE64.decode(proof).map_err(|_| ProveError::Malformed)?;
        if same(&proof, &sign(&self.server, &self.transcript)) {
            Ok(())
        } else {
            Err(ProveError::FalseServer)
        }
    }
}

#[cfg(test)]
mod tests {
    use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};

    use super::super::{Challenge, ScramError, Verifier};
    use super::*;

    /// The keys that a client with this password shows.
    fn learned(verifier: &Verifier, password: &str) -> Keys {
        let mut client = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        let challenge = Challenge::new(verifier, client.message(), Binding::None, [7; 18]).unwrap();
        client.update(challenge.message.as_bytes()).unwrap();
        verifier.keys(&challenge.check(verifier, client.message()).unwrap().client_key)
    }

    #[test]
    fn what_one_client_has_shown_logs_in_to_the_server() {
        let verifier = Verifier::derive("secret");
        let keys = learned(&verifier, "secret");
        for binding in [Binding::None, Binding::EndPoint(b"end")] {
            let prover = Prover::new(binding, [1; 18]);
            let challenge = Challenge::new(&verifier, prover.message.as_bytes(), binding, [2; 18]).unwrap();
            let awaited = prover.answer(&keys, challenge.message.as_bytes()).unwrap();
            let proof = challenge.check(&verifier, awaited.message.as_bytes()).unwrap();
            assert_eq!(awaited.check(proof.answer.as_bytes()), Ok(()));
        }
        // Bound to another channel than the server's: somebody is in between.
        let prover = Prover::new(Binding::EndPoint(b"false"), [1; 18]);
        let end = Binding::EndPoint(b"end");
        let challenge = Challenge::new(&verifier, prover.message.as_bytes(), end, [2; 18]).unwrap();
        let awaited = prover.answer(&keys, challenge.message.as_bytes()).unwrap();
        assert_eq!(
            challenge.check(&verifier, awaited.message.as_bytes()).unwrap_err(),
            ScramError::ChannelBinding
        );
    }

    #[test]
    fn a_stolen_verifier_alone_does_not_log_in() {
        let verifier = Verifier::derive("secret");
        // Whoever has the verifier knows everything but the client key; the stored key in its place does not do.
        let stolen = learned(&Verifier::derive("guess"), "guess");
        let keys = Keys { client_key: stolen.client_key, ..learned(&verifier, "secret") };
        let prover = Prover::new(Binding::None, [1; 18]);
        let challenge = Challenge::new(&verifier, prover.message.as_bytes(), Binding::None, [2; 18]).unwrap();
        let awaited = prover.answer(&keys, challenge.message.as_bytes()).unwrap();
        assert_eq!(
            challenge.check(&verifier, awaited.message.as_bytes()).unwrap_err(),
            ScramError::WrongPassword
        );
    }

    #[test]
    fn a_false_server_is_found_out() {
        let verifier = Verifier::derive("secret");
        let keys = learned(&verifier, "secret");
        let answer =
            |challenge: &str| Prover::new(Binding::None, [1; 18]).answer(&keys, challenge.as_bytes());
        let nonce = BASE64.encode([1; 18]);
        let other = Verifier::derive("secret");
        let theirs = Challenge::new(
            &other,
            Prover::new(Binding::None, [1; 18]).message.as_bytes(),
            Binding::None,
            [2; 18],
        );
        // A salt of its own choice is not answered at all.
        assert_eq!(answer(&theirs.unwrap().message).err(), Some(ProveError::OtherVerifier));
        let good = format!("r={nonce}more,s={},i={}", keys.salt, keys.iterations);
        let awaited = answer(&good).unwrap();
        assert_eq!(
            awaited.check(format!("v={}", BASE64.encode([0; 32])).as_bytes()),
            Err(ProveError::FalseServer)
        );
        for bad in ["", "v=", "v=%", "e=other-error", "x"] {
            assert!(awaited.check(bad.as_bytes()).is_err(), "{bad}");
        }
        // Not a nonce made from ours, or nothing added to it.
        for bad in ["", "r=other,s=,i=1", &good.replace("more", ""), &good[2..], &good[..good.len() - 7]] {
            assert!(answer(bad).is_err(), "{bad}");
        }
    }
}
