//! What people who know their database say of its objects, over what the catalog would conclude.

use super::Said;

/// Functions and relations that the operator vouches for, or wants on the primary: rules of the configuration.
///
/// Each is `schema.name` or just `name`, in which `*` stands for any characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vouched {
    /// Any node answers alike.
    pub read: Vec<Box<str>>,
    /// Only the primary will do.
    pub primary: Vec<Box<str>>,
}

impl Vouched {
    /// What is said of an object. Who is on both lists stays on the primary.
    pub(super) fn says(&self, schema: &str, name: &str) -> Option<Said> {
        let is_on = |list: &[Box<str>]| list.iter().any(|pattern| names(pattern, schema, name));
        if is_on(&self.primary) {
            return Some(Said::Primary);
        }
        is_on(&self.read).then_some(Said::Read)
    }
}

/// What a comment says: `tidegate: read` or `tidegate: primary`, and whatever behind it.
pub fn comment(text: &str) -> Option<Said> {
    let (tag, rest) = text.trim_start().split_once(':')?;
    if !tag.trim_end().eq_ignore_ascii_case("tidegate") {
        return None;
    }
    let word = rest.trim_start().split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    match () {
        () if word.eq_ignore_ascii_case("read") => Some(Said::Read),
        () if word.eq_ignore_ascii_case("primary") => Some(Said::Primary),
        () => None,
    }
}

fn names(pattern: &str, schema: &str, name: &str) -> bool {
    matches(pattern, name)
        || pattern.match_indices('.').any(|(dot, _)| {
            let parts = pattern.get(..dot).zip(pattern.get(dot + 1..));
            parts.is_some_and(|(before, behind)| matches(before, schema) && matches(behind, name))
        })
}

/// Whether `text` is like `pattern`, in which `*` stands for any characters.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(head) else { return false };
    let mut starts = (0..=text.len()).filter_map(|at| text.get(at..));
    starts.any(|text| matches(rest, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let list = |patterns: &[&str]| patterns.iter().map(|p| Box::from(*p)).collect();
        let vouched = Vouched {
            read: list(&["audit", "app.total_*", "stats.*"]),
            primary: list(&["app.total_now", "*_fresh"]),
        };
        let says = |schema, name| vouched.says(schema, name);
        assert_eq!(says("any", "audit"), Some(Said::Read));
        assert_eq!(says("app", "total_of"), Some(Said::Read));
        assert_eq!(says("app", "total_now"), Some(Said::Primary));
        assert_eq!(says("stats", "is_fresh"), Some(Said::Primary));
        assert_eq!(says("stats", "anything"), Some(Said::Read));
        assert_eq!(says("app", "total"), None);
        assert_eq!(says("audit", "app"), None);
    }

    #[test]
    fn comments() {
        assert_eq!(comment("tidegate: read"), Some(Said::Read));
        assert_eq!(comment(" TideGate :READ, it only logs"), Some(Said::Read));
        assert_eq!(comment("tidegate: primary"), Some(Said::Primary));
        for text in ["", "tidegate", "tidegate: reading", "see tidegate: read", "tidegate: no"] {
            assert_eq!(comment(text), None, "{text}");
        }
    }
}
