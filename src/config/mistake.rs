//! Mistakes in words: what is wrong, where it was said, what to do.

use std::fmt;

use super::redact::redact_url;

/// One mistake. No field ever holds a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where it was said: a URL (redacted), an environment variable, a file with line and key, or a flag.
    pub origin: String,
    /// What is wrong, without a full stop.
    pub problem: String,
    /// What to do about it, without a full stop; it may be a question.
    pub advice: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stop = if self.advice.ends_with('?') { "" } else { "." };
        write!(f, "{}: {}. {}{stop}", self.origin, self.problem, self.advice)
    }
}

/// Every mistake there was, in the order of the sources. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// The mistakes, one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, Mistake> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Mistakes {
    type Item = &'a Mistake;
    type IntoIter = std::slice::Iter<'a, Mistake>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl std::error::Error for Mistakes {}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => writeln!(f, "There is a mistake in the configuration:")?,
            count => writeln!(f, "There are {count} mistakes in the configuration:")?,
        }
        for (index, mistake) in self.0.iter().enumerate() {
            writeln!(f, "  {}. {mistake}", index + 1)?;
        }
        write!(
            f,
            "Every setting is explained in docs/configuration.md and listed with its default in config/tidegate.toml."
        )
    }
}

/// Where a setting was said, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin(String);

impl Origin {
    pub(super) fn new(text: impl AsRef<str>) -> Self {
        let control_shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        Self(text.as_ref().chars().map(control_shown).collect())
    }

    /// A place inside this one, such as a parameter of a URL.
    pub(super) fn inside(&self, key: &str) -> Self {
        let key = if may_hold_password(key) { "…" } else { key };
        Self::new(format!("{}, {key}", self.0))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A mistake whose origin the finder does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) problem: String,
    pub(super) advice: String,
}

impl Problem {
    pub(super) fn new(problem: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { problem: problem.into(), advice: advice.into() }
    }

    /// With one more thing that can be written.
    pub(super) fn or_write(self, word: &str) -> Self {
        Self { advice: format!("{}, or {word}", self.advice), ..self }
    }
}

/// What was found while reading: mistakes, which end in a refusal, and warnings, which do not.
#[derive(Debug, Default)]
pub(super) struct Findings {
    mistakes: Vec<Mistake>,
    warnings: Vec<String>,
}

impl Findings {
    pub(super) fn mistake(&mut self, origin: &Origin, problem: Problem) {
        let Problem { problem, advice } = problem;
        self.mistakes.push(Mistake { origin: origin.to_string(), problem, advice });
    }

    pub(super) fn warn(&mut self, origin: &Origin, warning: impl fmt::Display) {
        self.warnings.push(format!("{origin}: {warning}"));
    }

    /// The value, or `None` with its problem noted.
    pub(super) fn keep<T>(&mut self, origin: &Origin, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.mistake(origin, problem)).ok()
    }

    /// The warnings, if there was no mistake.
    pub(super) fn into_warnings(self) -> Result<Vec<String>, Mistakes> {
        if self.mistakes.is_empty() { Ok(self.warnings) } else { Err(Mistakes(self.mistakes)) }
    }
}

/// A value as it may be shown in a mistake: quoted, on one line, short, and redacted if it could hold a password.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 48;
    if may_hold_password(text) {
        return format!("{:?}", redact_url(text));
    }
    if text.chars().count() > LONGEST {
        let start: String = text.chars().take(LONGEST).collect();
        return format!("\"{}…\"", start.escape_debug());
    }
    format!("{text:?}")
}

/// Whether text looks like a URL or the middle of one.
pub(super) fn may_hold_password(text: &str) -> bool {
    text.contains("://") || text.contains('@')
}
