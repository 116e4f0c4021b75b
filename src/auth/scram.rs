//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS from the server's side: RFC 5802 and RFC 7677.
//!
//! The keys are derived once per user, so a login costs a few hashes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use postgres_protocol::password::scram_sha_256;
use sha2::{Digest, Sha256};

use zeroize::Zeroizing;

use super::same;

pub(super) type Key = [u8; 32];

/// The mechanism without channel binding.
pub const PLAIN: &str = "SCRAM-SHA-256";
/// The mechanism with channel binding, for connections by TLS.
pub const PLUS: &str = "SCRAM-SHA-256-PLUS";

/// What a client may bind its proof to.
#[derive(Clone, Copy, Debug)]
pub enum Binding<'a> {
    /// Nothing: the connection is not encrypted, so that [`PLUS`] is not offered.
    None,
    /// [`PLUS`] is offered, and the client has chosen [`PLAIN`].
    Offered,
    /// The client has chosen [`PLUS`]; this is the data of `tls-server-end-point`
    /// (<https://www.rfc-editor.org/rfc/rfc5929#section-4>).
    EndPoint(&'a [u8]),
}

/// What a client shows that it knows when it logs in: whoever has it can log in as the client, with this salt.
#[derive(Clone)]
pub struct ClientKey(Zeroizing<Key>);

impl ClientKey {
    /// The key. For authentication only, never for a formatter.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for ClientKey {
    fn eq(&self, other: &Self) -> bool {
        same(&*self.0, &*other.0)
    }
}

impl Eq for ClientKey {}

impl std::fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientKey(…)")
    }
}

/// What came of an exchange in which the client has proven that it knows the password.
#[derive(Clone, Debug)]
pub struct Proof {
    /// What proves to the client that the verifier is known here.
    pub answer: String,
    /// What the client has shown.
    pub client_key: ClientKey,
}

/// What is kept of a password.
#[derive(Clone)]
pub struct Verifier {
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

impl PartialEq for Verifier {
    fn eq(&self, other: &Self) -> bool {
        self.salt == other.salt
            && self.iterations == other.iterations
            && same(&self.stored_key, &other.stored_key)
            && same(&sign(&self.server, ""), &sign(&other.server, ""))
    }
}

impl Eq for Verifier {}

/// Why a client is not who it says. It is told none of this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// It is none of SCRAM's messages.
    #[error("malformed SCRAM message")]
    Malformed,
    /// The binding is of another kind, or to another channel; or the client was made to believe that there is none.
    #[error("SCRAM channel binding check failed")]
    ChannelBinding,
    /// The proof is wrong.
    #[error("wrong password")]
    WrongPassword,
}

impl Verifier {
    /// Derives the keys from a password: takes milliseconds.
    pub fn derive(password: &str) -> Self {
        Self::read(&scram_sha_256(password.as_bytes()))
            .unwrap_or_else(|| unreachable!("postgres-protocol makes well-formed verifiers"))
    }

    /// Reads `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`, as `pg_authid` has it.
    pub fn read(text: &str) -> Option<Self> {
        let (iterations, rest) = text.strip_prefix("SCRAM-SHA-256$")?.split_once(':')?;
        let (salt, keys) = rest.split_once('$')?;
        let (stored, server) = keys.split_once(':')?;
        let key = |text: &str| -> Option<Key> { BASE64.decode(text).ok()?.try_into().ok() };
        let stored_key = key(stored)?;
        // Both are passed on to clients as they stand.
        let is_number = iterations.bytes().all(|byte| byte.is_ascii_digit());
        let is_sound = is_number && iterations.parse::<u32>().ok()? > 0 && BASE64.decode(salt).is_ok();
        if !is_sound {
            return None;
        }
        Some(Self {
            salt: salt.to_owned(),
            iterations: iterations.to_owned(),
            stored_key,
            stored: hmac(&stored_key),
            server: hmac(&key(server)?),
        })
    }
}

/// What is needed to log in to a server that has this verifier, as the client that has shown its key.
#[derive(Clone)]
pub struct Keys {
    pub(super) salt: String,
    pub(super) iterations: String,
    pub(super) client_key: ClientKey,
    /// HMAC under the server key, by which the server proves itself.
    pub(super) server: Hmac<Sha256>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(…)")
    }
}

impl Verifier {
    /// With what a client has shown in an exchange with this verifier.
    pub fn keys(&self, client_key: &ClientKey) -> Keys {
        Keys {
            salt: self.salt.clone(),
            iterations: self.iterations.clone(),
            client_key: client_key.clone(),
            server: self.server.clone(),
        }
    }
}

/// An exchange that waits for the client's proof.
pub struct Challenge {
    /// To be sent to the client.
    pub message: String,
    client_first_bare: String,
    nonce: String,
    /// What the client must say that it has bound its proof to.
    bound: Vec<u8>,
}

impl Challenge {
    /// Answers the client's first message with a challenge; `nonce` is fresh random bytes.
    pub fn new(
        verifier: &Verifier,
        client_first: &[u8],
        binding: Binding<'_>,
        nonce: [u8; 18],
    ) -> Result<Self, ScramError> {
        let text = std::str::from_utf8(client_first).map_err(|_| ScramError::Malformed)?;
        let mut parts = text.splitn(3, ',');
        let (flag, authzid, bare) = (parts.next(), parts.next(), parts.next());
        let (Some(flag), Some(authzid), Some(bare)) = (flag, authzid, bare) else {
            return Err(ScramError::Malformed);
        };
        let data = match (flag, binding) {
            ("n", Binding::None | Binding::Offered) | ("y", Binding::None) => &[][..],
            ("p=tls-server-end-point", Binding::EndPoint(data)) => data,
            // With "y" somebody in between has hidden that it is offered.
            ("y", Binding::Offered) | ("n" | "y", Binding::EndPoint(_)) => {
                return Err(ScramError::ChannelBinding);
            }
            (flag, _) if flag.starts_with("p=") => return Err(ScramError::ChannelBinding),
            _ => return Err(ScramError::Malformed),
        };
        // An identity to act as is not taken on, and an extension (m=) that must be understood is none that is.
        let mut attributes = bare.split(',');
        let named = authzid.is_empty() && attributes.next().is_some_and(|name| name.starts_with("n="));
        let client_nonce = attributes.next().filter(|_| named).and_then(|nonce| nonce.strip_prefix("r="));
        let client_nonce = client_nonce.filter(|nonce| nonce.bytes().all(|byte| byte.is_ascii_graphic()));
        let client_nonce = client_nonce.ok_or(ScramError::Malformed)?;
        let nonce = format!("{client_nonce}{}", BASE64.encode(nonce));
        let header = format!("{flag},{authzid},");
        Ok(Self {
            message: format!("r={nonce},s={},i={}", verifier.salt, verifier.iterations),
            client_first_bare: bare.to_owned(),
            nonce,
            bound: [header.as_bytes(), data].concat(),
        })
    }

    /// Checks the client's proof.
    pub fn check(&self, verifier: &Verifier, client_final: &[u8]) -> Result<Proof, ScramError> {
        let text = std::str::from_utf8(client_final).map_err(|_| ScramError::Malformed)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(ScramError::Malformed)?;
        let (bound, rest) = without_proof.split_once(',').ok_or(ScramError::Malformed)?;
        let bound = bound.strip_prefix("c=").ok_or(ScramError::Malformed)?;
        if bound != BASE64.encode(&self.bound) {
            return Err(ScramError::ChannelBinding);
        }
        let nonce = rest.strip_prefix("r=").and_then(|rest| rest.split(',').next());
        if nonce != Some(&self.nonce) {
            return Err(ScramError::Malformed);
        }
        let proof: Key =
            BASE64.decode(proof).ok().and_then(|p| p.try_into().ok()).ok_or(ScramError::Malformed)?;
        let transcript = format!("{},{},{without_proof}", self.client_first_bare, self.message);
        let signature = sign(&verifier.stored, &transcript);
        let mut client_key = ClientKey(Zeroizing::new(proof));
        client_key.0.iter_mut().zip(signature).for_each(|(k, s)| *k ^= s);
        let stored: Key = Sha256::digest(*client_key.0).into();
        if !same(&stored, &verifier.stored_key) {
            return Err(ScramError::WrongPassword);
        }
        let answer = format!("v={}", BASE64.encode(sign(&verifier.server, &transcript)));
        Ok(Proof { answer, client_key })
    }
}

pub(super) fn hmac(key: &Key) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes keys of any size"))
}

pub(super) fn sign(key: &Hmac<Sha256>, text: &str) -> Key {
    let mut mac = key.clone();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};

    fn exchange(
        known: &str,
        given: &str,
        ours: Binding<'_>,
        theirs: ChannelBinding,
    ) -> Result<(), ScramError> {
        let verifier = Verifier::derive(known);
        let mut client = ScramSha256::new(given.as_bytes(), theirs);
        let challenge = Challenge::new(&verifier, client.message(), ours, [7; 18])?;
        client.update(challenge.message.as_bytes()).unwrap();
        let proof = challenge.check(&verifier, client.message())?;
        client.finish(proof.answer.as_bytes()).unwrap();
        Ok(())
    }

    #[test]
    fn another_implementation_agrees() {
        let plain = |known, given| exchange(known, given, Binding::None, ChannelBinding::unsupported());
        assert_eq!(plain("secret", "secret"), Ok(()));
        assert_eq!(plain("secret", "Secret"), Err(ScramError::WrongPassword));
    }

    #[test]
    fn another_implementation_agrees_on_the_channel() {
        let to = |data: &[u8]| ChannelBinding::tls_server_end_point(data.to_vec());
        let (end, other) = (Binding::EndPoint(b"end"), Binding::EndPoint(b"other"));
        assert_eq!(exchange("x", "x", end, to(b"end")), Ok(()));
        assert_eq!(exchange("x", "x", other, to(b"end")), Err(ScramError::ChannelBinding));
        assert_eq!(exchange("x", "x", Binding::None, to(b"end")), Err(ScramError::ChannelBinding));
        assert_eq!(exchange("x", "x", Binding::Offered, ChannelBinding::unsupported()), Ok(()));
        // Somebody in between has taken the mechanism off the list.
        let hidden = exchange("x", "x", Binding::Offered, ChannelBinding::unrequested());
        assert_eq!(hidden, Err(ScramError::ChannelBinding));
        assert_eq!(exchange("x", "x", end, ChannelBinding::unsupported()), Err(ScramError::ChannelBinding));
    }

    #[test]
    fn identities_to_act_as_and_extensions_to_be_understood_are_refused() {
        let v = Verifier::derive("x");
        let says = |first: &str| Challenge::new(&v, first.as_bytes(), Binding::None, [0; 18]).map(drop);
        assert_eq!(says("n,,n=,r=abc"), Ok(()));
        assert_eq!(says("n,,n=*,r=abc,x=what may be passed over"), Ok(()));
        for attack in [
            "n,a=postgres,n=,r=abc",
            "n,,m=ext,n=,r=abc",
            "n,,n=,m=ext,r=abc",
            "n,,r=abc",
            "n,,n=,r=a\0b",
            "n,,n=,r=\u{e9}",
        ] {
            assert_eq!(says(attack), Err(ScramError::Malformed), "{attack:?}");
        }
    }

    #[test]
    fn malformed_messages_are_refused() {
        let v = Verifier::derive("x");
        for bad in
            ["", "n,,", "n,,n=", "p=tls-server-end-point,,n=,r=x", "p=tls-unique,,n=,r=x", "z,,n=,r=x", "n"]
        {
            assert!(Challenge::new(&v, bad.as_bytes(), Binding::None, [0; 18]).is_err(), "{bad}");
        }
        let challenge = Challenge::new(&v, b"n,,n=,r=abc", Binding::None, [0; 18]);
        let challenge = challenge.unwrap_or_else(|e| panic!("{e}"));
        for bad in ["", "c=biws,r=abc,p=", "c=biws,r=other,p=AAAA", "c=biws,p=AAAA", "r=x,c=biws,p=AAAA"] {
            assert!(challenge.check(&v, bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
