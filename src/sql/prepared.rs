//! Which prepared statements a text names. Names given by protocol are the proxy's business, so it must know.

use pg_query::NodeEnum;
use pg_query::protobuf::DeallocateStmt;

/// What a DEALLOCATE takes away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deallocated {
    /// Every prepared statement.
    All,
    /// The statement of this name.
    Name(String),
}

/// What `text` deallocates, if that is the one thing it does.
pub fn deallocated(text: &str) -> Option<Deallocated> {
    let parsed = pg_query::parse(text, 0).ok()?.protobuf;
    let [statement] = parsed.stmts.as_slice() else { return None };
    match statement.stmt.as_ref()?.node.as_ref()? {
        NodeEnum::DeallocateStmt(DeallocateStmt { name, isall, location: _ }) => {
            Some(if *isall || name.is_empty() { Deallocated::All } else { Deallocated::Name(name.clone()) })
        }
        _ => None,
    }
}

/// The prepared statement that `text` runs, or explains, if that is the one thing it does.
pub fn executed(text: &str) -> Option<String> {
    let parsed = pg_query::parse(text, 0).ok()?.protobuf;
    let [statement] = parsed.stmts.as_slice() else { return None };
    let mut node = statement.stmt.as_ref()?.node.as_ref()?;
    if let NodeEnum::ExplainStmt(explain) = node {
        node = explain.query.as_ref()?.node.as_ref()?;
    }
    match node {
        NodeEnum::ExecuteStmt(execute) => Some(execute.name.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_postgresql_reads_them() {
        let name = |n: &str| Some(Deallocated::Name(n.to_owned()));
        assert_eq!(deallocated("DEALLOCATE _pg3_0"), name("_pg3_0"));
        assert_eq!(deallocated("deallocate prepare \"Foo\""), name("Foo"));
        assert_eq!(deallocated("deallocate FOO;"), name("foo"));
        assert_eq!(deallocated("DEALLOCATE ALL"), Some(Deallocated::All));
        assert_eq!(deallocated("deallocate a; deallocate b"), None);
        assert_eq!(deallocated("select 1"), None);
        assert_eq!(executed("EXPLAIN (VERBOSE) EXECUTE s_1(NULL)").as_deref(), Some("s_1"));
        assert_eq!(executed("execute s_1").as_deref(), Some("s_1"));
        assert_eq!(executed("select 1"), None);
    }
}
