//! What is kept of the passwords that the configuration has, and of those that nobody has.
//!
//! A client may log in as anybody, and is asked for a proof whether there is such a user or not. So that it cannot find that
//! out, the salt it is told is made of the user's name in both cases: always the same for the same name, as that of a real
//! password is. It is also the same in every database. PostgreSQL does alike ("mock authentication").

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{Md5Hash, Verifier};

/// PostgreSQL's default (`scram_iterations`).
const ITERATIONS: u32 = 4096;
/// Bytes of a salt, as in PostgreSQL.
const SALT: usize = 16;

type Key = Zeroizing<[u8; 32]>;

/// Makes salts from names. Whoever knows its secret can tell who is nobody.
pub struct Salts(Key);

impl std::fmt::Debug for Salts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salts(…)")
    }
}

impl Salts {
    /// From random bytes that nobody else knows.
    pub fn new(secret: [u8; 32]) -> Self {
        Self(Zeroizing::new(secret))
    }

    /// What is kept of a user's password. Takes milliseconds.
    pub fn verifier(&self, user: &str, password: &str) -> Verifier {
        let salt = self.salt(user);
        let salted = salted(password, &salt);
        let client_key = hmac(&*salted, b"Client Key");
        let stored = Zeroizing::new(Sha256::digest(*client_key).into());
        verifier(&salt, &stored, &hmac(&*salted, b"Server Key"))
    }

    /// What nobody has a password for, whoever it is.
    pub fn mock(&self, user: &str) -> Verifier {
        verifier(&self.salt(user), &self.derive("stored key", user), &self.derive("server key", user))
    }

    /// The same for MD5.
    pub fn mock_md5(&self, user: &str) -> Md5Hash {
        md5(user, &BASE64.encode(*self.derive("md5", user)))
    }

    fn salt(&self, user: &str) -> [u8; SALT] {
        let derived = self.derive("salt", user);
        std::array::from_fn(|at| derived[at])
    }

    fn derive(&self, purpose: &str, user: &str) -> Key {
        hmac(&*self.0, format!("{purpose}\0{user}").as_bytes())
    }
}

/// What PostgreSQL keeps of a password with `password_encryption = md5`.
pub fn md5(user: &str, password: &str) -> Md5Hash {
    Md5Hash::read(&postgres_protocol::password::md5(password.as_bytes(), user))
        .unwrap_or_else(|| unreachable!("postgres-protocol makes well-formed hashes"))
}

fn verifier(salt: &[u8], stored: &Key, server: &Key) -> Verifier {
    let [salt, stored, server] = [salt, &**stored, &**server].map(|bytes| BASE64.encode(bytes));
    Verifier::read(&format!("SCRAM-SHA-256${ITERATIONS}:{salt}${stored}:{server}"))
        .unwrap_or_else(|| unreachable!("it has just been written so"))
}

/// PBKDF2 of the password as `SASLprep` has it, or as it is where that is not text `SASLprep` takes: as PostgreSQL and libpq do.
/// <https://www.rfc-editor.org/rfc/rfc5802#section-2.2>
fn salted(password: &str, salt: &[u8]) -> Key {
    let prepared = stringprep::saslprep(password);
    let prepared = prepared.as_deref().unwrap_or(password);
    let keyed = keyed(prepared.as_bytes());
    let sign = |text: &[&[u8]]| -> Key {
        let mut mac = keyed.clone();
        for part in text {
            mac.update(part);
        }
        Zeroizing::new(mac.finalize().into_bytes().into())
    };
    let mut last = sign(&[salt, &1_u32.to_be_bytes()]);
    let mut all = last.clone();
    for _ in 1..ITERATIONS {
        last = sign(&[&*last]);
        all.iter_mut().zip(*last).for_each(|(all, byte)| *all ^= byte);
    }
    all
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes keys of any size"))
}

fn hmac(key: &[u8], text: &[u8]) -> Key {
    let mut mac = keyed(key);
    mac.update(text);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};

    use super::*;
    use crate::auth::{Binding, Challenge, ScramError};

    /// What the client is told first, and what comes of its proof.
    fn exchange(verifier: &Verifier, given: &str) -> (String, Result<(), ScramError>) {
        let mut client = ScramSha256::new(given.as_bytes(), ChannelBinding::unsupported());
        let challenge = Challenge::new(verifier, client.message(), Binding::None, [7; 18]).unwrap();
        client.update(challenge.message.as_bytes()).unwrap();
        let proof = challenge.check(verifier, client.message());
        if let Ok(proof) = &proof {
            client.finish(proof.answer.as_bytes()).unwrap();
        }
        let told = challenge.message.split_once(",s=").unwrap().1.to_owned();
        (told, proof.map(|_| ()))
    }

    #[test]
    fn another_implementation_agrees() {
        let salts = Salts::new([1; 32]);
        // The last two: what SASLprep changes, and what it does not take.
        for password in ["secret", "", "pass word", "I\u{00AD}X", "a\u{0007}b"] {
            let verifier = salts.verifier("app", password);
            assert_eq!(exchange(&verifier, password).1, Ok(()), "{password:?}");
            assert_eq!(exchange(&verifier, "guess").1, Err(ScramError::WrongPassword));
        }
    }

    #[test]
    fn attack_telling_unknown_users_by_their_salt() {
        let salts = Salts::new([1; 32]);
        let told = |verifier: &Verifier| exchange(verifier, "guess");
        let (real, unknown) = (salts.verifier("app", "secret"), salts.mock("app"));
        assert_eq!(told(&real), told(&unknown), "salt and iterations say nothing of whether there is a user");
        assert_eq!(told(&salts.mock("app")), told(&unknown), "nor does asking twice");
        assert_ne!(told(&salts.mock("other")).0, told(&unknown).0);
        assert_ne!(told(&Salts::new([2; 32]).mock("app")).0, told(&unknown).0);
    }

    #[test]
    fn the_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Salts::new([1; 32])), "Salts(…)");
    }
}
