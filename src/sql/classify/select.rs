//! SELECT, VALUES, TABLE and what stands in FROM.

use super::notes::Notes;
use super::{Cause, Class, Leaves, Use};
use crate::sql::builtins;
use pg_query::NodeEnum;
use pg_query::protobuf::{
    Alias, ColumnDef, CommonTableExpr, CteCycleClause, CteSearchClause, IntoClause, JoinExpr, LockingClause,
    Node, RangeFunction, RangeSubselect, RangeTableFunc, RangeTableFuncCol, RangeTableSample, RangeVar,
    SelectStmt, WithClause,
};

impl Notes {
    pub(super) fn select(&mut self, select: &SelectStmt) {
        self.with_scope(|notes| notes.select_in_scope(select));
    }

    fn select_in_scope(&mut self, select: &SelectStmt) {
        let SelectStmt {
            distinct_clause,
            into_clause,
            target_list,
            from_clause,
            where_clause,
            group_clause,
            group_distinct: _,
            having_clause,
            window_clause,
            values_lists,
            sort_clause,
            limit_offset,
            limit_count,
            limit_option: _,
            locking_clause,
            with_clause,
            op: _,
            all: _,
            larg,
            rarg,
        } = select;
        self.with(with_clause.as_ref());
        for nodes in [
            distinct_clause,
            target_list,
            from_clause,
            group_clause,
            window_clause,
            values_lists,
            sort_clause,
        ] {
            self.nodes(nodes);
        }
        for node in [where_clause, having_clause, limit_offset, limit_count] {
            self.child(node.as_deref());
        }
        if let Some(into) = into_clause {
            self.note(Class::Write, Cause::SelectInto, true);
            self.into(into);
        }
        self.nodes(locking_clause);
        for branch in [larg, rarg].into_iter().flatten() {
            self.deeper(|notes| notes.select(branch));
        }
    }

    /// The table that SELECT INTO or CREATE TABLE AS creates.
    pub(super) fn into(&mut self, into: &IntoClause) {
        let IntoClause {
            rel,
            col_names: _,
            access_method: _,
            options: _,
            on_commit: _,
            table_space_name: _,
            view_query,
            skip_data: _,
        } = into;
        self.created(rel.as_ref());
        if view_query.is_some() {
            self.not_understood("an analysed query");
        }
    }

    /// A relation that is created: whether it is a temporary one.
    pub(super) fn created(&mut self, relation: Option<&RangeVar>) {
        if relation.is_some_and(|relation| relation.relpersistence == "t") {
            self.leaves |= Leaves::TEMP_TABLE;
        } else {
            self.changes_catalog();
        }
    }

    pub(super) fn with(&mut self, with: Option<&WithClause>) {
        let Some(WithClause { ctes, recursive, location: _ }) = with else {
            return;
        };
        // RECURSIVE: each may use all of them. Otherwise each may use those before it.
        if *recursive {
            ctes.iter().filter_map(cte_name).for_each(|name| self.add_cte(name));
        }
        for cte in ctes {
            self.node(cte);
            if let Some(name) = cte_name(cte) {
                self.add_cte(name);
            }
        }
    }

    fn cte(&mut self, cte: &CommonTableExpr) {
        let CommonTableExpr {
            ctename: _,
            aliascolnames: _,
            ctematerialized: _,
            ctequery,
            search_clause,
            cycle_clause,
            location: _,
            cterecursive: _,
            cterefcount: _,
            ctecolnames: _,
            ctecoltypes: _,
            ctecoltypmods: _,
            ctecolcollations: _,
        } = cte;
        match ctequery.as_ref().and_then(|query| query.node.as_ref()) {
            Some(
                NodeEnum::InsertStmt(_)
                | NodeEnum::UpdateStmt(_)
                | NodeEnum::DeleteStmt(_)
                | NodeEnum::MergeStmt(_),
            ) => self.note_execution(Class::Write, Cause::WritableCte, true),
            Some(NodeEnum::SelectStmt(_)) => {}
            _ => self.not_understood("this kind of WITH query"),
        }
        self.child(ctequery.as_deref());
        if let Some(search) = search_clause {
            let CteSearchClause {
                search_col_list: _,
                search_breadth_first: _,
                search_seq_column: _,
                location: _,
            } = search;
        }
        if let Some(cycle) = cycle_clause {
            let CteCycleClause {
                cycle_col_list: _,
                cycle_mark_column: _,
                cycle_mark_value,
                cycle_mark_default,
                cycle_path_column: _,
                location: _,
                cycle_mark_type: _,
                cycle_mark_typmod: _,
                cycle_mark_collation: _,
                cycle_mark_neop: _,
            } = cycle.as_ref();
            self.child(cycle_mark_value.as_deref());
            self.child(cycle_mark_default.as_deref());
        }
    }

    /// Nodes of the query's frame: what can stand in FROM and beside the expressions. `false` if it is none of them.
    pub(super) fn query_part(&mut self, node: &NodeEnum) -> bool {
        match node {
            NodeEnum::SelectStmt(select) => self.select(select),
            NodeEnum::CommonTableExpr(cte) => self.cte(cte),
            NodeEnum::LockingClause(LockingClause { locked_rels: _, strength: _, wait_policy: _ }) => {
                self.note_execution(Class::Write, Cause::LockingClause, false);
            }
            NodeEnum::RangeVar(relation) => self.relation(relation),
            NodeEnum::JoinExpr(join) => self.join_expression(join),
            NodeEnum::RangeSubselect(subselect) => {
                let RangeSubselect { lateral: _, subquery, alias } = subselect.as_ref();
                self.child(subquery.as_deref());
                self.alias(alias.as_ref());
            }
            NodeEnum::RangeFunction(function) => {
                let RangeFunction { lateral: _, ordinality: _, is_rowsfrom: _, functions, alias, coldeflist } =
                    function;
                self.nodes(functions);
                self.alias(alias.as_ref());
                self.nodes(coldeflist);
            }
            NodeEnum::RangeTableFunc(table) => self.table_function(table),
            NodeEnum::RangeTableFuncCol(column) => self.table_function_column(column),
            NodeEnum::RangeTableSample(sample) => self.sample(sample),
            NodeEnum::ColumnDef(column) => self.column_definition(column),
            _ => return false,
        }
        true
    }

    /// A relation that is read (or written: then the statement says so itself).
    pub(super) fn relation(&mut self, relation: &RangeVar) {
        let RangeVar { catalogname: _, schemaname, relname, inh: _, relpersistence: _, alias, location: _ } =
            relation;
        self.alias(alias.as_ref());
        if builtins::is_node_view(relname) {
            self.note_execution(Class::Unknown, Cause::SystemView(relname.as_str().into()), false);
        }
        if !schemaname.is_empty() || !self.is_cte(relname) {
            self.mention(Use::Read, schemaname, relname);
        }
    }

    fn alias(&mut self, alias: Option<&Alias>) {
        let Some(Alias { aliasname: _, colnames }) = alias else {
            return;
        };
        self.nodes(colnames);
    }

    fn join_expression(&mut self, join: &JoinExpr) {
        let JoinExpr {
            jointype: _,
            is_natural,
            larg,
            rarg,
            using_clause,
            join_using_alias,
            quals,
            alias,
            rtindex: _,
        } = join;
        if *is_natural || !using_clause.is_empty() {
            self.mention(Use::Operator, "", "=");
        }
        for node in [larg, rarg, quals] {
            self.child(node.as_deref());
        }
        self.alias(join_using_alias.as_ref());
        self.alias(alias.as_ref());
    }

    /// XMLTABLE.
    fn table_function(&mut self, table: &RangeTableFunc) {
        let RangeTableFunc { lateral: _, docexpr, rowexpr, namespaces, columns, alias, location: _ } = table;
        self.child(docexpr.as_deref());
        self.child(rowexpr.as_deref());
        self.nodes(namespaces);
        self.nodes(columns);
        self.alias(alias.as_ref());
    }

    fn table_function_column(&mut self, column: &RangeTableFuncCol) {
        let RangeTableFuncCol {
            colname: _,
            type_name,
            for_ordinality: _,
            is_not_null: _,
            colexpr,
            coldefexpr,
            location: _,
        } = column;
        self.type_name(type_name.as_ref());
        self.child(colexpr.as_deref());
        self.child(coldefexpr.as_deref());
    }

    /// TABLESAMPLE. The built-in methods read blocks or rows at random; any other one is a function like others.
    fn sample(&mut self, sample: &RangeTableSample) {
        let RangeTableSample { relation, method, args, repeatable, location: _ } = sample;
        self.child(relation.as_deref());
        match function_name(method) {
            Some("bernoulli" | "system") => {}
            _ => self.note_execution(Class::Unknown, Cause::NotUnderstood("a TABLESAMPLE method"), false),
        }
        self.nodes(args);
        self.child(repeatable.as_deref());
    }

    /// A column that a function's result is declared to have: `f() AS t(a int)`.
    fn column_definition(&mut self, column: &ColumnDef) {
        let ColumnDef {
            colname: _,
            type_name,
            compression: _,
            inhcount: _,
            is_local: _,
            is_not_null: _,
            is_from_type: _,
            storage: _,
            storage_name: _,
            raw_default,
            cooked_default,
            identity: _,
            identity_sequence,
            generated: _,
            coll_clause,
            coll_oid: _,
            constraints,
            fdwoptions,
            location: _,
        } = column;
        self.type_name(type_name.as_ref());
        self.child(raw_default.as_deref());
        self.child(cooked_default.as_deref());
        if let Some(collation) = coll_clause {
            self.child(collation.arg.as_deref());
        }
        if identity_sequence.is_some() || !constraints.is_empty() || !fdwoptions.is_empty() {
            self.not_understood("a column with constraints");
        }
    }
}

fn cte_name(cte: &Node) -> Option<&str> {
    match &cte.node {
        Some(NodeEnum::CommonTableExpr(cte)) => Some(&cte.ctename),
        _ => None,
    }
}

/// The name of a function that can only be looked for in `pg_catalog` first: without a schema, or with that one.
pub(super) fn function_name(names: &[Node]) -> Option<&str> {
    match names {
        [name] => string(name),
        [schema, name] if string(schema) == Some("pg_catalog") => string(name),
        _ => None,
    }
}

/// The text of a node that is a string.
pub(super) fn string(node: &Node) -> Option<&str> {
    match &node.node {
        Some(NodeEnum::String(string)) => Some(&string.sval),
        _ => None,
    }
}
