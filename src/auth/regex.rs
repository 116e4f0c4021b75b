//! Regular expressions in `pg_hba.conf` and `pg_ident.conf`.
//!
//! PostgreSQL's are its "advanced" ones: <https://www.postgresql.org/docs/current/functions-matching.html>. What means the
//! same in the engine used here is understood; everything else is refused, so that no expression means something else here
//! than there. As in PostgreSQL, they see bytes, classes of characters are those of ASCII, and nothing anchors them.

use regex::bytes::{Regex, RegexBuilder};

use super::lines::Wrong;

/// More would be a mistake, or an attempt to fill the memory: in bytes, compiled.
const LARGEST: usize = 1 << 20;

/// An expression.
#[derive(Clone, Debug)]
pub(super) struct Expression(Regex);

impl Expression {
    /// Compiles what follows the slash.
    pub(super) fn read(text: &str) -> Result<Self, Wrong> {
        let refused = |why: &str| {
            let problem = format!("the regular expression {text:?} cannot be used here: {why}");
            Wrong::new(problem, "Write it with what POSIX expressions have, or as a list of names")
        };
        if let Some(why) = differs(text) {
            return Err(refused(why));
        }
        let built = RegexBuilder::new(text)
            .unicode(false)
            .dot_matches_new_line(true)
            .size_limit(LARGEST)
            .dfa_size_limit(LARGEST)
            .build();
        // Errors of the engine are drawn over several lines; the last one says what is wrong.
        built.map(Self).map_err(|error| {
            let error = error.to_string();
            refused(error.lines().last().unwrap_or_default().trim_start_matches("error: "))
        })
    }

    pub(super) fn is_in(&self, name: &str) -> bool {
        self.0.is_match(name.as_bytes())
    }

    /// Whether it has a part in parentheses.
    pub(super) fn has_group(&self) -> bool {
        self.0.captures_len() > 1
    }

    /// What the first part in parentheses is in the name; `None` where the expression is not in it, or that part is not.
    pub(super) fn first_group<'a>(&self, name: &'a str) -> Option<&'a str> {
        let group = self.0.captures(name.as_bytes())?.get(1)?;
        name.get(group.range())
    }
}

/// Why an expression would mean something else to PostgreSQL, if it would.
fn differs(text: &str) -> Option<&'static str> {
    let mut rest = text.chars().peekable();
    let mut in_brackets = false;
    let mut before = None;
    while let Some(c) = rest.next() {
        let next = rest.peek().copied();
        match (c, next) {
            ('\\', Some(escaped)) => {
                let is_letter = escaped.is_alphanumeric() && !"dDsSwWntrfva".contains(escaped);
                if is_letter || "<>".contains(escaped) || !escaped.is_ascii() {
                    return Some("it escapes something that is not understood");
                }
                rest.next();
            }
            ('[', _) if in_brackets => return Some("it has a class within brackets"),
            ('&' | '-' | '~', Some(same)) if in_brackets && c == same => {
                return Some("it has a doubled sign within brackets");
            }
            ('[', _) => {
                in_brackets = true;
                // A bracket that comes first in brackets is one of the characters.
                if next == Some('^') {
                    rest.next();
                }
                rest.next_if_eq(&']');
            }
            (']', _) if in_brackets => in_brackets = false,
            ('(', Some('?')) if !in_brackets => {
                rest.next();
                if rest.peek() != Some(&':') {
                    return Some("it has a group that is not understood");
                }
            }
            ('*' | '+' | '?' | '}', Some('*' | '+' | '{')) if !in_brackets => {
                return Some("it repeats what is repeated");
            }
            ('*' | '+' | '?', _) if !in_brackets && matches!(before, None | Some('(' | '|' | '^')) => {
                return Some("it repeats nothing");
            }
            _ => {}
        }
        before = Some(c);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_in(expression: &str, name: &str) -> bool {
        Expression::read(expression).unwrap_or_else(|wrong| panic!("{wrong:?}")).is_in(name)
    }

    #[test]
    fn expressions_are_searched_for_anywhere() {
        assert!(is_in("b", "abc"));
        assert!(is_in(r"^db\d{2,4}$", "db123"));
        assert!(!is_in(r"^db\d{2,4}$", "db1"));
        assert!(is_in("^(a|b)?c$", "bc"));
        assert!(is_in(r"^[a-z_]+\.example$", "x_y.example"));
        assert!(is_in("^.{2}$", "é"), "bytes are counted, as PostgreSQL does before it knows an encoding");
        assert!(!is_in(r"^\d$", "٣"), "digits are those of ASCII");
        assert!(is_in(r"[]x]", "]"));
        assert!(is_in(r"^(?:ab)+?$", "abab"));
    }

    #[test]
    fn what_would_mean_something_else_is_refused() {
        for text in [
            r"\bx",
            r"\<x",
            r"\mx",
            r"\1",
            r"\p{L}",
            r"(?i)x",
            "(?=x)",
            "(?P<n>x)",
            "[[:alpha:]]",
            "[a&&b]",
            "[a--b]",
            "[a~~b]",
            "a**",
            "a+*",
            "*",
            "(*a)",
            "(",
            "[a",
            "a{2",
            "***=x",
            r"\",
            r"\é",
            "(?<n>x)",
            "a{99999999}",
        ] {
            assert!(Expression::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_first_part_in_parentheses_is_known() {
        let expression = Expression::read(r"^(.*)@example\.com$").unwrap();
        assert!(expression.has_group());
        assert_eq!(expression.first_group("ann@example.com"), Some("ann"));
        assert_eq!(expression.first_group("ann@example.org"), None);
        assert_eq!(Expression::read("^(a)|b$").unwrap().first_group("b"), None);
        assert!(!Expression::read("^(?:a)$").unwrap().has_group());
    }
}
