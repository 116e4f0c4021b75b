//! A password on its way through the program.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::auth::same;

/// Text that no log, error or debug output may show.
///
/// [`Secret::expose`] is the only way to read it, so every reader can be found by that name. Copies share one piece of
/// memory, which is overwritten when the last of them goes. It cannot be displayed:
///
/// ```compile_fail
/// println!("{}", tidegate::config::Secret::new("hush"));
/// ```
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// Takes custody of a secret text. A `String` is moved; of anything else the original stays with the caller.
    pub fn new(text: impl Into<String>) -> Self {
        Self::from(Zeroizing::new(text.into()))
    }

    /// The text itself. Hand it to authentication only, never to a formatter.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Zeroizing<String>> for Secret {
    fn from(text: Zeroizing<String>) -> Self {
        Self(Arc::new(text))
    }
}

impl PartialEq for Secret {
    /// In a time that tells nothing of where they differ.
    fn eq(&self, other: &Self) -> bool {
        same(self.expose().as_bytes(), other.expose().as_bytes())
    }
}

impl Eq for Secret {}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}
