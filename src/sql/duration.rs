//! Durations as people write them in settings and hints.

use std::fmt;
use std::time::Duration;

/// Reads a number of seconds, or a number with a unit (`500ms`, `20s`, `2min`, `1h`). `None` for anything else, and for
/// what does not fit into 64 bits of milliseconds.
pub fn parse(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let milliseconds = match unit.trim().to_ascii_lowercase().as_str() {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(milliseconds).map(Duration::from_millis)
}

/// A duration in whole seconds where it is that, in milliseconds otherwise.
pub(super) fn write(f: &mut fmt::Formatter<'_>, duration: Duration) -> fmt::Result {
    match duration.subsec_millis() {
        0 => write!(f, "{}s", duration.as_secs()),
        _ => write!(f, "{}ms", duration.as_millis()),
    }
}

/// What stands in the brackets of `word(duration)`.
pub(super) fn in_brackets(text: &str, word: &str) -> Option<Duration> {
    let (name, rest) = text.split_once('(')?;
    let inner = rest.trim_end().strip_suffix(')')?;
    if name.trim().eq_ignore_ascii_case(word) { parse(inner.trim()) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_units_and_nothing_else() {
        let ms = Duration::from_millis;
        for (text, expected) in
            [("20", ms(20_000)), ("5ms", ms(5)), ("2 min", ms(120_000)), ("1h", ms(3_600_000))]
        {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
        for text in ["", "ms", "-1", "1.5s", "5 parsecs", "18446744073709551615h", "é"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(in_brackets("Wait( 5ms )", "wait"), Some(ms(5)));
        for text in ["wait", "wait(5ms", "wait 5ms", "waits(5ms)", "wait()"] {
            assert_eq!(in_brackets(text, "wait"), None, "{text}");
        }
    }
}
