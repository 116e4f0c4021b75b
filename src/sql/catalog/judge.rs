//! The verdict on each object by itself, before anything it uses is looked at.

use super::source::EVERYTHING;
use super::{
    Builtin, Does, Function, Language, Logged, Relation, RelationKind, Said, Volatility, Vouched, Why,
    extensions,
};
use crate::sql::builtins::{self, Reason, Verdict};

/// The verdict on an object by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Somebody who knows says that it is harmless, whatever it uses.
    Cleared,
    /// It is harmful by itself.
    Harmful(Why),
    /// It depends on what it uses.
    Open,
}

/// The verdict on a function that is not the server's own.
pub(super) fn function(function: &Function, schema: &str, vouched: &Vouched) -> Judgement {
    match (vouched.functions.says(schema, &function.name), function.comment) {
        (Some(Said::Primary), _) => return Judgement::Harmful(Why::Rule),
        (None, Some(Said::Primary)) => return Judgement::Harmful(Why::Comment),
        (Some(Said::Read), _) | (None, Some(Said::Read)) => return Judgement::Cleared,
        (None, None) => {}
    }
    if let Some(extension) = &function.extension {
        if extensions::is_harmless(extension, &function.name) {
            return Judgement::Cleared;
        }
        if let Verdict::Primary(reason) = builtins::verdict(&function.name) {
            return Judgement::Harmful(Why::Listed(reason));
        }
    }
    if function.volatility == Volatility::Volatile {
        return Judgement::Harmful(Why::Volatile);
    }
    Judgement::Open
}

/// What the body of a function may do when nothing is known but its language.
pub(super) fn unread_body(function: &Function) -> Does {
    let trusted = function.volatility != Volatility::Volatile;
    match function.language {
        Language::Sql | Language::PlPgSql | Language::Aggregate => Does::NOTHING,
        Language::Native | Language::Other if trusted => Does::NOTHING,
        Language::Native if function.extension.is_some() => Does::WRITES | Does::LEAVES_ANYTHING,
        Language::Native => EVERYTHING.with(Does::RUNS_NATIVE_CODE),
        Language::Other => EVERYTHING,
    }
}

/// The verdict on a relation.
pub(super) fn relation(relation: &Relation, schema: &str, vouched: &Vouched) -> Judgement {
    match vouched.tables.says(schema, &relation.name) {
        Some(Said::Primary) => return Judgement::Harmful(Why::Rule),
        Some(Said::Read) => return Judgement::Cleared,
        None => {}
    }
    let why = match relation.kind {
        RelationKind::Composite => return Judgement::Open,
        _ if builtins::is_node_view(&relation.name) => Why::Listed(Reason::Node),
        RelationKind::Foreign => Why::Foreign,
        RelationKind::Sequence => Why::Sequence,
        _ if relation.logged == Logged::Unlogged => Why::Unlogged,
        RelationKind::Table | RelationKind::View | RelationKind::Materialized => return Judgement::Open,
    };
    Judgement::Harmful(why)
}

/// The verdict on a function that came with the server.
pub(super) fn builtin(function: &Builtin, vouched: &Vouched) -> Judgement {
    // `information_schema` asks them about every relation. A session that has a temporary schema stays on the primary; all
    // others have none, on whichever node.
    if matches!(&*function.name, "pg_my_temp_schema" | "pg_is_other_temp_schema") {
        return Judgement::Open;
    }
    match named_builtin(&function.name, vouched) {
        NamedBuiltin::Harmless => Judgement::Open,
        NamedBuiltin::Harmful(why) => Judgement::Harmful(why),
        NamedBuiltin::Unlisted => unlisted_builtin(&function.name, function.volatility, vouched),
    }
}

/// The verdict on a function that came with the server, but is not in all the versions that the lists were made from.
pub(super) fn unlisted_builtin(name: &str, volatility: Volatility, vouched: &Vouched) -> Judgement {
    match vouched.functions.says("pg_catalog", name) {
        Some(Said::Primary) => Judgement::Harmful(Why::Rule),
        Some(Said::Read) => Judgement::Open,
        None if volatility == Volatility::Immutable => Judgement::Open,
        None => Judgement::Harmful(Why::Listed(Reason::Volatile)),
    }
}

/// What is said of a name as one of the server's own functions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NamedBuiltin {
    Harmless,
    Harmful(Why),
    Unlisted,
}

/// What is said of a name as one of the server's own functions.
pub(super) fn named_builtin(name: &str, vouched: &Vouched) -> NamedBuiltin {
    match (builtins::verdict(name), vouched.functions.says("pg_catalog", name)) {
        (Verdict::Unlisted, _) => NamedBuiltin::Unlisted,
        (_, Some(Said::Primary)) => NamedBuiltin::Harmful(Why::Rule),
        (_, Some(Said::Read)) | (Verdict::Harmless, None) => NamedBuiltin::Harmless,
        (Verdict::Primary(reason), None) => NamedBuiltin::Harmful(Why::Listed(reason)),
    }
}

/// What one of the server's own functions may do when it is called.
pub(super) fn builtin_does(name: &str) -> Does {
    let Verdict::Primary(reason) = builtins::verdict(name) else { return Does::NOTHING };
    let writes = if reason.may_write() { Does::WRITES } else { Does::NOTHING };
    writes | builtin_inner(name)
}

/// What one of the server's own functions may do to tables, the session and the catalog, as a part of something else.
pub(super) fn builtin_inner(name: &str) -> Does {
    /// Triggers that change nothing but the row.
    const ROW_TRIGGERS: [&str; 3] =
        ["suppress_redundant_updates_trigger", "tsvector_update_trigger", "tsvector_update_trigger_column"];
    let Verdict::Primary(reason) = builtins::verdict(name) else { return Does::NOTHING };
    match reason {
        Reason::Volatile if ROW_TRIGGERS.contains(&name) => Does::NOTHING,
        Reason::RunsSql | Reason::Volatile => EVERYTHING,
        Reason::Elsewhere => Does::WRITES | Does::LEAVES_ANYTHING,
        Reason::Writes | Reason::NeedsPrimary | Reason::LargeObject if !builtins::changes_no_rows(name) => {
            Does::WRITES
        }
        _ if matches!(name, "currval" | "lastval") => Does::USES_SEQUENCE,
        _ if leaves(name) => Does::LEAVES_ANYTHING,
        _ => Does::NOTHING,
    }
}

/// Whether a call leaves something in the session.
fn leaves(name: &str) -> bool {
    let locks = name.starts_with("pg_advisory_") || name.starts_with("pg_try_advisory_");
    (locks && !name.contains("_xact_")) || matches!(name, "set_config" | "setseed")
}
