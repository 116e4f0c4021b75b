//! Settings: SET, RESET, SHOW, `set_config()`, `current_setting()`, and Tidegate's own.

use super::notes::Notes;
use super::{Cause, Class, Leaves, Own};
use pg_query::NodeEnum;
use pg_query::protobuf::a_const::Val;
use pg_query::protobuf::{AConst, DefElem, Node, VariableSetKind, VariableSetStmt, VariableShowStmt};

/// What the names of Tidegate's own settings begin with.
const OWN_PREFIX: &str = "tidegate.";

/// Settings whose value is the session's or the same on all nodes, so that `current_setting()` of them is a plain read. Others
/// (`transaction_read_only`, `in_hot_standby`, `port`) tell of the node.
const SAME_ON_ALL_NODES: &[&str] = &[
    "application_name",
    "bytea_output",
    "client_encoding",
    "client_min_messages",
    "datestyle",
    "default_text_search_config",
    "extra_float_digits",
    "intervalstyle",
    "lc_messages",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "lock_timeout",
    "search_path",
    "server_encoding",
    "server_version",
    "server_version_num",
    "standard_conforming_strings",
    "statement_timeout",
    "timezone",
    "xmloption",
];

impl Notes {
    /// SET and RESET.
    pub(super) fn set(&mut self, statement: &VariableSetStmt) {
        let VariableSetStmt { kind, name, args, jumble_args: _, is_local, location: _ } = statement;
        match own_name(name).and_then(|own| own_change(statement, own)) {
            Some(own) => self.note(Class::Own(Box::new(own)), Cause::Setting, false),
            None => self.note(Class::Session, Cause::Setting, false),
        }
        let leaves = if *is_local { Leaves::LOCAL_SETTINGS } else { Leaves::SETTINGS };
        match VariableSetKind::try_from(*kind) {
            Ok(VariableSetKind::VarSetValue | VariableSetKind::VarSetCurrent) => {
                self.note_setting(name, leaves);
            }
            Ok(VariableSetKind::VarSetDefault | VariableSetKind::VarReset) => {
                self.note_reset(name, leaves);
            }
            Ok(VariableSetKind::VarSetMulti) => self.set_transaction(name, args),
            Ok(VariableSetKind::VarResetAll) => self.leaves |= Leaves::SETTINGS | Leaves::RESET_ALL,
            Ok(VariableSetKind::Undefined) | Err(_) => self.not_understood("a kind of SET"),
        }
    }

    /// SET TRANSACTION, SET SESSION CHARACTERISTICS: several settings in one statement.
    fn set_transaction(&mut self, what: &str, args: &[Node]) {
        let (prefix, leaves) = match what {
            "SESSION CHARACTERISTICS" => ("default_", Leaves::SETTINGS),
            "TRANSACTION" => ("", Leaves::LOCAL_SETTINGS),
            // The snapshot is one of the primary's.
            "TRANSACTION SNAPSHOT" => {
                self.leaves |= Leaves::LOCAL_SETTINGS;
                return self.note(Class::Unknown, Cause::Utility("set transaction snapshot"), false);
            }
            _ => return self.not_understood("a kind of SET"),
        };
        for mode in args {
            match &mode.node {
                Some(NodeEnum::DefElem(mode)) => {
                    self.note_setting(&format!("{prefix}{}", mode.defname), leaves);
                }
                _ => self.not_understood("a transaction mode"),
            }
        }
    }

    pub(super) fn show(&mut self, statement: &VariableShowStmt) {
        let VariableShowStmt { name } = statement;
        // PostgreSQL has no setting of this name, and operators know the question from other poolers.
        let pins = name.eq_ignore_ascii_case("pins").then(|| "pins".into());
        match own_name(name).or(pins) {
            Some(name) => self.note(Class::Own(Box::new(Own::Show { name })), Cause::Setting, false),
            None => self.note(Class::Session, Cause::Setting, false),
        }
    }

    /// `set_config(name, value, is_local)`
    pub(super) fn set_config(&mut self, args: &[Node]) {
        self.note_function("set_config");
        if self.is_planned_only() {
            return;
        }
        let leaves = match args.get(2).and_then(constant) {
            Some(Val::Boolval(local)) if local.boolval => Leaves::LOCAL_SETTINGS,
            Some(Val::Boolval(_)) => Leaves::SETTINGS,
            _ => Leaves::SETTINGS | Leaves::LOCAL_SETTINGS,
        };
        match args.first().and_then(constant) {
            Some(Val::Sval(name)) if args.get(1).is_some_and(is_null) => self.note_reset(&name.sval, leaves),
            Some(Val::Sval(name)) => self.note_setting(&name.sval, leaves),
            // Which setting is not known, so it may be synchronous_commit or role too.
            _ => self.leaves |= leaves | Leaves::UNNAMED_SETTING | Leaves::ASYNC_COMMIT | Leaves::ROLE,
        }
    }

    /// `current_setting(name)`: a plain read of the session's own settings (their names have a point in them) and of those
    /// in the list.
    pub(super) fn current_setting(&mut self, args: &[Node]) {
        let same = match args.first().and_then(constant) {
            Some(Val::Sval(name)) => {
                let name = name.sval.to_ascii_lowercase();
                name.contains('.') || SAME_ON_ALL_NODES.contains(&name.as_str())
            }
            _ => false,
        };
        if !same {
            self.note_execution(Class::Unknown, Cause::Function("current_setting".into()), false);
        }
    }
}

/// The name of one of Tidegate's own settings, in lower case and without the prefix.
fn own_name(name: &str) -> Option<Box<str>> {
    let (prefix, own) = name.split_at_checked(OWN_PREFIX.len())?;
    prefix.eq_ignore_ascii_case(OWN_PREFIX).then(|| own.to_ascii_lowercase().into())
}

fn own_change(statement: &VariableSetStmt, name: Box<str>) -> Option<Own> {
    let local = statement.is_local;
    match VariableSetKind::try_from(statement.kind) {
        Ok(VariableSetKind::VarSetValue) => {
            let values = statement
                .args
                .iter()
                .map(|arg| constant(arg).and_then(value_text))
                .collect::<Option<Vec<_>>>()?;
            Some(Own::Set { name, value: values.join(", ").into(), local })
        }
        Ok(VariableSetKind::VarSetDefault | VariableSetKind::VarReset) => Some(Own::Reset { name, local }),
        _ => None,
    }
}

fn value_text(value: &Val) -> Option<String> {
    match value {
        Val::Ival(number) => Some(number.ival.to_string()),
        Val::Fval(number) => Some(number.fval.clone()),
        Val::Sval(text) => Some(text.sval.clone()),
        Val::Boolval(truth) => Some(truth.boolval.to_string()),
        Val::Bsval(_) => None,
    }
}

/// The value of a node that is a constant. A null has none.
pub(super) fn constant(node: &Node) -> Option<&Val> {
    match &node.node {
        Some(NodeEnum::AConst(AConst { isnull: _, location: _, val })) => val.as_ref(),
        _ => None,
    }
}

/// The name and the text of an option of a statement whose value is a word.
pub(super) fn option_text(node: &Node) -> Option<(&str, &str)> {
    match &node.node {
        Some(NodeEnum::DefElem(element)) => match element.arg.as_ref().map(|arg| &arg.node) {
            Some(Some(NodeEnum::String(text))) => Some((&element.defname, &text.sval)),
            _ => None,
        },
        _ => None,
    }
}

fn is_null(node: &Node) -> bool {
    matches!(&node.node, Some(NodeEnum::AConst(constant)) if constant.isnull)
}

/// The name and the constant of an option of a statement.
pub(super) fn option(node: &Node) -> Option<(&str, Option<&Val>)> {
    match &node.node {
        Some(NodeEnum::DefElem(element)) => {
            let DefElem { defnamespace: _, defname, arg, defaction: _, location: _, arg_location: _ } =
                element.as_ref();
            Some((defname, arg.as_ref().and_then(|arg| constant(arg))))
        }
        _ => None,
    }
}
