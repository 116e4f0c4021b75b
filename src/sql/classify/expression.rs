//! Expressions: every kind of node that a raw tree has inside a query.

use super::Use;
use super::notes::Notes;
use super::select::{function_name, string};
use crate::sql::builtins::{self, Verdict};
use crate::sql::catalog::Arguments;
use pg_query::NodeEnum;
use pg_query::protobuf::{
    AArrayExpr, AExpr, AExprKind, AIndices, AIndirection, BoolExpr, BooleanTest, CaseExpr, CaseWhen,
    CoalesceExpr, CollateClause, ColumnRef, FuncCall, GroupingFunc, GroupingSet, List, MinMaxExpr,
    NamedArgExpr, Node, NullTest, ResTarget, RowExpr, SortBy, SqlValueFunction, SqlValueFunctionOp, SubLink,
    TypeCast, TypeName, WindowDef, XmlExpr, XmlSerialize,
};

impl Notes {
    pub(super) fn nodes(&mut self, nodes: &[Node]) {
        for node in nodes {
            self.node(node);
        }
    }

    pub(super) fn child(&mut self, node: Option<&Node>) {
        if let Some(node) = node {
            self.node(node);
        }
    }

    /// Walks a node. An empty one stands for a null in a list, as in the list of a plain DISTINCT.
    pub(super) fn node(&mut self, node: &Node) {
        let Some(node) = &node.node else { return };
        self.deeper(|notes| {
            let known = notes.query_part(node)
                || notes.expression(node)
                || notes.clause(node)
                || notes.json_part(node)
                || notes.dml_part(node);
            if !known {
                notes.not_understood("a kind of node");
            }
        });
    }

    /// Nodes with a value. `false` if it is none of them.
    fn expression(&mut self, node: &NodeEnum) -> bool {
        match node {
            NodeEnum::ColumnRef(ColumnRef { fields, location: _ }) => self.column(fields),
            NodeEnum::ParamRef(_)
            | NodeEnum::AConst(_)
            | NodeEnum::AStar(_)
            | NodeEnum::String(_)
            | NodeEnum::Integer(_)
            | NodeEnum::Float(_)
            | NodeEnum::Boolean(_)
            | NodeEnum::BitString(_) => {}
            NodeEnum::AExpr(expression) => {
                let AExpr { kind, name, lexpr, rexpr, rexpr_list_start: _, rexpr_list_end: _, location: _ } =
                    expression.as_ref();
                self.operators(*kind, name);
                self.child(lexpr.as_deref());
                self.child(rexpr.as_deref());
            }
            NodeEnum::BoolExpr(expression) => {
                let BoolExpr { xpr: _, boolop: _, args, location: _ } = expression.as_ref();
                self.nodes(args);
            }
            NodeEnum::FuncCall(call) => self.function_call(call),
            NodeEnum::SubLink(link) => {
                let SubLink {
                    xpr: _,
                    sub_link_type: _,
                    sub_link_id: _,
                    testexpr,
                    oper_name,
                    subselect,
                    location: _,
                } = link.as_ref();
                self.mention_list(Use::Operator, oper_name);
                self.child(testexpr.as_deref());
                self.child(subselect.as_deref());
            }
            NodeEnum::TypeCast(cast) => {
                let TypeCast { arg, type_name, location: _ } = cast.as_ref();
                self.child(arg.as_deref());
                self.type_name(type_name.as_ref());
            }
            NodeEnum::AArrayExpr(AArrayExpr { elements, list_start: _, list_end: _, location: _ }) => {
                self.nodes(elements);
            }
            NodeEnum::RowExpr(row) => {
                let RowExpr { xpr: _, args, row_typeid: _, row_format: _, colnames: _, location: _ } =
                    row.as_ref();
                self.nodes(args);
            }
            NodeEnum::AIndirection(indirection) => {
                let AIndirection { arg, indirection } = indirection.as_ref();
                self.child(arg.as_deref());
                self.nodes(indirection);
                indirection.iter().filter_map(string).for_each(|name| self.mention(Use::Field, "", name));
            }
            NodeEnum::AIndices(indices) => {
                let AIndices { is_slice: _, lidx, uidx } = indices.as_ref();
                self.child(lidx.as_deref());
                self.child(uidx.as_deref());
            }
            NodeEnum::SqlvalueFunction(function) => self.sql_value_function(function),
            _ => return self.special_expression(node),
        }
        true
    }

    /// Expressions with a syntax of their own. `false` if it is none of them.
    fn special_expression(&mut self, node: &NodeEnum) -> bool {
        match node {
            NodeEnum::CaseExpr(case) => {
                let CaseExpr { xpr: _, casetype: _, casecollid: _, arg, args, defresult, location: _ } =
                    case.as_ref();
                if arg.is_some() {
                    self.mention(Use::Operator, "", "=");
                }
                self.child(arg.as_deref());
                self.nodes(args);
                self.child(defresult.as_deref());
            }
            NodeEnum::CaseWhen(when) => {
                let CaseWhen { xpr: _, expr, result, location: _ } = when.as_ref();
                self.child(expr.as_deref());
                self.child(result.as_deref());
            }
            NodeEnum::CoalesceExpr(coalesce) => {
                let CoalesceExpr { xpr: _, coalescetype: _, coalescecollid: _, args, location: _ } =
                    coalesce.as_ref();
                self.nodes(args);
            }
            NodeEnum::MinMaxExpr(extreme) => {
                let MinMaxExpr {
                    xpr: _,
                    minmaxtype: _,
                    minmaxcollid: _,
                    inputcollid: _,
                    op: _,
                    args,
                    location: _,
                } = extreme.as_ref();
                self.nodes(args);
            }
            NodeEnum::NullTest(test) => {
                let NullTest { xpr: _, arg, nulltesttype: _, argisrow: _, location: _ } = test.as_ref();
                self.child(arg.as_deref());
            }
            NodeEnum::BooleanTest(test) => {
                let BooleanTest { xpr: _, arg, booltesttype: _, location: _ } = test.as_ref();
                self.child(arg.as_deref());
            }
            NodeEnum::GroupingFunc(grouping) => {
                let GroupingFunc { xpr: _, args, refs: _, agglevelsup: _, location: _ } = grouping.as_ref();
                self.nodes(args);
            }
            NodeEnum::XmlExpr(xml) => {
                let XmlExpr {
                    xpr: _,
                    op: _,
                    name: _,
                    named_args,
                    arg_names: _,
                    args,
                    xmloption: _,
                    indent: _,
                    r#type: _,
                    typmod: _,
                    location: _,
                } = xml.as_ref();
                self.nodes(named_args);
                self.nodes(args);
            }
            NodeEnum::XmlSerialize(xml) => {
                let XmlSerialize { xmloption: _, expr, type_name, indent: _, location: _ } = xml.as_ref();
                self.child(expr.as_deref());
                self.type_name(type_name.as_ref());
            }
            _ => return false,
        }
        true
    }

    /// Clauses that hold expressions. `false` if it is none of them.
    fn clause(&mut self, node: &NodeEnum) -> bool {
        match node {
            NodeEnum::ResTarget(target) => {
                let ResTarget { name: _, indirection, val, location: _ } = target.as_ref();
                self.nodes(indirection);
                self.child(val.as_deref());
            }
            NodeEnum::SortBy(sort) => {
                let SortBy { node, sortby_dir: _, sortby_nulls: _, use_op, location: _ } = sort.as_ref();
                self.mention_list(Use::Operator, use_op);
                self.child(node.as_deref());
            }
            NodeEnum::WindowDef(window) => self.window(window),
            NodeEnum::GroupingSet(GroupingSet { kind: _, content, location: _ }) => self.nodes(content),
            NodeEnum::CollateClause(collate) => {
                let CollateClause { arg, collname: _, location: _ } = collate.as_ref();
                self.child(arg.as_deref());
            }
            NodeEnum::NamedArgExpr(argument) => {
                let NamedArgExpr { xpr: _, arg, name: _, argnumber: _, location: _ } = argument.as_ref();
                self.child(arg.as_deref());
            }
            NodeEnum::TypeName(name) => self.type_name(Some(name)),
            NodeEnum::List(List { items }) => self.nodes(items),
            _ => return false,
        }
        true
    }

    pub(super) fn function_call(&mut self, call: &FuncCall) {
        let FuncCall {
            funcname,
            args,
            agg_order,
            agg_filter,
            over,
            agg_within_group,
            agg_star: _,
            agg_distinct: _,
            func_variadic,
            funcformat: _,
            location: _,
        } = call;
        match function_name(funcname) {
            Some("set_config") => self.set_config(args),
            Some("current_setting") => self.current_setting(args),
            Some(name) => self.note_function(name),
            None => {}
        }
        let arguments = match u16::try_from(args.len()) {
            Ok(count) if !agg_within_group && !func_variadic => Arguments::Exactly(count),
            _ => Arguments::Unclear,
        };
        self.mention_call(funcname, arguments);
        self.nodes(args);
        self.nodes(agg_order);
        self.child(agg_filter.as_deref());
        if let Some(window) = over {
            self.window(window);
        }
    }

    /// A function that is called. With `pg_catalog` in front it is the built-in one.
    pub(super) fn mention_call(&mut self, names: &[Node], arguments: Arguments) {
        let built_in = matches!(names, [schema, name] if string(schema) == Some("pg_catalog")
            && string(name).is_some_and(|name| builtins::verdict(name) != Verdict::Unlisted));
        // Also of what is only planned: the planner runs functions that are declared harmless, to know their result.
        if built_in {
            return;
        }
        match names {
            [schema, name] if string(schema) == Some("pg_catalog") => {
                self.mention(Use::Called(arguments), "pg_catalog", string(name).unwrap_or_default());
            }
            names => self.mention_list(Use::Called(arguments), names),
        }
    }

    /// The operators an expression uses: BETWEEN stands for two, of which the grammar tells no names.
    fn operators(&mut self, kind: i32, names: &[Node]) {
        match AExprKind::try_from(kind) {
            Ok(
                AExprKind::AexprBetween
                | AExprKind::AexprNotBetween
                | AExprKind::AexprBetweenSym
                | AExprKind::AexprNotBetweenSym,
            ) => ["<", "<=", ">", ">="].iter().for_each(|name| self.mention(Use::Operator, "", name)),
            _ => self.mention_list(Use::Operator, names),
        }
    }

    /// `a.b` can be the function `b` of the row `a`.
    fn column(&mut self, fields: &[Node]) {
        if let [_, .., name] = fields
            && let Some(name) = string(name)
        {
            self.mention(Use::Field, "", name);
        }
    }

    pub(super) fn window(&mut self, window: &WindowDef) {
        let WindowDef {
            name: _,
            refname: _,
            partition_clause,
            order_clause,
            frame_options: _,
            start_offset,
            end_offset,
            location: _,
        } = window;
        self.nodes(partition_clause);
        self.nodes(order_clause);
        self.child(start_offset.as_deref());
        self.child(end_offset.as_deref());
    }

    pub(super) fn type_name(&mut self, name: Option<&TypeName>) {
        let Some(name) = name else { return };
        let TypeName {
            names,
            type_oid: _,
            setof: _,
            pct_type: _,
            typmods,
            typemod: _,
            array_bounds,
            location: _,
        } = name;
        self.mention_list(Use::CastTo, names);
        self.nodes(typmods);
        self.nodes(array_bounds);
    }

    /// `CURRENT_TIMESTAMP` and its like are harmless but for `CURRENT_SCHEMA`, which is the function `current_schema()`.
    fn sql_value_function(&mut self, function: &SqlValueFunction) {
        let SqlValueFunction { xpr: _, op, r#type: _, typmod: _, location: _ } = function;
        match SqlValueFunctionOp::try_from(*op) {
            Ok(SqlValueFunctionOp::SvfopCurrentSchema) => self.note_function("current_schema"),
            Ok(SqlValueFunctionOp::SqlvalueFunctionOpUndefined) | Err(_) => {
                self.not_understood("a value function");
            }
            Ok(_) => {}
        }
    }
}
