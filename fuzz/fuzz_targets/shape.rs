//! Texts of one shape are classified alike: other literals, other white space and other comments in the same tokens.
//! What is kept under a shape's key would otherwise be wrong for some text of that shape.
#![forbid(unsafe_code)]
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::sql::classify::LONGEST_TEXT;
use tidegate::sql::parse;
use tidegate::sql::shape::{Shaper, Strings, tokens};

fuzz_target!(|data: &[u8]| {
    // The first byte chooses the new literals.
    let Some((choice, data)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.contains('\0') || text.len() > LONGEST_TEXT / 2 {
        return;
    }
    let Some(other) = varied(text, *choice) else { return };
    let shaper = Shaper::new(1);
    let key = |text: &str| shaper.scan(text.as_bytes()).map(|scan| scan.key);
    if key(text) != key(&other) {
        return;
    }
    let (one, two) = (parse(text, Strings::Standard), parse(&other, Strings::Standard));
    // A literal may be wrong by itself (an escape, a number too large for its place): such answers are not kept.
    if one.belongs_to_shape() && two.belongs_to_shape() {
        assert_eq!(one, two, "{text:?} and {other:?} have one shape");
    }
});

/// The same tokens with other literals and other space between them.
fn varied(text: &str, choice: u8) -> Option<String> {
    let pick = |values: [&'static str; 4], at: usize| values[(usize::from(choice) + at) % 4];
    let mut other = String::new();
    for (at, (kind, start, end)) in tokens(text, Strings::Standard)?.into_iter().enumerate() {
        let same = &text[start..end];
        other.push_str(match kind {
            "line comment" | "block comment" => continue,
            "text" => pick(["''", "'port'", "E'\\'x'", "$a$ 1 $a$"], at),
            "unicode text" => pick(["U&''", "U&'a'", "U&'\\0041'", "U&'b''c'"], at),
            "bits" => pick(["b''", "B'0'", "b'1'", "B'0101'"], at),
            "hex" => pick(["x''", "X'F'", "x'0a'", "X'1'"], at),
            "number" => pick(["0", "1", "1.5e3", "0x1F"], at),
            _ => same,
        });
        // Nothing may come between N and its string, which is a word of its own there.
        let national = same.eq_ignore_ascii_case("n") && text[end..].starts_with('\'');
        if !national {
            other.push_str(pick([" ", "\n", "\t ", " "], at));
        }
    }
    Some(other)
}
