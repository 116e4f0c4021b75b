//! What Tidegate says it would do with a statement, as its trace says it: the one place that knows the form of it.

use tidegate::wire::ErrorFields;

use crate::trial::Claim;

/// Where a statement would go, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    pub target: Target,
    /// The reason, as in the metrics.
    pub reason: String,
    /// What the statement is, in words: its class, a colon, its cause.
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Primary,
    Replica,
}

impl Word {
    /// Reads the body of a notice; `None` when it is not from Tidegate.
    pub fn read(body: &[u8]) -> Option<Self> {
        let fields = ErrorFields::read(body);
        if fields.code != b"00000" {
            return None;
        }
        let detail = field(body, b'D').unwrap_or_default();
        let detail = detail.lines().next().unwrap_or_default().trim_start_matches("class: ");
        Self::parse(std::str::from_utf8(fields.message).ok()?, detail.to_owned())
    }

    /// Reads the lines of `EXPLAIN (ROUTE)`: `would be: <decided>` where Tidegate only observes, `class: …`.
    pub fn from_lines(lines: &[String]) -> Option<Self> {
        let line = |start: &str| lines.iter().find_map(|line| line.strip_prefix(start));
        let detail = line("class: ").unwrap_or_default();
        Self::parse(&format!("tidegate: {}", line("would be: ")?), detail.to_owned())
    }

    /// Whether it is only said because the catalog is being read.
    pub fn waits_for_the_catalog(&self) -> bool {
        self.reason == "catalog" || self.detail.contains("is not in the catalog")
    }

    /// What can be proven wrong about it.
    pub fn claim(&self) -> Claim {
        match self.target {
            Target::Replica => Claim::Replica,
            Target::Primary if self.reason == "pinned" && self.detail.starts_with("read:") => {
                Claim::PinnedRead
            }
            Target::Primary => Claim::Primary,
        }
    }

    /// `tidegate: <done>`, or `tidegate: <done>; would be <decided>`, both as `<role> <address>, reason <reason>`.
    fn parse(message: &str, detail: String) -> Option<Self> {
        let said = message.strip_prefix("tidegate: ")?;
        let decided = said.split_once("; would be ").map_or(said, |(_, decided)| decided);
        let (node, reason) = decided.split_once(", reason ")?;
        let target = match node.split(' ').next()? {
            "primary" => Target::Primary,
            "replica" => Target::Replica,
            _ => return None,
        };
        Some(Self { target, reason: reason.to_owned(), detail })
    }
}

/// The field with this tag of an error or a notice.
/// <https://www.postgresql.org/docs/current/protocol-error-fields.html>
fn field(body: &[u8], tag: u8) -> Option<String> {
    let field = body.split(|byte| *byte == 0).find(|field| field.first() == Some(&tag))?;
    Some(String::from_utf8_lossy(&field[1..]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_have_been_decided_counts() {
        for (message, target, reason) in [
            ("tidegate: replica 127.0.0.1:5433, reason fresh", Target::Replica, "fresh"),
            ("tidegate: primary 127.0.0.1:5432, reason write", Target::Primary, "write"),
            (
                "tidegate: primary 127.0.0.1:5432, reason observe; would be replica 127.0.0.1:5433, reason fresh",
                Target::Replica,
                "fresh",
            ),
            (
                "tidegate: primary h:1, reason observe; would be primary h:1, reason unknown",
                Target::Primary,
                "unknown",
            ),
        ] {
            let word = Word { target, reason: reason.to_owned(), detail: String::new() };
            assert_eq!(Word::parse(message, String::new()), Some(word), "{message}");
        }
        assert_eq!(Word::parse("relation \"a\" does not exist, skipping", String::new()), None);
    }

    #[test]
    fn what_is_explained_is_what_would_be_done() {
        let lines = |would: &str| {
            let lines =
                ["to: primary h:1, reason observe", would, "because: it writes", "class: read: it reads"];
            lines.map(str::to_owned)
        };
        let word = Word::from_lines(&lines("would be: replica h:2, reason fresh")).unwrap();
        assert_eq!(
            (word.target, word.reason.as_str(), word.detail.as_str()),
            (Target::Replica, "fresh", "read: it reads")
        );
        assert_eq!(Word::from_lines(&lines("level: session")), None);
    }

    #[test]
    fn the_detail_is_read_from_the_notice() {
        let body = b"SNOTICE\0VNOTICE\0C00000\0Mtidegate: primary h:1, reason unknown\0Dclass: unknown: it calls f()\nleaves: anything\0\0";
        let word = Word::read(body).unwrap();
        assert_eq!((word.target, word.detail.as_str()), (Target::Primary, "unknown: it calls f()"));
        assert_eq!(Word::read(b"SNOTICE\0C42P07\0Mtidegate: primary h:1, reason unknown\0\0"), None);
    }
}
