use super::*;
use pg_query::protobuf::Token as PgToken;
use proptest::prelude::*;

/// The tokens of this lexer, or `None` for broken text.
fn ours(text: &str) -> Option<Vec<(&'static str, usize, usize)>> {
    let mut lexer = Lexer::new(text.as_bytes());
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

/// The tokens of PostgreSQL's lexer, or its error.
fn theirs(text: &str) -> Result<Vec<(&'static str, usize, usize)>, String> {
    let tokens = pg_query::scan(text).map_err(|error| error.to_string())?.tokens;
    let name = |token: &pg_query::protobuf::ScanToken| match PgToken::try_from(token.token) {
        Ok(PgToken::Ident) if text.as_bytes()[usize::try_from(token.start).unwrap()] == b'"' => "quoted",
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
    };
    let place = |number: i32| usize::try_from(number).unwrap();
    Ok(tokens.iter().map(|token| (name(token), place(token.start), place(token.end))).collect())
}

/// Errors about what escapes stand for, not about where a token ends. The same on every node, so this lexer ignores them.
fn is_about_escapes(error: &str) -> bool {
    ["escape", "Unicode", "invalid byte sequence", "surrogate"].iter().any(|part| error.contains(part))
}

fn same(text: &str) {
    match theirs(text) {
        Ok(tokens) => assert_eq!(ours(text), Some(tokens), "{text:?}"),
        Err(error) if is_about_escapes(&error) => {}
        Err(error) => assert_eq!(ours(text), None, "{text:?}: {error}"),
    }
}

const CORPUS: &[&str] = &[
    "",
    " \t\r\n\u{b}\u{c}",
    "select 1",
    "SELECT a.b, \"A\"\"b\", $1, $23 FROM t$x WHERE ä = é$1",
    "'a''b' 'c'\n'd' 'e'--c\n'f' 'g' /* */ 'h'",
    "'a' -- x\r'b' -- y\n -- z\n 'c' -- end",
    "'a'\n--'b'\n/* */'c'",
    "'a'\n- 'b'",
    "E'a\\'b' e'\\\\' E'\\n\\x41\\101\\u0041'\n'\\'still'",
    "'a\\' 'b'",
    "b'01' B'0''1' x'1F'\n'2E' n'x' N'y' N 'z' nx'q'",
    "U&'\\0041' u&\"d\\0061t\" U&x u& 'y' U &'z' U&'a'\n'b' UESCAPE '!'",
    "$$ a ' b $x $ $$ $tag$ $$ $x$ $tag$ $ä1$ö$ä1$ $a $b$c $1$2$",
    "$a$ $b$a$ $a$",
    "$a$ $aa$ $a$",
    "$$a$b$$",
    "a$b$c$d",
    "\"\" a",
    "U&\"\"",
    "\"open",
    "'open",
    "E'open\\'",
    "$$open",
    "$a$open$b$",
    "/* open /* */",
    "/* a /* b */ c */ d /**/ e /***/ f /*/ */ g /*//**/*/ h",
    "-- to the end",
    "-- line\r-- next\nx",
    "1 1. .5 1.5 1e5 1.e5 .5e-5 1e+5 1E5 1_000 1_0.0_1 1..2 1...5 1.5.3 1_0..2 0x1F 0X_1f 0o17 0b_1_0 0x1e+5",
    "99999999999999999999 2147483648",
    "$1 $2147483647",
    "$2147483648",
    "1e",
    "1e+",
    "1a",
    "1_",
    "1__0",
    "1.a",
    "1.5e",
    "1._5",
    "0x",
    "0xg",
    "0x1g",
    "0x1$",
    "0b12",
    "0o8",
    "1$",
    "1$2",
    "1_0$",
    "1.0$",
    "1.0_0$",
    "1_0.0$",
    "1e5$",
    "1e+5$",
    "1e+5_0$",
    "1e5.5",
    "$1a",
    "$1$",
    "$1_",
    "+ - * / < > = ~ ! @ # % ^ & | ` ? , ( ) [ ] . ; : { } \\ $",
    "a=-1 a<-1 a@-1 a+-1 a--1",
    "a*-b a!-b a<=-b a=>-b a=>b a<=b a>=b a<>b a!=b a<>-b a!=-b a>=+-+b",
    "+/*x*/- =-/*x*/ @-/*x*/ <=/*x*/ *--x",
    "*/*x*/*",
    "a::b a:=b a: :b a:b a:::b a::=b a..b a...b",
    "-+-+ +-+ @+-+ ---",
    "!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!",
    "!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!",
    "===============================================================----",
    "data->>'a' #>> '{a,b}' @> ?| array['x'] ?& y ||/ 27 |/ 2",
];

#[test]
fn agrees_with_postgresql_on_the_corpus() {
    for text in CORPUS {
        same(text);
        for suffix in ["", " x", "$", "'", "\n'y'", "--", "/*z*/", "1", "_"] {
            same(&format!("{text}{suffix}"));
        }
    }
}

#[test]
fn agrees_with_postgresql_on_every_cut_of_the_corpus() {
    for text in CORPUS.iter().filter(|text| text.len() > 12) {
        for (cut, _) in text.char_indices() {
            same(&text[..cut]);
            same(&text[cut..]);
        }
    }
}

#[test]
fn nul_is_broken() {
    assert_eq!(ours("a \0"), None);
}

fn soup() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "'", "''", "\"", "$$", "$a$", "$", "$1", "\\", "\\'", "/*", "*/", "--", "\n", "\r", "\t", "\u{b}",
        " ", "e'", "E'", "b'", "X'", "n'", "U&'", "u&\"", "U&", "0x", "0b", "0o", "_", "1", "0", "9", ".",
        "..", "e", "e+", "e-", "a", "Ab", "é", "漢", "x1", "+", "-", "*", "/", "<", ">", "=", "~", "!", "@",
        "#", "%", "^", "&", "|", "`", "?", ",", "(", ")", "[", "]", ";", ":", "::", ":=", "=>", "<=", "<>",
        "!=", "{", "}", "select", "\u{7f}", "\u{1}", "\u{a0}",
    ];
    prop::collection::vec(prop::sample::select(PIECES), 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_postgresql_on_soup(text in soup()) {
        same(&text);
    }

    #[test]
    fn agrees_with_postgresql_on_numbers(text in "[$]?[0-9]{1,3}[._eExXoObB0-9$+a-]{0,6}") {
        same(&text);
    }

    #[test]
    fn agrees_with_postgresql_on_operators(text in "[a1 ]?[-+*/<>=~!@#%^&|`?:.]{1,10}[a1']?") {
        same(&text);
    }

    #[test]
    fn agrees_with_postgresql_on_strings(text in "[eEbBxXnNuU]?&?'[a'\\\\ \n-]{0,12}'[ \n'-]{0,6}") {
        same(&text);
    }

    #[test]
    fn agrees_with_postgresql_on_dollars(text in "[$ab1é ]{0,16}") {
        same(&text);
    }
}
