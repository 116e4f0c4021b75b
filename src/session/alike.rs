//! Settings that sessions of one user have in common.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use super::lock::lock;
use crate::server::Settings;

/// Most that are remembered. Who comes after them is alike with nobody who came before.
const MOST: usize = 1_000;

/// One of a kind of the settings that sessions of one user have: they take no memory for each session, and whether a
/// connection has those of the session is a look at two pointers.
#[derive(Debug, Default)]
pub(super) struct Alike(Mutex<HashSet<Settings>>);

impl Alike {
    /// Puts what others have already in the place of what is equal.
    pub(super) fn share(&self, settings: &mut Settings) {
        let mut known = lock(&self.0);
        if let Some(known) = known.get(settings) {
            *settings = Arc::clone(known);
            return;
        }
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(Arc::clone(settings));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(value: usize) -> Settings {
        Arc::new([("a".to_owned(), value.to_string())].into())
    }

    #[test]
    fn what_is_equal_is_one() {
        let alike = Alike::default();
        let (mut first, mut second, mut other) = (settings(1), settings(1), settings(2));
        for settings in [&mut first, &mut second, &mut other] {
            alike.share(settings);
        }
        assert!(Arc::ptr_eq(&first, &second) && !Arc::ptr_eq(&first, &other));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let alike = Alike::default();
        for value in 0..=2 * MOST {
            alike.share(&mut settings(value));
        }
        assert!(alike.0.lock().unwrap().len() <= MOST);
    }
}
