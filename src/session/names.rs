//! The prepared statements of one client, by the names the client gave them.

use std::collections::HashMap;
use std::sync::Arc;

use rustc_hash::FxBuildHasher;

use super::failure::Failure;
use super::statements::Prepared;

/// Most names one client can give: it is the proxy that remembers them.
const MOST: usize = 10_000;

/// The prepared statements of one client.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Who gives names that hash badly slows down nobody else.
    named: HashMap<Box<[u8]>, Named, FxBuildHasher>,
    unnamed: Option<Arc<Prepared>>,
}

#[derive(Debug)]
struct Named {
    prepared: Arc<Prepared>,
    /// The shape of its rows as the client was told: it decodes them by that ever after.
    told: Option<u64>,
}

/// What a name meant before it was given to another statement, or taken back.
#[derive(Debug)]
pub(super) struct Renamed {
    name: Box<[u8]>,
    before: Option<Named>,
}

impl Names {
    /// The statement of this name; the empty name is the unnamed statement.
    pub(super) fn get(&self, name: &[u8]) -> Option<&Arc<Prepared>> {
        if name.is_empty() {
            self.unnamed.as_ref()
        } else {
            self.named.get(name).map(|named| &named.prepared)
        }
    }

    /// Whether no name was given.
    pub(super) fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// Why the name cannot be given to another statement.
    pub(super) fn refuse(&self, name: &[u8]) -> Option<Failure> {
        if name.is_empty() {
            return None;
        }
        if self.named.contains_key(name) {
            let name = String::from_utf8_lossy(name);
            return Some(Failure::error("42P05", format!("prepared statement \"{name}\" already exists")));
        }
        (self.named.len() >= MOST).then(|| {
            Failure::error("53400", format!("a client can have at most {MOST} prepared statements"))
                .with_hint("Close those that are not needed any more, or use the unnamed statement.")
        })
    }

    /// Gives the name to a statement.
    pub(super) fn set(&mut self, name: &[u8], prepared: Arc<Prepared>) -> Renamed {
        let new = Named { prepared, told: None };
        let before = if name.is_empty() {
            self.unnamed.replace(new.prepared).map(|prepared| Named { prepared, told: None })
        } else {
            self.named.insert(name.into(), new)
        };
        Renamed { name: name.into(), before }
    }

    /// Takes the name back, for as long as that is not undone.
    pub(super) fn take(&mut self, name: &[u8]) -> Renamed {
        let before = if name.is_empty() {
            self.unnamed.take().map(|prepared| Named { prepared, told: None })
        } else {
            self.named.remove(name)
        };
        Renamed { name: name.into(), before }
    }

    /// Undoes changes, which have had no effect.
    pub(super) fn undo(&mut self, changes: impl DoubleEndedIterator<Item = Renamed>) {
        for Renamed { name, before } in changes.rev() {
            match before {
                Some(named) if name.is_empty() => self.unnamed = Some(named.prepared),
                Some(named) => drop(self.named.insert(name, named)),
                None => drop(self.remove(&name)),
            }
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

    /// The client is told the shape of a statement's rows.
    pub(super) fn tell(&mut self, name: &[u8], shape: u64) {
        if let Some(named) = self.named.get_mut(name) {
            named.told = Some(shape);
        }
    }

    /// The shape of a statement's rows as the client was told.
    pub(super) fn told(&self, name: &[u8]) -> Option<u64> {
        self.named.get(name)?.told
    }

    /// Puts a statement in the place of another, under all its names.
    pub(super) fn replace(&mut self, old: u64, new: &Arc<Prepared>) {
        let named = self.named.values_mut().map(|named| &mut named.prepared);
        for prepared in named.chain(&mut self.unnamed).filter(|prepared| prepared.id == old) {
            *prepared = Arc::clone(new);
        }
    }

    /// Everything was deallocated.
    pub(super) fn clear(&mut self) {
        self.named.clear();
        self.unnamed = None;
    }
}
