//! The prepared statements of one client, by the names the client gave them.

use std::collections::HashMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::statements::Prepared;

/// The prepared statements of one client.
#[derive(Debug, Default)]
pub(super) struct Names {
    named: HashMap<Box<[u8]>, Arc<Prepared>>,
    unnamed: Option<Arc<Prepared>>,
    /// The shapes of rows the client was told, by the number of the statement: it decodes them by that ever after.
    told: FxHashMap<u64, u64>,
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
        let gone = if name.is_empty() { self.unnamed.take() } else { self.named.remove(name) };
        let Some(gone) = gone else { return false };
        if !self.told.is_empty() && !self.named.values().any(|prepared| prepared.id == gone.id) {
            self.told.remove(&gone.id);
        }
        true
    }

    /// A simple query destroys the unnamed statement.
    pub(super) fn forget_unnamed(&mut self) {
        self.unnamed = None;
    }

    /// The client is told the shape of a statement's rows.
    pub(super) fn tell(&mut self, statement: u64, shape: u64) {
        self.told.insert(statement, shape);
    }

    /// The shape of a statement's rows as the client was told.
    pub(super) fn told(&self, statement: u64) -> Option<u64> {
        self.told.get(&statement).copied()
    }

    /// Puts a statement in the place of another, under all its names.
    pub(super) fn replace(&mut self, old: u64, new: &Arc<Prepared>) {
        for prepared in self.named.values_mut().chain(&mut self.unnamed).filter(|p| p.id == old) {
            *prepared = Arc::clone(new);
        }
    }

    /// Everything was deallocated.
    pub(super) fn clear(&mut self) {
        self.named.clear();
        self.unnamed = None;
        self.told.clear();
    }
}
