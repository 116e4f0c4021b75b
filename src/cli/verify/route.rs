//! What a Tidegate says about where the last statement of a connection went.

/// An answer to `SHOW tidegate.last_route`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// `host:port`.
    pub(super) node: String,
    /// Whether that node is a replica.
    pub(super) is_replica: bool,
    /// All of the answer.
    pub(super) lines: Vec<String>,
}

impl Route {
    /// Reads the answer, whose first line is `to: replica host:port, reason fresh`.
    pub(super) fn read(lines: Vec<String>) -> Option<Self> {
        let place = lines.first()?.strip_prefix("to: ")?;
        let (role, rest) = place.split_once(' ')?;
        let node = rest.split_once(',').map_or(rest, |(node, _)| node).to_owned();
        let is_replica = match role {
            "replica" => true,
            "primary" => false,
            _ => return None,
        };
        Some(Self { node, is_replica, lines })
    }

    /// `replica host:port`.
    pub(super) fn place(&self) -> String {
        format!("{} {}", if self.is_replica { "replica" } else { "primary" }, self.node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_tells() {
        let read = |line: &str| Route::read(vec![line.to_owned(), "because: …".to_owned()]);
        let route = read("to: replica pg2:5432, reason fresh").unwrap();
        assert_eq!((route.node.as_str(), route.is_replica, route.lines.len()), ("pg2:5432", true, 2));
        assert_eq!(read("to: primary pg1:5432, reason stale").unwrap().place(), "primary pg1:5432");
        assert_eq!(read("no statement was routed yet"), None);
        assert_eq!(Route::read(Vec::new()), None);
    }
}
