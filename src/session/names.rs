//! The prepared statements of one client, by the names the client gave them.

use std::collections::HashMap;
use std::sync::Arc;

use super::statements::Prepared;

/// The prepared statements of one client.
#[derive(Debug, Default)]
pub(super) struct Names {
    named: HashMap<Box<[u8]>, Arc<Prepared>>,
    unnamed: Option<Arc<Prepared>>,
}

impl Names {
    /// The statement of this name; the empty name is the unnamed statement.
    pub(super) fn get(&self, name: &[u8]) -> Option<&Arc<Prepared>> {
        if name.is_empty() { self.unnamed.as_ref() } else { self.named.get(name) }
    }

    /// Whether no name was given.
    pub(super) fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// Gives the name to a statement.
    pub(super) fn set(&mut self, name: &[u8], prepared: Arc<Prepared>) {
        if name.is_empty() {
            self.unnamed = Some(prepared);
        } else {
            self.named.insert(name.into(), prepared);
        }
    }

    /// Takes the name back.
    pub(super) fn remove(&mut self, name: &[u8]) -> bool {
        if name.is_empty() { self.unnamed.take().is_some() } else { self.named.remove(name).is_some() }
    }

    /// A simple query destroys the unnamed statement.
    pub(super) fn forget_unnamed(&mut self) {
        self.unnamed = None;
    }

    /// Everything was deallocated.
    pub(super) fn clear(&mut self) {
        self.named.clear();
        self.unnamed = None;
    }
}
