//! With what to log in to a server.

use std::sync::{Arc, Mutex, PoisonError};

use crate::auth::{Keys, Md5Hash};
use crate::config::Secret;

/// With what to log in to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// Nothing: the server must not ask.
    None,
    /// The password.
    Password(Secret),
    /// What is known of it instead.
    Keyring(Arc<Keyring>),
}

/// What is known of a user's password, as long as it is: two are the same only if they are one.
#[derive(Debug, Default)]
pub struct Keyring(Mutex<Option<Arc<Held>>>);

/// What can be known of a password.
#[derive(Clone, Debug)]
pub enum Held {
    /// What a client has shown in a SCRAM exchange.
    Scram(Keys),
    /// The hash that a server keeps of it.
    Md5(Md5Hash),
}

impl Keyring {
    /// This is known from now on.
    pub fn learn(&self, held: Held) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(held));
    }

    /// Nothing is known any more. A login that is under way may end with what was.
    pub fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What is known.
    pub fn held(&self) -> Option<Arc<Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl PartialEq for Keyring {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Keyring {}
