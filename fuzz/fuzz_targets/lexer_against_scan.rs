//! Our lexer and PostgreSQL's find the same tokens in any text, with `standard_conforming_strings` on and off.
#![forbid(unsafe_code)]
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::sql::shape::{Shaper, Strings, compare, redact_with, tokens};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        assert_eq!(Shaper::new(0).scan(data), None);
        return;
    };
    for strings in [Strings::Standard, Strings::Escaped] {
        // A C string ends at the first NUL; the wire protocol has none inside a text.
        if !text.contains('\0') {
            compare(text, strings).unwrap_or_else(|difference| panic!("{difference}"));
        }
        let has_shape = Shaper::new(0).scan_with(data, strings).is_some();
        assert_eq!(has_shape, tokens(text, strings).is_some());
        let _ = redact_with(text, strings);
    }
});
