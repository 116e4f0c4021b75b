//! Positions that mean the same to every proxy: tokens.

use std::fmt;
use std::str::FromStr;

use super::Lsn;

/// A position in the history of one system: what a token says. Written `system-id/timeline/LSN`, as in
/// `7448823905236475410/1/0/3000148`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The system identifier: the same on a primary and its replicas, and nowhere else.
    pub system: u64,
    /// The timeline on which the position was reached.
    pub timeline: u32,
    /// How far.
    pub lsn: Lsn,
}

/// Text that is not a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a token (expected system-id/timeline/LSN, as in 7448823905236475410/1/0/3000148)")]
pub struct PositionError;

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let mut parts = text.splitn(3, '/');
        let mut part = || parts.next().ok_or(PositionError);
        let (system, timeline, lsn) = (part()?, part()?, part()?);
        let plain =
            |number: &str| !number.starts_with('0') && number.bytes().all(|byte| byte.is_ascii_digit());
        if !plain(system) || !plain(timeline) {
            return Err(PositionError);
        }
        Ok(Self {
            system: system.parse().map_err(|_| PositionError)?,
            timeline: timeline.parse().map_err(|_| PositionError)?,
            lsn: lsn.parse().ok().filter(|lsn| *lsn > Lsn(0)).ok_or(PositionError)?,
        })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.system, self.timeline, self.lsn)
    }
}

/// Why a position is none of this cluster's, or cannot be shown to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// Another cluster.
    #[error("it is of the system {theirs}, and this one is {ours}")]
    System {
        /// The position's.
        theirs: u64,
        /// The cluster's.
        ours: u64,
    },
    /// A timeline that is not behind the present one.
    #[error("it is of timeline {theirs}, which is not in the history of timeline {ours}")]
    Timeline {
        /// The position's.
        theirs: u32,
        /// The cluster's.
        ours: u32,
    },
    /// Behind the point where the present history left that timeline: what is there was lost in a failover.
    #[error("it lies beyond {end}, where the primary's history left timeline {timeline}")]
    BeyondFork {
        /// The position's timeline.
        timeline: u32,
        /// Where that ended for this cluster.
        end: Lsn,
    },
    /// It cannot be told: the history file could not be read.
    #[error(
        "it lies beyond {known} on timeline {timeline}, and where the primary's history left that is not known"
    )]
    Untold {
        /// The position's timeline.
        timeline: u32,
        /// How far of it is known to be part of the present history.
        known: Lsn,
    },
}

/// Where a cluster's history left one of its earlier timelines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fork {
    /// Here.
    At(Lsn),
    /// Here or later.
    NotBefore(Lsn),
}

/// The history of a cluster's primary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    /// The system identifier.
    pub system: u64,
    /// The present timeline.
    pub timeline: u32,
    /// The timelines before it, oldest first.
    forks: Vec<(u32, Fork)>,
}

impl Lineage {
    /// A primary on this timeline, of whose history nothing more is known.
    pub fn new(system: u64, timeline: u32) -> Self {
        Self { system, timeline, forks: Vec::new() }
    }

    /// With what a timeline history file says: a line for each timeline, with its number and the position at which it
    /// was left. <https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-TIMELINES>
    #[must_use]
    pub fn with_history(mut self, file: &str) -> Self {
        let lines = file.lines().map(|line| line.split('#').next().unwrap_or_default());
        self.forks = lines
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                let (timeline, end) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
                Some((timeline, Fork::At(end)))
            })
            .collect();
        self
    }

    /// With what was seen: the present primary had replayed `lsn` of the timeline that `before` was on when it was a
    /// replica there. What is known for certain stays.
    #[must_use]
    pub fn following(mut self, before: &Self, lsn: Lsn) -> Self {
        let is_next = before.system == self.system && before.timeline < self.timeline;
        if is_next && self.forks.is_empty() {
            self.forks.clone_from(&before.forks);
            self.forks.push((before.timeline, Fork::NotBefore(lsn)));
        }
        self
    }

    /// Where a position lies on the present timeline; an error if it does not, or may not.
    pub fn place(&self, position: Position) -> Result<Lsn, Foreign> {
        let Position { system, timeline, lsn } = position;
        if system != self.system {
            return Err(Foreign::System { theirs: system, ours: self.system });
        }
        if timeline == self.timeline {
            return Ok(lsn);
        }
        let fork = self.forks.iter().find(|(known, _)| *known == timeline);
        match fork.map(|(_, fork)| *fork) {
            Some(Fork::At(end) | Fork::NotBefore(end)) if lsn <= end => Ok(lsn),
            Some(Fork::At(end)) => Err(Foreign::BeyondFork { timeline, end }),
            Some(Fork::NotBefore(known)) => Err(Foreign::Untold { timeline, known }),
            None if timeline < self.timeline && self.forks.is_empty() => {
                Err(Foreign::Untold { timeline, known: Lsn(0) })
            }
            None => Err(Foreign::Timeline { theirs: timeline, ours: self.timeline }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn position(text: &str) -> Position {
        text.parse().unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn anything_but_a_token_is_refused() {
        assert_eq!(
            position("7448823905236475410/1/0/3000148").to_string(),
            "7448823905236475410/1/0/3000148"
        );
        for bad in [
            "",
            "1",
            "1/1",
            "1/1/1",
            "1/1/0/0",
            "0/1/0/1",
            "1/0/0/1",
            "01/1/0/1",
            "1/1/0/1/1",
            " 1/1/0/1",
            "1/1/0/1 ",
            "+1/1/0/1",
            "1/-1/0/1",
            "18446744073709551616/1/0/1",
            "1/4294967296/0/1",
            "1/1/0/123456789",
            "a/1/0/1",
            "1/1/0/1;drop",
            "１/1/0/1",
        ] {
            assert_eq!(bad.parse::<Position>(), Err(PositionError), "{bad:?}");
        }
    }

    #[test]
    fn places_on_the_present_timeline() {
        let file =
            "1\t0/3000000\tno recovery target specified\n\n2\t0/5000000\tbefore 2026 # again\n# 9 0/9\n";
        let lineage = Lineage::new(7, 3).with_history(file);
        let place = |text| lineage.place(position(text));
        assert_eq!(place("7/3/9/9"), Ok("9/9".parse().unwrap()));
        assert_eq!(place("7/1/0/3000000"), Ok(Lsn(0x0300_0000)));
        assert_eq!(place("7/2/0/4000000"), Ok(Lsn(0x0400_0000)));
        assert_eq!(place("7/1/0/3000001"), Err(Foreign::BeyondFork { timeline: 1, end: Lsn(0x0300_0000) }));
        assert_eq!(place("8/3/0/1"), Err(Foreign::System { theirs: 8, ours: 7 }));
        assert_eq!(place("7/4/0/1"), Err(Foreign::Timeline { theirs: 4, ours: 3 }));
    }

    #[test]
    fn what_was_seen_stands_in_for_the_file() {
        let first = Lineage::new(7, 1);
        let second = Lineage::new(7, 2).following(&first, Lsn(100));
        assert_eq!(second.place(position("7/1/0/64")), Ok(Lsn(100)));
        assert_eq!(second.place(position("7/1/0/65")), Err(Foreign::Untold { timeline: 1, known: Lsn(100) }));
        let third = Lineage::new(7, 3).following(&second, Lsn(200));
        assert_eq!(third.place(position("7/1/0/64")), Ok(Lsn(100)));
        assert_eq!(third.place(position("7/2/0/C8")), Ok(Lsn(200)));
        assert_eq!(
            Lineage::new(7, 2).place(position("7/1/0/1")),
            Err(Foreign::Untold { timeline: 1, known: Lsn(0) })
        );
    }

    proptest! {
        #[test]
        fn reads_back_what_it_writes(system in 1u64.., timeline in 1u32.., lsn in 1u64..) {
            let position = Position { system, timeline, lsn: Lsn(lsn) };
            prop_assert_eq!(position.to_string().parse(), Ok(position));
        }

        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<Position>();
        }
    }
}
