//! Values and keys as TOML writes them.

use std::fmt::Write as _;

/// A text in quotation marks.
pub(super) fn text(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => drop(write!(out, "\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Several texts.
pub(super) fn list(values: &[String]) -> String {
    let values: Vec<String> = values.iter().map(|value| text(value)).collect();
    format!("[{}]", values.join(", "))
}

/// A key, in quotation marks where it needs them.
pub(super) fn key(name: &str) -> String {
    let is_bare = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if is_bare { name.to_owned() } else { text(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_back(name in ".{0,12}", value in "(?s).{0,24}") {
            let written = format!("{} = [{}, {}]", key(&name), text(&value), text(&name));
            let table = written.parse::<toml::Table>().expect("it is TOML");
            let read: Vec<&str> = table[&name].as_array().expect("a list").iter().filter_map(|v| v.as_str()).collect();
            proptest::prop_assert_eq!(read, vec![value.as_str(), name.as_str()]);
        }
    }
}
