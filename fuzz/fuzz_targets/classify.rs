//! Any text: classifying it and reading its hints never panics, what PostgreSQL's grammar does not take may do anything, and
//! what stands inside a string is no hint.
#![forbid(unsafe_code)]
#![no_main]

use libfuzzer_sys::fuzz_target;
use pg_query::ParserOptions;
use tidegate::sql::{Class, LONGEST_TEXT, Shaper, Strings, deallocated, executed, explained, parse};

fuzz_target!(|data: &[u8]| {
    let shaper = Shaper::new(1);
    let Ok(text) = std::str::from_utf8(data) else {
        assert!(shaper.scan(data).is_none());
        return;
    };
    if text.contains('\0') || text.len() > LONGEST_TEXT {
        return;
    }
    for strings in [Strings::Standard, Strings::Escaped] {
        let options = match strings {
            Strings::Standard => ParserOptions::DEFAULT,
            Strings::Escaped => ParserOptions::DISABLE_STANDARD_CONFORMING_STRINGS,
        };
        let parsed = parse(text, strings);
        if pg_query::parse(text, options).is_err() {
            let class = parsed.without_catalog().class;
            assert_eq!(class, Class::Unknown, "{text:?} is not understood by PostgreSQL");
        }
        if let Some(scan) = shaper.scan_with(data, strings) {
            let _ = scan.hints().map(|hints| hints.is_empty());
        }
    }
    let _ = (explained(text), executed(text), deallocated(text));
    strings_hold_no_hints(&shaper, text);
});

/// The text as a value: whatever is in it, it asks for nothing.
fn strings_hold_no_hints(shaper: &Shaper, text: &str) {
    let quoted = text.replace('\'', "''");
    let named = text.replace('"', "\"\"");
    for value in [format!("select '{quoted}'"), format!("select 1 as \"x{named}\"")] {
        let scan = shaper.scan(value.as_bytes()).expect("a string is a token");
        assert!(scan.hints.is_empty(), "a hint was found in {value:?}");
    }
    if !text.contains("$q$") && !text.ends_with("$q") && !text.ends_with('$') {
        let value = format!("select $q${text}$q$");
        let scan = shaper.scan(value.as_bytes()).expect("a string is a token");
        assert!(scan.hints.is_empty(), "a hint was found in {value:?}");
    }
}
