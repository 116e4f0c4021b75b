//! What an EXPLAIN with its options in parentheses explains.

use super::lexer::{Kind, Lexer};

/// The statement behind `EXPLAIN (…)`, as it stands in the text. `None` when the text is nothing like that.
pub fn explained(text: &str) -> Option<&str> {
    // There is no string in front of what is explained.
    let mut lexer = Lexer::new(text.as_bytes());
    let mut tokens = std::iter::from_fn(|| lexer.next().ok().flatten())
        .filter(|token| !matches!(token.kind, Kind::LineComment | Kind::BlockComment));
    let first = tokens.next()?;
    if !text.get(first.start..first.end)?.eq_ignore_ascii_case("explain") {
        return None;
    }
    let mut depth = 0_usize;
    for token in tokens {
        match text.get(token.start..token.end)? {
            "(" => depth += 1,
            ")" if depth == 1 => return text.get(token.end..),
            ")" => depth = depth.checked_sub(1)?,
            _ if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_explained() {
        assert_eq!(explained("EXPLAIN (ROUTE) select 1"), Some(" select 1"));
        assert_eq!(explained("/* a ( */ explain -- (\n(route, x (y)) table t;"), Some(" table t;"));
        assert_eq!(explained("explain select (1)"), None);
        assert_eq!(explained("select (1) from x"), None);
        assert_eq!(explained("explain (route"), None);
    }
}
