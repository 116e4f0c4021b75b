use super::*;
use proptest::prelude::*;

fn key(text: &str) -> ShapeKey {
    Shaper::new(1).scan(text.as_bytes()).unwrap_or_else(|| panic!("{text}")).key
}

fn hints(text: &str) -> HintComments<'_> {
    Shaper::new(1).scan(text.as_bytes()).unwrap_or_else(|| panic!("{text}")).hints
}

#[test]
fn one_shape() {
    let groups: &[&[&str]] = &[
        &[
            "select * from t where a = 1 and b = 'x'",
            "SELECT  *\nFROM T /* c */ WHERE a=-- d\n 0x2F AND B = E'\\'y'",
            "select * from t where a = 1.5e3 and b = $$z$$",
            "select * from t where a = 99999999999999 and b = 'x'\n'y'",
        ],
        &["select x'1', b'1', u&'a'", "select X'FF', B'', U&'\\0041'"],
        &["(select 1); select '2'", "(SELECT 3) ; SELECT '4'"],
        &["insert into t values (1, 'a')", "INSERT INTO t VALUES (2, '')"],
        &["call p(1)", "call p(2)"],
        &["execute s(1)", "execute s(2)"],
        &["select LongIdentifier_ABC", "select longidentifier_abc"],
    ];
    for group in groups {
        for text in *group {
            assert_eq!(key(text), key(group[0]), "{text}");
        }
    }
}

#[test]
fn different_shapes() {
    let texts = [
        "",
        ";",
        ";;",
        "select",
        "select a",
        "select \"a\"",
        "select \"A\"",
        "select u&\"a\"",
        "select A B",
        "select AB",
        "select 'a'",
        "select 1",
        "select b'1'",
        "select x'1'",
        "select u&'1'",
        "select n'1'",
        "select n '1'",
        "select $1",
        "select $2",
        "select 1, 2",
        "select 1 2",
        "select '1' '2'",
        "select 'a' -- \n",
        "select a.b",
        "select a . b . c",
        "select a..b",
        "select a: :b",
        "select a::b",
        "select -1",
        "select - -1",
        "select @-1",
        "select (1)",
        "select ((1))",
        "select É",
        "select é",
        "select abcdefg",
        "select abcdefgh",
        "select abcdefghi",
        "select \"abcdefgh\"",
        "select abcdefgha",
        "select b",
        "select ab c",
        "select a bc",
        "set x = 1",
        "set x = 2",
        "set x = '1'",
        "explain (analyze 0) select 1",
        "explain (analyze 1) select 1",
        "select set_config('a', '1', true)",
        "select set_config('b', '1', true)",
        "select \"set_config\"('a', '1', true)",
        "select \"set_config\"('b', '1', true)",
        "select SET_CONFIG('A', '1', true)",
        "select current_setting('a.b')",
        "select current_setting('port')",
        "select U&\"set\\005fconfig\"('a')",
        "select U&\"set\\005fconfig\"('b')",
        "select 1; set x = 1",
        "select 1; set x = 2",
        "begin; select 1",
        "begin; select 2",
    ];
    let same_on_purpose = [("select 'a'", "select 'a' -- \n"), ("select a.b", "select a . b")];
    for (index, left) in texts.iter().enumerate() {
        for right in &texts[..index] {
            let same = same_on_purpose.contains(&(right, left));
            assert_eq!(key(left) == key(right), same, "{left} | {right}");
        }
    }
}

#[test]
fn the_seed_matters() {
    let scan = |seed| Shaper::new(seed).scan(b"select 1").unwrap().key;
    assert_eq!(scan(1), scan(1));
    assert_ne!(scan(1), scan(2));
}

/// How strings are read is part of the key, also where it makes no difference, and decides what a literal is.
#[test]
fn the_way_strings_are_read_matters() {
    let shaper = Shaper::new(1);
    let key = |text: &str, strings| shaper.scan_with(text.as_bytes(), strings).map(|scan| scan.key);
    let (standard, escaped) = (Strings::Standard, Strings::Escaped);
    for text in ["", "select 1", "select 'a'", "select a from t"] {
        assert_ne!(key(text, standard), key(text, escaped), "{text}");
        assert_eq!(key(text, standard), shaper.scan(text.as_bytes()).map(|scan| scan.key));
    }
    assert_eq!(key(r"select 'a\'' from t", escaped), key("select 'b' from t", escaped));
    assert_eq!(key(r"select 'a\'' from t", standard), None);
    assert_eq!(key(r"select 'a\' from t", standard), key("select 'b' from t", standard));
    assert_eq!(key("select U&'a'", escaped), None);
    assert_eq!(redact_with(r"select 'a\' secret' from t", escaped), "select ? from t");
    assert_eq!(redact_with(r"select N'a\'s', 'b", escaped), "select …");
}

#[test]
fn broken_text_has_no_shape() {
    let shaper = Shaper::new(0);
    for text in [
        &b"select 'a"[..],
        b"select \"a",
        b"/* ",
        b"$$",
        b"select \xff",
        b"select 1x",
        b"\0",
        b"select '\xc3'",
    ] {
        assert_eq!(shaper.scan(text), None, "{text:?}");
    }
}

/// The number of keys is the number of shapes, however many texts there are. The bench does it with a million.
#[test]
fn many_texts_of_few_shapes() {
    let mut keys = std::collections::HashSet::new();
    for shape in 0..100 {
        for number in 0..500 {
            keys.insert(key(&format!(
                "select c{shape}, d from t{shape} where a = {number} and b = '{}' and e in ({number}.5, 1)",
                "x".repeat(number % 7)
            )));
        }
    }
    assert_eq!(keys.len(), 100);
}

#[test]
fn hint_comments() {
    assert!(hints("select 1 -- tidegate: intent=primary").is_empty());
    assert!(hints("select '/* tidegate: intent=primary */' /* other */ as x").is_empty());
    assert!(hints("select $$ /*a='b'*/ $$").is_empty());
    assert_eq!(hints("/*tidegate:a=b*/ select 1").tidegate, Some("a=b"));
    assert_eq!(hints("select /* TIDEGATE: a=b */ 1").tidegate, Some(" a=b "));
    assert_eq!(hints("select 1 /*a='b'*/").tail, Some(" /*a='b'*/"));
    assert_eq!(hints("select 1 /*a='b'*/ ; -- x").tail, Some(" /*a='b'*/ ; -- x"));
    assert_eq!(hints("select 1; /*a='b'*/ ;").tail, Some("; /*a='b'*/ ;"));
    assert_eq!(hints("select /*a='b'*/ 1").tail, None);
    assert!(hints("/* tidegate: a */ select /* tidegate: b */ 1").several);
}

#[test]
fn redacted() {
    let cases = [
        ("select  *\nfrom t where a = 'x' -- c\n and b=1.5", "select * from t where a = ? and b=?"),
        ("/* c */ select $1, $$a$$, n'x', E'\\''", "select $1, ?, ?, ?"),
        ("alter role a password 'secret'", "alter role a password ?"),
        ("select 'open", "select…"),
        ("select \"Name\"", "select \"Name\""),
        ("", ""),
    ];
    for (text, expected) in cases {
        assert_eq!(redact(text), expected, "{text}");
    }
}

/// Literals of every kind that contain a secret.
fn literal(secret: &'static str, open_ended: bool) -> impl Strategy<Value = String> {
    let mut literals = vec![
        format!("'{secret}'"),
        format!("'a''{secret}'"),
        format!("E'\\'{secret}'"),
        format!("e'{secret}\\\\'"),
        format!("$${secret}$$"),
        format!("$t$ $$ {secret} $t$"),
        format!("U&'{secret}'"),
        format!("N'{secret}'"),
        format!("'x'\n'{secret}'"),
        format!("'x' -- c\n '{secret}'"),
        format!("/* {secret} */"),
        format!("-- {secret}\n"),
    ];
    if open_ended {
        literals.extend([format!("'{secret}"), format!("$$ {secret}"), format!("E'\\'{secret}")]);
    }
    prop::sample::select(literals)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn redacting_never_shows_a_literal(
        before in "[a-z ,(=+-]{0,8}", between in "[a-z ,)=+]{0,8}", one in literal("SECRET", false), two in literal("SECRET", true),
    ) {
        let text = format!("{before} {one} {between} {two}");
        prop_assert!(!redact(&text).contains("SECRET"), "{}", text);
        // A literal may end elsewhere then; whatever is one is left out.
        let escaped = redact_with(&text, Strings::Escaped);
        prop_assert!(!escaped.contains("SECRET"), "{} as {}", text, escaped);
    }

    /// What matters to the grammar is in the key: replacing the text by its redacted form, with one literal for another,
    /// gives the same key; white space and the case of words do not matter.
    #[test]
    fn literals_do_not_matter(text in "select( from| a| B|,|\\(|\\)| 'x' | 1|=|\"Q\"|--c\n){0,12}", number in 0..1000_u32) {
        let Some(scan) = Shaper::new(3).scan(text.as_bytes()) else { return Ok(()) };
        let other = text.replace("'x'", &format!("'{number}'"));
        prop_assert_eq!(Shaper::new(3).scan(other.as_bytes()).map(|scan| scan.key), Some(scan.key), "{}", text);
    }

    #[test]
    fn scan_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        for strings in [Strings::Standard, Strings::Escaped] {
            let _ = Shaper::new(3).scan_with(&bytes, strings);
            let _ = redact_with(&String::from_utf8_lossy(&bytes), strings);
        }
    }
}
