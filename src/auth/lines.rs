//! Lines, fields and words of the files that say who may come in: `pg_hba.conf` and `pg_ident.conf`.
//!
//! A line has fields, divided by blanks; a field has words, divided by commas; a word may be quoted, in whole or in part.
//! Everything after a `#` is a comment, and a `\` at the end of a line continues it. A word that begins with `@` stands for the
//! words of another file, and a line may be replaced by the lines of other files (`include`, `include_if_exists`,
//! `include_dir`). <https://www.postgresql.org/docs/current/auth-pg-hba-conf.html>
//!
//! Files are read by whoever calls: see [`Files`].

#[cfg(test)]
mod tests;

use std::sync::Arc;

/// How deep files may name each other, as in PostgreSQL.
const DEEPEST: usize = 10;
/// How many files one file may lead to: a file that names itself twice would lead to a thousand.
const MOST_FILES: usize = 1_000;

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file's name, as it was given.
    pub file: Arc<str>,
    /// The line's number, from 1; the first one where a line is continued.
    pub line: usize,
    /// What is wrong, without a full stop.
    pub problem: String,
    /// What to do about it, without a full stop.
    pub advice: String,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) problem: String,
    pub(super) advice: String,
}

impl Wrong {
    pub(super) fn new(problem: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { problem: problem.into(), advice: advice.into() }
    }

    pub(super) fn at(self, line: &Line) -> Fault {
        let Self { problem, advice } = self;
        Fault { file: Arc::clone(&line.file), line: line.number, problem, advice }
    }
}

/// That a file says nothing.
pub(super) fn nothing(text: &Text, problem: &str, advice: &str) -> Fault {
    Fault { file: text.name.as_str().into(), line: 1, problem: problem.to_owned(), advice: advice.to_owned() }
}

/// A file's text, with the name by which faults in it are told and other files are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The file's path.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// Which files a file asks for. Relative paths begin at the folder of the file that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// This one.
    File(&'a str),
    /// This one, if it is there.
    IfExists(&'a str),
    /// Those of this folder whose names end in `.conf` and do not begin with a dot, in the order of their names.
    Folder(&'a str),
}

/// Reads files for a file: the name of the one that asks, and what it asks for. The error says what is wrong.
pub type Files<'a> = dyn FnMut(&str, Wanted<'_>) -> Result<Vec<Text>, String> + 'a;

/// A word of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// Whether it begins with a quotation mark: then it is a name, whatever it says.
    pub(super) is_quoted: bool,
}

impl Word {
    /// Whether it is this keyword, and no name that looks like it.
    pub(super) fn is(&self, keyword: &str) -> bool {
        !self.is_quoted && self.text == keyword
    }
}

/// A line that says something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) file: Arc<str>,
    pub(super) number: usize,
    /// At least one, each with at least one word.
    pub(super) fields: Vec<Vec<Word>>,
}

/// The lines of a text and of the files that it asks for, in their order; and what is wrong with them.
pub(super) fn read(text: &Text, files: &mut Files<'_>) -> (Vec<Line>, Vec<Fault>) {
    let mut reader = Reader { files, left: MOST_FILES, lines: Vec::new(), faults: Vec::new() };
    reader.text(text, 0);
    (reader.lines, reader.faults)
}

struct Reader<'a, 'b> {
    files: &'a mut Files<'b>,
    /// How many more files may be read.
    left: usize,
    lines: Vec<Line>,
    faults: Vec<Fault>,
}

impl Reader<'_, '_> {
    fn text(&mut self, text: &Text, depth: usize) {
        let file: Arc<str> = text.name.as_str().into();
        for (number, line) in joined(&text.text) {
            if let Err(Wrong { problem, advice }) = self.line(&file, (number, &line), depth) {
                self.faults.push(Fault { file: Arc::clone(&file), line: number, problem, advice });
            }
        }
    }

    fn line(&mut self, file: &Arc<str>, (number, line): (usize, &str), depth: usize) -> Result<(), Wrong> {
        let mut scanner = Scanner { rest: line };
        let mut fields = Vec::new();
        loop {
            let field = self.field(file, &mut scanner, depth)?;
            if !field.is_empty() {
                fields.push(field);
            } else if scanner.is_done() {
                break;
            }
        }
        if let [first, second] = fields.as_slice()
            && let Some(wanted) = wanted(&first[0].text, &second[0].text)
        {
            for text in self.more(file, wanted, depth)? {
                self.text(&text, depth + 1);
            }
            return Ok(());
        }
        if !fields.is_empty() {
            self.lines.push(Line { file: Arc::clone(file), number, fields });
        }
        Ok(())
    }

    /// The words up to the next blank that follows no comma. Empty at the end of the line, or for a file without words.
    fn field(&mut self, file: &str, scanner: &mut Scanner<'_>, depth: usize) -> Result<Vec<Word>, Wrong> {
        let mut words = Vec::new();
        while let Some((word, goes_on)) = scanner.word()? {
            match word.text.strip_prefix('@').filter(|name| !word.is_quoted && !name.is_empty()) {
                Some(name) => words.extend(self.words(file, name, depth)?),
                None => words.push(word),
            }
            if !goes_on {
                break;
            }
        }
        Ok(words)
    }

    /// All words of another file.
    fn words(&mut self, file: &str, name: &str, depth: usize) -> Result<Vec<Word>, Wrong> {
        let mut words = Vec::new();
        for text in self.more(file, Wanted::File(name), depth)? {
            for (number, line) in joined(&text.text) {
                let inside = |wrong: Wrong| Wrong {
                    problem: format!("line {number} of {}: {}", text.name, wrong.problem),
                    ..wrong
                };
                let mut scanner = Scanner { rest: &line };
                while !scanner.is_done() {
                    words.extend(self.field(&text.name, &mut scanner, depth + 1).map_err(inside)?);
                }
            }
        }
        if words.is_empty() {
            // Without it the fields behind would move up, and mean something else.
            let problem = format!("the file @{name} names nobody");
            return Err(Wrong::new(problem, "Name somebody in it, or take the line away"));
        }
        Ok(words)
    }

    fn more(&mut self, file: &str, wanted: Wanted<'_>, depth: usize) -> Result<Vec<Text>, Wrong> {
        if depth >= DEEPEST {
            let problem = format!("files name each other more than {DEEPEST} deep");
            return Err(Wrong::new(problem, "Look for a file that names itself"));
        }
        let too_many = || {
            let problem = format!("more than {MOST_FILES} files are named");
            Wrong::new(problem, "Look for a file that names itself")
        };
        // Once there are too many, no further one is read.
        if self.left == 0 {
            return Err(too_many());
        }
        let texts = (self.files)(file, wanted)
            .map_err(|problem| Wrong::new(problem, "Check the path and who may read it"))?;
        let left = self.left.checked_sub(texts.len());
        self.left = left.unwrap_or(0);
        left.map(|_| texts).ok_or_else(too_many)
    }
}

/// What a line of two fields asks for, if it is none of its own.
fn wanted<'a>(first: &str, second: &'a str) -> Option<Wanted<'a>> {
    match first {
        "include" => Some(Wanted::File(second)),
        "include_if_exists" => Some(Wanted::IfExists(second)),
        "include_dir" => Some(Wanted::Folder(second)),
        _ => None,
    }
}

/// The lines with their numbers, each with those that continue it.
fn joined(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut lines = (1..).zip(text.split('\n').map(|line| line.trim_end_matches('\r')));
    std::iter::from_fn(move || {
        let (number, first) = lines.next()?;
        let mut whole = String::new();
        let mut line = first;
        while let Some(start) = line.strip_suffix('\\') {
            whole.push_str(start);
            match lines.next() {
                Some((_, next)) => line = next,
                None => return Some((number, whole)),
            }
        }
        whole.push_str(line);
        Some((number, whole))
    })
}

/// What is left of a line.
struct Scanner<'a> {
    rest: &'a str,
}

impl Scanner<'_> {
    fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next word, and whether a comma follows it. `None` at the end.
    fn word(&mut self) -> Result<Option<(Word, bool)>, Wrong> {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', ',']);
        let mut word = Word { text: String::new(), is_quoted: false };
        let (mut in_quotes, mut after_quote, mut is_word, mut goes_on) = (false, false, false, false);
        let mut end = self.rest.len();
        for (at, c) in self.rest.char_indices() {
            match c {
                ' ' | '\t' | '\r' if !in_quotes => {
                    end = at;
                    break;
                }
                '#' if !in_quotes => break,
                ',' if !in_quotes => {
                    (end, goes_on) = (at + 1, true);
                    break;
                }
                '"' => {
                    // Two of them within quotation marks are one.
                    if after_quote {
                        word.text.push('"');
                    }
                    after_quote = in_quotes && !after_quote;
                    in_quotes = !in_quotes;
                    is_word = true;
                    word.is_quoted |= word.text.is_empty();
                    continue;
                }
                c => word.text.push(c),
            }
            after_quote = false;
        }
        self.rest = &self.rest[end..];
        if in_quotes {
            return Err(Wrong::new("a quotation mark is not closed", "Put one at the end of the name"));
        }
        Ok((is_word || !word.text.is_empty()).then_some((word, goes_on)))
    }
}
