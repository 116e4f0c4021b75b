//! PostgreSQL's older way to keep and to prove a password.

use md5::{Digest, Md5};
use zeroize::Zeroizing;

use super::same;

/// What `pg_authid` keeps of a password with `password_encryption = md5`. Whoever has it can log in with it where a server
/// asks for `md5`.
#[derive(Clone)]
pub struct Md5Hash(Zeroizing<String>);

impl Md5Hash {
    /// Reads `md5` and 32 hexadecimal digits, in lower case as PostgreSQL writes them.
    pub fn read(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("md5")?;
        let is_hash = digits.len() == 32 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        is_hash.then(|| Self(Zeroizing::new(digits.to_owned())))
    }

    /// The answer to a server's salt.
    pub fn answer(&self, salt: [u8; 4]) -> Zeroizing<String> {
        use std::fmt::Write;
        let digest = Md5::new().chain_update(self.0.as_bytes()).chain_update(salt).finalize();
        let mut answer = Zeroizing::new("md5".to_owned());
        for byte in digest {
            let _ = write!(answer, "{byte:02x}");
        }
        answer
    }
}

impl PartialEq for Md5Hash {
    fn eq(&self, other: &Self) -> bool {
        same(self.0.as_bytes(), other.0.as_bytes())
    }
}

impl Eq for Md5Hash {}

impl std::fmt::Debug for Md5Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Md5Hash(…)")
    }
}

#[cfg(test)]
mod tests {
    use postgres_protocol::authentication::md5_hash;
    use postgres_protocol::password::md5;

    use super::*;

    #[test]
    fn another_implementation_agrees() {
        let hash = Md5Hash::read(&md5(b"secret", "app")).unwrap();
        assert_eq!(*hash.answer(*b"salt"), md5_hash(b"app", b"secret", *b"salt"));
    }

    #[test]
    fn what_is_no_hash_is_a_password() {
        for text in [
            "",
            "md5",
            "md5secret",
            "md50123456789abcdef0123456789ABCDEF",
            "0123456789abcdef0123456789abcdef",
        ] {
            assert_eq!(Md5Hash::read(text), None, "{text}");
        }
    }
}
