//! INSERT, UPDATE, DELETE and MERGE: they write, but what they call may leave something in the session.

use super::notes::Notes;
use super::{Cause, Class, Leaves, Use};
use pg_query::NodeEnum;
use pg_query::protobuf::{
    DeleteStmt, IndexElem, InferClause, InsertStmt, MergeStmt, MergeWhenClause, MultiAssignRef,
    OnConflictClause, RangeVar, ReturningClause, UpdateStmt,
};

/// The view whose rule makes an UPDATE a call of `set_config()`.
///
/// <https://www.postgresql.org/docs/current/view-pg-settings.html>
const SETTINGS_VIEW: &str = "pg_settings";

impl Notes {
    /// Nodes of statements that write. `false` if it is none of them.
    pub(super) fn dml_part(&mut self, node: &NodeEnum) -> bool {
        match node {
            NodeEnum::InsertStmt(insert) => self.with_scope(|notes| notes.insert(insert)),
            NodeEnum::UpdateStmt(update) => self.with_scope(|notes| notes.update(update)),
            NodeEnum::DeleteStmt(delete) => self.with_scope(|notes| notes.delete(delete)),
            NodeEnum::MergeStmt(merge) => self.with_scope(|notes| notes.merge(merge)),
            NodeEnum::MergeWhenClause(when) => {
                let MergeWhenClause {
                    match_kind: _,
                    command_type: _,
                    r#override: _,
                    condition,
                    target_list,
                    values,
                } = when.as_ref();
                self.child(condition.as_deref());
                self.nodes(target_list);
                self.nodes(values);
            }
            NodeEnum::MultiAssignRef(assign) => {
                let MultiAssignRef { source, colno: _, ncolumns: _ } = assign.as_ref();
                self.child(source.as_deref());
            }
            NodeEnum::IndexElem(element) => {
                let IndexElem {
                    name: _,
                    expr,
                    indexcolname: _,
                    collation: _,
                    opclass: _,
                    opclassopts,
                    ordering: _,
                    nulls_ordering: _,
                } = element.as_ref();
                self.child(expr.as_deref());
                self.nodes(opclassopts);
            }
            // DEFAULT, merge_action(), WHERE CURRENT OF, RETURNING WITH (OLD AS …): nothing inside that could be called.
            NodeEnum::SetToDefault(_)
            | NodeEnum::MergeSupportFunc(_)
            | NodeEnum::CurrentOfExpr(_)
            | NodeEnum::ReturningOption(_) => {}
            _ => return false,
        }
        true
    }

    fn writes(&mut self, target: Option<&RangeVar>) {
        self.note_execution(Class::Write, Cause::Dml, true);
        let Some(relation) = target else { return };
        self.relation(relation);
        // What is written is a relation, also where a WITH query has its name.
        self.mention(Use::Read, &relation.schemaname, &relation.relname);
        if !self.is_planned_only() {
            self.mention(Use::Written, &relation.schemaname, &relation.relname);
            if relation.relname == SETTINGS_VIEW {
                self.leaves |= Leaves::ANYTHING;
            }
        }
    }

    fn insert(&mut self, insert: &InsertStmt) {
        let InsertStmt {
            relation,
            cols,
            select_stmt,
            on_conflict_clause,
            returning_clause,
            with_clause,
            r#override: _,
        } = insert;
        self.with(with_clause.as_ref());
        self.writes(relation.as_ref());
        self.nodes(cols);
        self.child(select_stmt.as_deref());
        if let Some(clause) = on_conflict_clause {
            let OnConflictClause { action: _, infer, target_list, where_clause, location: _ } =
                clause.as_ref();
            if let Some(infer) = infer {
                let InferClause { index_elems, where_clause, conname: _, location: _ } = infer.as_ref();
                self.nodes(index_elems);
                self.child(where_clause.as_deref());
            }
            self.nodes(target_list);
            self.child(where_clause.as_deref());
        }
        self.returning(returning_clause.as_ref());
    }

    fn update(&mut self, update: &UpdateStmt) {
        let UpdateStmt { relation, target_list, where_clause, from_clause, returning_clause, with_clause } =
            update;
        self.with(with_clause.as_ref());
        self.writes(relation.as_ref());
        self.nodes(target_list);
        self.child(where_clause.as_deref());
        self.nodes(from_clause);
        self.returning(returning_clause.as_ref());
    }

    fn delete(&mut self, delete: &DeleteStmt) {
        let DeleteStmt { relation, using_clause, where_clause, returning_clause, with_clause } = delete;
        self.with(with_clause.as_ref());
        self.writes(relation.as_ref());
        self.nodes(using_clause);
        self.child(where_clause.as_deref());
        self.returning(returning_clause.as_ref());
    }

    fn merge(&mut self, merge: &MergeStmt) {
        let MergeStmt {
            relation,
            source_relation,
            join_condition,
            merge_when_clauses,
            returning_clause,
            with_clause,
        } = merge;
        self.with(with_clause.as_ref());
        self.writes(relation.as_ref());
        self.child(source_relation.as_deref());
        self.child(join_condition.as_deref());
        self.nodes(merge_when_clauses);
        self.returning(returning_clause.as_ref());
    }

    fn returning(&mut self, returning: Option<&ReturningClause>) {
        let Some(ReturningClause { options, exprs }) = returning else {
            return;
        };
        self.nodes(options);
        self.nodes(exprs);
    }
}
