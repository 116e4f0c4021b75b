//! Who has failed to log in too often.
//!
//! Each address has a level that rises by one with each failure and sinks with time. While it is at the limit, whoever comes
//! from there is told whether the proof was right only in turn, one after the other. That holds for right proofs too: otherwise
//! who hears nothing at once would know that the guess was wrong, and try the next. Nobody is locked out, and who has
//! logged in from there before is not held up by what others do behind the same address, but only by failures in its own name.
//!
//! Proofs are judged when they are there, not when a client comes, so many connections at one time gain nothing.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::Source;
use crate::config::FailureLimits;
use crate::session::lock::lock;

/// Addresses, and users with their addresses, that are remembered at one time.
const REMEMBERED: usize = 10_000;
/// How long somebody who has logged in is not held up by others.
const KNOWN_FOR: Duration = Duration::from_hours(1);

/// What becomes of a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) enum Told {
    /// The client is told at once.
    Now,
    /// The client is told at this instant; until then it is not known to anybody.
    At(Instant),
    /// Too many wait already: it is not told, and may try again later.
    Never,
}

/// Who has failed to log in too often.
#[derive(Debug, Default)]
pub(in crate::session) struct Failures {
    state: RandomState,
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    sources: HashMap<Source, Record>,
    /// Those who have logged in from there, by a hash of address and name.
    known: HashMap<u64, Record>,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    /// Failures, less what time has taken off, at `at`.
    level: f64,
    at: Instant,
    /// When the next one is told.
    turn: Instant,
    /// The last success.
    succeeded: Option<Instant>,
}

impl Record {
    fn new(now: Instant) -> Self {
        Self { level: 0.0, at: now, turn: now, succeeded: None }
    }

    /// What is left of the failures.
    fn level(&self, limits: &FailureLimits, now: Instant) -> f64 {
        let sunk = now.saturating_duration_since(self.at).as_secs_f64() / limits.window.as_secs_f64();
        (self.level - sunk * limits.limit as f64).max(0.0)
    }

    fn is_full(&self, limits: &FailureLimits, now: Instant) -> bool {
        // The last of so many failures counts, though time has taken a little off the first.
        self.level(limits, now) > limits.limit as f64 - 1.0
    }

    fn fail(&mut self, limits: &FailureLimits, now: Instant) {
        // Once they have ended, a window passes until all is as before.
        self.level = (self.level(limits, now) + 1.0).min(2.0 * limits.limit as f64);
        self.at = now;
    }
}

impl Failures {
    /// Takes a proof of somebody from there. `longest`: how long it may wait until it is told.
    pub(in crate::session) fn judge(
        &self,
        limits: Option<&FailureLimits>,
        (source, user): (Option<Source>, &str),
        is_right: bool,
        (now, longest): (Instant, Duration),
    ) -> Told {
        let (Some(limits), Some(source)) = (limits, source) else { return Told::Now };
        let key = self.key(source, user);
        let mut tables = lock(&self.tables);
        let is_recent = |record: &&Record| record.succeeded.is_some_and(|at| now - at < KNOWN_FOR);
        let is_free = match tables.known.get(&key).filter(is_recent) {
            Some(record) => !record.is_full(limits, now),
            None => tables.sources.get(&source).is_none_or(|record| !record.is_full(limits, now)),
        };
        if is_free {
            tables.note(limits, (source, key), is_right, now);
            return Told::Now;
        }
        let record = entry(&mut tables.sources, source, now);
        let turn = record.turn.max(now) + limits.delay;
        if turn - now > longest {
            return Told::Never;
        }
        record.turn = turn;
        Told::At(turn)
    }

    /// A proof is told that had to wait.
    pub(in crate::session) fn tell(
        &self,
        limits: Option<&FailureLimits>,
        (source, user): (Option<Source>, &str),
        is_right: bool,
        now: Instant,
    ) {
        if let (Some(limits), Some(source)) = (limits, source) {
            lock(&self.tables).note(limits, (source, self.key(source, user)), is_right, now);
        }
    }

    fn key(&self, source: Source, user: &str) -> u64 {
        self.state.hash_one((source, user))
    }
}

impl Tables {
    fn note(&mut self, limits: &FailureLimits, (source, key): (Source, u64), is_right: bool, now: Instant) {
        if is_right {
            let record = entry(&mut self.known, key, now);
            record.succeeded = Some(now);
            return;
        }
        entry(&mut self.sources, source, now).fail(limits, now);
        // Strangers' names are not remembered.
        if let Some(known) = self.known.get_mut(&key) {
            known.fail(limits, now);
        }
    }
}

/// The record of a key. When there are too many, the half that was touched least lately is forgotten.
fn entry<K: Copy + Eq + Hash>(records: &mut HashMap<K, Record>, key: K, now: Instant) -> &mut Record {
    if records.len() >= REMEMBERED && !records.contains_key(&key) {
        let last = |record: &Record| record.succeeded.map_or(record.at, |at| at.max(record.at));
        let mut times: Vec<Instant> = records.values().map(last).collect();
        let middle = times.len() / 2;
        let (_, middle, _) = times.select_nth_unstable(middle);
        let middle = *middle;
        records.retain(|_, record| last(record) > middle);
    }
    records.entry(key).or_insert_with(|| Record::new(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FailureLimits =
        FailureLimits { limit: 3, window: Duration::from_secs(30), delay: Duration::from_secs(1) };
    const HERE: Option<Source> = Some(Source::V4(1));
    const LONGEST: Duration = Duration::from_secs(10);

    struct Scene {
        failures: Failures,
        now: Instant,
    }

    impl Scene {
        fn new() -> Self {
            Self { failures: Failures::default(), now: Instant::now() }
        }

        fn judge(&self, source: Option<Source>, user: &str, is_right: bool) -> Told {
            self.failures.judge(Some(&LIMITS), (source, user), is_right, (self.now, LONGEST))
        }

        fn after(&self, seconds: u64) -> Told {
            Told::At(self.now + Duration::from_secs(seconds))
        }
    }

    #[test]
    fn attack_guessing_passwords_from_one_address() {
        let mut scene = Scene::new();
        for _ in 0..3 {
            assert_eq!(scene.judge(HERE, "app", false), Told::Now);
            scene.now += Duration::from_millis(300);
        }
        // Right or wrong, one after the other, and not without end.
        for seconds in 1..=10 {
            assert_eq!(scene.judge(HERE, "app", seconds % 2 == 0), scene.after(seconds));
        }
        assert_eq!(scene.judge(HERE, "other", true), Told::Never);
        // Somebody else, and a Unix socket, are not meant.
        assert_eq!(scene.judge(Some(Source::V4(2)), "app", true), Told::Now);
        assert_eq!(scene.judge(None, "app", false), Told::Now);
        scene.now += Duration::from_secs(40);
        assert_eq!(scene.judge(HERE, "app", true), Told::Now, "nobody is locked out");
    }

    #[test]
    fn attack_many_connections_at_one_time() {
        let scene = Scene::new();
        let told = (0..1_000).filter(|_| scene.judge(HERE, "app", false) == Told::Now).count();
        assert_eq!(told, 3);
    }

    #[test]
    fn attack_locking_others_out_behind_one_address() {
        let mut scene = Scene::new();
        assert_eq!(scene.judge(HERE, "app", true), Told::Now);
        for n in 0..9 {
            scene.judge(HERE, &format!("guess{n}"), false);
        }
        assert_eq!(scene.judge(HERE, "new", true), scene.after(7));
        assert_eq!(scene.judge(HERE, "app", true), Told::Now, "it has been here before");
        // Guesses at the app's own password are held up like others.
        for _ in 0..3 {
            assert_eq!(scene.judge(HERE, "app", false), Told::Now);
        }
        assert_eq!(scene.judge(HERE, "app", false), scene.after(8));
        scene.now += Duration::from_secs(70);
        assert_eq!(scene.judge(HERE, "new", true), Told::Now);
    }

    #[test]
    fn attack_while_it_goes_on_a_guess_a_second() {
        let mut scene = Scene::new();
        let mut guesses = 0;
        for _ in 0..600 {
            scene.now += Duration::from_millis(100);
            match scene.judge(HERE, "app", false) {
                Told::Now => guesses += 1,
                Told::At(at) => {
                    scene.failures.tell(Some(&LIMITS), (HERE, "app"), false, at);
                    guesses += 1;
                }
                Told::Never => {}
            }
        }
        assert!(guesses <= 3 + 60 + 10 + 1, "{guesses} in a minute");
    }

    #[test]
    fn attack_filling_the_memory_with_addresses() {
        let scene = Scene::new();
        for n in 0..50_000 {
            scene.judge(Some(Source::V4(n)), "app", n % 2 == 0);
        }
        let tables = lock(&scene.failures.tables);
        assert!(tables.sources.len() <= REMEMBERED && tables.known.len() <= REMEMBERED);
    }

    #[test]
    fn without_limits_everybody_is_told_at_once() {
        let scene = Scene::new();
        for _ in 0..100 {
            let told = scene.failures.judge(None, (HERE, "app"), false, (scene.now, LONGEST));
            assert_eq!(told, Told::Now);
        }
    }
}
