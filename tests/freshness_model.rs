//! The core of freshness as a state machine: random interleavings of writes, acknowledgements, samples, replay, pauses,
//! restarts, failovers and reads, with the proxy's own marks, horizons and routing.
//!
//! **Safety**: a read is never routed to a replica that has not replayed every write it must see, and never shows a session
//! less than it was shown before. **Progress**: once replay goes on, every mark is passed.
//!
//! The world around the proxy is modelled after PostgreSQL: commits are flushed in WAL order, may be seen on replicas (and
//! on the primary) before they are acknowledged, and are acknowledged in any order.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use tidegate::freshness::{Flights, Footprint, Group, Horizon, Lsn, Marks, Sample, Tick};
use tidegate::routing::{Need, NodeId, Promise, ReplicaView, Request, Shown, Stale, Target, Wants, route};
use tidegate::sql::{Level, OnStale, Scope};

const REPLICAS: usize = 2;
const SESSIONS: usize = 3;
const TABLES: u32 = 3;

/// A commit in the primary's WAL. Its position is its number, from 1.
#[derive(Clone, Debug)]
struct Commit {
    tables: BTreeSet<u32>,
    /// Which tables the proxy knows it to write to: `None` means any. A writer without the proxy has none at all.
    writer: Option<usize>,
    known: Option<Vec<u32>>,
    /// Its number among the commits under way.
    flight: Option<u64>,
    acknowledged: bool,
}

/// A replica, as it is and as the monitor knows it.
#[derive(Clone, Debug, Default)]
struct Replica {
    replayed: usize,
    paused: bool,
    horizon: Horizon,
    published: Tick,
    life: u64,
    /// Answers to the monitor on their way.
    answers: VecDeque<usize>,
    /// The timeline it follows.
    timeline: u32,
}

/// What a session was shown of each commit, for the checks only.
#[derive(Clone, Debug, Default)]
struct Session {
    shown: Shown,
    own: Tick,
    saw: BTreeSet<usize>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Write { session: usize, tables: u8, known: bool },
    WriteElsewhere { tables: u8 },
    Flush,
    Acknowledge(usize),
    Sample,
    SampleArrives,
    Replay(usize),
    Ask(usize),
    AnswerArrives(usize),
    Pause(usize),
    Restart(usize),
    Failover(usize),
    Read { session: usize, tables: u8, level: u8, scope: u8, dice: u64 },
    ReadPrimary { session: usize, tables: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let session = 0..SESSIONS;
    let replica = 0..REPLICAS;
    let tables = 1u8..(1 << TABLES);
    prop_oneof![
        4 => (session.clone(), tables.clone(), any::<bool>())
            .prop_map(|(session, tables, known)| Step::Write { session, tables, known }),
        1 => tables.clone().prop_map(|tables| Step::WriteElsewhere { tables }),
        4 => Just(Step::Flush),
        5 => (0usize..4).prop_map(Step::Acknowledge),
        4 => Just(Step::Sample),
        4 => Just(Step::SampleArrives),
        6 => replica.clone().prop_map(Step::Replay),
        5 => replica.clone().prop_map(Step::Ask),
        5 => replica.clone().prop_map(Step::AnswerArrives),
        1 => replica.clone().prop_map(Step::Pause),
        1 => replica.clone().prop_map(Step::Restart),
        1 => replica.prop_map(Step::Failover),
        10 => (session.clone(), tables.clone(), 0u8..3, 0u8..4, any::<u64>())
            .prop_map(|(session, tables, level, scope, dice)| Step::Read { session, tables, level, scope, dice }),
        2 => (session, tables).prop_map(|(session, tables)| Step::ReadPrimary { session, tables }),
    ]
}

fn set(bits: u8) -> BTreeSet<u32> {
    (0..TABLES).filter(|table| bits & (1 << table) != 0).collect()
}

fn footprint(known: Option<&Vec<u32>>) -> Footprint<'_> {
    known.map_or(Footprint::Anything, |tables| Footprint::Tables(tables))
}

struct World {
    now: u64,
    marks: Marks,
    flights: Flights,
    /// Sent to the primary, not flushed yet, in order.
    sent: VecDeque<Commit>,
    wal: Vec<Commit>,
    samples: VecDeque<(u32, Sample)>,
    timeline: u32,
    replicas: Vec<Replica>,
    sessions: Vec<Session>,
    /// How often a replica was taken, and how often none was fresh enough.
    taken: usize,
    refused: usize,
    fault: Option<String>,
}

impl World {
    fn new() -> Self {
        let replica = Replica { timeline: 1, life: 1, ..Replica::default() };
        Self {
            now: 2,
            marks: Marks::new(Tick(1)),
            flights: Flights::default(),
            sent: VecDeque::new(),
            wal: Vec::new(),
            samples: VecDeque::new(),
            timeline: 1,
            replicas: vec![replica; REPLICAS],
            sessions: vec![Session::default(); SESSIONS],
            taken: 0,
            refused: 0,
            fault: None,
        }
    }

    fn tick(&mut self) -> Tick {
        self.now += 1;
        Tick(self.now)
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Write { session, tables, known } => {
                let tables = set(tables);
                let known = known.then(|| tables.iter().copied().collect::<Vec<_>>());
                self.marks.under_way(footprint(known.as_ref()));
                let flight = Some(self.flights.begin(Tick(self.now)));
                self.sent.push_back(Commit {
                    tables,
                    writer: Some(session),
                    known,
                    flight,
                    acknowledged: false,
                });
            }
            Step::WriteElsewhere { tables } => {
                let tables = set(tables);
                self.sent.push_back(Commit {
                    tables,
                    writer: None,
                    known: None,
                    flight: None,
                    acknowledged: false,
                });
            }
            Step::Flush => self.wal.extend(self.sent.pop_front()),
            Step::Acknowledge(which) => self.acknowledge(which),
            Step::Sample => {
                let at = self.tick();
                self.samples.push_back((self.timeline, Sample { at, flushed: Lsn(self.wal.len() as u64) }));
            }
            Step::SampleArrives => self.sample_arrives(),
            Step::Replay(i) => {
                let end = self.wal.len();
                let replica = &mut self.replicas[i];
                if !replica.paused && replica.timeline == self.timeline {
                    replica.replayed = (replica.replayed + 1).min(end);
                }
            }
            Step::Ask(i) => {
                let replayed = self.replicas[i].replayed;
                self.replicas[i].answers.push_back(replayed);
            }
            Step::AnswerArrives(i) => self.answer_arrives(i),
            Step::Pause(i) => self.replicas[i].paused ^= true,
            Step::Restart(i) => self.restart(i),
            Step::Failover(i) => self.failover(i),
            Step::Read { session, tables, level, scope, dice } => {
                self.read(session, &set(tables), level, scope, dice);
            }
            Step::ReadPrimary { session, tables } => self.read_primary(session, &set(tables)),
        }
    }

    fn acknowledge(&mut self, which: usize) {
        let open: Vec<usize> = (0..self.wal.len()).filter(|i| !self.wal[*i].acknowledged).collect();
        let Some(&i) = open.get(which) else { return };
        let at = self.tick();
        self.wal[i].acknowledged = true;
        let commit = self.wal[i].clone();
        self.arrived(&commit, at);
    }

    /// The proxy hears of the end of a commit: the mark first, then it is no longer under way.
    fn arrived(&mut self, commit: &Commit, at: Tick) {
        let (Some(writer), Some(flight)) = (commit.writer, commit.flight) else { return };
        let written = footprint(commit.known.as_ref());
        self.marks.set(at, written, [Group(writer as u64)]);
        self.sessions[writer].own = at;
        self.marks.arrived(written);
        self.flights.end(flight);
    }

    fn sample_arrives(&mut self) {
        let Some((timeline, sample)) = self.samples.pop_front() else { return };
        if timeline != self.timeline {
            return;
        }
        for replica in &mut self.replicas {
            if replica.timeline == timeline {
                replica.horizon.sampled(sample);
                replica.published = replica.horizon.get();
            }
        }
    }

    fn answer_arrives(&mut self, i: usize) {
        let now = Tick(self.now);
        let timeline = self.timeline;
        let replica = &mut self.replicas[i];
        let Some(lsn) = replica.answers.pop_front() else { return };
        if replica.timeline == timeline {
            replica.horizon.replayed(Lsn(lsn as u64), now);
            replica.published = replica.horizon.get();
        }
    }

    /// A replica crashes and comes back where it was a while ago. Its connections break, which takes it out at once.
    fn restart(&mut self, i: usize) {
        let replica = &mut self.replicas[i];
        replica.replayed = replica.replayed.saturating_sub(1);
        replica.answers.clear();
        replica.horizon.forget();
        replica.published = Tick::NEVER;
        replica.life += 1;
    }

    /// A replica becomes the primary: what it lacks is lost, and everybody follows it. What the others had replayed beyond
    /// that they must have been rewound from.
    fn failover(&mut self, i: usize) {
        let kept = self.replicas[i].replayed;
        self.timeline += 1;
        let at = self.tick();
        let lost: Vec<Commit> = self.wal.drain(kept..).chain(self.sent.drain(..)).collect();
        for commit in lost.iter().filter(|commit| !commit.acknowledged) {
            // Its connection broke: the outcome is unknown, and a mark is set.
            self.arrived(commit, at);
        }
        for session in &mut self.sessions {
            // What is gone can be shown to nobody; that is between PostgreSQL and its failover.
            session.saw.retain(|commit| *commit < kept);
        }
        for replica in &mut self.replicas {
            replica.timeline = self.timeline;
            replica.replayed = replica.replayed.min(kept);
            replica.answers.clear();
            replica.horizon.forget();
            replica.published = Tick::NEVER;
            replica.life += 1;
        }
        self.samples.clear();
    }

    /// Commits on these tables that a read on a node that has replayed so far shows.
    fn visible(&self, replayed: usize, tables: &BTreeSet<u32>) -> BTreeSet<usize> {
        (0..replayed).filter(|i| !self.wal[*i].tables.is_disjoint(tables)).collect()
    }

    fn read(&mut self, session: usize, tables: &BTreeSet<u32>, level: u8, scope: u8, dice: u64) {
        let now = self.tick();
        let level = [Level::Session, Level::Session, Level::Strong][usize::from(level)];
        let scope = [Scope::Database, Scope::Connection, Scope::Client, Scope::Database][usize::from(scope)];
        // Every connection is a process of its own here.
        let group = (scope == Scope::Client).then_some(Group(session as u64));
        let promise = Promise { level, scope, own: self.sessions[session].own, group };
        let list: Vec<u32> = tables.iter().copied().collect();
        let read = Footprint::Tables(&list);
        let need = Need::of(&promise, read, &self.marks, &self.sessions[session].shown, now);
        let views: Vec<ReplicaView> = self
            .replicas
            .iter()
            .enumerate()
            .filter(|(_, replica)| replica.timeline == self.timeline && replica.published > Tick::NEVER)
            .map(|(i, replica)| ReplicaView {
                id: NodeId(i),
                horizon: replica.published,
                outstanding: 0,
                catch_up: 0,
                working_on: Tick::NEVER,
                life: replica.life,
                weight: ReplicaView::WHOLE.into(),
                share: ReplicaView::WHOLE,
                is_near: false,
            })
            .collect();
        let request = Request {
            wants: Wants::Read,
            held: None,
            intent: None,
            level,
            need,
            stale: Stale { then: OnStale::Primary, waited: u64::MAX, now },
            doubt: None,
            avoid: None,
        };
        let Target::Replica(NodeId(i)) = route(&request, &views, dice).target else {
            self.refused += 1;
            return self.read_primary(session, tables);
        };
        self.taken += 1;
        let seen = self.visible(self.replicas[i].replayed, tables);
        self.check(&promise, session, tables, &seen);
        let life = self.replicas[i].life;
        self.note(&promise, session, read, (NodeId(i), life), seen);
    }

    /// The primary shows all that is flushed. (It may show a commit a moment later than a replica does: that is waited out
    /// elsewhere.)
    fn read_primary(&mut self, session: usize, tables: &BTreeSet<u32>) {
        let seen = self.visible(self.wal.len(), tables);
        let list: Vec<u32> = tables.iter().copied().collect();
        let promise = Promise { own: self.sessions[session].own, ..Promise::default() };
        self.note(&promise, session, Footprint::Tables(&list), (NodeId(REPLICAS), 1), seen);
    }

    fn note(
        &mut self,
        promise: &Promise,
        session: usize,
        read: Footprint<'_>,
        on: (NodeId, u64),
        seen: BTreeSet<usize>,
    ) {
        let now = self.tick();
        let Session { shown, saw, .. } = &mut self.sessions[session];
        shown.read(promise, read, &self.marks, on, || now);
        saw.extend(seen);
    }

    /// What a read must see, and must not have lost.
    fn check(&mut self, promise: &Promise, session: usize, tables: &BTreeSet<u32>, seen: &BTreeSet<usize>) {
        for (i, commit) in
            self.wal.iter().enumerate().filter(|(_, commit)| !commit.tables.is_disjoint(tables))
        {
            let through_us = commit.writer.is_some();
            let due = match (promise.level, promise.scope) {
                // A writer without the proxy is acknowledged like any other.
                (Level::Strong, _) => commit.acknowledged,
                (_, Scope::Database) => commit.acknowledged && through_us,
                _ => commit.acknowledged && commit.writer == Some(session),
            };
            // What was written without the proxy is promised to strong reads only.
            let shown =
                self.sessions[session].saw.contains(&i) && (through_us || promise.level == Level::Strong);
            if (due || shown) && !seen.contains(&i) {
                let why = if due { "misses" } else { "does not show any more" };
                self.fault.get_or_insert(format!("{promise:?} of {tables:?} {why} commit {i}: {commit:?}"));
            }
        }
    }

    /// Everything is flushed, acknowledged, sampled, replayed and told.
    fn settle(&mut self) {
        self.wal.extend(self.sent.drain(..));
        for _ in 0..self.wal.len() {
            self.acknowledge(0);
        }
        self.samples.clear();
        self.take(Step::Sample);
        self.sample_arrives();
        for i in 0..REPLICAS {
            let end = self.wal.len();
            let replica = &mut self.replicas[i];
            (replica.paused, replica.replayed) = (false, end);
            replica.answers.clear();
            self.take(Step::Ask(i));
            self.answer_arrives(i);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn no_read_misses_what_it_must_see(steps in proptest::collection::vec(step(), 1..200)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
        prop_assert_eq!(world.fault.take(), None);
        world.settle();
        let newest = world.marks.newest();
        for replica in &world.replicas {
            prop_assert!(replica.published >= newest, "a mark was never passed");
        }
        for session in 0..SESSIONS {
            let taken = world.taken;
            world.read(session, &set(7), 0, 0, 1);
            prop_assert_eq!(world.taken, taken + 1, "a session does not come back to the replicas");
        }
    }
}

/// Whether the checks find a fault where `play` takes the steps in its own way.
fn finds_fault(play: impl Fn(&mut World, Step)) -> bool {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let steps = proptest::collection::vec(step(), 100..200);
    (0..500).any(|_| {
        let mut world = World::new();
        for step in steps.new_tree(&mut runner).unwrap().current() {
            play(&mut world, step);
        }
        world.fault.is_some()
    })
}

#[test]
fn the_checks_can_fail() {
    assert!(!finds_fault(World::take));
    let late_marks = |world: &mut World, step| {
        let before = world.now;
        world.take(step);
        if matches!(step, Step::Acknowledge(_)) && world.now > before {
            // A proxy that sets no marks.
            world.marks = Marks::new(Tick(1));
        }
    };
    assert!(finds_fault(late_marks), "without marks");
    let no_read_marks = |world: &mut World, step| {
        world.take(step);
        world.sessions.iter_mut().for_each(|session| session.shown = Shown::default());
    };
    assert!(finds_fault(no_read_marks), "without read marks");
    let optimistic = |world: &mut World, step| {
        world.take(step);
        // A proxy that believes a sample before it is reached.
        let newest = world.samples.back().map(|(_, sample)| sample.at);
        world
            .replicas
            .iter_mut()
            .for_each(|replica| replica.published = replica.published.max(newest.unwrap_or_default()));
    };
    assert!(finds_fault(optimistic), "with horizons that run ahead");
}

#[test]
fn a_replica_that_was_restarted_is_not_the_one_it_was() {
    let read = Step::Read { session: 1, tables: 1, level: 0, scope: 0, dice: 0 };
    let run = |forgets_lives: bool| {
        let mut world = World::new();
        let steps = [
            Step::Sample,
            Step::Sample,
            Step::Write { session: 0, tables: 1, known: true },
            Step::Flush,
            Step::Replay(0),
            Step::SampleArrives,
            // It sees what nobody was told of yet.
            read,
            Step::Restart(0),
            // An older sample makes the replica good enough for the mark, but not for what was seen.
            Step::SampleArrives,
        ];
        for step in steps {
            world.take(step);
        }
        assert_eq!((world.taken, world.sessions[1].saw.len()), (1, 1));
        if forgets_lives {
            world.replicas[0].life = 1;
        }
        world.take(read);
        (world.taken, world.fault.is_some())
    };
    assert_eq!(run(false), (1, false), "the primary answers");
    assert_eq!(run(true), (2, true), "the check can fail");
}
