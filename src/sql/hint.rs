//! Hints in comments: `/* tidegate: intent=primary, scope=connection */` anywhere in a statement, and the comment
//! sqlcommenter appends, `/*intent='primary',traceparent='…'*/`.
//!
//! Owns both grammars. Must not know where a comment begins ([`super::shape`] finds them by `PostgreSQL`'s token rules, so
//! what looks like a comment inside a string is none) nor what a hint leads to.

use super::intent::{Intent, Level, Logged, OnStale, Scope};
use super::lexer::{Kind, Lexer};
use super::shape::HintComments;
use super::trace_parent::TraceParent;
use percent_encoding::percent_decode_str;
use thiserror::Error;

/// What the application asks of one statement.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hints {
    /// Where it wants it to go.
    pub intent: Option<Intent>,
    /// How fresh the answer must be.
    pub consistency: Option<Level>,
    /// Who must see what it writes.
    pub scope: Option<Scope>,
    /// Whose writes it must see, and who must see its own, at scope `key`.
    pub key: Option<Box<str>>,
    /// Where it goes when no replica is fresh enough.
    pub on_stale: Option<OnStale>,
    /// The token of a position that the answer must include, unread.
    pub after: Option<Box<str>>,
    /// What the log is to say of it.
    pub log: Option<Logged>,
    /// Its place in the application's trace. Anybody's comments may name one: it changes nothing, and is no mistake if it
    /// is malformed.
    pub trace: Option<TraceParent>,
}

/// A hint that cannot be followed. It is reported, and the statement does not go to a replica because of it.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum HintError {
    /// There is no such key. Only `/* tidegate: … */` says so: sqlcommenter's keys are anybody's.
    #[error("there is no hint \"{0}\" (there are intent, consistency, scope, key, on_stale, after and log)")]
    UnknownKey(Box<str>),
    /// The key is known, its value is not.
    #[error("\"{value}\" is no {key}")]
    UnknownValue {
        /// The key.
        key: &'static str,
        /// The value as given.
        value: Box<str>,
    },
    /// Not of the form `key=value, …`.
    #[error("a hint must be \"key=value\", not \"{0}\"")]
    Malformed(Box<str>),
    /// A key is given twice in one comment.
    #[error("the hint \"{0}\" is given twice")]
    Repeated(&'static str),
    /// There is more than one `/* tidegate: … */`.
    #[error("there is more than one comment \"/* tidegate: … */\"")]
    SeveralComments,
}

impl Hints {
    /// Reads the hints of a scanned text. `/* tidegate: … */` wins over sqlcommenter where both name a key.
    pub fn read(comments: &HintComments<'_>) -> Result<Self, HintError> {
        if comments.several {
            return Err(HintError::SeveralComments);
        }
        let own = comments.tidegate.map_or(Ok(Hints::default()), own_comment)?;
        let appended = comments.tail.map_or(Ok(Hints::default()), tail)?;
        Ok(own.over(appended))
    }

    /// These hints where they say something, `below` elsewhere.
    fn over(self, below: Self) -> Self {
        Hints {
            intent: self.intent.or(below.intent),
            consistency: self.consistency.or(below.consistency),
            scope: self.scope.or(below.scope),
            key: self.key.or(below.key),
            on_stale: self.on_stale.or(below.on_stale),
            after: self.after.or(below.after),
            log: self.log.or(below.log),
            trace: self.trace.or(below.trace),
        }
    }

    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        let Self { intent, consistency, scope, key, on_stale, after, log, trace: _ } = self;
        let what = intent.is_some() || consistency.is_some() || on_stale.is_some() || log.is_some();
        !(what || scope.is_some() || key.is_some() || after.is_some())
    }

    fn set(&mut self, key: Key, value: &str) -> Result<(), HintError> {
        let unknown = || HintError::UnknownValue { key: key.word(), value: value.into() };
        let repeated = match key {
            Key::Intent => self.intent.replace(Intent::parse(value).ok_or_else(unknown)?).is_some(),
            Key::Consistency => self.consistency.replace(Level::parse(value).ok_or_else(unknown)?).is_some(),
            Key::Scope => self.scope.replace(Scope::parse(value).ok_or_else(unknown)?).is_some(),
            Key::Group => self.key.replace(value.into()).is_some(),
            Key::OnStale => self.on_stale.replace(OnStale::parse(value).ok_or_else(unknown)?).is_some(),
            Key::After => self.after.replace(value.into()).is_some(),
            Key::Log => self.log.replace(Logged::parse(value).ok_or_else(unknown)?).is_some(),
        };
        if repeated { Err(HintError::Repeated(key.word())) } else { Ok(()) }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Intent,
    Consistency,
    Scope,
    Group,
    OnStale,
    After,
    Log,
}

impl Key {
    const ALL: [Key; 7] =
        [Key::Intent, Key::Consistency, Key::Scope, Key::Group, Key::OnStale, Key::After, Key::Log];

    fn word(self) -> &'static str {
        match self {
            Key::Intent => "intent",
            Key::Consistency => "consistency",
            Key::Scope => "scope",
            Key::Group => "key",
            Key::OnStale => "on_stale",
            Key::After => "after",
            Key::Log => "log",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.word() == word)
    }
}

/// Reads what follows `tidegate:`.
fn own_comment(text: &str) -> Result<Hints, HintError> {
    let mut hints = Hints::default();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').ok_or_else(|| HintError::Malformed(part.into()))?;
        let key = key.trim();
        let key = Key::parse(key).ok_or_else(|| HintError::UnknownKey(key.into()))?;
        let value = value.trim();
        let value = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\'')).unwrap_or(value);
        hints.set(key, value)?;
    }
    Ok(hints)
}

/// Reads every comment behind the last token. Later comments win, as a later layer of the application appended them.
fn tail(text: &str) -> Result<Hints, HintError> {
    let mut hints = Hints::default();
    let mut lexer = Lexer::new(text.as_bytes());
    while let Ok(Some(token)) = lexer.next() {
        if token.kind != Kind::BlockComment {
            continue;
        }
        let comment = text.get(token.start + 2..token.end - 2).unwrap_or_default();
        hints = sqlcommenter(comment.trim())?.over(hints);
    }
    Ok(hints)
}

/// Reads `key='value',…`, keys and values URL-encoded, `'` in values escaped with a backslash. A comment of another form
/// is just a comment, unless one of our keys stands before the place where it breaks off.
fn sqlcommenter(comment: &str) -> Result<Hints, HintError> {
    let mut hints = Hints::default();
    let mut rest = comment;
    while !rest.is_empty() {
        let Some((key, value, behind)) = pair(rest) else {
            return if hints.is_empty() { Ok(hints) } else { Err(HintError::Malformed(rest.into())) };
        };
        let key = decoded(key);
        if key == "traceparent" {
            hints.trace = TraceParent::parse(&decoded(value));
        } else if let Some(key) = Key::parse(&key).filter(|key| is_ours(*key, value)) {
            hints.set(key, &decoded(&value.replace("\\'", "'")))?;
        }
        rest = behind;
    }
    Ok(hints)
}

/// Whether a key of a comment that anybody can write is meant for us: many a thing is called a log.
fn is_ours(key: Key, value: &str) -> bool {
    key != Key::Log || Logged::parse(&decoded(value)).is_some()
}

/// The first `key='value'` of a text, and what is behind it and its comma.
fn pair(text: &str) -> Option<(&str, &str, &str)> {
    let (key, rest) = text.split_once('=')?;
    let rest = rest.trim_start().strip_prefix('\'')?;
    let mut escaped = false;
    let end = rest.bytes().position(|byte| {
        let ends = byte == b'\'' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    let (value, behind) = rest.split_at_checked(end)?;
    let behind = behind.strip_prefix('\'')?.trim_start();
    let behind = if behind.is_empty() { behind } else { behind.strip_prefix(',')? };
    Some((key.trim(), value, behind.trim_start()))
}

fn decoded(text: &str) -> std::borrow::Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

#[cfg(test)]
mod tests;
