//! What is known of statements, shared by all sessions: decisions by shape, and prepared statements by text.
//!
//! Both caches are bounded and forget in two generations: what was not asked for while a generation filled goes.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::sql::{self, Deallocated, HintError, Hints, ShapeKey, Shaper, Statement};

/// Entries of one generation of the shape cache: with some 200 bytes each, two generations stay near 16 MiB.
const SHAPES: usize = 40_000;
/// Bytes of statement text in one generation of the cache of prepared statements.
const TEXT_BYTES: usize = 8 * 1024 * 1024;
/// Texts longer than this, in bytes, are parsed on a thread of their own, so that nobody else waits.
const PARSE_INLINE: usize = 8 * 1024;

/// Characters of a shape that are kept for logs.
const SHAPE_CHARS: usize = 400;

/// `pg_query` redirects the process's standard error while it parses: two at once would lose it. Parsing is rare.
static PARSER: Mutex<()> = Mutex::new(());

/// A statement's classification, and what was learned of it.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) statement: Statement,
    /// The text without its literals, for logs; cut where it is long.
    pub(super) shape: Box<str>,
    refused: AtomicBool,
    writes: AtomicBool,
}

impl Known {
    fn new(statement: Statement, shape: &str) -> Arc<Self> {
        let shape = shape.chars().take(SHAPE_CHARS).collect::<String>().into();
        Arc::new(Self { statement, shape, refused: AtomicBool::new(false), writes: AtomicBool::new(false) })
    }

    /// A replica has refused this shape.
    pub(super) fn refuse(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }

    /// A replica has refused this shape because it writes: what looked like a read calls something that does.
    pub(super) fn wrote(&self) {
        self.writes.store(true, Ordering::Relaxed);
    }

    /// Whether it may write.
    pub(super) fn may_write(&self) -> bool {
        self.statement.may_write || self.writes.load(Ordering::Relaxed)
    }

    /// Whether a replica has refused this shape.
    pub(super) fn was_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }
}

/// A statement of one text and given parameter types, prepared wherever it is needed.
#[derive(Debug)]
pub(super) struct Prepared {
    /// Its number, the same on every server.
    pub(super) id: u64,
    /// Its name on the servers.
    pub(super) server_name: Box<[u8]>,
    pub(super) text: Box<[u8]>,
    /// Count and OIDs as they stand on the wire.
    pub(super) types: Box<[u8]>,
    /// The `search_path` it was prepared under: with another, its names can mean something else.
    path: Box<str>,
    /// The shape of its rows that clients were told first.
    told: OnceLock<u64>,
    pub(super) known: Arc<Known>,
    pub(super) hints: Result<Hints, HintError>,
}

impl Prepared {
    /// The shape of its rows that clients were told, if one has asked.
    pub(super) fn told(&self) -> Option<u64> {
        self.told.get().copied()
    }

    /// A client is told the shape of its rows.
    pub(super) fn tell(&self, shape: u64) {
        let _ = self.told.set(shape);
    }
}

/// The two caches.
#[derive(Debug)]
pub(super) struct Statements {
    shaper: Shaper,
    shapes: Mutex<Generations<ShapeKey, Arc<Known>>>,
    texts: Mutex<Generations<u64, Arc<Prepared>>>,
    hasher: RandomState,
    next_id: AtomicU64,
    unreadable: Arc<Known>,
}

impl Statements {
    /// Empty caches; `seed` makes shapes unguessable.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            shaper: Shaper::new(seed),
            shapes: Mutex::new(Generations::new(SHAPES)),
            texts: Mutex::new(Generations::new(TEXT_BYTES)),
            hasher: RandomState::new(),
            next_id: AtomicU64::new(1),
            unreadable: Known::new(Statement::unreadable(), ""),
        }
    }

    /// What is known of text that must not be read: an encoding or setting the lexer does not follow.
    pub(super) fn unreadable(&self) -> Arc<Known> {
        Arc::clone(&self.unreadable)
    }

    /// What a DEALLOCATE names.
    pub(super) fn deallocated(text: &[u8]) -> Option<Deallocated> {
        let _one_at_a_time = lock(&PARSER);
        sql::deallocated(std::str::from_utf8(text).ok()?)
    }

    /// The prepared statement that a text runs or explains.
    pub(super) fn executed(text: &[u8]) -> Option<String> {
        let mentions = text.windows(7).any(|word| word.eq_ignore_ascii_case(b"execute"));
        let text = std::str::from_utf8(text).ok().filter(|_| mentions)?;
        let _one_at_a_time = lock(&PARSER);
        sql::executed(text)
    }

    /// What a text may do, and its hints.
    pub(super) async fn look_up(&self, text: &[u8]) -> (Arc<Known>, Result<Hints, HintError>) {
        let Some(scan) = self.shaper.scan(text) else { return (self.unreadable(), Ok(Hints::default())) };
        let hints = if scan.hints.is_empty() { Ok(Hints::default()) } else { Hints::read(&scan.hints) };
        if let Some(known) = lock(&self.shapes).get(&scan.key) {
            return (known, hints);
        }
        let statement = classify(text).await;
        let keep = statement.belongs_to_shape();
        let shape = if text.len() <= PARSE_INLINE {
            std::str::from_utf8(text).map(sql::redact)
        } else {
            Ok(String::new())
        };
        let known = Known::new(statement, &shape.unwrap_or_default());
        if keep {
            lock(&self.shapes).insert(scan.key, Arc::clone(&known), 1);
        }
        (known, hints)
    }

    /// The statement of this text and these types, known already or not. `readable` is false where the text must
    /// not be read.
    pub(super) async fn prepare(
        &self,
        text: &[u8],
        types: &[u8],
        path: &str,
        readable: bool,
    ) -> Arc<Prepared> {
        let key = self.hasher.hash_one((text, types, path, readable));
        let same = |p: &Arc<Prepared>| *p.text == *text && *p.types == *types && *p.path == *path;
        if let Some(found) = lock(&self.texts).get(&key).filter(same) {
            return found;
        }
        let (known, hints) =
            if readable { self.look_up(text).await } else { (self.unreadable(), Ok(Hints::default())) };
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let prepared = Arc::new(Prepared {
            id,
            server_name: server_name(id),
            text: text.into(),
            types: types.into(),
            path: path.into(),
            told: OnceLock::new(),
            known,
            hints,
        });
        lock(&self.texts).insert(key, Arc::clone(&prepared), text.len() + 300);
        prepared
    }

    /// What servers have prepared for this statement no longer fits the tables: whoever prepares its text from now
    /// on gets a new one.
    pub(super) fn retire(&self, prepared: &Prepared) {
        for readable in [true, false] {
            let key = self.hasher.hash_one((&*prepared.text, &*prepared.types, &*prepared.path, readable));
            lock(&self.texts).remove_if(&key, |found| found.id == prepared.id);
        }
    }
}

/// The name of a prepared statement on the servers. Clients do not use such names.
pub(super) fn server_name(id: u64) -> Box<[u8]> {
    format!("__tidegate_{id}").into_bytes().into()
}

async fn classify(text: &[u8]) -> Statement {
    let Ok(text) = std::str::from_utf8(text) else { return Statement::unreadable() };
    let parse = |text: &str| {
        let _one_at_a_time = lock(&PARSER);
        sql::classify(text)
    };
    if text.len() <= PARSE_INLINE {
        return parse(text);
    }
    let text = text.to_owned();
    let parsed = tokio::task::spawn_blocking(move || parse(&text)).await;
    parsed.unwrap_or_else(|_| Statement::unreadable())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A bounded map that forgets what was not asked for while its younger half filled.
#[derive(Debug)]
struct Generations<K, V> {
    young: HashMap<K, V, RandomState>,
    old: HashMap<K, V, RandomState>,
    weight: usize,
    limit: usize,
}

impl<K: Eq + Hash + Clone, V: Clone> Generations<K, V> {
    fn new(limit: usize) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), weight: 0, limit }
    }

    fn get(&mut self, key: &K) -> Option<V> {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = self.old.remove_entry(key)?;
        self.insert(key, value.clone(), self.limit / (self.old.len() + 1).max(1_000));
        Some(value)
    }

    fn remove_if(&mut self, key: &K, is_it: impl Fn(&V) -> bool) {
        for half in [&mut self.young, &mut self.old] {
            if half.get(key).is_some_and(&is_it) {
                half.remove(key);
            }
        }
    }

    fn insert(&mut self, key: K, value: V, weight: usize) {
        if self.weight + weight > self.limit {
            self.old = std::mem::take(&mut self.young);
            self.weight = 0;
        }
        self.weight += weight;
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_is_forgotten() {
        let mut cache = Generations::new(2_000);
        cache.insert(0, 'a', 1);
        for i in 1..100_000 {
            cache.insert(i, 'b', 1);
            assert_eq!(cache.get(&0), Some('a'), "after {i}");
            assert!(cache.young.len() + cache.old.len() <= 4_001);
        }
        assert_eq!(cache.get(&1), None);
    }

    #[tokio::test]
    async fn literals_share_a_shape_and_texts_do_not_share_a_statement() {
        let statements = Statements::new(1);
        let (a, _) = statements.look_up(b"select a from t where b = 1").await;
        let (b, _) = statements.look_up(b"select a from t where b = 2").await;
        assert!(Arc::ptr_eq(&a, &b));
        let p = statements.prepare(b"select 1", &[0, 0], "", true).await;
        let q = statements.prepare(b"select 2", &[0, 0], "", true).await;
        assert_ne!(p.id, q.id);
        assert!(Arc::ptr_eq(&p, &statements.prepare(b"select 1", &[0, 0], "", true).await));
    }
}
