//! What a text of SQL may do, by `PostgreSQL`'s own grammar.
//!
//! Owns the class of a statement, its cause and what it leaves behind in the session. Every node of the tree is looked at:
//! structures are taken apart field by field, so that a field a new grammar adds does not compile unseen, and a node
//! that is not known makes the statement [`Class::Unknown`]. Must not know nodes of a cluster, freshness or policy.
//!
//! What only the catalog knows (what views, rules, policies, casts and operators call, whether a name means the built-in
//! function, whether a relation is a sequence or unlogged) is asked of it in a second step, by the names the first has
//! gathered: parsing is dear, and the catalog changes.

mod cause;
mod dml;
mod expression;
mod json;
mod judge;
mod leaves;
mod mentions;
mod notes;
mod select;
mod setting;
mod statement;
mod utility;

pub use cause::Cause;
pub use judge::{Parsed, Touched};
pub use leaves::Leaves;
pub use mentions::{Mentions, Use};
pub use statement::{Begin, Class, Own, Statement};

use super::catalog::Does;
use super::lexer::{Kind, Lexer, Strings};
use notes::Notes;
use pg_query::ParserOptions;
use pg_query::protobuf::RawStmt;

/// Bytes of the longest text that is parsed. A longer one is of unknown class: parsing takes up to some 2 µs a byte, and
/// the longest lists of constants that applications read with have room in it.
pub const LONGEST_TEXT: usize = 128 * 1024;

/// Says what a text may do in a database of which nothing is known: see [`Parsed::without_catalog`].
pub fn classify(text: &str) -> Statement {
    parse(text, Strings::Standard).without_catalog()
}

/// Says what a text tells of what it may do, and which names the catalog has to be asked for. The strictest part decides:
/// of several statements, of a CTE, of what EXPLAIN ANALYZE runs.
///
/// Costs some 10–100 µs, so keep the answer under the text's shape, if it belongs to that.
pub fn parse(text: &str, strings: Strings) -> Parsed {
    let unknown = |cause| Parsed::new(Statement::unknown(cause), false, Mentions::default());
    if text.len() > LONGEST_TEXT {
        return Parsed::from(too_large(text, strings));
    }
    let options = match strings {
        Strings::Standard => ParserOptions::DEFAULT,
        Strings::Escaped => ParserOptions::DISABLE_STANDARD_CONFORMING_STRINGS,
    };
    let tree = match pg_query::parse(text, options) {
        Ok(parsed) => parsed.protobuf,
        Err(error) if is_about_depth(&error) => {
            return unknown(Cause::NotUnderstood("nesting this deep"));
        }
        Err(_) => return unknown(Cause::SyntaxError),
    };
    let mut whole = Notes::default();
    let mut parts = tree.stmts.iter().map(part);
    if let Some(first) = parts.next() {
        whole = first;
        for part in parts {
            whole.join(part);
        }
    }
    let words = Words::of(text, strings);
    if words.sequence_state && !whole.is_read() {
        // In the definition of a column's default, for example.
        whole.leaves |= Leaves::SEQUENCE;
    }
    if words.temp_schema {
        whole.leaves |= Leaves::TEMP_TABLE;
        whole.note(Class::Unknown, Cause::TemporaryRelation, false);
    }
    whole.finish(tree.stmts.len())
}

/// A text that is too long to be parsed. Of one statement that begins as those do that applications send, so much is certain:
/// it does not change the catalog.
fn too_large(text: &str, strings: Strings) -> Statement {
    let mut statement = Statement::unknown(Cause::TooLarge);
    if is_one_query(text, strings) {
        statement.does = Does::WRITES;
    }
    statement
}

/// Whether a text is one statement of those that read and write rows, by its first word.
fn is_one_query(text: &str, strings: Strings) -> bool {
    let known = ["insert", "update", "delete", "select", "with", "values", "merge"];
    let mut lexer = Lexer::with(text.as_bytes(), strings);
    let (mut begun, mut ended) = (false, false);
    while let Ok(token) = lexer.next() {
        let Some(token) = token else { return begun };
        if matches!(token.kind, Kind::LineComment | Kind::BlockComment) {
            continue;
        }
        let word = text.get(token.start..token.end).unwrap_or_default();
        if ended && word != ";" || !begun && !known.iter().any(|known| word.eq_ignore_ascii_case(known)) {
            return false;
        }
        begun = true;
        ended |= word == ";";
    }
    false
}

/// Whether the text is only nested too deeply for the parser's stack or for the decoder of its tree.
fn is_about_depth(error: &pg_query::Error) -> bool {
    match error {
        pg_query::Error::Decode(_) => true,
        pg_query::Error::Parse(message) => {
            ["stack depth", "memory exhausted", "nested too deeply"].iter().any(|part| message.contains(part))
        }
        _ => false,
    }
}

/// What one statement of the text may do.
fn part(statement: &RawStmt) -> Notes {
    let RawStmt { stmt, stmt_location: _, stmt_len: _ } = statement;
    let mut notes = Notes::default();
    match stmt.as_ref().and_then(|stmt| stmt.node.as_ref()) {
        Some(node) => notes.statement(node),
        None => notes.not_understood("an empty tree"),
    }
    notes
}

/// What words tell wherever they stand in a text: in a list of names, in a type, in a definition.
#[allow(clippy::struct_excessive_bools, reason = "two independent facts")]
#[derive(Clone, Copy, PartialEq, Eq)]
struct Words {
    /// A name begins with `pg_temp`: the statement is about temporary objects, which one session of one node has.
    temp_schema: bool,
    /// `currval` or `lastval` is called.
    sequence_state: bool,
}

impl Words {
    fn of(text: &str, strings: Strings) -> Self {
        const UNREADABLE: Words = Words { temp_schema: true, sequence_state: true };
        let mut found = Words { temp_schema: false, sequence_state: false };
        let mut lexer = Lexer::with(text.as_bytes(), strings);
        let mut named = false;
        loop {
            let token = match lexer.next() {
                Ok(Some(token)) => token,
                Ok(None) => return found,
                Err(_) => return UNREADABLE,
            };
            found.sequence_state |= named && text.get(token.start..token.end) == Some("(");
            named = false;
            let name = match token.kind {
                Kind::Word => text.get(token.start..token.end),
                Kind::QuotedWord => text.get(token.start + 1..token.end - 1),
                Kind::UnicodeWord => return UNREADABLE,
                _ => None,
            };
            let Some(name) = name else { continue };
            let start = name.get(.."pg_temp".len());
            found.temp_schema |= start.is_some_and(|start| start.eq_ignore_ascii_case("pg_temp"));
            named = ["currval", "lastval"].iter().any(|function| name.eq_ignore_ascii_case(function));
        }
    }
}

#[cfg(test)]
mod tests;
