//! What the source of a function names, and what its statements may do: words, not meaning.
//!
//! `PostgreSQL` checks neither that a STABLE function is stable nor that the names in a source exist, so all that can be had
//! from outside are the words. Each of them counts for all it could stand for.

use super::{Does, Language};
use crate::sql::lexer::{Kind, Lexer, Token};
use std::borrow::Cow;

/// Something that a source names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mention<'a> {
    /// A word with a parenthesis behind it: perhaps a function.
    Call(&'a str),
    /// A word with a point before it: perhaps a function of the row before that.
    Field(&'a str),
    /// A word: perhaps a relation or a type.
    Word(&'a str),
    /// An operator.
    Operator(&'a str),
    /// Statements that are made when it runs.
    DynamicSql,
    /// The text has no tokens by the rules of SQL.
    Unreadable,
}

/// Statements that change the catalog, by their first word.
const CHANGE_CATALOG: [&str; 14] = [
    "alter", "analyze", "cluster", "comment", "create", "drop", "grant", "import", "reassign", "refresh",
    "reindex", "revoke", "security", "vacuum",
];

/// Statements that leave something in the session, by their first word.
const LEAVE: [&str; 8] = ["deallocate", "discard", "listen", "load", "prepare", "reset", "set", "unlisten"];

/// Words that are in every statement that writes rows, whatever it begins with.
const WRITE: [&str; 8] = ["call", "copy", "delete", "do", "insert", "merge", "truncate", "update"];

/// Words behind which a statement can begin.
const OPENERS: [&str; 5] = ["begin", "else", "loop", "then", "atomic"];

/// Everything a body may do.
pub(super) const EVERYTHING: Does = Does::WRITES.with(Does::LEAVES_ANYTHING).with(Does::CHANGES_CATALOG);

/// Reads a source, tells `found` what it names, and returns what its statements may do, but for what is behind the names.
pub(super) fn read(source: &str, language: Language, mut found: impl FnMut(&Mention<'_>)) -> Does {
    let Some(tokens) = tokens(source.as_bytes()) else {
        found(&Mention::Unreadable);
        return EVERYTHING;
    };
    let mut does = Does::NOTHING;
    let mut previous = Cow::Borrowed(";");
    for (at, token) in tokens.iter().enumerate() {
        let text = text_of(source, *token);
        let next = tokens.get(at + 1).map_or("", |next| source.get(next.start..next.end).unwrap_or_default());
        match token.kind {
            Kind::UnicodeWord => {
                // A name with escapes, which could be any.
                found(&Mention::Unreadable);
                return EVERYTHING;
            }
            Kind::Word | Kind::QuotedWord => {
                if token.kind == Kind::Word {
                    does |= word(&text, &previous, language, &mut found);
                }
                found(&Mention::Word(&text));
                if next == "(" || text == "current_schema" {
                    found(&Mention::Call(&text));
                } else if previous == "." {
                    found(&Mention::Field(&text));
                }
            }
            Kind::Operator | Kind::Symbol => found(&Mention::Operator(&text)),
            _ => {}
        }
        previous = text;
    }
    does
}

/// What a keyword says its statement may do.
fn word(word: &str, previous: &str, language: Language, found: &mut impl FnMut(&Mention<'_>)) -> Does {
    if word == "execute" && language == Language::PlPgSql {
        found(&Mention::DynamicSql);
        return EVERYTHING;
    }
    let begins = matches!(previous, ";" | ">>") || OPENERS.contains(&previous);
    let makes_table = word == "into" && language == Language::Sql && !matches!(previous, "insert" | "merge");
    let mut does = Does::NOTHING;
    if makes_table || begins && CHANGE_CATALOG.contains(&word) {
        does |= Does::CHANGES_CATALOG | Does::WRITES;
    }
    if begins && LEAVE.contains(&word) || matches!(word, "temp" | "temporary" | "pg_temp") {
        does |= Does::LEAVES_ANYTHING;
    }
    if WRITE.contains(&word) || begins && word == "execute" {
        does |= Does::WRITES;
    }
    does
}

/// The tokens without the comments; `None` if the text has none by the rules.
fn tokens(text: &[u8]) -> Option<Vec<Token>> {
    let mut lexer = Lexer::new(text);
    let mut tokens = Vec::new();
    loop {
        match lexer.next() {
            Ok(Some(token)) if matches!(token.kind, Kind::LineComment | Kind::BlockComment) => {}
            Ok(Some(token)) => tokens.push(token),
            Ok(None) => return Some(tokens),
            Err(_) => return None,
        }
    }
}

/// A token as the grammar sees it: unquoted words in lower case, quoted ones without their quotes.
fn text_of(source: &str, token: Token) -> Cow<'_, str> {
    let text = source.get(token.start..token.end).unwrap_or_default();
    match token.kind {
        Kind::Word if text.bytes().any(|byte| byte.is_ascii_uppercase()) => text.to_ascii_lowercase().into(),
        Kind::QuotedWord => match text.get(1..text.len().saturating_sub(1)) {
            Some(inner) if inner.contains('"') => inner.replace("\"\"", "\"").into(),
            inner => inner.unwrap_or_default().into(),
        },
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn does(source: &str) -> Does {
        read(source, Language::PlPgSql, |_| {})
    }

    #[test]
    fn what_statements_may_do() {
        let (writes, leaves, changes) = (Does::WRITES, Does::LEAVES_ANYTHING, Does::CHANGES_CATALOG);
        for (source, expected) in [
            ("begin new.updated_at := now(); return new; end", Does::NOTHING),
            ("begin if tg_op = 'DELETE' then return old; end if; return new; end", Does::NOTHING),
            ("begin insert into t values (1); end", writes),
            ("begin update t set a = 1 where b; end", writes),
            ("begin insert into t values (1) on conflict do update set a = 2; end", writes),
            ("begin if true then set local x = 1; end if; end", leaves),
            ("begin SET x = 1; end", leaves),
            ("begin /* set */ create table t (); end", writes | changes),
            ("begin create temp table t (); end", writes | changes | leaves),
            ("declare comment text; begin select t.comment into comment from t; end", Does::NOTHING),
            ("begin execute 'x'; end", EVERYTHING),
            ("begin return query execute x; end", EVERYTHING),
            ("begin raise notice 'execute'; end", Does::NOTHING),
            ("begin x := 'open", EVERYTHING),
            ("begin perform U&\"writ\\0065s\"(); end", EVERYTHING),
        ] {
            assert_eq!(does(source), expected, "{source}");
        }
        assert_eq!(read("select 1 into t", Language::Sql, |_| {}), writes | changes);
        assert_eq!(read("insert into t select 1", Language::Sql, |_| {}), writes);
    }

    #[test]
    fn what_it_names() {
        let mut seen = Vec::new();
        let source =
            "select Lower(a.name), \"Odd\"\"F\" (b) /* f( */ || 'g(1)' from \"T\" where current_schema = $1";
        read(source, Language::Sql, |mention| match mention {
            Mention::Call(name) => seen.push(format!("{name}()")),
            Mention::Field(name) => seen.push(format!(".{name}")),
            Mention::Word(name) | Mention::Operator(name) => seen.push((*name).to_owned()),
            Mention::DynamicSql | Mention::Unreadable => panic!("{mention:?}"),
        });
        for name in ["lower()", "lower", ".name", "Odd\"F()", "||", "T", "current_schema()", "="] {
            assert!(seen.iter().any(|seen| seen == name), "{name}: {seen:?}");
        }
        assert!(!seen.iter().any(|seen| seen == "f()" || seen == "g()" || seen == "b()"), "{seen:?}");
    }
}
