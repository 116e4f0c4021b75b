//! A scenario, and what it does to time: faults begin, services come back.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::client::HUNG_UP;
use super::load::Load;
use super::progress::{KINDS, Kind};
use super::rig::Rig;

/// When the scenario is part of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Always.
    Short,
    /// In `make chaos`.
    Full,
}

/// How many errors one client may be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errors {
    None,
    /// One in a transaction: it dies with the node that it runs on. None outside.
    InBlocks,
    /// One, of what was under way when a connection of PostgreSQL's would have broken, too. What was not sent yet waits,
    /// and whoever is between two transactions keeps its connection.
    UnderWay,
    /// One of any kind.
    One,
    Any,
}

/// What a client may be told of what was under way.
const OF_UNDER_WAY: [&str; 5] = ["08006", "08007", "57P01", "57P02", HUNG_UP];

/// A fault under load, and what is asked of the proxy. It leaves everything as it was. How many errors there may be is told in the order of
/// [`KINDS`].
pub struct Scenario {
    /// For `--only`.
    pub name: &'static str,
    /// What happens, for people.
    pub what: &'static str,
    pub depth: Depth,
    pub errors: [Errors; 3],
    /// Longest time in which a service must be back.
    pub limit: Duration,
    /// What the checks must find, if the scenario is there to show that they find it.
    pub must_find: Option<&'static str>,
    pub play: Play,
}

/// What the scenario is played on, and how.
pub enum Play {
    /// Streaming replication with nobody in charge but the scenario.
    Streaming(fn(&Scene<'_>, &Rig)),
}

/// Generous: the machine may be busy with something else.
pub const LIMIT: Duration = Duration::from_secs(5);
/// How long it is waited for all the same, so that it is known how long it takes.
const CURIOSITY: Duration = Duration::from_secs(40);

/// A scenario being played.
pub struct Scene<'a> {
    pub load: &'a Load,
    /// How long a fault lasts at least.
    hold: Duration,
    limit: Duration,
    notes: RefCell<Notes>,
}

#[derive(Clone, Debug)]
struct Notes {
    /// Begin of the last fault, and when it had its effect.
    fault: [Instant; 2],
    back: [Option<Duration>; 3],
    complaints: Vec<String>,
    /// Why the scenario cannot be played here.
    skipped: Option<&'static str>,
}

impl Errors {
    /// Whether one client, which works in transactions or not, may have been told of these.
    pub fn allow(self, is_block: bool, told: &BTreeMap<String, usize>) -> bool {
        let number: usize = told.values().sum();
        match self {
            Self::None => number == 0,
            Self::InBlocks => number <= usize::from(is_block),
            Self::UnderWay => number <= 1 && told.keys().all(|why| OF_UNDER_WAY.contains(&why.as_str())),
            Self::One => number <= 1,
            Self::Any => true,
        }
    }
}

impl<'a> Scene<'a> {
    pub fn new(load: &'a Load, hold: Duration, limit: Duration) -> Self {
        let notes =
            Notes { fault: [Instant::now(); 2], back: [None; 3], complaints: Vec::new(), skipped: None };
        Self { load, hold, limit, notes: RefCell::new(notes) }
    }

    /// Does harm.
    pub fn fault<T>(&self, harm: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = harm();
        self.notes.borrow_mut().fault = [begun, Instant::now()];
        done
    }

    /// These go on in spite of the fault: all clients are served again soon after it began.
    pub fn go_on(&self, kinds: &[Kind]) {
        let [begun, in_force] = self.notes.borrow().fault;
        self.served(kinds, begun, in_force);
    }

    /// These are back soon after `from`, when whatever they need was there again.
    pub fn return_after(&self, from: Instant, kinds: &[Kind]) {
        self.served(kinds, from, from);
    }

    fn served(&self, kinds: &[Kind], from: Instant, since: Instant) {
        for kind in kinds {
            let name = kind.name();
            let Some(at) = self.load.served_since(*kind, since, CURIOSITY) else {
                self.complain(format!("{name} are not back after {} s", CURIOSITY.as_secs()));
                continue;
            };
            let took = at.duration_since(from);
            if took > self.limit {
                self.complain(format!(
                    "{name} came back after {:.1} s, the limit is {} s",
                    took.as_secs_f64(),
                    self.limit.as_secs()
                ));
            }
            let back = &mut self.notes.borrow_mut().back[kind.index()];
            *back = Some(back.map_or(took, |before| before.max(took)));
        }
    }

    /// Waits until the fault has lasted as long as it should. It is the length of the fault that is waited for.
    pub fn hold(&self) {
        let [_, in_force] = self.notes.borrow().fault;
        std::thread::sleep(self.hold.saturating_sub(in_force.elapsed()));
    }

    /// How long a fault lasts at least.
    pub fn length(&self) -> Duration {
        self.hold
    }

    /// Waits until something is so. It is a fault of the proxy if that does not happen.
    pub fn expect(&self, what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            if begun.elapsed() > CURIOSITY {
                self.complain(format!("waited {} s in vain until {what}", CURIOSITY.as_secs()));
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The scenario cannot be played here.
    pub fn skip(&self, why: &'static str) {
        self.notes.borrow_mut().skipped = Some(why);
    }

    pub fn skipped(&self) -> Option<&'static str> {
        self.notes.borrow().skipped
    }

    /// Something is not as it must be.
    pub fn complain(&self, what: String) {
        self.notes.borrow_mut().complaints.push(what);
    }

    /// After how long each kind was back, in the order of [`KINDS`].
    pub fn back(&self) -> [Option<Duration>; 3] {
        self.notes.borrow().back
    }

    pub fn complaints(&self) -> Vec<String> {
        self.notes.borrow().complaints.clone()
    }
}

impl Kind {
    pub fn index(self) -> usize {
        KINDS.iter().position(|kind| *kind == self).unwrap()
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Rest => "reads at rest",
            Self::ReadBack => "reads of writes",
            Self::Write => "writes",
        }
    }
}
