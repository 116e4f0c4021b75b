//! What the use of one name in a statement may do.

use super::Blame;
use std::ops::{BitOr, BitOrAssign};
use std::sync::Arc;

/// What the use of one name in a statement may do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Effect {
    /// Why a replica must not be asked. `None`: any node that has replayed what is to be seen answers alike.
    pub blame: Option<Arc<Blame>>,
    /// What it may do beside answering.
    pub does: Does,
    /// The tables that are read (or, of a write, written).
    pub tables: Tables,
}

/// A set of things that a piece of code may do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Does(u8);

impl Does {
    /// Nothing but answer.
    pub const NOTHING: Does = Does(0);
    /// It may change what others read.
    pub const WRITES: Does = Does(1);
    /// It may leave anything behind in the session.
    pub const LEAVES_ANYTHING: Does = Does(2);
    /// It may change the catalog: create, alter or drop.
    pub const CHANGES_CATALOG: Does = Does(4);
    /// What it may change are rows of any table, and not only a sequence, a notification or nothing at all.
    pub const CHANGES_ROWS: Does = Does(8);
    /// It uses what the session remembers of sequences: `currval`, `lastval`.
    pub const USES_SEQUENCE: Does = Does(16);
    /// Code in C runs that is VOLATILE and belongs to no extension: what it keeps in its process nobody can tell.
    pub const RUNS_NATIVE_CODE: Does = Does(32);

    /// Both.
    pub(super) const fn with(self, other: Does) -> Does {
        Does(self.0 | other.0)
    }

    /// What is left of it without `other`.
    pub(super) fn without(self, other: Does) -> Does {
        Does(self.0 & !other.0)
    }

    /// What it has in common with `other`.
    #[must_use]
    pub(in crate::sql) fn only(self, other: Does) -> Does {
        Does(self.0 & other.0)
    }

    /// Whether all of `other` is in it.
    pub fn contains(self, other: Does) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Does {
    type Output = Does;

    fn bitor(self, other: Does) -> Does {
        Does(self.0 | other.0)
    }
}

impl BitOrAssign for Does {
    fn bitor_assign(&mut self, other: Does) {
        self.0 |= other.0;
    }
}

/// Which tables.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Tables {
    /// These, by OID, each once and in order; views, partitions and inheritance resolved.
    Known(Arc<[u32]>),
    /// Any table may be among them.
    Any,
}

impl Tables {
    /// No table.
    pub fn none() -> Tables {
        Tables::Known(Arc::default())
    }

    /// All of both.
    #[must_use]
    pub fn and(&self, other: &Tables) -> Tables {
        match (self, other) {
            (Tables::Any, _) | (_, Tables::Any) => Tables::Any,
            (Tables::Known(some), Tables::Known(none)) | (Tables::Known(none), Tables::Known(some))
                if none.is_empty() =>
            {
                Tables::Known(Arc::clone(some))
            }
            (Tables::Known(some), Tables::Known(others)) if some == others => Tables::Known(Arc::clone(some)),
            (Tables::Known(some), Tables::Known(more)) => {
                let mut all = [&**some, &**more].concat();
                all.sort_unstable();
                all.dedup();
                Tables::Known(all.into())
            }
        }
    }
}

impl Effect {
    /// The effect of what any node answers alike, and which reads no table.
    pub fn harmless() -> Effect {
        Effect { blame: None, does: Does::NOTHING, tables: Tables::none() }
    }

    /// The effect of what nobody knows.
    pub(super) fn unknown(blame: Blame) -> Effect {
        let does = Does::WRITES | Does::LEAVES_ANYTHING | Does::CHANGES_CATALOG | Does::CHANGES_ROWS;
        Effect { blame: Some(Arc::new(blame)), does, tables: Tables::Any }
    }

    /// Both: the first blame stays.
    #[must_use]
    pub fn and(self, other: Effect) -> Effect {
        Effect {
            blame: self.blame.or(other.blame),
            does: self.does | other.does,
            tables: self.tables.and(&other.tables),
        }
    }
}
