//! What kind of text a statement is, by its outermost nodes and nothing else: the measure must not share the opinions
//! of what it measures.

use std::sync::{Mutex, PoisonError};

use pg_query::NodeEnum;
use pg_query::protobuf::{ExplainStmt, VariableSetKind};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// SELECT, VALUES, TABLE, WITH, or EXPLAIN without ANALYZE: what an app expects replicas to serve.
    Read,
    /// Changes the session in a way that outlives a transaction: SET, PREPARE and the like.
    SessionState,
    /// Anything else, and several statements that are not of one kind.
    Other,
}

/// The parser redirects the standard error of the whole process, so one text is parsed at a time.
static PARSER: Mutex<()> = Mutex::new(());

impl Kind {
    pub fn of(text: &str) -> Self {
        let alone = PARSER.lock().unwrap_or_else(PoisonError::into_inner);
        let parsed = pg_query::parse(text, 0);
        drop(alone);
        let Ok(parsed) = parsed else { return Self::Other };
        let mut kinds = parsed.protobuf.stmts.iter().map(|statement| {
            let node = statement.stmt.as_ref().and_then(|node| node.node.as_ref());
            node.map_or(Self::Other, Self::of_node)
        });
        let first = kinds.next().unwrap_or(Self::Other);
        if !kinds.all(|kind| kind == first) {
            return Self::Other;
        }
        let sets = parsed.functions().iter().any(|name| name.ends_with("set_config"));
        if first == Self::Read && sets { Self::SessionState } else { first }
    }

    fn of_node(node: &NodeEnum) -> Self {
        match node {
            NodeEnum::SelectStmt(select) if select.into_clause.is_none() => Self::Read,
            NodeEnum::ExplainStmt(explain) if !analyzes(explain) => {
                let explained = explain.query.as_ref().and_then(|query| query.node.as_ref());
                if explained.is_some_and(is_planned) { Self::Read } else { Self::Other }
            }
            NodeEnum::VariableSetStmt(set)
                if !set.is_local && !is_about_the_transaction(set.kind, &set.name) =>
            {
                Self::SessionState
            }
            NodeEnum::PrepareStmt(_)
            | NodeEnum::DeallocateStmt(_)
            | NodeEnum::DiscardStmt(_)
            | NodeEnum::LoadStmt(_) => Self::SessionState,
            _ => Self::Other,
        }
    }
}

/// What EXPLAIN plans and does not run.
fn is_planned(node: &NodeEnum) -> bool {
    match node {
        NodeEnum::SelectStmt(select) => select.into_clause.is_none(),
        NodeEnum::InsertStmt(_)
        | NodeEnum::UpdateStmt(_)
        | NodeEnum::DeleteStmt(_)
        | NodeEnum::MergeStmt(_) => true,
        _ => false,
    }
}

fn analyzes(explain: &ExplainStmt) -> bool {
    explain
        .options
        .iter()
        .any(|option| matches!(&option.node, Some(NodeEnum::DefElem(option)) if option.defname == "analyze"))
}

/// SET TRANSACTION, whose effect ends with the transaction.
fn is_about_the_transaction(kind: i32, name: &str) -> bool {
    kind == VariableSetKind::VarSetMulti as i32 && name == "TRANSACTION"
}

#[cfg(test)]
mod tests {
    use super::Kind::{self, Other, Read, SessionState};

    #[test]
    fn texts_are_of_the_kind_of_their_outermost_nodes() {
        for (text, kind) in [
            ("select 1", Read),
            ("values (1)", Read),
            ("table t", Read),
            ("with a as (select 1) select * from a", Read),
            ("select 1; select 2", Read),
            ("explain (costs off) select 1", Read),
            ("explain insert into t values (1)", Read),
            ("select nextval('s')", Read),
            ("select set_config('a.b', 'c', false)", SessionState),
            ("select 1 where pg_catalog.set_config('a.b', 'c', true) = ''", SessionState),
            ("explain (analyze) select 1", Other),
            ("explain execute p", Other),
            ("select 1 into t", Other),
            ("insert into t values (1)", Other),
            ("select 1; insert into t values (1)", Other),
            ("set a.b = 1", SessionState),
            ("reset all", SessionState),
            ("set session authorization app", SessionState),
            ("set session characteristics as transaction read only", SessionState),
            ("set transaction read only", Other),
            ("set local work_mem = '1MB'", Other),
            ("prepare p as select 1", SessionState),
            ("begin", Other),
            ("", Other),
            ("selec 1", Other),
        ] {
            assert_eq!(Kind::of(text), kind, "{text}");
        }
    }
}
