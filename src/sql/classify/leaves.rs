//! What a statement leaves behind in the session: a set of a few bits.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// What a statement leaves behind in (or takes away from) the session it runs in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Leaves(u32);

macro_rules! leaves {
    ($($(#[$doc:meta])* $name:ident = $bit:literal, $label:literal;)*) => {
        impl Leaves {
            $($(#[$doc])* pub const $name: Leaves = Leaves(1 << $bit);)*

            /// Each of them with its label.
            const ALL: &'static [(Leaves, &'static str)] = &[$((Leaves::$name, $label)),*];
        }
    };
}

leaves! {
    /// Settings of the session: SET, RESET, `set_config`.
    SETTINGS = 0, "settings";
    /// Settings until the end of the transaction: SET LOCAL, SET TRANSACTION, `set_config(…, true)`.
    LOCAL_SETTINGS = 1, "local_settings";
    /// A setting whose name is not a constant.
    UNNAMED_SETTING = 2, "unnamed_setting";
    /// RESET ALL.
    RESET_ALL = 3, "reset_all";
    /// A change of `synchronous_commit`: an acknowledged commit may not have been flushed.
    ASYNC_COMMIT = 4, "async_commit";
    /// SET ROLE, SET SESSION AUTHORIZATION and their RESET.
    ROLE = 5, "role";
    /// A temporary table, view or sequence, or a mention of the temporary schema.
    TEMP_TABLE = 6, "temp_table";
    /// A session-level advisory lock, if it was got.
    ADVISORY_LOCK = 7, "advisory_lock";
    /// The release of session-level advisory locks.
    ADVISORY_UNLOCK = 8, "advisory_unlock";
    /// A cursor, which ends with the transaction.
    CURSOR = 9, "cursor";
    /// A cursor WITH HOLD, which outlives the transaction.
    HOLD_CURSOR = 10, "hold_cursor";
    /// LISTEN.
    LISTEN = 11, "listen";
    /// UNLISTEN, of one channel or all.
    UNLISTEN = 12, "unlisten";
    /// A statement prepared in SQL.
    PREPARE = 13, "prepare";
    /// DEALLOCATE, of one statement or all; also of one prepared by protocol.
    DEALLOCATE = 14, "deallocate";
    /// LOAD of a library.
    LOAD = 15, "load";
    /// DISCARD ALL.
    DISCARD_ALL = 16, "discard_all";
    /// DISCARD TEMP.
    DISCARD_TEMP = 17, "discard_temp";
    /// Use of what the session remembers of sequences: `currval`, `lastval`.
    SEQUENCE = 18, "sequence";
    /// The state of the random number generator: `setseed`.
    SEED = 19, "seed";
    /// Possibly anything: code ran that nobody has read.
    ANYTHING = 20, "anything";
    /// CLOSE of one cursor or all.
    CLOSE = 21, "close";
    /// What code in C keeps in its server process.
    NATIVE_CODE = 22, "native_code";
    /// DISCARD SEQUENCES.
    DISCARD_SEQUENCES = 23, "discard_sequences";
    /// A setting whose name is reserved on a connection that has loaded the library it belongs to.
    RESERVED_SETTING = 24, "reserved_setting";
    /// A `search_path` that names the temporary schema: whatever is created may be temporary.
    TEMP_PATH = 25, "temp_path";
}

impl Leaves {
    /// The members of both.
    #[must_use]
    pub const fn with(self, other: Leaves) -> Leaves {
        Leaves(self.0 | other.0)
    }

    /// What is left of it without `other`.
    #[must_use]
    pub fn without(self, other: Leaves) -> Leaves {
        Leaves(self.0 & !other.0)
    }

    /// What it has in common with `other`.
    #[must_use]
    pub fn only(self, other: Leaves) -> Leaves {
        Leaves(self.0 & other.0)
    }

    /// Whether nothing is left.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of `other` is in it.
    pub fn contains(self, other: Leaves) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is in it.
    pub fn intersects(self, other: Leaves) -> bool {
        self.0 & other.0 != 0
    }

    /// Its members, one at a time.
    pub fn iter(self) -> impl Iterator<Item = Leaves> {
        Self::ALL.iter().map(|(leaf, _)| *leaf).filter(move |leaf| self.contains(*leaf))
    }

    /// The labels of its members: short, stable, for metrics.
    pub fn labels(self) -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().filter(move |(leaf, _)| self.contains(*leaf)).map(|(_, label)| *label)
    }
}

impl BitOr for Leaves {
    type Output = Leaves;

    fn bitor(self, other: Leaves) -> Leaves {
        Leaves(self.0 | other.0)
    }
}

impl BitOrAssign for Leaves {
    fn bitor_assign(&mut self, other: Leaves) {
        self.0 |= other.0;
    }
}

/// The labels, separated by commas.
impl fmt::Display for Leaves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, label) in self.labels().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            f.write_str(label)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_set() {
        let both = Leaves::SETTINGS | Leaves::SEED;
        assert!(both.contains(Leaves::SEED) && both.intersects(Leaves::SEED | Leaves::LOAD));
        assert!(!both.contains(Leaves::SEED | Leaves::LOAD) && !both.is_empty());
        assert_eq!(both.to_string(), "settings, seed");
        assert_eq!(both.iter().collect::<Vec<_>>(), [Leaves::SETTINGS, Leaves::SEED]);
        let union = Leaves::ALL.iter().fold(Leaves::default(), |all, (leaf, _)| all | *leaf);
        assert_eq!(union.iter().count(), Leaves::ALL.len());
    }
}
