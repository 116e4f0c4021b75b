//! What can be wrong with a read.

use std::fmt;

/// A way in which an answer breaks a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It does not show a write that was acknowledged before it was sent.
    Missed,
    /// It shows less than a read before it on the same connection.
    Backwards,
    /// It shows less than a read that had been answered, to anybody, before it was sent.
    Reordered,
    /// It shows what had not even been sent.
    Invented,
    /// A list has a hole, an element twice, or elements in another order than that of their writes.
    Broken,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Missed, Self::Backwards, Self::Reordered, Self::Invented, Self::Broken];

    /// What it is, in a few words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Missed => "missed an acknowledged write",
            Self::Backwards => "went back in time on one connection",
            Self::Reordered => "older than what a read before it had returned",
            Self::Invented => "showed what was not written yet",
            Self::Broken => "a list with a hole, a repetition or a wrong order",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Some kinds.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    /// Whether `kind` is among them.
    pub fn has(self, kind: Kind) -> bool {
        self.0 & kind.bit() != 0
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |kind| self.has(*kind))
    }

    /// Adds `kind` if it is so; what is in stays in.
    pub(super) fn set(&mut self, kind: Kind, is_so: bool) {
        if is_so {
            self.0 |= kind.bit();
        }
    }
}

impl fmt::Debug for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
