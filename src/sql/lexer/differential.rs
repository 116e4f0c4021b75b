//! Our lexer against `PostgreSQL`'s own, token by token: for tests and the fuzzer only.

use super::{Kind, Lexer, Strings, Token};
use pg_query::ParserOptions;
use pg_query::protobuf::{ScanToken, Token as PgToken};

/// A token as both lexers can name it: its kind, where it starts, where it ends.
pub type Named = (&'static str, usize, usize);

/// The tokens of our lexer, or `None` for broken text.
pub fn tokens(text: &str, strings: Strings) -> Option<Vec<Named>> {
    let mut lexer = Lexer::with(text.as_bytes(), strings);
    let mut tokens = Vec::new();
    while let Some(Token { kind, start, end }) = lexer.next().ok()? {
        let name = match kind {
            Kind::Word | Kind::National => "word",
            Kind::QuotedWord => "quoted",
            Kind::UnicodeWord => "unicode word",
            Kind::Text => "text",
            Kind::UnicodeText => "unicode text",
            Kind::Bits => "bits",
            Kind::Hex => "hex",
            Kind::Number => "number",
            Kind::Param => "param",
            Kind::Operator => "operator",
            Kind::Symbol => "symbol",
            Kind::LineComment => "line comment",
            Kind::BlockComment => "block comment",
        };
        tokens.push((name, start, end));
    }
    Some(tokens)
}

/// What is different between our tokens and `PostgreSQL`'s, if anything is.
pub fn compare(text: &str, strings: Strings) -> Result<(), String> {
    let ours = tokens(text, strings);
    let theirs = theirs(text, strings);
    let alike = match (&ours, &theirs) {
        (Some(ours), Ok(theirs)) => ours == theirs,
        (_, Err(error)) => ours.is_none() || is_about_escapes(error),
        (None, Ok(_)) => false,
    };
    if alike { Ok(()) } else { Err(format!("{text:?} ({strings:?})\n ours   {ours:?}\n theirs {theirs:?}")) }
}

/// Errors about what escapes stand for, not about where a token ends. The same on every node, so our lexer ignores them.
fn is_about_escapes(error: &str) -> bool {
    ["escape", "Unicode", "invalid byte sequence", "surrogate"].iter().any(|part| error.contains(part))
        && !error.contains("unsafe use of string constant")
}

/// The tokens of `PostgreSQL`'s lexer, or its error.
fn theirs(text: &str, strings: Strings) -> Result<Vec<Named>, String> {
    let scanned = match strings {
        Strings::Standard => pg_query::scan(text),
        Strings::Escaped => scan_escaped(text),
    };
    let tokens = scanned.map_err(|error| error.to_string())?.tokens;
    let place = |number: i32| usize::try_from(number).unwrap_or(usize::MAX);
    Ok(tokens.iter().map(|token| (name(token, text), place(token.start), place(token.end))).collect())
}

/// `scan` takes no options, but it reads settings that belong to the thread, and a parse that fails leaves its options there.
fn scan_escaped(text: &str) -> pg_query::Result<pg_query::protobuf::ScanResult> {
    let failed = pg_query::parse("'", ParserOptions::DISABLE_STANDARD_CONFORMING_STRINGS);
    assert!(failed.is_err());
    // Closed only if the backslash escapes: pg_query has not stopped to work this way.
    assert!(pg_query::scan(r"'\''").is_ok(), "strings without escapes, in spite of the option");
    let scanned = pg_query::scan(text);
    assert!(pg_query::parse("", ParserOptions::DEFAULT).is_ok());
    scanned
}

fn name(token: &ScanToken, text: &str) -> &'static str {
    let first = || usize::try_from(token.start).ok().and_then(|start| text.as_bytes().get(start));
    match PgToken::try_from(token.token) {
        Ok(PgToken::Ident) if first() == Some(&b'"') => "quoted",
        Ok(PgToken::Uident) => "unicode word",
        Ok(PgToken::Sconst) => "text",
        Ok(PgToken::Usconst) => "unicode text",
        Ok(PgToken::Bconst) => "bits",
        Ok(PgToken::Xconst) => "hex",
        Ok(PgToken::Iconst | PgToken::Fconst) => "number",
        Ok(PgToken::Param) => "param",
        Ok(
            PgToken::Op
            | PgToken::Typecast
            | PgToken::DotDot
            | PgToken::ColonEquals
            | PgToken::EqualsGreater
            | PgToken::LessEquals
            | PgToken::GreaterEquals
            | PgToken::NotEquals,
        ) => "operator",
        Ok(PgToken::SqlComment) => "line comment",
        Ok(PgToken::CComment) => "block comment",
        _ if token.token < 256 => "symbol",
        _ => "word",
    }
}
