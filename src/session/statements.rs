//! What is known of statements, shared by all sessions: decisions by shape, and prepared statements by text.
//!
//! Both caches are bounded and forget in two generations: what was not asked for while a generation filled goes.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::ArcSwap;

use super::ground::Ground;
use crate::cluster::catalog::Keeper;
use crate::routing::Reason;
use crate::sql::catalog::Does;
use crate::sql::{self, Cause, Deallocated, HintError, Hints, Parsed, ShapeKey, Shaper, Statement, Strings};
use crate::stats::{Blocker, Tally};

/// Bytes of one generation of the shape cache.
const SHAPE_BYTES: usize = 12 * 1024 * 1024;
/// Bytes an entry of a map takes beside its value, about.
const ENTRY: usize = 64;
/// Bytes of statement text in one generation of the cache of prepared statements.
const TEXT_BYTES: usize = 8 * 1024 * 1024;
/// Texts longer than this, in bytes, are parsed on a thread of their own, so that nobody else waits.
const PARSE_INLINE: usize = 8 * 1024;

/// Characters of a shape that are kept for logs.
const SHAPE_CHARS: usize = 400;

/// `pg_query` redirects the process's standard error while it parses: two at once would lose it. Parsing is rare.
static PARSER: Mutex<()> = Mutex::new(());

/// What is known of the statements of one shape, in one database, for sessions with the same path.
#[derive(Debug)]
pub(super) struct Known {
    /// What they may do.
    pub(super) statement: Statement,
    /// The text without its literals, for logs; cut where it is long.
    pub(super) shape: Arc<str>,
    /// The numbers of the rules that speak of this shape.
    pub(super) rules: Arc<[usize]>,
    parsed: Arc<Parsed>,
    /// Which reading of the catalog this was judged by.
    generation: u64,
    refused: AtomicBool,
    writes: AtomicBool,
    blocker: OnceLock<Arc<Blocker>>,
}

impl Known {
    fn unread(statement: Statement) -> Arc<Self> {
        Self::new(Arc::default(), Arc::new(Parsed::from(statement.clone())), Arc::default(), statement, 0)
    }

    fn new(
        shape: Arc<str>,
        parsed: Arc<Parsed>,
        rules: Arc<[usize]>,
        statement: Statement,
        generation: u64,
    ) -> Arc<Self> {
        let (refused, writes) = (AtomicBool::new(false), AtomicBool::new(false));
        let blocker = OnceLock::new();
        Arc::new(Self { statement, shape, rules, parsed, generation, refused, writes, blocker })
    }

    /// The judgement of the newest catalog on what was parsed.
    fn judged(
        shape: Arc<str>,
        parsed: Arc<Parsed>,
        rules: Arc<[usize]>,
        ground: &Ground,
        catalog: &Keeper,
    ) -> Arc<Self> {
        let snapshot = catalog.current();
        let statement = parsed.judge(&snapshot.catalog, &ground.path);
        if statement.is_unresolved() {
            catalog.ask();
        }
        Self::new(shape, parsed, rules, statement, snapshot.generation)
    }

    /// Whether it was judged by the newest reading of the catalog. What the catalog does not know is asked for again.
    pub(super) fn is_current(&self, catalog: &Keeper) -> bool {
        if self.statement.is_unresolved() {
            catalog.ask();
        }
        !self.depends_on_catalog() || self.generation == catalog.generation()
    }

    /// Whether it uses any name that only the catalog can know.
    pub(super) fn depends_on_catalog(&self) -> bool {
        self.parsed.names_something()
    }

    /// A replica has refused this shape.
    pub(super) fn refuse(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }

    /// A replica has refused this shape because it writes: what looked like a read calls something that does.
    pub(super) fn wrote(&self) {
        self.writes.store(true, Ordering::Relaxed);
    }

    /// What it may do beside answering.
    pub(super) fn does(&self) -> Does {
        let learned = if self.writes.load(Ordering::Relaxed) { Does::WRITES } else { Does::NOTHING };
        self.statement.does | learned
    }

    /// Whether a replica has refused this shape.
    pub(super) fn was_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// What keeps it from replicas, if that is something a report should name.
    pub(super) fn blocker(&self, reason: Reason, tally: &Tally) -> Option<&Arc<Blocker>> {
        let cause = match (reason, &self.statement.cause) {
            (Reason::RefusedBefore, _) => "a replica has refused it".to_owned(),
            (
                Reason::Unknown | Reason::Write,
                Cause::Function(_) | Cause::Catalog(_) | Cause::SystemView(_),
            ) => {
                if let Some(blocker) = self.blocker.get() {
                    return Some(blocker);
                }
                self.statement.cause.to_string()
            }
            _ => return None,
        };
        Some(self.blocker.get_or_init(|| tally.blocker(&cause, &self.shape)))
    }

    /// Forgets what was learned.
    fn forget(&self) {
        self.refused.store(false, Ordering::Relaxed);
        self.writes.store(false, Ordering::Relaxed);
    }

    /// Bytes it takes, about.
    fn bytes(&self) -> usize {
        let tables = self.statement.touched.as_ref().map_or(0, |touched| touched.bytes());
        let texts = self.parsed.bytes() * 2 + self.shape.len();
        size_of::<Self>() + size_of::<Parsed>() + texts + size_of_val(&*self.rules) + tables + ENTRY
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
    /// What its names meant when it was prepared: on other ground they can mean something else.
    ground: u64,
    /// The shape of its rows that clients were told first.
    told: OnceLock<u64>,
    known: ArcSwap<Known>,
    pub(super) hints: Result<Hints, HintError>,
}

impl Prepared {
    /// What is known of it.
    pub(super) fn known(&self) -> Arc<Known> {
        self.known.load_full()
    }

    /// Something newer is known of it.
    pub(super) fn learn(&self, known: &Arc<Known>) {
        self.known.store(Arc::clone(known));
    }

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
    shapes: Mutex<Generations<(ShapeKey, u64), Arc<Known>>>,
    texts: Mutex<Generations<u64, Arc<Prepared>>>,
    pub(super) hasher: RandomState,
    next_id: AtomicU64,
    unreadable: Arc<Known>,
}

impl Statements {
    /// Empty caches; `seed` makes shapes unguessable.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            shaper: Shaper::new(seed),
            shapes: Mutex::new(Generations::new(SHAPE_BYTES)),
            texts: Mutex::new(Generations::new(TEXT_BYTES)),
            hasher: RandomState::new(),
            next_id: AtomicU64::new(1),
            unreadable: Known::unread(Statement::unreadable()),
        }
    }

    /// What is known of text that must not be read: an encoding or setting the lexer does not follow.
    pub(super) fn unreadable(&self) -> Arc<Known> {
        Arc::clone(&self.unreadable)
    }

    /// The shape of a text, as the caches know it.
    pub(super) fn shape(&self, text: &[u8]) -> Option<ShapeKey> {
        self.shaper.scan(text).map(|scan| scan.key)
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
    pub(super) async fn look_up(
        &self,
        text: &[u8],
        ground: &Ground,
        catalog: &Keeper,
    ) -> (Arc<Known>, Result<Hints, HintError>) {
        if text.len() > sql::LONGEST_TEXT {
            // Going over it for the key of a shape that is never kept would only take time.
            let parsed = parse(text, ground.strings).await;
            return (Known::unread(parsed.without_catalog()), Ok(Hints::default()));
        }
        let Some(scan) = self.shaper.scan_with(text, ground.strings) else {
            return (self.unreadable(), Ok(Hints::default()));
        };
        let hints = if scan.hints.is_empty() { Ok(Hints::default()) } else { Hints::read(&scan.hints) };
        let key = (scan.key, ground.key);
        let found = lock(&self.shapes).get(&key);
        let known = match found {
            Some(known) if known.is_current(catalog) => return (known, hints),
            // Parsing is dear, and the text has not changed.
            Some(known) => {
                let (shape, parsed) = (Arc::clone(&known.shape), Arc::clone(&known.parsed));
                Known::judged(shape, parsed, Arc::clone(&known.rules), ground, catalog)
            }
            None => {
                let parsed = parse(text, ground.strings).await;
                let shape =
                    if parsed.belongs_to_shape() { shape_of(text, ground.strings) } else { Arc::default() };
                let rules = ground.rules.about(scan.key);
                Known::judged(shape, Arc::new(parsed), rules, ground, catalog)
            }
        };
        if known.parsed.belongs_to_shape() {
            let weight = known.bytes();
            lock(&self.shapes).insert(key, Arc::clone(&known), weight);
        }
        (known, hints)
    }

    /// The statement of this text and these types, known already or not. `readable` is false where the text must
    /// not be read.
    pub(super) async fn prepare(
        &self,
        text: &[u8],
        types: &[u8],
        ground: &Ground,
        catalog: &Keeper,
        readable: bool,
    ) -> Arc<Prepared> {
        let key = self.hasher.hash_one((text, types, ground.key, readable));
        let same = |p: &Arc<Prepared>| *p.text == *text && *p.types == *types && p.ground == ground.key;
        let found = lock(&self.texts).get(&key).filter(same);
        if let Some(found) = found {
            if readable && !found.known().is_current(catalog) {
                found.learn(&self.look_up(text, ground, catalog).await.0);
            }
            return found;
        }
        let (known, hints) = if readable {
            self.look_up(text, ground, catalog).await
        } else {
            (self.unreadable(), Ok(Hints::default()))
        };
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let prepared = Arc::new(Prepared {
            id,
            server_name: server_name(id),
            text: text.into(),
            types: types.into(),
            ground: ground.key,
            told: OnceLock::new(),
            known: ArcSwap::new(known),
            hints,
        });
        lock(&self.texts).insert(key, Arc::clone(&prepared), text.len() + 300);
        prepared
    }

    /// The shapes that a replica has refused.
    pub(super) fn learned(&self) -> Vec<Arc<str>> {
        let shapes = lock(&self.shapes);
        let refused = shapes.values().filter(|known| known.was_refused());
        refused.map(|known| Arc::clone(&known.shape)).collect()
    }

    /// Forgets which shapes replicas have refused; returns how many there were.
    pub(super) fn forget_learned(&self) -> usize {
        let shapes = lock(&self.shapes);
        let refused = shapes.values().filter(|known| known.was_refused());
        refused.map(|known| known.forget()).count()
    }

    /// How many shapes are known, and the bytes they take, about.
    pub(super) fn size(&self) -> (usize, usize) {
        let shapes = lock(&self.shapes);
        (shapes.young.len() + shapes.old.len(), shapes.weight + shapes.old_weight)
    }

    /// What servers have prepared for this statement no longer fits the tables: whoever prepares its text from now
    /// on gets a new one.
    pub(super) fn retire(&self, prepared: &Prepared) {
        for readable in [true, false] {
            let key = self.hasher.hash_one((&*prepared.text, &*prepared.types, prepared.ground, readable));
            lock(&self.texts).remove_if(&key, |found| found.id == prepared.id);
        }
    }
}

/// The name of a prepared statement on the servers. Clients do not use such names.
pub(super) fn server_name(id: u64) -> Box<[u8]> {
    format!("__tidegate_{id}").into_bytes().into()
}

async fn parse(text: &[u8], strings: Strings) -> Parsed {
    let Ok(text) = std::str::from_utf8(text) else { return Parsed::from(Statement::unreadable()) };
    let parse = move |text: &str| {
        let _one_at_a_time = lock(&PARSER);
        sql::parse(text, strings)
    };
    if text.len() <= PARSE_INLINE {
        return parse(text);
    }
    let text = text.to_owned();
    let parsed = tokio::task::spawn_blocking(move || parse(&text)).await;
    parsed.unwrap_or_else(|_| Parsed::from(Statement::unreadable()))
}

/// The text without its literals, as far as it is worth keeping.
fn shape_of(text: &[u8], strings: Strings) -> Arc<str> {
    let start = text.get(..PARSE_INLINE).unwrap_or(text);
    let redacted = std::str::from_utf8(start).map(|text| sql::redact_with(text, strings)).unwrap_or_default();
    redacted.chars().take(SHAPE_CHARS).collect::<String>().into()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A bounded map that forgets what was not asked for while its younger half filled.
#[derive(Debug)]
struct Generations<K, V> {
    young: HashMap<K, (V, usize), RandomState>,
    old: HashMap<K, (V, usize), RandomState>,
    weight: usize,
    old_weight: usize,
    limit: usize,
}

impl<K: Eq + Hash + Clone, V: Clone> Generations<K, V> {
    fn new(limit: usize) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), weight: 0, old_weight: 0, limit }
    }

    fn get(&mut self, key: &K) -> Option<V> {
        if let Some((value, _)) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, (value, weight)) = self.old.remove_entry(key)?;
        self.old_weight -= weight;
        self.insert(key, value.clone(), weight);
        Some(value)
    }

    fn remove_if(&mut self, key: &K, is_it: impl Fn(&V) -> bool) {
        for (half, weight) in [(&mut self.young, &mut self.weight), (&mut self.old, &mut self.old_weight)] {
            if half.get(key).is_some_and(|(value, _)| is_it(value)) {
                *weight -= half.remove(key).map_or(0, |(_, weight)| weight);
            }
        }
    }

    fn insert(&mut self, key: K, value: V, weight: usize) {
        if self.weight + weight > self.limit {
            self.old = std::mem::take(&mut self.young);
            self.old_weight = std::mem::take(&mut self.weight);
        }
        self.weight += weight;
        if let Some((_, before)) = self.young.insert(key, (value, weight)) {
            self.weight -= before;
        }
    }

    /// All values.
    fn values(&self) -> impl Iterator<Item = &V> {
        self.young.values().chain(self.old.values()).map(|(value, _)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::catalog::SearchPath;

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

    /// However many texts there are, of however many shapes: the cache keeps to its budget, and what is used is found.
    #[tokio::test]
    async fn the_cache_keeps_to_its_budget_and_hits() {
        let (statements, catalog) = (Statements::new(1), Keeper::default());
        let ground =
            Ground::new(&statements.hasher, "app", SearchPath::Any, Strings::Standard, Arc::default());
        let mut misses = 0;
        for i in 0..100_000 {
            let (shape, literal) = (i % 1_000, i);
            let text = format!("select c{shape} from t{shape} where id = {literal} and name = '{literal}'");
            let known = statements.size().0;
            let _ = statements.look_up(text.as_bytes(), &ground, &catalog).await;
            misses += statements.size().0 - known;
        }
        assert_eq!((misses, statements.size().0), (1_000, 1_000));
        for i in 0..60_000 {
            let text = format!("select a_column_of_this_table_{i} from a_table_with_a_name_{i}");
            let _ = statements.look_up(text.as_bytes(), &ground, &catalog).await;
            assert!(statements.size().1 <= 2 * SHAPE_BYTES);
        }
        let (shapes, bytes) = statements.size();
        assert!(shapes < 60_000 && bytes > SHAPE_BYTES / 2, "{shapes} shapes, {bytes} bytes");
    }

    #[tokio::test]
    async fn literals_share_a_shape_and_texts_do_not_share_a_statement() {
        let (statements, catalog) = (Statements::new(1), Keeper::default());
        let ground =
            Ground::new(&statements.hasher, "app", SearchPath::Any, Strings::Standard, Arc::default());
        let (a, _) = statements.look_up(b"select a from t where b = 1", &ground, &catalog).await;
        let (b, _) = statements.look_up(b"select a from t where b = 2", &ground, &catalog).await;
        assert!(Arc::ptr_eq(&a, &b));
        let p = statements.prepare(b"select 1", &[0, 0], &ground, &catalog, true).await;
        let q = statements.prepare(b"select 2", &[0, 0], &ground, &catalog, true).await;
        assert_ne!(p.id, q.id);
        assert!(Arc::ptr_eq(&p, &statements.prepare(b"select 1", &[0, 0], &ground, &catalog, true).await));
    }
}
