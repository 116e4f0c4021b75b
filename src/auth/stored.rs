//! What a server keeps in place of a password.

use super::{Md5Hash, Verifier};

/// What is kept in place of a password, as `pg_authid` and PgBouncer's `userlist.txt` have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// With `password_encryption = scram-sha-256`. It proves nothing to a server; what a client shows in its proof does.
    Scram(Box<Verifier>),
    /// With `password_encryption = md5`.
    Md5(Md5Hash),
}

impl Stored {
    /// Reads what PostgreSQL itself takes for a kept password; anything else is a password in clear text.
    pub fn read(text: &str) -> Option<Self> {
        Verifier::read(text)
            .map(|verifier| Self::Scram(Box::new(verifier)))
            .or_else(|| Md5Hash::read(text).map(Self::Md5))
    }
}
