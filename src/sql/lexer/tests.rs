use super::*;
use proptest::prelude::*;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Compares under both settings. One at a time: `pg_query` redirects the standard error of the whole process.
#[track_caller]
fn same(text: &str) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for strings in [Strings::Standard, Strings::Escaped] {
        if let Err(difference) = compare(text, strings) {
            panic!("{difference}");
        }
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
    "'a\\'b' 'c\\\\' 'd\\'\n'e\\'' N'f\\' n'g' x'1' E'h\\'' b'0\\'",
    "'\\' ' U&'x' U&\"y\" U&'\\'",
    "a/-*/*b*/-1 c+-/*d*/-e <>-1 <>-/*f*/1 @-1 @-/*g*/1 *-- h\n@ >--i\n=",
    "select 'a' \t\n\u{b} 'b' -- c\n\n 'd' \r 'e', N'f'\n'g', B'0'\n'1', X'2'\r'3', U&'4'\n'5', E'6'\n'7'",
    "$été$ $ete$ $été$ $a1$ $1a$ $a1$ $_$x$_$ $a.b$ $A$ $a$ $A$",
    "1..2 1.. 2 1._ 1_000_000 0x_1f 0XFF 0o_17 0B1 1e1_0 1_e1 .1_0 1_000.000_1e+1_0 00012 1.1.1",
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
    for strings in [Strings::Standard, Strings::Escaped] {
        assert_eq!(tokens("a \0", strings), None);
        assert_eq!(tokens("'a \0'", strings), Some(vec![("text", 0, 5)]));
    }
}

#[test]
fn the_setting_decides_where_a_string_ends() {
    let text = r"'a\' || 'b'";
    assert_eq!(tokens(text, Strings::Standard).map(|tokens| tokens.len()), Some(3));
    assert_eq!(tokens(text, Strings::Escaped), None);
    let text = r"'a\' 'b'";
    assert_eq!(tokens(text, Strings::Standard), Some(vec![("text", 0, 4), ("text", 5, 8)]));
    let escaped = Some(vec![("text", 0, 6), ("word", 6, 7)]);
    assert_eq!(tokens(r"'a\' 'b", Strings::Escaped), escaped);
    assert_eq!(tokens(r"'a\' 'b", Strings::Standard), None);
    assert_eq!(tokens("U&'a'", Strings::Escaped), None);
    assert_eq!(tokens("U&\"a\"", Strings::Escaped), Some(vec![("unicode word", 0, 5)]));
    assert_eq!(tokens(r"N'\''", Strings::Escaped), Some(vec![("word", 0, 1), ("text", 1, 5)]));
}

/// Statements as people write them: each file of SQL whole, cut at every semicolon, and cut at every line.
#[test]
fn agrees_with_postgresql_on_files() {
    let mut texts = 0;
    for file in sql_files() {
        // psql's own commands are in there too: what is not SQL is soup.
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        for piece in [text.as_str()].into_iter().chain(text.split(';')).chain(text.lines()) {
            same(piece);
            texts += 1;
        }
    }
    assert!(texts > 100, "{texts}");
}

/// The files of this repository that hold SQL, and `PostgreSQL`'s regression tests where they have been fetched.
fn sql_files() -> Vec<PathBuf> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let cache = std::env::var_os("TIDEGATE_REGRESS_SQL").map(PathBuf::from);
    let regress = cache.unwrap_or("/var/tmp/tidegate-cache/postgresql-15-suites/regress/sql".into());
    let folders = [regress, here.join("tests/promises"), here.join("src/sql/classify/tests")];
    let entries = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
    entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).filter(|path| path.is_file()).collect()
}

fn soup() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "'", "''", "\"", "$$", "$a$", "$é$", "$", "$1", "\\", "\\'", "\\\\", "/*", "*/", "--", "\n", "\r",
        "\t", "\u{b}", " ", "e'", "E'", "b'", "X'", "n'", "N'", "U&'", "u&\"", "U&", "UESCAPE", "0x", "0b",
        "0o", "_", "1", "0", "9", ".", "..", "e", "e+", "e-", "a", "Ab", "é", "漢", "x1", "+", "-", "*", "/",
        "<", ">", "=", "~", "!", "@", "#", "%", "^", "&", "|", "`", "?", ",", "(", ")", "[", "]", ";", ":",
        "::", ":=", "=>", "<=", "<>", "!=", "{", "}", "select", "\u{7f}", "\u{1}", "\u{a0}",
    ];
    prop::collection::vec(prop::sample::select(PIECES), 0..24).prop_map(|pieces| pieces.concat())
}

/// Tokens by the rules of the manual, well-formed nearly always, so that long texts get past their first token.
fn token() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a-zA-Z_é漢][a-zA-Z0-9_$é]{0,6}",
        2 => "\"([a-zé' ]|\"\"){1,6}\"",
        1 => "[uU]&\"([a-z ]|\\\\00[46][1-9]){1,4}\"( UESCAPE '!')?",
        3 => "[nN]?'([a-zé\" \n-]|''|\\\\[a-z'\\\\]){0,6}'",
        2 => "[eE]'([a-zé\" \n-]|''|\\\\[bfnrt'\\\\]){0,6}'",
        1 => "[uU]&'([a-z ]|''|\\\\00[46][1-9]){0,4}'( UESCAPE '!')?",
        1 => "[bBxX]'[01]{0,4}'",
        1 => "[$][$]([a-z' ]|[$]a|\\\\){0,6}[$][$]",
        1 => "[$]é_1[$]([a-z' ]|[$][$]|[$]é[$]){0,4}[$]é_1[$]",
        3 => "[0-9]{1,4}(_[0-9]{1,3})?([.][0-9]{0,3})?(e[+-]?[0-9]{1,2})?|0[xX]_?[0-9a-f]{1,4}|0[oO][0-7]{1,3}|0[bB][01]{1,4}",
        1 => "[$][0-9]{1,3}",
        4 => "[-+*/<>=~!@#%^&|`?]{1,5}",
        3 => "::|:=|=>|[.][.]|[(),;.:\\[\\]]",
        1 => "/[*]([a-z' *]|/[*] x [*]/|[$][$]){0,4}[*]/",
        1 => "--[a-z'$/* ]{0,6}(\n|\r)",
    ]
}

fn statement() -> impl Strategy<Value = String> {
    let space =
        prop_oneof![4 => Just(""), 4 => Just(" "), 2 => Just("\n"), 1 => Just("-- c\n"), 1 => Just("/**/")];
    prop::collection::vec((token(), space), 0..10)
        .prop_map(|parts| parts.into_iter().flat_map(|(token, space)| [token, space.to_owned()]).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_postgresql_on_statements(text in statement()) {
        same(&text);
    }

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
