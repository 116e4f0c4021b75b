//! Marks: what must be visible, kept per table and per group of clients.
//!
//! ```text
//!   a write to {t1, t2}, acknowledged at m          a read of {t2, t3} needs
//!        │                                                │
//!        ▼                                                ▼
//!   slot[h(t1)], slot[h(t2)] and newest := m        max(everything, slot[h(t2)], slot[h(t3)])
//! ```
//!
//! The slots are a fixed array and a table's slot is found by hashing its OID, so memory is constant, nothing is ever
//! dropped, and no lock is taken. Two tables that share a slot share their marks: that can send a read to the primary
//! for nothing, and can never let one through.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rustc_hash::FxBuildHasher;

use super::Tick;

/// Slots for tables. What matters are the tables written within one replication delay, so collisions are rare.
const TABLES: usize = 4096;
/// Slots for groups of clients.
const GROUPS: usize = 4096;
/// A footprint of more tables than this is looked up as "any table": the look-up would cost more than it gains.
pub const MANY: usize = 64;

/// Which tables something reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Footprint<'a> {
    /// These, by OID.
    Tables(&'a [u32]),
    /// Any table may be among them.
    Anything,
}

impl<'a> Footprint<'a> {
    /// The tables, unless there are so many that they count as any.
    fn few(self) -> Option<&'a [u32]> {
        match self {
            Self::Tables(tables) if tables.len() <= MANY => Some(tables),
            _ => None,
        }
    }
}

/// Clients who must see each other's writes, where that is not the whole database: by what they have in common.
///
/// It is a hash. Two groups that share one must see each other's writes, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Group(pub u64);

impl Group {
    /// The group of all who share these values, which are of the kind `kind`.
    pub fn of(kind: &str, values: &[&str]) -> Self {
        Self(FxBuildHasher.hash_one((kind, values)))
    }
}

/// A table's mark, and how many commits to it are under way.
#[derive(Debug, Default)]
struct Slot {
    mark: AtomicU64,
    under_way: AtomicU32,
}

/// The marks of one database.
#[derive(Debug)]
pub struct Marks {
    tables: Box<[Slot]>,
    groups: Box<[AtomicU64]>,
    /// What may have written to any table.
    everything: Slot,
    /// The newest mark of all, and all commits under way.
    newest: Slot,
}

impl Marks {
    /// Marks of a database of which everything written before `since` must be seen.
    pub fn new(since: Tick) -> Self {
        let marks = Self {
            tables: (0..TABLES).map(|_| Slot::default()).collect(),
            groups: (0..GROUPS).map(|_| AtomicU64::default()).collect(),
            everything: Slot::default(),
            newest: Slot::default(),
        };
        marks.set_all(since);
        marks
    }

    /// Everything written before `at`, by whomever, must be seen.
    pub fn set_all(&self, at: Tick) {
        self.set(at, Footprint::Anything, []);
        self.groups.iter().for_each(|group| raise(group, at));
    }

    /// Bytes they take, whatever is marked.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.tables) + size_of_val(&*self.groups) + size_of::<Self>()
    }

    /// How many slots of tables have a mark that is newer than `horizon`.
    pub fn newer_than(&self, horizon: Tick) -> usize {
        self.tables.iter().filter(|slot| slot.mark.load(Ordering::Relaxed) > horizon.0).count()
    }

    /// What wrote `written`, by members of `groups`, was acknowledged at `at`, or may have been. To be called before
    /// the client can know.
    pub fn set(&self, at: Tick, written: Footprint<'_>, groups: impl IntoIterator<Item = Group>) {
        match written.few() {
            Some(tables) => tables.iter().for_each(|table| raise(&self.table(*table).mark, at)),
            None => raise(&self.everything.mark, at),
        }
        for group in groups {
            raise(self.group_slot(group), at);
        }
        raise(&self.newest.mark, at);
    }

    /// What a read of `read` must see of all clients of the database.
    pub fn of(&self, read: Footprint<'_>) -> Tick {
        let Some(tables) = read.few() else { return self.newest() };
        let of_tables = tables.iter().map(|table| get(&self.table(*table).mark)).max();
        get(&self.everything.mark).max(of_tables.unwrap_or_default())
    }

    /// What the members of a group must see of each other.
    pub fn of_group(&self, group: Group) -> Tick {
        get(self.group_slot(group))
    }

    /// The newest mark.
    pub fn newest(&self) -> Tick {
        get(&self.newest.mark)
    }

    /// A statement that may commit a write to `written` is on its way. What it commits can be seen before it is
    /// acknowledged. Every call must be followed by one of [`Self::arrived`], after its mark was set.
    pub fn under_way(&self, written: Footprint<'_>) {
        self.count(written, |counter| {
            counter.fetch_add(1, Ordering::AcqRel);
        });
    }

    /// The statement is over.
    pub fn arrived(&self, written: Footprint<'_>) {
        self.count(written, |counter| {
            counter.fetch_sub(1, Ordering::AcqRel);
        });
    }

    /// Whether a commit to what was read is under way, so that the read may have seen what nobody was told of.
    pub fn may_show_more(&self, read: Footprint<'_>) -> bool {
        let busy = |slot: &Slot| slot.under_way.load(Ordering::Acquire) > 0;
        busy(&self.newest)
            && match read.few() {
                Some([]) => false,
                Some(tables) => busy(&self.everything) || tables.iter().any(|t| busy(self.table(*t))),
                None => true,
            }
    }

    fn count(&self, written: Footprint<'_>, change: impl Fn(&AtomicU32)) {
        match written.few() {
            Some(tables) => tables.iter().for_each(|table| change(&self.table(*table).under_way)),
            None => change(&self.everything.under_way),
        }
        change(&self.newest.under_way);
    }

    fn table(&self, oid: u32) -> &Slot {
        &self.tables[spread(u64::from(oid), TABLES)]
    }

    fn group_slot(&self, group: Group) -> &AtomicU64 {
        &self.groups[spread(group.0, GROUPS)]
    }
}

/// Fibonacci hashing (Knuth, The Art of Computer Programming, vol. 3, 6.4): neighbours end up far apart.
fn spread(key: u64, places: usize) -> usize {
    let bits = places.trailing_zeros();
    usize::try_from(key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - bits)).unwrap_or(0)
}

fn raise(mark: &AtomicU64, at: Tick) {
    mark.fetch_max(at.0, Ordering::AcqRel);
}

fn get(mark: &AtomicU64) -> Tick {
    Tick(mark.load(Ordering::Acquire))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_read_must_see_what_was_written_to_its_tables_only() {
        let marks = Marks::new(Tick(1));
        marks.set(Tick(10), Footprint::Tables(&[7, 8]), [Group(3)]);
        assert_eq!(marks.of(Footprint::Tables(&[8, 9])), Tick(10));
        assert_eq!(marks.of(Footprint::Tables(&[9])), Tick(1));
        assert_eq!(marks.of(Footprint::Tables(&[])), Tick(1));
        assert_eq!(marks.of(Footprint::Anything), Tick(10));
        assert_eq!((marks.of_group(Group(3)), marks.of_group(Group(4))), (Tick(10), Tick(1)));
        marks.set(Tick(20), Footprint::Anything, []);
        assert_eq!(marks.of(Footprint::Tables(&[9])), Tick(20));
        // A mark never goes back.
        marks.set(Tick(15), Footprint::Tables(&[9]), []);
        assert_eq!(marks.of(Footprint::Tables(&[9])), Tick(20));
        assert_eq!(marks.newer_than(Tick(9)), 3);
    }

    #[test]
    fn commits_under_way_are_counted_by_table() {
        let marks = Marks::new(Tick(1));
        marks.under_way(Footprint::Tables(&[7]));
        assert!(marks.may_show_more(Footprint::Tables(&[6, 7])));
        assert!(!marks.may_show_more(Footprint::Tables(&[6])));
        assert!(marks.may_show_more(Footprint::Anything));
        marks.under_way(Footprint::Anything);
        assert!(marks.may_show_more(Footprint::Tables(&[6])));
        assert!(!marks.may_show_more(Footprint::Tables(&[])));
        marks.arrived(Footprint::Anything);
        marks.arrived(Footprint::Tables(&[7]));
        assert!(!marks.may_show_more(Footprint::Anything));
    }

    #[test]
    fn memory_is_constant() {
        let marks = Marks::new(Tick(1));
        let before = marks.bytes();
        (0..100_000)
            .for_each(|i| marks.set(Tick(u64::from(i)), Footprint::Tables(&[i]), [Group(u64::from(i))]));
        assert_eq!(marks.bytes(), before);
        assert!(before < 128 * 1024, "{before}");
    }

    #[test]
    fn neighbouring_tables_have_slots_of_their_own() {
        let slots: std::collections::BTreeSet<usize> =
            (16_384..17_384).step_by(5).map(|oid| spread(oid, TABLES)).collect();
        assert_eq!(slots.len(), 200);
    }

    proptest! {
        /// Against marks kept in a list: a read never needs less than it must, whatever shares a slot.
        #[test]
        fn never_less_than_the_writes_to_its_tables(
            writes in proptest::collection::vec((1u64..1000, proptest::collection::vec(0u32..9000, 0..80)), 0..60),
            read in proptest::collection::vec(0u32..9000, 0..80),
        ) {
            let marks = Marks::new(Tick(1));
            for (at, tables) in &writes {
                marks.set(Tick(*at), Footprint::Tables(tables), []);
            }
            let touching = writes.iter().filter(|(_, tables)| tables.iter().any(|t| read.contains(t)));
            let needed = touching.map(|(at, _)| *at).max().unwrap_or(1);
            prop_assert!(marks.of(Footprint::Tables(&read)) >= Tick(needed));
        }
    }
}
