//! What is known of statements, shared by all sessions: decisions by shape, and prepared statements by text.
//!
//! Both caches are bounded and forget in two generations: what was not asked for while a generation filled goes.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use arc_swap::ArcSwap;
use rustc_hash::FxBuildHasher;

use super::generations::Generations;
use super::ground::Ground;
use super::known::{Known, Told};
use super::lock::lock;
use crate::cluster::catalog::Keeper;
use crate::sql::{self, Deallocated, HintError, Hints, Parsed, ShapeKey, Shaper, Statement, Strings};
use crate::wire::Parse;

/// Bytes of one generation of each of the two caches of shapes.
const SHAPE_BYTES: usize = 6 * 1024 * 1024;
/// Bytes of statement text in one generation of the cache of prepared statements.
const TEXT_BYTES: usize = 8 * 1024 * 1024;
/// Texts longer than this, in bytes, are parsed on a thread of their own, so that nobody else waits.
const PARSE_INLINE: usize = 8 * 1024;

/// Characters of a shape that are kept for logs.
const SHAPE_CHARS: usize = 400;

/// `pg_query` redirects the process's standard error while it parses: two at once would lose it. Parsing is rare.
static PARSER: Mutex<()> = Mutex::new(());

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
    /// The shape of its rows wherever it is prepared: a server that would give it another has seen its tables change.
    shape: OnceLock<u64>,
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

    /// The shape of its rows, if a server has described it.
    pub(super) fn shape(&self) -> Option<u64> {
        self.shape.get().copied()
    }

    /// A server has described its rows; returns the shape that holds.
    pub(super) fn described(&self, shape: u64) -> u64 {
        *self.shape.get_or_init(|| shape)
    }
}

/// The two caches.
#[derive(Debug)]
pub(super) struct Statements {
    shaper: Shaper,
    /// What texts tell, by shape.
    told: Mutex<Generations<ShapeKey, Arc<Told>>>,
    /// What is known of them, by shape and ground.
    shapes: Mutex<Generations<(ShapeKey, u64), Arc<Known>>>,
    texts: Mutex<Generations<u64, Arc<Prepared>>>,
    pub(super) hasher: RandomState,
    /// Makes keys of texts unguessable. That two texts share one costs time, and nothing else.
    seed: u64,
    next_id: AtomicU64,
    unreadable: Arc<Known>,
}

impl Statements {
    /// Empty caches; `seed` makes shapes unguessable.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            shaper: Shaper::new(seed),
            told: Mutex::new(Generations::new(SHAPE_BYTES)),
            shapes: Mutex::new(Generations::new(SHAPE_BYTES)),
            texts: Mutex::new(Generations::new(TEXT_BYTES)),
            hasher: RandomState::new(),
            seed,
            next_id: AtomicU64::new(1),
            unreadable: Known::unread(Statement::unreadable()),
        }
    }

    /// What is known of text that must not be read, an encoding or setting the lexer does not follow: nothing, and no hints.
    pub(super) fn unreadable(&self) -> (Arc<Known>, Result<Hints, HintError>) {
        (Arc::clone(&self.unreadable), Ok(Hints::default()))
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

    /// What a text may do, and its hints, if that is known.
    pub(super) fn known(
        &self,
        text: &[u8],
        ground: &Ground,
        catalog: &Keeper,
    ) -> Option<(Arc<Known>, Result<Hints, HintError>)> {
        // Of longer ones nothing is kept, so a key would be made in vain.
        if text.len() > sql::LONGEST_TEXT {
            return None;
        }
        let scan = self.shaper.scan_with(text, ground.strings)?;
        let known = lock(&self.shapes).get(&(scan.key, ground.key))?;
        known.is_current(catalog).then(|| (known, scan.hints()))
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
            return self.unreadable();
        };
        let hints = scan.hints();
        let key = (scan.key, ground.key);
        let found = lock(&self.shapes).get(&key);
        let known = match found {
            Some(known) if known.is_current(catalog) => return (known, hints),
            Some(known) => known.anew(ground, catalog),
            None => {
                let told = self.told(scan.key, text, ground.strings).await;
                let known = Known::judged(Arc::clone(&told), ground.rules.about(scan.key), ground, catalog);
                if !told.belongs_to_shape() {
                    return (known, hints);
                }
                known
            }
        };
        lock(&self.shapes).insert(key, Arc::clone(&known), known.bytes());
        (known, hints)
    }

    /// What the text tells by itself. Parsing is dear, so that is kept for every database and path.
    async fn told(&self, key: ShapeKey, text: &[u8], strings: Strings) -> Arc<Told> {
        let found = lock(&self.told).get(&key);
        if let Some(told) = found {
            return told;
        }
        let parsed = parse(text, strings).await;
        if !parsed.belongs_to_shape() {
            return Told::new(parsed, "", 0);
        }
        let (shape, digest) = shape_of(text, strings);
        let told = Told::new(parsed, &shape, digest);
        lock(&self.told).insert(key, Arc::clone(&told), told.bytes());
        told
    }

    /// The statement of this text and these types, if it is there and what is known of it holds.
    pub(super) fn prepared(
        &self,
        parse: &Parse<'_>,
        ground: &Ground,
        catalog: &Keeper,
        readable: bool,
    ) -> Option<Arc<Prepared>> {
        let found = self.found(parse, ground, readable)?;
        (!readable || found.known().is_current(catalog)).then_some(found)
    }

    fn found(&self, parse: &Parse<'_>, ground: &Ground, readable: bool) -> Option<Arc<Prepared>> {
        let Parse { text, types, .. } = *parse;
        let same = |p: &Arc<Prepared>| *p.text == *text && *p.types == *types && p.ground == ground.key;
        lock(&self.texts).get(&self.key(text, types, ground.key, readable)).filter(same)
    }

    fn key(&self, text: &[u8], types: &[u8], ground: u64, readable: bool) -> u64 {
        FxBuildHasher.hash_one((self.seed, text, types, ground, readable))
    }

    /// The statement of this text and these types, known already or not. `readable` is false where the text must
    /// not be read.
    pub(super) async fn prepare(
        &self,
        parse: &Parse<'_>,
        ground: &Ground,
        catalog: &Keeper,
        readable: bool,
    ) -> Arc<Prepared> {
        let Parse { text, types, .. } = *parse;
        if let Some(found) = self.found(parse, ground, readable) {
            if readable && !found.known().is_current(catalog) {
                found.learn(&self.look_up(text, ground, catalog).await.0);
            }
            return found;
        }
        let (known, hints) =
            if readable { self.look_up(text, ground, catalog).await } else { self.unreadable() };
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let prepared = Arc::new(Prepared {
            id,
            server_name: server_name(id),
            text: text.into(),
            types: types.into(),
            ground: ground.key,
            shape: OnceLock::new(),
            known: ArcSwap::new(known),
            hints,
        });
        let key = self.key(text, types, ground.key, readable);
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
        let (told, known) = (lock(&self.told).size(), lock(&self.shapes).size());
        (known.0, told.1 + known.1)
    }

    /// How many texts of prepared statements are known, and the bytes they take, about.
    pub(super) fn texts(&self) -> (usize, usize) {
        lock(&self.texts).size()
    }

    /// What servers have prepared for this statement no longer fits the tables: whoever prepares its text from now
    /// on gets a new one.
    pub(super) fn retire(&self, prepared: &Prepared) {
        for readable in [true, false] {
            let key = self.key(&prepared.text, &prepared.types, prepared.ground, readable);
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

/// The text without its literals, as far as it is worth keeping, and a digest of more of it: long lists of columns
/// begin alike.
fn shape_of(text: &[u8], strings: Strings) -> (String, u64) {
    let start = text.get(..PARSE_INLINE).unwrap_or(text);
    let redacted = std::str::from_utf8(start).map(|text| sql::redact_with(text, strings)).unwrap_or_default();
    let digest = FxBuildHasher.hash_one((text.len() > start.len(), &redacted));
    (redacted.chars().take(SHAPE_CHARS).collect(), digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::catalog::SearchPath;

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
            assert!(statements.size().1 <= 4 * SHAPE_BYTES);
        }
        let (shapes, bytes) = statements.size();
        assert!(shapes < 60_000 && bytes > SHAPE_BYTES / 2, "{shapes} shapes, {bytes} bytes");
    }

    #[tokio::test]
    async fn a_shape_is_parsed_once_for_all_search_paths() {
        let (statements, catalog) = (Statements::new(1), Keeper::default());
        for tenant in 0..100 {
            let path = SearchPath::parse(&format!("tenant_{tenant}"), "app");
            let ground = Ground::new(&statements.hasher, "app", path, Strings::Standard, Arc::default());
            let _ = statements.look_up(b"select a from t", &ground, &catalog).await;
        }
        assert_eq!(lock(&statements.told).size().0, 1);
        assert_eq!(lock(&statements.shapes).size().0, 100);
    }

    #[tokio::test]
    async fn literals_share_a_shape_and_texts_do_not_share_a_statement() {
        let (statements, catalog) = (Statements::new(1), Keeper::default());
        let ground =
            Ground::new(&statements.hasher, "app", SearchPath::Any, Strings::Standard, Arc::default());
        let (a, _) = statements.look_up(b"select a from t where b = 1", &ground, &catalog).await;
        let (b, _) = statements.look_up(b"select a from t where b = 2", &ground, &catalog).await;
        assert!(Arc::ptr_eq(&a, &b));
        let one = Parse { name: b"", text: b"select 1", types: &[0, 0] };
        let two = Parse { text: b"select 2", ..one };
        assert!(statements.prepared(&one, &ground, &catalog, true).is_none());
        let p = statements.prepare(&one, &ground, &catalog, true).await;
        let q = statements.prepare(&two, &ground, &catalog, true).await;
        assert_ne!(p.id, q.id);
        assert!(Arc::ptr_eq(&p, &statements.prepared(&one, &ground, &catalog, true).unwrap()));
    }
}
