//! `PostgreSQL`'s token rules (`src/backend/parser/scan.l`) over bytes, without allocation.
//!
//! Owns where a token begins and ends and of which kind it is, under either setting of `standard_conforming_strings`. Must
//! not know what a token means: keywords are words.
//! Where `scan.l` raises an error that decides where a token ends, so does this lexer. It does not look into escapes
//! (`E'\xff'`, `U&'\zzzz'`): such text is an error on every node alike.

mod number;

/// How a plain string constant (`'…'`, `N'…'`) is read: the session's `standard_conforming_strings`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Strings {
    /// `on`: a backslash is a character like any other.
    #[default]
    Standard,
    /// `off`: a backslash escapes what follows, as in `E'…'`, and `U&'…'` is an error.
    Escaped,
}

/// What a token is. Kinds are as fine as the grammar needs them, so that two texts with the same kinds and the same
/// words have the same tree, literals aside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// An unquoted identifier or keyword.
    Word = 1,
    /// `"Word"`
    QuotedWord,
    /// `U&"Word"`
    UnicodeWord,
    /// `'text'`, `E'text'`, `$$text$$`
    Text,
    /// `U&'text'`
    UnicodeText,
    /// `B'01'`
    Bits,
    /// `X'0F'`
    Hex,
    /// An integer or decimal number.
    Number,
    /// The `N` of `N'text'`; the text follows as its own token.
    National,
    /// `$1`
    Param,
    /// An operator or one of `::`, `..`, `:=`, `=>`.
    Operator,
    /// A single byte that stands for itself.
    Symbol,
    /// `-- comment`
    LineComment,
    /// `/* comment */`
    BlockComment,
}

impl Kind {
    /// Whether the token is a constant, which the shape leaves out.
    pub(super) fn is_literal(self) -> bool {
        matches!(self, Kind::Text | Kind::UnicodeText | Kind::Bits | Kind::Hex | Kind::Number)
    }
}

/// A token: its kind and its bytes, `start..end`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The text has no tokens by `PostgreSQL`'s rules: something unterminated or malformed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Broken;

const SPACE: u8 = 1;
const WORD_START: u8 = 2;
const WORD: u8 = 4;
const DIGIT: u8 = 8;
const OPERATOR: u8 = 16;

/// The character classes of `scan.l`, one byte of flags per byte.
const CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    loop {
        table[byte as usize] = match byte {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => SPACE,
            b'A'..=b'Z' | b'a'..=b'z' | b'_' | 0x80..=0xff => WORD_START | WORD,
            b'0'..=b'9' => DIGIT | WORD,
            b'$' => WORD,
            b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'+' | b'-' | b'*' | b'/'
            | b'%' | b'<' | b'>' | b'=' => OPERATOR,
            _ => 0,
        };
        if byte == 0xff {
            return table;
        }
        byte += 1;
    }
}

fn is(byte: u8, class: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

/// The tokens of a text, comments included.
pub(super) struct Lexer<'a> {
    text: &'a [u8],
    pos: usize,
    strings: Strings,
}

impl<'a> Lexer<'a> {
    /// With `standard_conforming_strings = on`.
    pub(super) fn new(text: &'a [u8]) -> Self {
        Lexer::with(text, Strings::Standard)
    }

    pub(super) fn with(text: &'a [u8], strings: Strings) -> Self {
        Lexer { text, pos: 0, strings }
    }

    /// The next token, `None` at the end of the text.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Token>, Broken> {
        let start = self.skip(self.pos, SPACE);
        let Some(&first) = self.text.get(start) else {
            return Ok(None);
        };
        self.pos = start;
        let (kind, end) = self.token(start, first)?;
        self.pos = end;
        Ok(Some(Token { kind, start, end }))
    }

    #[inline]
    fn token(&self, start: usize, first: u8) -> Result<(Kind, usize), Broken> {
        match first {
            b'\'' => self.string(start + 1, self.strings == Strings::Escaped).map(|end| (Kind::Text, end)),
            b'"' => self.quoted_word(start + 1).map(|end| (Kind::QuotedWord, end)),
            b'$' => self.dollar(start),
            b'.' => match self.at(start + 1) {
                b'.' => Ok((Kind::Operator, start + 2)),
                next if is(next, DIGIT) => self.number(start).map(|end| (Kind::Number, end)),
                _ => Ok((Kind::Symbol, start + 1)),
            },
            b':' => match self.at(start + 1) {
                b':' | b'=' => Ok((Kind::Operator, start + 2)),
                _ => Ok((Kind::Symbol, start + 1)),
            },
            b'-' if self.at(start + 1) == b'-' => Ok((Kind::LineComment, self.line_end(start))),
            b'/' if self.at(start + 1) == b'*' => {
                self.block_comment(start).map(|end| (Kind::BlockComment, end))
            }
            _ if is(first, WORD_START) => self.word(start, first),
            _ if is(first, DIGIT) => self.number(start).map(|end| (Kind::Number, end)),
            _ if is(first, OPERATOR) => self.operator(start),
            0 => Err(Broken),
            _ => Ok((Kind::Symbol, start + 1)),
        }
    }

    /// The byte at `pos`; 0, which no rule matches, past the end.
    #[inline]
    fn at(&self, pos: usize) -> u8 {
        self.text.get(pos).copied().unwrap_or(0)
    }

    /// The first position from `pos` whose byte is not of `class`.
    #[inline]
    fn skip(&self, mut pos: usize, class: u8) -> usize {
        while self.text.get(pos).is_some_and(|byte| is(*byte, class)) {
            pos += 1;
        }
        pos
    }

    fn find(&self, from: usize, wanted: impl Fn(u8) -> bool) -> Option<usize> {
        let rest = self.text.get(from..)?;
        rest.iter().position(|byte| wanted(*byte)).map(|offset| from + offset)
    }

    fn line_end(&self, from: usize) -> usize {
        self.find(from, |byte| byte == b'\n' || byte == b'\r').unwrap_or(self.text.len())
    }

    /// A word, or what its first letter introduces when a quote follows.
    #[inline]
    fn word(&self, start: usize, first: u8) -> Result<(Kind, usize), Broken> {
        match (first | 0x20, self.at(start + 1)) {
            (b'e', b'\'') => self.string(start + 2, true).map(|end| (Kind::Text, end)),
            (b'b', b'\'') => self.bits(start + 2).map(|end| (Kind::Bits, end)),
            (b'x', b'\'') => self.bits(start + 2).map(|end| (Kind::Hex, end)),
            (b'n', b'\'') => Ok((Kind::National, start + 1)),
            (b'u', b'&') => match self.at(start + 2) {
                // PostgreSQL calls it unsafe where a backslash is an escape anyway.
                b'\'' if self.strings == Strings::Escaped => Err(Broken),
                b'\'' => self.string(start + 3, false).map(|end| (Kind::UnicodeText, end)),
                b'"' => self.quoted_word(start + 3).map(|end| (Kind::UnicodeWord, end)),
                _ => Ok((Kind::Word, start + 1)),
            },
            _ => Ok((Kind::Word, self.skip(start + 1, WORD))),
        }
    }

    /// The end of a string whose opening quote is behind `pos`, with all its continuations on later lines.
    fn string(&self, mut pos: usize, escapes: bool) -> Result<usize, Broken> {
        loop {
            let stop = self.find(pos, |byte| byte == b'\'' || (escapes && byte == b'\\')).ok_or(Broken)?;
            if self.at(stop) == b'\\' || self.at(stop + 1) == b'\'' {
                pos = stop + 2;
            } else if let Some(resumed) = self.continuation(stop + 1) {
                pos = resumed;
            } else {
                return Ok(stop + 1);
            }
        }
    }

    /// The end of a bit string. A doubled quote does not stand for a quote in it.
    fn bits(&self, mut pos: usize) -> Result<usize, Broken> {
        loop {
            let stop = self.find(pos, |byte| byte == b'\'').ok_or(Broken)?;
            match self.continuation(stop + 1) {
                Some(resumed) => pos = resumed,
                None => return Ok(stop + 1),
            }
        }
    }

    /// Where a string goes on: behind the quote that follows white space with a newline in it. Line comments count as
    /// white space here, block comments do not.
    fn continuation(&self, mut pos: usize) -> Option<usize> {
        let mut newline = false;
        loop {
            match self.at(pos) {
                b'\n' | b'\r' => newline = true,
                b'\'' if newline => return Some(pos + 1),
                b'-' if self.at(pos + 1) == b'-' => {
                    pos = self.line_end(pos);
                    continue;
                }
                byte if is(byte, SPACE) => {}
                _ => return None,
            }
            pos += 1;
        }
    }

    /// The end of a quoted identifier whose opening quote is behind `start`. It must not be empty.
    fn quoted_word(&self, start: usize) -> Result<usize, Broken> {
        let mut pos = start;
        loop {
            let stop = self.find(pos, |byte| byte == b'"').ok_or(Broken)?;
            if self.at(stop + 1) == b'"' {
                pos = stop + 2;
            } else if stop == start {
                return Err(Broken);
            } else {
                return Ok(stop + 1);
            }
        }
    }

    /// A parameter, a dollar-quoted string, or a lone `$`.
    fn dollar(&self, start: usize) -> Result<(Kind, usize), Broken> {
        let next = self.at(start + 1);
        if is(next, DIGIT) {
            return self.param(start + 1).map(|end| (Kind::Param, end));
        }
        let mut tag_end = start + 1;
        if is(next, WORD_START) {
            tag_end += 1;
            while self.at(tag_end) != b'$' && is(self.at(tag_end), WORD) {
                tag_end += 1;
            }
        }
        if self.at(tag_end) != b'$' {
            return Ok((Kind::Symbol, start + 1));
        }
        let delimiter = self.text.get(start..=tag_end).ok_or(Broken)?;
        let mut pos = tag_end + 1;
        loop {
            let stop = self.find(pos, |byte| byte == b'$').ok_or(Broken)?;
            if self.text.get(stop..).is_some_and(|rest| rest.starts_with(delimiter)) {
                return Ok((Kind::Text, stop + delimiter.len()));
            }
            pos = stop + 1;
        }
    }

    fn block_comment(&self, start: usize) -> Result<usize, Broken> {
        let mut depth = 1_usize;
        let mut pos = start + 2;
        while depth > 0 {
            pos = self.find(pos, |byte| byte == b'*' || byte == b'/').ok_or(Broken)?;
            match (self.at(pos), self.at(pos + 1)) {
                (b'*', b'/') => depth -= 1,
                (b'/', b'*') => depth += 1,
                _ => {
                    pos += 1;
                    continue;
                }
            }
            pos += 2;
        }
        Ok(pos)
    }

    /// An operator. It ends before a comment, and a trailing `+` or `-` belongs to it only if the operator could not be
    /// one of standard SQL, so that `a=-1` is three tokens and a number.
    fn operator(&self, start: usize) -> Result<(Kind, usize), Broken> {
        let longest = self.skip(start + 1, OPERATOR);
        let mut end = start + 1;
        while end < longest && !matches!((self.at(end), self.at(end + 1)), (b'/', b'*') | (b'-', b'-')) {
            end += 1;
        }
        let bytes = self.text.get(start..end).unwrap_or_default();
        let beyond_sql =
            |byte: &u8| matches!(byte, b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'%');
        let sign = |byte: u8| byte == b'+' || byte == b'-';
        if end - start > 1 && sign(self.at(end - 1)) && !bytes.iter().any(beyond_sql) {
            while end - start > 1 && sign(self.at(end - 1)) {
                end -= 1;
            }
        }
        let own = matches!(bytes.first(), Some(b'+' | b'-' | b'*' | b'/' | b'%' | b'^' | b'<' | b'>' | b'='));
        match end - start {
            1 if own => Ok((Kind::Symbol, end)),
            // NAMEDATALEN: PostgreSQL calls a longer operator an error, not a shorter one.
            64.. => Err(Broken),
            _ => Ok((Kind::Operator, end)),
        }
    }
}

#[cfg(any(test, fuzzing))]
mod differential;
#[cfg(any(test, fuzzing))]
pub use differential::{compare, tokens};

#[cfg(test)]
mod tests;
