//! Asking Tidegate once more, when it did not know the catalog yet. A suite that makes a table for every third statement
//! would otherwise measure how fast the catalog is read, and hide what is said of its objects once they are known.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::peer::Peer;
use crate::trial::Claim;
use crate::word::Word;

/// How long the catalog is waited for.
const LIMIT: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);

/// What Tidegate says of the statement now, without running it, unless it is an EXPLAIN itself: that does nothing.
/// `None` if it does not say, as of several statements.
pub fn ask(tidegate: &mut Peer, text: &str) -> io::Result<Option<Word>> {
    if text.trim_start().get(..7).is_some_and(|word| word.eq_ignore_ascii_case("explain")) {
        return Ok(tidegate.query(text)?.word);
    }
    let answer = tidegate.query(&format!("explain (route) {text}"))?;
    Ok(if answer.error.is_some() { None } else { Word::from_lines(&answer.texts()) })
}

/// What Tidegate says of the statement when it knows the catalog: `word` if it does already, or if it does not get there.
pub fn settle(tidegate: &mut Peer, text: &str, word: Word) -> io::Result<Word> {
    let began = Instant::now();
    let mut latest = word;
    while latest.waits_for_the_catalog() && began.elapsed() < LIMIT {
        thread::sleep(PAUSE);
        match ask(tidegate, text)? {
            Some(word) => latest = word,
            None => break,
        }
    }
    Ok(latest)
}

/// What Tidegate says of a statement that it calls a read, after the catalog has certainly been read.
pub fn confirm(tidegate: &mut Peer, text: &str) -> io::Result<Option<Word>> {
    let began = Instant::now();
    loop {
        thread::sleep(PAUSE);
        match ask(tidegate, text)? {
            Some(word) if word.claim() != Claim::Primary && began.elapsed() < LIMIT => {}
            word => return Ok(word),
        }
    }
}
