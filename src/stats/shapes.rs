//! Statistics by the shape of statements, for a bounded number of shapes.
//!
//! Who knows a shape keeps its counters at hand, so that counting takes no look-up and no lock. The list only says which
//! of them are shown. When it is full, the tenth of it that has taken the least time goes; a shape that goes on to be
//! used comes back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::timing::nanos;

/// Most shapes that are listed in one database.
const MOST: usize = 1_000;
/// Most bytes they take, about.
const MOST_BYTES: usize = 512 * 1024;
/// Bytes of an entry beside its text, about.
const ENTRY: usize = size_of::<ShapeStats>() + 64;
/// A shape that is not listed asks to be once in so many calls.
const ASKS: u64 = 64;
/// What is shown in the place of texts that have no shape that could be kept.
const OTHERS: &str = "(statements without a shape that could be kept)";

/// Counters of the statements of one shape.
#[derive(Debug)]
pub struct ShapeStats {
    text: Arc<str>,
    digest: u64,
    is_listed: AtomicBool,
    /// On the primary, and on replicas.
    calls: [AtomicU64; 2],
    errors: AtomicU64,
    nanos: AtomicU64,
    longest: AtomicU64,
}

/// A statement was run.
#[allow(clippy::struct_excessive_bools, reason = "two independent facts about a call")]
#[derive(Clone, Copy, Debug)]
pub struct Ran {
    /// By a replica.
    pub on_replica: bool,
    /// From its arrival to the last byte of the answer.
    pub time: Duration,
    /// With an error.
    pub failed: bool,
}

/// What is known of the statements of one shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeView {
    /// The text with `?` in the place of literals, without comments; cut where it is long.
    pub text: Arc<str>,
    /// Calls on the primary.
    pub on_primary: u64,
    /// Calls on replicas.
    pub on_replicas: u64,
    /// Calls that have failed.
    pub errors: u64,
    /// The time of all calls.
    pub total: Duration,
    /// The time of the longest one.
    pub longest: Duration,
}

impl ShapeView {
    /// All calls.
    pub fn calls(&self) -> u64 {
        self.on_primary + self.on_replicas
    }
}

/// The shapes of one database.
#[derive(Debug)]
pub struct Shapes {
    listed: Mutex<Listed>,
    others: Arc<ShapeStats>,
}

#[derive(Debug, Default)]
struct Listed {
    by_digest: HashMap<u64, Arc<ShapeStats>>,
    bytes: usize,
}

impl ShapeStats {
    fn new(digest: u64, text: &Arc<str>, is_listed: bool) -> Arc<Self> {
        Arc::new(Self {
            text: Arc::clone(text),
            digest,
            is_listed: AtomicBool::new(is_listed),
            calls: Default::default(),
            errors: AtomicU64::default(),
            nanos: AtomicU64::default(),
            longest: AtomicU64::default(),
        })
    }

    /// Counts a call; returns which one of its node's role it is.
    fn count(&self, ran: Ran) -> u64 {
        let nanos = nanos(ran.time);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
        if nanos > self.longest.load(Ordering::Relaxed) {
            self.longest.fetch_max(nanos, Ordering::Relaxed);
        }
        if ran.failed {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
        self.calls[usize::from(ran.on_replica)].fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Moves what was counted to another.
    fn pour_into(&self, other: &Self) {
        let [ours, theirs] = [self, other].map(|s| [&s.calls[0], &s.calls[1], &s.errors, &s.nanos]);
        for (from, to) in ours.into_iter().zip(theirs) {
            to.fetch_add(from.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        }
        other.longest.fetch_max(self.longest.swap(0, Ordering::Relaxed), Ordering::Relaxed);
    }

    fn view(&self) -> ShapeView {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ShapeView {
            text: Arc::clone(&self.text),
            on_primary: load(&self.calls[0]),
            on_replicas: load(&self.calls[1]),
            errors: load(&self.errors),
            total: Duration::from_nanos(load(&self.nanos)),
            longest: Duration::from_nanos(load(&self.longest)),
        }
    }

    fn bytes(&self) -> usize {
        self.text.len() + ENTRY
    }
}

impl Default for Shapes {
    fn default() -> Self {
        Self { listed: Mutex::default(), others: ShapeStats::new(0, &OTHERS.into(), true) }
    }
}

impl Shapes {
    /// The counters of a shape, by a digest of its whole text; `text` may be cut.
    pub fn of(&self, digest: u64, text: &Arc<str>) -> Arc<ShapeStats> {
        let mut listed = self.lock();
        if let Some(known) = listed.by_digest.get(&digest) {
            return Arc::clone(known);
        }
        let new = ShapeStats::new(digest, text, true);
        listed.add(&new);
        new
    }

    /// A statement of this shape was run.
    pub fn ran(&self, shape: &Arc<ShapeStats>, ran: Ran) {
        let call = shape.count(ran);
        if !shape.is_listed.load(Ordering::Relaxed) && call.is_multiple_of(ASKS) {
            self.list_again(shape);
        }
    }

    /// A statement without a shape was run.
    pub fn ran_unshaped(&self, ran: Ran) {
        self.others.count(ran);
    }

    /// The shapes that have taken the most time, at most `limit`, the one with the most first.
    pub fn top(&self, limit: usize) -> Vec<ShapeView> {
        let mut all: Vec<ShapeView> = self.lock().by_digest.values().map(|shape| shape.view()).collect();
        all.push(self.others.view());
        all.retain(|shape| shape.calls() > 0);
        all.sort_by(|a, b| b.total.cmp(&a.total).then_with(|| a.text.cmp(&b.text)));
        all.truncate(limit);
        all
    }

    #[cold]
    fn list_again(&self, shape: &Arc<ShapeStats>) {
        let mut listed = self.lock();
        match listed.by_digest.get(&shape.digest) {
            // Somebody else who knows it has come back before.
            Some(other) if !Arc::ptr_eq(other, shape) => shape.pour_into(other),
            Some(_) => {}
            None => {
                shape.is_listed.store(true, Ordering::Relaxed);
                listed.add(shape);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Listed> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listed {
    fn add(&mut self, shape: &Arc<ShapeStats>) {
        while self.by_digest.len() >= MOST
            || self.bytes + shape.bytes() > MOST_BYTES && !self.by_digest.is_empty()
        {
            self.forget_a_tenth();
        }
        self.bytes += shape.bytes();
        self.by_digest.insert(shape.digest, Arc::clone(shape));
    }

    /// Drops those that have taken the least time.
    fn forget_a_tenth(&mut self) {
        let mut by_time: Vec<(u64, u64)> = self
            .by_digest
            .iter()
            .map(|(digest, shape)| (shape.nanos.load(Ordering::Relaxed), *digest))
            .collect();
        by_time.sort_unstable();
        for (_, digest) in by_time.iter().take(by_time.len().div_ceil(10)) {
            if let Some(shape) = self.by_digest.remove(digest) {
                shape.is_listed.store(false, Ordering::Relaxed);
                self.bytes -= shape.bytes();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(micros: u64) -> Ran {
        Ran { on_replica: false, time: Duration::from_micros(micros), failed: false }
    }

    #[test]
    fn the_dearest_come_first() {
        let shapes = Shapes::default();
        let (cheap, dear) = (shapes.of(1, &"select ?".into()), shapes.of(2, &"update t set a = ?".into()));
        shapes.ran(&cheap, ran(10));
        shapes.ran(&cheap, Ran { on_replica: true, ..ran(20) });
        shapes.ran(&dear, Ran { failed: true, ..ran(500) });
        shapes.ran_unshaped(ran(40));
        let top = shapes.top(10);
        let texts: Vec<&str> = top.iter().map(|shape| &*shape.text).collect();
        assert_eq!(texts, ["update t set a = ?", OTHERS, "select ?"]);
        assert_eq!((top[0].calls(), top[0].errors), (1, 1));
        assert_eq!((top[2].on_primary, top[2].on_replicas, top[2].errors), (1, 1, 0));
        assert_eq!((top[2].total, top[2].longest), (Duration::from_micros(30), Duration::from_micros(20)));
        assert_eq!(shapes.top(1).len(), 1);
        assert!(Arc::ptr_eq(&cheap, &shapes.of(1, &"select ?".into())));
    }

    #[test]
    fn the_list_is_bounded_and_what_takes_time_stays() {
        let shapes = Shapes::default();
        let dear = shapes.of(0, &"dear".into());
        shapes.ran(&dear, ran(1_000_000));
        for i in 1..20_000 {
            shapes.ran(&shapes.of(i, &format!("select a_column_{i} from t").into()), ran(i % 7));
            let listed = shapes.lock();
            assert!(listed.by_digest.len() <= MOST && listed.bytes <= MOST_BYTES);
        }
        for i in 30_000..32_000 {
            shapes.of(i, &format!("{i}{}", " ".repeat(1_600)).into());
            assert!(shapes.lock().bytes <= MOST_BYTES);
        }
        assert_eq!(&*shapes.top(1)[0].text, "dear");
        let bytes: usize = shapes.lock().by_digest.values().map(|shape| shape.bytes()).sum();
        assert_eq!(shapes.lock().bytes, bytes);
    }

    #[test]
    fn a_shape_that_was_forgotten_comes_back_with_what_it_has_counted() {
        let shapes = Shapes::default();
        let mut digests = 2..;
        let [first, second] = [(); 2].map(|()| {
            let shape = shapes.of(1, &"select ?".into());
            shapes.ran(&shape, ran(1));
            for digest in digests.by_ref().take(MOST) {
                shapes.ran(&shapes.of(digest, &"others".into()), ran(1_000));
            }
            shape
        });
        assert!(!shapes.top(MOST).iter().any(|shape| &*shape.text == "select ?"));
        for _ in 1..ASKS {
            shapes.ran(&first, ran(2_000));
            shapes.ran(&second, ran(2_000));
        }
        let top = shapes.top(1);
        assert_eq!((&*top[0].text, top[0].calls()), ("select ?", ASKS * 2));
    }
}
