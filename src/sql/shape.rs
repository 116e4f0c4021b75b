//! The shape of a statement: the key under which a classification is kept, found in one pass without allocation.
//!
//! Two texts of one shape have the same tokens but for their literals, so `classify` says the same of both. Where a
//! literal can matter to it (`SET x = '…'`, `set_config('…')`, options of utility statements) the literal is part of the
//! shape. Owns the key and the rule of what it leaves out; must not know what is kept under it.

mod hash;

use super::hint::{HintError, Hints};
use super::lexer::{Kind, Lexer, Token};

pub use super::lexer::Strings;
#[cfg(fuzzing)]
pub use super::lexer::{compare, tokens};
use hash::ShapeHasher;

/// Key of a statement's shape: a 128-bit keyed hash of its tokens, with constants replaced, comments and white space
/// dropped, and unquoted words in lower case. Keys of one [`Shaper`] compare; those of two do not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ShapeKey(u128);

/// What one pass over a text finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scan<'a> {
    /// The key of the text's shape. Hints are comments, so they are not part of it.
    pub key: ShapeKey,
    /// The comments that may hold hints.
    pub hints: HintComments<'a>,
}

/// The comments of a text that may hold hints, for [`super::Hints::read`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HintComments<'a> {
    /// The inside of the first `/* tidegate: … */`, from behind the colon.
    pub tidegate: Option<&'a str>,
    /// Whether there is a second one.
    pub several: bool,
    /// What follows the last token (semicolons aside) if there is a comment in it: where sqlcommenter puts its own.
    pub tail: Option<&'a str>,
}

impl HintComments<'_> {
    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.tidegate.is_none() && self.tail.is_none()
    }
}

impl Scan<'_> {
    /// What the comments say.
    pub fn hints(&self) -> Result<Hints, HintError> {
        if self.hints.is_empty() { Ok(Hints::default()) } else { Hints::read(&self.hints) }
    }
}

/// Makes shape keys. The seed should be random for each process, so that no client can craft two texts with one key.
#[derive(Clone, Debug)]
pub struct Shaper {
    standard: ShapeHasher,
    escaped: ShapeHasher,
}

/// Begins the keys of texts that were read with [`Strings::Escaped`]. No kind of token has this code.
const ESCAPED_MARK: u8 = 15;

/// Whether literals go into the key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Literals {
    LeftOut,
    Kept,
}

impl Shaper {
    /// A shaper whose keys depend on `seed`.
    pub fn new(seed: u64) -> Self {
        let standard = ShapeHasher::new(seed);
        let mut escaped = standard.clone();
        escaped.mark(ESCAPED_MARK);
        Shaper { standard, escaped }
    }

    /// [`Shaper::scan_with`] for a session with `standard_conforming_strings = on`, as nearly all have it.
    pub fn scan<'a>(&self, sql: &'a [u8]) -> Option<Scan<'a>> {
        self.scan_with(sql, Strings::Standard)
    }

    /// One pass over a text (two for statements whose literals matter), without allocation. `None` when the text has no
    /// tokens by `PostgreSQL`'s rules: a literal or comment that does not end, a malformed number, invalid UTF-8. Such
    /// text goes to the primary. How strings are read is part of the key: one text may be two statements.
    pub fn scan_with<'a>(&self, sql: &'a [u8], strings: Strings) -> Option<Scan<'a>> {
        let text = std::str::from_utf8(sql).ok()?;
        let start = match strings {
            Strings::Standard => &self.standard,
            Strings::Escaped => &self.escaped,
        };
        let mut pass = Pass::new(text, start.clone(), Literals::LeftOut);
        pass.run(strings)?;
        if pass.literals_matter {
            pass = Pass::new(text, start.clone(), Literals::Kept);
            pass.run(strings)?;
        }
        Some(Scan { key: ShapeKey(pass.hasher.finish()), hints: pass.hints })
    }
}

/// Where in a statement the next token stands.
#[derive(Clone, Copy)]
enum Place {
    /// It is the first one, but for opening parentheses.
    Lead,
    Inside,
}

/// One pass over the tokens of a text.
struct Pass<'a> {
    text: &'a str,
    hasher: ShapeHasher,
    literals: Literals,
    hints: HintComments<'a>,
    place: Place,
    /// The text holds a statement or a function whose literals may decide how it is classified.
    literals_matter: bool,
}

impl<'a> Pass<'a> {
    fn new(text: &'a str, hasher: ShapeHasher, literals: Literals) -> Self {
        let hints = HintComments::default();
        Pass { text, hasher, literals, hints, place: Place::Lead, literals_matter: false }
    }

    fn run(&mut self, strings: Strings) -> Option<()> {
        let mut lexer = Lexer::with(self.text.as_bytes(), strings);
        let mut last_end = 0;
        let mut comment_follows = false;
        while let Some(token) = lexer.next().ok()? {
            match token.kind {
                Kind::LineComment => continue,
                Kind::BlockComment => {
                    comment_follows = true;
                    self.comment(token);
                    continue;
                }
                _ => {}
            }
            let word = self.text.as_bytes().get(token.start..token.end)?;
            self.token(token.kind, word);
            if word != b";" {
                last_end = token.end;
                comment_follows = false;
            }
        }
        if comment_follows {
            self.hints.tail = self.text.get(last_end..);
        }
        Some(())
    }

    #[inline]
    fn token(&mut self, kind: Kind, word: &[u8]) {
        match kind {
            Kind::Word => self.hasher.word(kind as u8, word),
            _ if kind.is_literal() && self.literals == Literals::LeftOut => self.hasher.mark(kind as u8),
            _ => self.hasher.text(kind as u8, word),
        }
        match self.place {
            Place::Lead if matches!(word, b"(" | b";") => {}
            Place::Lead => {
                self.place = Place::Inside;
                self.literals_matter |= kind == Kind::Word && !literals_never_matter(word);
            }
            Place::Inside if word == b";" => self.place = Place::Lead,
            Place::Inside => {}
        }
        self.literals_matter |= names_a_setting(kind, word);
    }

    #[cold]
    fn comment(&mut self, token: Token) {
        let Some(comment) = self.text.get(token.start + 2..token.end - 2) else {
            return;
        };
        let comment = comment.trim_start();
        let Some((name, hints)) = comment.split_at_checked("tidegate:".len()) else {
            return;
        };
        if name.eq_ignore_ascii_case("tidegate:") {
            self.hints.several |= self.hints.tidegate.is_some();
            self.hints.tidegate.get_or_insert(hints);
        }
    }
}

/// Statements that `classify` judges without a look at their literals. `EXPLAIN`, `SET`, `COPY` and all that is rare keep theirs.
fn literals_never_matter(lead: &[u8]) -> bool {
    let mut lower = [0; 8];
    let Some(start) = lower.get_mut(..lead.len()) else {
        return false;
    };
    start.copy_from_slice(lead);
    lower.make_ascii_lowercase();
    matches!(
        lower.get(..lead.len()).unwrap_or_default(),
        b"select"
            | b"insert"
            | b"update"
            | b"delete"
            | b"with"
            | b"values"
            | b"table"
            | b"merge"
            | b"call"
            | b"execute"
    )
}

/// Functions whose first argument, a setting's name, `classify` looks at. A name with Unicode escapes may be one of them.
#[inline]
fn names_a_setting(kind: Kind, word: &[u8]) -> bool {
    let name = match (kind, word) {
        (Kind::UnicodeWord, _) => return true,
        (Kind::Word, name) | (Kind::QuotedWord, [b'"', name @ .., b'"']) => name,
        _ => return false,
    };
    match name.len() {
        10 => name.eq_ignore_ascii_case(b"set_config"),
        15 => name.eq_ignore_ascii_case(b"current_setting"),
        _ => false,
    }
}

/// [`redact_with`] for a session with `standard_conforming_strings = on`.
pub fn redact(sql: &str) -> String {
    redact_with(sql, Strings::Standard)
}

/// The text for logs: literals as `?`, comments dropped, white space as one blank. Of text that has no tokens by
/// `PostgreSQL`'s rules only what stands before the first literal is shown, because where literals begin and end is
/// then in doubt. Names, also quoted ones, are shown.
pub fn redact_with(sql: &str, strings: Strings) -> String {
    let mut redacted = String::with_capacity(sql.len());
    let mut lexer = Lexer::with(sql.as_bytes(), strings);
    let mut last_end = 0;
    let mut certain = None;
    loop {
        let token = match lexer.next() {
            Ok(Some(token)) => token,
            Ok(None) => return redacted,
            Err(_) => {
                redacted.truncate(certain.unwrap_or(redacted.len()));
                redacted.push('…');
                return redacted;
            }
        };
        if matches!(token.kind, Kind::LineComment | Kind::BlockComment) {
            continue;
        }
        if token.start > last_end && !redacted.is_empty() {
            redacted.push(' ');
        }
        last_end = token.end;
        if token.kind.is_literal() {
            certain.get_or_insert(redacted.len());
            redacted.push('?');
        } else if token.kind != Kind::National {
            redacted.push_str(sql.get(token.start..token.end).unwrap_or("…"));
        }
    }
}

#[cfg(test)]
mod tests;
