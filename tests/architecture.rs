//! Holds the wall: reads `src/` and fails when a folder uses one it must not know, when the pure core touches
//! the outside world, or when a protocol tag byte shows up outside `wire`.
//!
//! It reads tokens, not types: comments, strings and `#[cfg(test)]` items are left out, `use` trees are spelled
//! out into paths, and every path is held against the tables below. A new folder needs a row in [`WALL`].
#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

// ---------------------------------------------------------------------------------------------- the rules

/// Which of our own folders a folder may use.
enum Uses {
    Only(&'static [&'static str]),
    AllBut(&'static [&'static str]),
}
use Uses::{AllBut, Only};

struct Row {
    folder: &'static str,
    uses: Uses,
    because: &'static str,
}

const fn row(folder: &'static str, uses: Uses, because: &'static str) -> Row {
    Row { folder, uses, because }
}

const WALL: &[Row] = &[
    row("wire", Only(&[]), "wire turns bytes into messages and knows nothing of ours"),
    row("auth", Only(&[]), "proofs are checked against what is handed in"),
    row("sql", Only(&[]), "sql says what a statement may do, never where it goes"),
    row("freshness", Only(&[]), "freshness is instants and positions handed in"),
    row(
        "health",
        Only(&["freshness"]),
        "health is judged by what was seen, and decides nothing about freshness",
    ),
    row("history", Only(&[]), "history judges answers by what happened before, and is told what happened"),
    row("routing", Only(&["sql", "freshness"]), "a decision is a pure function over values"),
    row(
        "config",
        Only(&["auth", "sql", "freshness", "health", "tls"]),
        "settings become types once, before anything starts",
    ),
    row("tls", Only(&[]), "certificates and keys are files and bytes, whoever uses them"),
    row("net", Only(&[]), "a socket is a socket"),
    row("spans", Only(&["config"]), "a span is what it is told, and does not know which statements have one"),
    row("stats", Only(&["routing"]), "counters know the reasons they count by, and nobody who counts"),
    row(
        "server",
        Only(&["wire", "auth", "config", "net", "tls"]),
        "a server connection does not know who holds it",
    ),
    row("pool", Only(&["server", "wire", "config"]), "the pool lends connections and does not know to whom"),
    row(
        "cluster",
        Only(&["server", "freshness", "health", "config", "wire", "sql", "routing"]),
        "the cluster is watched without knowing who asks; it fills in routing's view of it",
    ),
    row(
        "topology",
        Only(&["config", "cluster"]),
        "who names the nodes asks them too, and does not know what the list is used for",
    ),
    row("session", AllBut(&["cli", "local", "main"]), "a session knows the proxy, not the program around it"),
    row("admin", AllBut(&["cli", "main"]), "admin shows what the proxy publishes"),
    row("local", Only(&[]), "local starts throwaway PostgreSQL clusters and knows no proxy"),
    row("cli", AllBut(&["main"]), "commands may use every part, but main is wiring only"),
    row("main", AllBut(&[]), "main is wiring"),
    row("lib", AllBut(&["main"]), "lib names the parts"),
];

/// A path no folder of `folders` may mention. `thread::sleep` also forbids `std::thread::sleep`.
struct Ban {
    folders: Uses,
    path: &'static str,
    because: &'static str,
}

const fn ban(folders: Uses, path: &'static str, because: &'static str) -> Ban {
    Ban { folders, path, because }
}

const PURE: &[&str] = &["wire", "auth", "sql", "freshness", "health", "routing", "history"];

const BANS: &[Ban] = &[
    ban(Only(PURE), "tokio", "the pure core knows no runtime"),
    ban(Only(PURE), "tokio_postgres", "the pure core knows no runtime"),
    ban(Only(PURE), "std::net", "the pure core knows no socket (addresses as values are in core::net)"),
    ban(Only(PURE), "std::fs", "the pure core knows no files"),
    ban(Only(PURE), "std::env", "the pure core knows no environment"),
    ban(Only(PURE), "std::thread", "the pure core starts and stops nothing"),
    ban(Only(PURE), "Instant::now", "the pure core knows no clock: instants are handed in"),
    ban(Only(PURE), "SystemTime", "the pure core knows no clock: instants are handed in"),
    ban(Only(PURE), "rand", "the pure core knows no randomness: picks are handed in"),
    ban(Only(PURE), "tracing", "the pure core does not log: it returns reasons"),
    ban(Only(PURE), "println", "the pure core does not log: it returns reasons"),
    ban(Only(PURE), "eprintln", "the pure core does not log: it returns reasons"),
    ban(Only(PURE), "thread_local", "the pure core owns no global"),
    ban(
        AllBut(&["local"]),
        "thread::sleep",
        "it stops every session of its worker thread: use tokio::time::sleep",
    ),
    ban(AllBut(&["cli", "local", "main"]), "env::var", "settings are parsed once, at the command line"),
    ban(AllBut(&["cli", "local", "main"]), "env::var_os", "settings are parsed once, at the command line"),
    ban(AllBut(&["cli", "local", "main"]), "env::vars", "settings are parsed once, at the command line"),
];

/// Types that make a `static` a hidden argument of every function.
const INTERIOR: &[&str] = &[
    "Mutex",
    "RwLock",
    "OnceLock",
    "LazyLock",
    "OnceCell",
    "LazyCell",
    "Cell",
    "RefCell",
    "UnsafeCell",
    "ArcSwap",
];

/// Folders that speak the protocol and must match on `wire`'s messages, never on a tag byte.
const TAGLESS: &[&str] = &["session", "server", "pool"];

// ---------------------------------------------------------------------------------------------- the verdict

#[test]
fn the_wall_stands() {
    let sources = Source::read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(!sources.is_empty(), "src/ was found");
    let broken: Vec<String> = sources.iter().flat_map(violations).collect();
    assert!(broken.is_empty(), "the wall is broken in {} places:\n{}", broken.len(), broken.join("\n"));
}

fn violations(source: &Source) -> Vec<String> {
    let folder = source.folder();
    let tokens = tokens(&source.code);
    let mentions = mentions(&tokens);
    let mut found = Vec::new();
    match WALL.iter().find(|row| row.folder == folder) {
        Some(row) => found.extend(crossed(source, row, &mentions)),
        None => found
            .push((0, format!("`{folder}` has no row in WALL (tests/architecture.rs): say what it may use"))),
    }
    found.extend(banned(&folder, &mentions));
    if PURE.contains(&folder.as_str()) {
        found.extend(globals(&tokens));
    }
    if TAGLESS.contains(&folder.as_str()) {
        found.extend(tag_bytes(&source.code));
    }
    found.sort();
    found.dedup();
    found.into_iter().map(|(at, what)| format!("{}:{}: {what}", source.path, source.line_of(at))).collect()
}

type Found = (usize, String);

impl Uses {
    fn includes(&self, name: &str) -> bool {
        match self {
            Only(names) => names.contains(&name),
            AllBut(names) => !names.contains(&name),
        }
    }
}

/// The uses of our own folders that `row` does not allow.
fn crossed(source: &Source, row: &Row, mentions: &[Mention]) -> Vec<Found> {
    let mut found = Vec::new();
    for mention in mentions {
        let Some(path) = source.rooted(&mention.path) else {
            continue;
        };
        let Some(&target) = path.first() else { continue };
        let known = WALL.iter().any(|row| row.folder == target);
        let complaint = if target == row.folder || (!known && row.folder == "lib") {
            continue;
        } else if !known {
            "not a folder with a row in WALL".to_owned()
        } else if !row.uses.includes(target) {
            row.because.to_owned()
        } else if row.folder == "admin"
            && target == "session"
            && path.get(1).is_some_and(|name| is_internal(name))
            && path.len() > 2
        {
            "admin sees what session publishes at its top, not its rooms".to_owned()
        } else {
            continue;
        };
        found.push((mention.at, format!("`{}` may not use `{}`: {complaint}", row.folder, path.join("::"))));
    }
    found
}

/// Whether a segment names a module rather than a type.
fn is_internal(segment: &str) -> bool {
    segment.starts_with(|first: char| first.is_ascii_lowercase())
}

fn banned(folder: &str, mentions: &[Mention]) -> Vec<Found> {
    let mut found = Vec::new();
    for ban in BANS.iter().filter(|ban| ban.folders.includes(folder)) {
        let path: Vec<&str> = ban.path.split("::").collect();
        for mention in mentions {
            if mention.path.windows(path.len()).any(|part| part == path) {
                found.push((
                    mention.at,
                    format!("`{folder}` may not mention `{}`: {}", ban.path, ban.because),
                ));
            }
        }
    }
    found
}

/// Statics that can change after the start.
fn globals(tokens: &[Token]) -> Vec<Found> {
    let mut found = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let is_lifetime = index > 0 && tokens[index - 1].text == "'";
        if token.text != "static" || is_lifetime {
            continue;
        }
        let declared = tokens[index..].iter().take_while(|token| token.text != "=" && token.text != ";");
        let changes = |token: &&Token| {
            token.text == "mut" || token.text.starts_with("Atomic") || INTERIOR.contains(&token.text)
        };
        if let Some(culprit) = declared.into_iter().find(changes) {
            let what = format!("a `static` with `{}` in the pure core: it owns no global", culprit.text);
            found.push((token.at, what));
        }
    }
    found
}

/// Byte literals that look like protocol tags: `b'Q'`, or `'Q' as u8`.
fn tag_bytes(code: &str) -> Vec<Found> {
    let bytes = code.as_bytes();
    let quoted = |at: usize| {
        bytes[at] == b'\''
            && bytes.get(at + 1).is_some_and(u8::is_ascii_alphanumeric)
            && bytes.get(at + 2) == Some(&b'\'')
    };
    let mut found = Vec::new();
    for at in (0..bytes.len()).filter(|&at| quoted(at)) {
        let as_byte = code[at + 3..].trim_start().starts_with("as u8");
        let byte = at > 0 && bytes[at - 1] == b'b' && !(at > 1 && is_word(bytes[at - 2]));
        if byte || as_byte {
            let what = format!("the tag byte {} outside `wire`: match on its messages", &code[at..at + 3]);
            found.push((at, what));
        }
    }
    found
}

// ---------------------------------------------------------------------------------------------- reading src/

/// One file of `src/`: its code with comments, strings and test items blanked out, byte for byte.
struct Source {
    /// From the crate's root, with forward slashes: `src/wire/frame.rs`.
    path: String,
    code: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let code = code_only(text);
        let (code, _) = without_tests(&code);
        Self { path: path.to_owned(), code }
    }

    fn read_all(src: &Path) -> Vec<Self> {
        let mut files = Vec::new();
        collect(src, &mut files);
        files.sort();
        let sources: Vec<(PathBuf, String)> = files
            .into_iter()
            .map(|file| {
                let text = fs::read_to_string(&file).expect("a source file is readable");
                (file, text)
            })
            .collect();
        let excluded: HashSet<PathBuf> =
            sources.iter().flat_map(|(file, text)| test_files(file, text)).collect();
        let is_test = |file: &Path| file.ancestors().any(|part| excluded.contains(part));
        let root = src.parent().expect("src/ has a parent");
        let shown =
            |file: &Path| file.strip_prefix(root).unwrap_or(file).to_string_lossy().replace('\\', "/");
        sources
            .iter()
            .filter(|(file, _)| !is_test(file))
            .map(|(file, text)| Self::new(&shown(file), text))
            .collect()
    }

    /// The module path: `src/wire/frame.rs` is `[wire, frame]`, `src/wire/mod.rs` is `[wire]`.
    fn module(&self) -> Vec<&str> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let mut parts: Vec<&str> = path.split('/').collect();
        if parts.len() > 1 && parts.last() == Some(&"mod") {
            parts.pop();
        }
        parts
    }

    fn folder(&self) -> String {
        self.module()[0].to_owned()
    }

    /// `path` as seen from the crate's root, when it starts there: through `crate::`, `tidegate::` or enough `super::`.
    fn rooted<'a>(&self, path: &[&'a str]) -> Option<Vec<&'a str>> {
        let supers = path.iter().take_while(|segment| **segment == "super").count();
        let skipped = match path.first() {
            Some(&("crate" | "tidegate")) if path.len() > 1 => 1,
            Some(&"super") if supers >= self.module().len() => supers,
            _ => return None,
        };
        Some(path[skipped..].iter().copied().filter(|segment| *segment != "self").collect())
    }

    fn line_of(&self, at: usize) -> usize {
        self.code[..at].matches('\n').count() + 1
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a source folder is readable").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The files and folders that `#[cfg(test)] mod name;` in `file` points to.
fn test_files(file: &Path, text: &str) -> Vec<PathBuf> {
    let folder = file.parent().expect("a file has a folder");
    let stem = file.file_stem().unwrap_or_default();
    let children = if ["mod", "lib", "main"].iter().any(|name| stem == *name) {
        folder.into()
    } else {
        folder.join(stem)
    };
    let code = code_only(text);
    let (_, items) = without_tests(&code);
    let mut found = Vec::new();
    for item in items {
        let words: Vec<&str> = tokens(&code[item.clone()]).iter().map(|token| token.text).collect();
        let Some([_, name, _]) = words.windows(3).find(|words| words[0] == "mod" && words[2] == ";") else {
            continue;
        };
        let attribute = text[item].split_once("#[path = \"").and_then(|(_, rest)| rest.split_once('"'));
        match attribute {
            Some((path, _)) => found.push(folder.join(path)),
            None => found.extend([children.join(name), children.join(format!("{name}.rs"))]),
        }
    }
    found
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// `text` with comments, strings and character literals turned into spaces, byte for byte; newlines stay, and so do
/// literals of one letter or digit, which [`tag_bytes`] looks for.
fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = String::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let after_word = at > 0 && is_word(bytes[at - 1]);
        let hidden = hidden_length(&bytes[at..], after_word);
        for &byte in &bytes[at..at + hidden] {
            code.push(if byte == b'\n' { '\n' } else { ' ' });
        }
        at += hidden;
        if hidden == 0 {
            let shown = if bytes[at] == b'\'' && bytes.get(at + 2) == Some(&b'\'') { 3 } else { 1 };
            code.extend(
                bytes[at..at + shown]
                    .iter()
                    .map(|&byte| if byte.is_ascii() { char::from(byte) } else { ' ' }),
            );
            at += shown;
        }
    }
    code
}

/// How many bytes at the start of `rest` are a comment, a string or a character literal to hide; 0 for code.
fn hidden_length(rest: &[u8], after_word: bool) -> usize {
    let until = |needle: &[u8], from: usize| {
        let found = rest[from..].windows(needle.len()).position(|part| part == needle);
        found.map_or(rest.len(), |at| from + at + needle.len())
    };
    match rest {
        [b'/', b'/', ..] => rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment(rest),
        [b'"', ..] => quoted(rest, b'"'),
        [b'\'', b'\\', ..] => quoted(rest, b'\''),
        [b'\'', letter, b'\'', ..] => {
            if letter.is_ascii_alphanumeric() {
                0
            } else {
                3
            }
        }
        [b'\'', first, ..] if !first.is_ascii() => until(b"'", 1),
        [b'r', ..] | [b'b' | b'c', b'r', ..] if !after_word => {
            let start = rest.iter().position(|&byte| byte == b'r').unwrap_or(0) + 1;
            let hashes = rest[start..].iter().take_while(|&&byte| byte == b'#').count();
            if rest.get(start + hashes) != Some(&b'"') {
                return 0;
            }
            until(format!("\"{}", "#".repeat(hashes)).as_bytes(), start + hashes + 1)
        }
        _ => 0,
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    rest.len().min(at + 1)
}

/// `code` without the items under `#[cfg(test)]`, and where those items are.
fn without_tests(code: &str) -> (String, Vec<std::ops::Range<usize>>) {
    const MARKS: [&str; 3] = ["#[cfg(test)]", "#[cfg(all(test,", "#![cfg(test)]"];
    let mut kept = code.to_owned();
    let mut items = Vec::new();
    let mut from = 0;
    while let Some((at, mark)) =
        MARKS.iter().filter_map(|mark| Some((from + code[from..].find(mark)?, *mark))).min()
    {
        let end = if mark.starts_with("#!") { code.len() } else { at + item_length(&code[at..]) };
        let blank: String = code[at..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        kept.replace_range(at..end, &blank);
        items.push(at..end);
        from = end;
    }
    (kept, items)
}

/// The length of the item at the start of `code`, attributes included: up to its `;`, its closing brace, or the end
/// of the block around it.
fn item_length(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' if depth == 0 => return at,
            b')' | b']' => depth -= 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            b';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

// ---------------------------------------------------------------------------------------------- tokens and paths

struct Token<'a> {
    at: usize,
    text: &'a str,
}

impl Token<'_> {
    fn is_name(&self) -> bool {
        is_word(self.text.as_bytes()[0])
    }
}

/// Words, `::`, and single characters.
fn tokens(code: &str) -> Vec<Token<'_>> {
    let bytes = code.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let length = match &bytes[at..] {
            [b':', b':', ..] => 2,
            word @ [first, ..] if is_word(*first) => word.iter().take_while(|&&byte| is_word(byte)).count(),
            _ => 1,
        };
        if !bytes[at].is_ascii_whitespace() {
            tokens.push(Token { at, text: &code[at..at + length] });
        }
        at += length;
    }
    tokens
}

/// A path as the code spells it, with `use` trees taken apart: `std::{fs, net}` is two mentions.
#[derive(Debug)]
struct Mention<'a> {
    at: usize,
    path: Vec<&'a str>,
}

fn mentions<'a>(tokens: &[Token<'a>]) -> Vec<Mention<'a>> {
    let mut found = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        index =
            if tokens[index].is_name() { follow(tokens, index, Vec::new(), &mut found) } else { index + 1 };
    }
    found
}

/// Follows the path that continues at `index` after `path`, and returns where the code goes on behind it.
fn follow<'a>(
    tokens: &[Token<'a>],
    mut index: usize,
    mut path: Vec<&'a str>,
    found: &mut Vec<Mention<'a>>,
) -> usize {
    let start = tokens[index].at;
    while tokens.get(index).is_some_and(Token::is_name) {
        path.push(tokens[index].text);
        index += 1;
        if tokens.get(index).is_none_or(|token| token.text != "::") {
            break;
        }
        index += 1;
    }
    let in_tree = index > 0
        && tokens[index - 1].text == "::"
        && tokens.get(index).is_some_and(|token| token.text == "{");
    if !in_tree {
        found.push(Mention { at: start, path });
        return index;
    }
    index += 1;
    while tokens.get(index).is_some_and(|token| token.text != "}") {
        index = if tokens[index].is_name() { follow(tokens, index, path.clone(), found) } else { index + 1 };
    }
    index + 1
}

// ---------------------------------------------------------------------------------------------- the checker can fail

/// What the checker says of `text` as the file `path`, without the file name.
fn verdict(path: &str, text: &str) -> Vec<String> {
    let prefix = format!("{path}:");
    violations(&Source::new(path, text)).into_iter().map(|line| line.replace(&prefix, "")).collect()
}

#[track_caller]
fn refused(path: &str, text: &str, part: &str) {
    let found = verdict(path, text);
    assert!(found.iter().any(|line| line.contains(part)), "{path}: {text}\nwanted: {part}\nfound: {found:?}");
}

#[track_caller]
fn allowed(path: &str, text: &str) {
    assert_eq!(verdict(path, text), Vec::<String>::new(), "{path}: {text}");
}

#[test]
fn arrows_that_point_the_wrong_way_are_found() {
    refused("src/wire/mod.rs", "\nuse crate::sql::Statement;", "2: `wire` may not use `sql::Statement`");
    refused(
        "src/server/mod.rs",
        "fn f(s: &crate::session::Session) {}",
        "1: `server` may not use `session::Session`",
    );
    refused("src/pool/lease.rs", "use crate::{wire, session::Relay};", "`session::Relay`");
    refused("src/routing/mod.rs", "use super::pool::Lease;", "`pool::Lease`");
    refused("src/routing/pick.rs", "use super::super::config;", "`config`");
    refused("src/session/mod.rs", "use crate::cli::Run;", "the program around it");
    refused("src/local/mod.rs", "use crate::config::Settings;", "`config::Settings`");
    refused("src/cluster/mod.rs", "macro_rules! m { () => { $crate::session::X } }", "`session::X`");
    refused("src/admin/mod.rs", "use crate::session::relay::Loop;", "not its rooms");
    refused("src/misc/mod.rs", "", "`misc` has no row");
    refused("src/wire/mod.rs", "use crate::Shared;", "not a folder with a row");
}

#[test]
fn arrows_that_point_the_right_way_are_allowed() {
    allowed("src/routing/mod.rs", "use crate::{sql::{Statement, hints}, freshness::Mark};");
    allowed("src/pool/mod.rs", "use super::server::Connection; use self::lease::Lease;");
    allowed("src/wire/frame.rs", "use super::Message; use crate::wire::Tag;");
    allowed("src/admin/mod.rs", "use crate::session::Registry;");
    allowed("src/main.rs", "fn main() -> ExitCode { tidegate::cli::main() }");
    allowed("src/lib.rs", "pub use crate::config::Settings; use crate::Anything;");
}

#[test]
fn the_pure_core_touches_nothing() {
    refused("src/wire/mod.rs", "use tokio::io::AsyncRead;", "no runtime");
    refused("src/sql/mod.rs", "use std::{fmt, fs, net::IpAddr};", "`std::fs`");
    refused("src/sql/mod.rs", "use std::{fmt, fs, net::IpAddr};", "`std::net`");
    refused("src/freshness/mod.rs", "let now = std::time::Instant::now();", "`Instant::now`");
    refused("src/freshness/mod.rs", "use std::time::{Instant, SystemTime};", "`SystemTime`");
    refused("src/routing/mod.rs", "let at = rand::random::<u64>();", "no randomness");
    refused("src/routing/mod.rs", "tracing::debug!(\"x\");", "returns reasons");
    refused("src/sql/mod.rs", "static CACHE: std::sync::LazyLock<Map> = f();", "`LazyLock`");
    refused("src/sql/mod.rs", "static COUNT: AtomicU64 = AtomicU64::new(0);", "`AtomicU64`");
    refused("src/sql/mod.rs", "static mut N: u8 = 0;", "`mut`");
    allowed(
        "src/sql/mod.rs",
        "static NAMES: &[&'static str] = &[\"Mutex\"]; const C: Cell<u8> = Cell::new(0);",
    );
    allowed("src/freshness/mod.rs", "use std::time::{Duration, Instant}; use core::net::IpAddr;");
    allowed("src/session/mod.rs", "use tokio::net::TcpStream; static N: AtomicU64 = AtomicU64::new(0);");
}

#[test]
fn what_belongs_to_one_folder_stays_there() {
    refused("src/session/mod.rs", "std::thread::sleep(d);", "tokio::time::sleep");
    refused("src/config/mod.rs", "let url = env::var(\"DATABASE_URL\");", "command line");
    allowed("src/local/mod.rs", "std::thread::sleep(d); std::env::var(\"PATH\");");
    allowed("src/cli/mod.rs", "std::env::var(\"DATABASE_URL\");");
}

#[test]
fn tag_bytes_are_found_outside_wire() {
    refused("src/session/relay.rs", "match tag {\n    b'Q' => {}\n}", "2: the tag byte 'Q'");
    refused("src/server/mod.rs", "if tag == 'Z' as u8 {}", "the tag byte 'Z'");
    allowed("src/wire/mod.rs", "match tag { b'Q' => {} }");
    allowed("src/session/relay.rs", "let c = 'Q'; let n = b'\\n'; let s = b\"Q\"; // b'Q'");
}

#[test]
fn comments_strings_and_tests_do_not_count() {
    allowed(
        "src/wire/mod.rs",
        "//! tokio and crate::session\n/* /* crate::pool */ tokio */ fn f<'a>(x: &'a str) {}",
    );
    allowed(
        "src/wire/mod.rs",
        r##"const A: &str = "\" crate::sql"; const B: &str = r#"" tokio"#; const C: char = '"';"##,
    );
    allowed("src/wire/mod.rs", "#[cfg(test)]\nmod tests {\n use tokio::test; fn f() { crate::sql::x(); }\n}");
    allowed("src/wire/mod.rs", "#[cfg(test)]\n#[allow(x)]\nfn f(a: [u8; 2]) { tokio::x() }\nfn g() {}");
    refused(
        "src/wire/mod.rs",
        "#[cfg(test)]\nmod tests {}\nuse tokio::io;",
        "3: `wire` may not mention `tokio`",
    );
}

#[test]
fn files_of_test_modules_are_known() {
    let of = |file: &str, text: &str| test_files(Path::new(file), text);
    assert_eq!(
        of("src/wire/mod.rs", "#[cfg(test)]\nmod tests;"),
        [Path::new("src/wire/tests"), Path::new("src/wire/tests.rs")]
    );
    assert_eq!(of("src/wire/frame.rs", "#[cfg(test)] mod tests;")[1], Path::new("src/wire/frame/tests.rs"));
    assert_eq!(
        of("src/a.rs", "#[cfg(test)]\n#[path = \"a_tests.rs\"]\nmod tests;"),
        [Path::new("src/a_tests.rs")]
    );
    assert!(of("src/wire/mod.rs", "mod frame; #[cfg(test)] mod tests {}").is_empty());
}
