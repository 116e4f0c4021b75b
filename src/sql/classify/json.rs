//! The SQL/JSON constructors, query functions and `JSON_TABLE`.

use super::notes::Notes;
use pg_query::NodeEnum;
use pg_query::protobuf::{
    Alias, JsonAggConstructor, JsonArgument, JsonArrayAgg, JsonArrayConstructor, JsonArrayQueryConstructor,
    JsonBehavior, JsonFuncExpr, JsonIsPredicate, JsonKeyValue, JsonObjectAgg, JsonObjectConstructor,
    JsonOutput, JsonParseExpr, JsonScalarExpr, JsonSerializeExpr, JsonTable, JsonTableColumn,
    JsonTablePathSpec, JsonValueExpr,
};

impl Notes {
    /// Nodes of SQL/JSON. `false` if it is none of them.
    pub(super) fn json_part(&mut self, node: &NodeEnum) -> bool {
        match node {
            NodeEnum::JsonFuncExpr(function) => self.json_function(function),
            NodeEnum::JsonValueExpr(value) => self.json_value(Some(value)),
            NodeEnum::JsonArgument(argument) => {
                let JsonArgument { val, name: _ } = argument.as_ref();
                self.json_value(val.as_deref());
            }
            NodeEnum::JsonTable(table) => self.json_table(table),
            NodeEnum::JsonTableColumn(column) => self.json_table_column(column),
            NodeEnum::JsonTablePathSpec(path) => self.json_path(Some(path)),
            NodeEnum::JsonBehavior(behavior) => self.json_behavior(Some(behavior)),
            NodeEnum::JsonKeyValue(pair) => self.json_key_value(Some(pair)),
            NodeEnum::JsonOutput(output) => self.json_output(Some(output)),
            // The format of a value: words only.
            NodeEnum::JsonFormat(_) | NodeEnum::JsonReturning(_) => {}
            _ => return self.json_constructor(node),
        }
        true
    }

    fn json_constructor(&mut self, node: &NodeEnum) -> bool {
        match node {
            NodeEnum::JsonParseExpr(parse) => {
                let JsonParseExpr { expr, output, unique_keys: _, location: _ } = parse.as_ref();
                self.json_value(expr.as_deref());
                self.json_output(output.as_ref());
            }
            NodeEnum::JsonScalarExpr(scalar) => {
                let JsonScalarExpr { expr, output, location: _ } = scalar.as_ref();
                self.child(expr.as_deref());
                self.json_output(output.as_ref());
            }
            NodeEnum::JsonSerializeExpr(serialize) => {
                let JsonSerializeExpr { expr, output, location: _ } = serialize.as_ref();
                self.json_value(expr.as_deref());
                self.json_output(output.as_ref());
            }
            NodeEnum::JsonObjectConstructor(object) => {
                let JsonObjectConstructor { exprs, output, absent_on_null: _, unique: _, location: _ } =
                    object;
                self.nodes(exprs);
                self.json_output(output.as_ref());
            }
            NodeEnum::JsonArrayConstructor(array) => {
                let JsonArrayConstructor { exprs, output, absent_on_null: _, location: _ } = array;
                self.nodes(exprs);
                self.json_output(output.as_ref());
            }
            NodeEnum::JsonArrayQueryConstructor(array) => {
                let JsonArrayQueryConstructor { query, output, format: _, absent_on_null: _, location: _ } =
                    array.as_ref();
                self.child(query.as_deref());
                self.json_output(output.as_ref());
            }
            NodeEnum::JsonAggConstructor(aggregate) => self.json_aggregate(Some(aggregate)),
            NodeEnum::JsonObjectAgg(aggregate) => {
                let JsonObjectAgg { constructor, arg, absent_on_null: _, unique: _ } = aggregate.as_ref();
                self.json_aggregate(constructor.as_deref());
                self.json_key_value(arg.as_deref());
            }
            NodeEnum::JsonArrayAgg(aggregate) => {
                let JsonArrayAgg { constructor, arg, absent_on_null: _ } = aggregate.as_ref();
                self.json_aggregate(constructor.as_deref());
                self.json_value(arg.as_deref());
            }
            NodeEnum::JsonIsPredicate(predicate) => {
                let JsonIsPredicate { expr, format: _, item_type: _, unique_keys: _, location: _ } =
                    predicate.as_ref();
                self.child(expr.as_deref());
            }
            _ => return false,
        }
        true
    }

    fn json_function(&mut self, function: &JsonFuncExpr) {
        let JsonFuncExpr {
            op: _,
            column_name: _,
            context_item,
            pathspec,
            passing,
            output,
            on_empty,
            on_error,
            wrapper: _,
            quotes: _,
            location: _,
        } = function;
        self.json_value(context_item.as_deref());
        self.child(pathspec.as_deref());
        self.nodes(passing);
        self.json_output(output.as_ref());
        self.json_behavior(on_empty.as_deref());
        self.json_behavior(on_error.as_deref());
    }

    fn json_value(&mut self, value: Option<&JsonValueExpr>) {
        let Some(value) = value else { return };
        let JsonValueExpr { raw_expr, formatted_expr, format: _ } = value;
        self.child(raw_expr.as_deref());
        self.child(formatted_expr.as_deref());
    }

    fn json_key_value(&mut self, pair: Option<&JsonKeyValue>) {
        let Some(pair) = pair else { return };
        let JsonKeyValue { key, value } = pair;
        self.child(key.as_deref());
        self.json_value(value.as_deref());
    }

    fn json_output(&mut self, output: Option<&JsonOutput>) {
        let Some(JsonOutput { type_name, returning: _ }) = output else {
            return;
        };
        self.type_name(type_name.as_ref());
    }

    fn json_behavior(&mut self, behavior: Option<&JsonBehavior>) {
        let Some(behavior) = behavior else { return };
        let JsonBehavior { btype: _, expr, coerce: _, location: _ } = behavior;
        self.child(expr.as_deref());
    }

    fn json_path(&mut self, path: Option<&JsonTablePathSpec>) {
        let Some(path) = path else { return };
        let JsonTablePathSpec { string, name: _, name_location: _, location: _ } = path;
        self.child(string.as_deref());
    }

    fn json_aggregate(&mut self, aggregate: Option<&JsonAggConstructor>) {
        let Some(aggregate) = aggregate else { return };
        let JsonAggConstructor { output, agg_filter, agg_order, over, location: _ } = aggregate;
        self.json_output(output.as_ref());
        self.child(agg_filter.as_deref());
        self.nodes(agg_order);
        if let Some(window) = over {
            self.window(window);
        }
    }

    fn json_table(&mut self, table: &JsonTable) {
        let JsonTable { context_item, pathspec, passing, columns, on_error, alias, lateral: _, location: _ } =
            table;
        self.json_value(context_item.as_deref());
        self.json_path(pathspec.as_deref());
        self.nodes(passing);
        self.nodes(columns);
        self.json_behavior(on_error.as_deref());
        if let Some(Alias { aliasname: _, colnames }) = alias {
            self.nodes(colnames);
        }
    }

    fn json_table_column(&mut self, column: &JsonTableColumn) {
        let JsonTableColumn {
            coltype: _,
            name: _,
            type_name,
            pathspec,
            format: _,
            wrapper: _,
            quotes: _,
            columns,
            on_empty,
            on_error,
            location: _,
        } = column;
        self.type_name(type_name.as_ref());
        self.json_path(pathspec.as_deref());
        self.nodes(columns);
        self.json_behavior(on_empty.as_deref());
        self.json_behavior(on_error.as_deref());
    }
}
