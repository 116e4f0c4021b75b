//! SCRAM-SHA-256 from the server's side: RFC 5802 and RFC 7677, without channel binding.
//!
//! Pure: randomness is handed in. The keys are derived once per user, so a login costs a few hashes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use postgres_protocol::password::scram_sha_256;
use sha2::{Digest, Sha256};

use super::cancel::same;

type Key = [u8; 32];

/// What is kept of a password.
#[derive(Clone)]
pub(super) struct Verifier {
    salt: String,
    iterations: String,
    stored_key: Key,
    /// HMAC under the stored key, with the key worked in.
    stored: Hmac<Sha256>,
    /// HMAC under the server key.
    server: Hmac<Sha256>,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier(…)")
    }
}

/// Why a client is not who it says. It is told none of this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScramError {
    #[error("malformed SCRAM message")]
    Malformed,
    #[error("the client wants channel binding, which is not offered")]
    ChannelBinding,
    #[error("wrong password")]
    WrongPassword,
}

impl Verifier {
    /// Derives the keys from a password: takes milliseconds.
    pub(super) fn derive(password: &str) -> Self {
        Self::read(&scram_sha_256(password.as_bytes()))
            .unwrap_or_else(|| unreachable!("postgres-protocol makes well-formed verifiers"))
    }

    /// Reads `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`, as `pg_authid` has it.
    fn read(text: &str) -> Option<Self> {
        let (iterations, rest) = text.strip_prefix("SCRAM-SHA-256$")?.split_once(':')?;
        let (salt, keys) = rest.split_once('$')?;
        let (stored, server) = keys.split_once(':')?;
        let key = |text: &str| -> Option<Key> { BASE64.decode(text).ok()?.try_into().ok() };
        let stored_key = key(stored)?;
        Some(Self {
            salt: salt.to_owned(),
            iterations: iterations.to_owned(),
            stored_key,
            stored: hmac(&stored_key),
            server: hmac(&key(server)?),
        })
    }
}

/// An exchange that waits for the client's proof.
pub(super) struct Challenge {
    /// To be sent to the client.
    pub(super) message: String,
    client_first_bare: String,
    nonce: String,
    header: String,
}

impl Challenge {
    /// Answers the client's first message with a challenge; `nonce` is fresh random bytes.
    pub(super) fn new(verifier: &Verifier, client_first: &[u8], nonce: [u8; 18]) -> Result<Self, ScramError> {
        let text = std::str::from_utf8(client_first).map_err(|_| ScramError::Malformed)?;
        let mut parts = text.splitn(3, ',');
        let (flag, authzid, bare) = (parts.next(), parts.next(), parts.next());
        let (Some(flag), Some(authzid), Some(bare)) = (flag, authzid, bare) else {
            return Err(ScramError::Malformed);
        };
        if flag != "n" && flag != "y" {
            return Err(ScramError::ChannelBinding);
        }
        let client_nonce = bare.split(',').find_map(|a| a.strip_prefix("r=")).ok_or(ScramError::Malformed)?;
        let nonce = format!("{client_nonce}{}", BASE64.encode(nonce));
        Ok(Self {
            message: format!("r={nonce},s={},i={}", verifier.salt, verifier.iterations),
            client_first_bare: bare.to_owned(),
            nonce,
            header: format!("{flag},{authzid},"),
        })
    }

    /// Checks the client's proof; the answer proves to the client that we know the keys.
    pub(super) fn check(&self, verifier: &Verifier, client_final: &[u8]) -> Result<String, ScramError> {
        let text = std::str::from_utf8(client_final).map_err(|_| ScramError::Malformed)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(ScramError::Malformed)?;
        let expected = format!("c={},r={}", BASE64.encode(&self.header), self.nonce);
        if !without_proof.starts_with(&expected) {
            return Err(ScramError::Malformed);
        }
        let proof: Key =
            BASE64.decode(proof).ok().and_then(|p| p.try_into().ok()).ok_or(ScramError::Malformed)?;
        let transcript = format!("{},{},{without_proof}", self.client_first_bare, self.message);
        let signature = sign(&verifier.stored, &transcript);
        let mut client_key = proof;
        client_key.iter_mut().zip(signature).for_each(|(k, s)| *k ^= s);
        let stored: Key = Sha256::digest(client_key).into();
        if !same(&stored, &verifier.stored_key) {
            return Err(ScramError::WrongPassword);
        }
        Ok(format!("v={}", BASE64.encode(sign(&verifier.server, &transcript))))
    }
}

fn hmac(key: &Key) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes keys of any size"))
}

fn sign(key: &Hmac<Sha256>, text: &str) -> Key {
    let mut mac = key.clone();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};

    fn exchange(known: &str, given: &str) -> Result<(), ScramError> {
        let verifier = Verifier::derive(known);
        let mut client = ScramSha256::new(given.as_bytes(), ChannelBinding::unsupported());
        let challenge = Challenge::new(&verifier, client.message(), [7; 18])?;
        client.update(challenge.message.as_bytes()).unwrap();
        let proof = challenge.check(&verifier, client.message())?;
        client.finish(proof.as_bytes()).unwrap();
        Ok(())
    }

    #[test]
    fn another_implementation_agrees() {
        assert_eq!(exchange("secret", "secret"), Ok(()));
        assert_eq!(exchange("secret", "Secret"), Err(ScramError::WrongPassword));
    }

    #[test]
    fn malformed_messages_are_refused() {
        let v = Verifier::derive("x");
        for bad in ["", "n,,", "n,,n=", "p=tls-server-end-point,,n=,r=x", "n"] {
            assert!(Challenge::new(&v, bad.as_bytes(), [0; 18]).is_err(), "{bad}");
        }
        let challenge = Challenge::new(&v, b"n,,n=,r=abc", [0; 18]).unwrap_or_else(|e| panic!("{e}"));
        for bad in ["", "c=biws,r=abc,p=", "c=biws,r=other,p=AAAA"] {
            assert!(challenge.check(&v, bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
