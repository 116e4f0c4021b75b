//! Statements as a whole: which kind of node stands at the top.

use super::notes::Notes;
use super::setting::{option, option_text};
use super::{Cause, Class, Leaves, Own, Use};
use pg_query::NodeEnum;
use pg_query::protobuf::a_const::Val;
use pg_query::protobuf::{
    CallStmt, CopyStmt, CreateTableAsStmt, DeclareCursorStmt, DiscardMode, DropBehavior, ExecuteStmt,
    ExplainStmt, Node, PrepareStmt, RangeVar, TransactionStmt, TransactionStmtKind, TruncateStmt,
};

/// `CURSOR_OPT_HOLD` of `nodes/parsenodes.h`.
const CURSOR_OPTION_HOLD: i32 = 0x0020;

impl Notes {
    /// Notes what a whole statement may do.
    pub(super) fn statement(&mut self, node: &NodeEnum) {
        match node {
            NodeEnum::SelectStmt(select) => {
                self.note(Class::Read, Cause::Plain, false);
                self.deeper(|notes| notes.select(select));
            }
            NodeEnum::InsertStmt(_)
            | NodeEnum::UpdateStmt(_)
            | NodeEnum::DeleteStmt(_)
            | NodeEnum::MergeStmt(_) => {
                self.note_execution(Class::Write, Cause::Dml, true);
                self.deeper(|notes| {
                    notes.dml_part(node);
                });
            }
            NodeEnum::TransactionStmt(statement) => self.transaction(statement),
            NodeEnum::VariableSetStmt(statement) => self.set(statement),
            NodeEnum::VariableShowStmt(statement) => self.show(statement),
            NodeEnum::ExplainStmt(statement) => self.explain(statement),
            NodeEnum::CopyStmt(statement) => self.copy(statement),
            NodeEnum::CallStmt(statement) => self.call(statement),
            NodeEnum::DoStmt(_) => {
                self.changes_catalog();
                self.note(Class::Unknown, Cause::Do, true);
            }
            NodeEnum::CreateStmt(statement) => self.creates(statement.relation.as_ref()),
            NodeEnum::CreateTableAsStmt(statement) => self.create_table_as(statement),
            NodeEnum::ViewStmt(statement) => self.creates(statement.view.as_ref()),
            NodeEnum::CreateSeqStmt(statement) => self.creates(statement.sequence.as_ref()),
            _ => {
                if !self.session_statement(node) {
                    self.other_statement(node);
                }
            }
        }
    }

    /// CREATE of a relation. Of temporary ones the catalog keeps nothing.
    fn creates(&mut self, relation: Option<&RangeVar>) {
        self.created(relation);
        self.note(Class::Write, Cause::Ddl, true);
    }

    fn transaction(&mut self, statement: &TransactionStmt) {
        let TransactionStmt { kind, options, savepoint_name: _, gid: _, chain: _, location: _ } = statement;
        let control = Cause::TransactionControl;
        match TransactionStmtKind::try_from(*kind) {
            Ok(TransactionStmtKind::TransStmtBegin | TransactionStmtKind::TransStmtStart) => {
                self.begin(promises_only_reads(options));
            }
            Ok(TransactionStmtKind::TransStmtCommit | TransactionStmtKind::TransStmtRollback) => {
                self.note(Class::End, control, false);
            }
            Ok(
                TransactionStmtKind::TransStmtSavepoint
                | TransactionStmtKind::TransStmtRelease
                | TransactionStmtKind::TransStmtRollbackTo,
            ) => self.note(Class::Savepoint, control, false),
            Ok(
                TransactionStmtKind::TransStmtPrepare
                | TransactionStmtKind::TransStmtCommitPrepared
                | TransactionStmtKind::TransStmtRollbackPrepared,
            ) => self.note(Class::Unknown, Cause::Utility("two-phase commit"), true),
            Ok(TransactionStmtKind::Undefined) | Err(_) => {
                self.not_understood("a kind of transaction statement");
            }
        }
    }

    /// EXPLAIN only plans, and a standby plans writes as well; EXPLAIN ANALYZE does what it explains. The option counts in any
    /// spelling and with any value.
    fn explain(&mut self, statement: &ExplainStmt) {
        let ExplainStmt { query, options } = statement;
        let Some(query) = query.as_ref().and_then(|query| query.node.as_ref()) else {
            return self.not_understood("an empty tree");
        };
        let names = || options.iter().map(|node| option(node).map(|(name, _)| name));
        if let [Some("route")] = names().collect::<Vec<_>>()[..] {
            return self.note(Class::Own(Box::new(Own::ExplainRoute)), Cause::Setting, false);
        }
        if names().any(|name| name.is_none_or(|name| name.eq_ignore_ascii_case("analyze"))) {
            return self.deeper(|notes| notes.executed_by_explain(|notes| notes.statement(query)));
        }
        match query {
            NodeEnum::SelectStmt(_)
            | NodeEnum::InsertStmt(_)
            | NodeEnum::UpdateStmt(_)
            | NodeEnum::DeleteStmt(_)
            | NodeEnum::MergeStmt(_) => {
                self.note(Class::Read, Cause::Plain, false);
                self.deeper(|notes| notes.planned(|notes| notes.statement(query)));
            }
            _ => self.note(Class::Unknown, Cause::Utility("explain of a utility statement"), true),
        }
    }

    fn copy(&mut self, statement: &CopyStmt) {
        let CopyStmt {
            relation,
            query,
            attlist: _,
            is_from,
            is_program,
            filename: _,
            options: _,
            where_clause,
        } = statement;
        let class = if *is_from { Class::Write } else { Class::Unknown };
        self.note(class, Cause::Copy, *is_from || *is_program);
        if *is_program {
            self.writes_unnamed();
        }
        if let Some(relation) = relation {
            self.relation(relation);
            if *is_from {
                self.mention(Use::Written, &relation.schemaname, &relation.relname);
            }
        }
        self.child(query.as_deref());
        self.child(where_clause.as_deref());
    }

    fn call(&mut self, statement: &CallStmt) {
        let CallStmt { funccall, funcexpr: _, outargs: _ } = statement;
        self.note(Class::Unknown, Cause::Call, true);
        if let Some(call) = funccall {
            self.function_call(call);
        }
    }

    fn create_table_as(&mut self, statement: &CreateTableAsStmt) {
        let CreateTableAsStmt { query, into, objtype: _, is_select_into: _, if_not_exists: _ } = statement;
        self.note(Class::Write, Cause::Ddl, true);
        if let Some(into) = into {
            self.into(into);
        }
        match query.as_ref().map(|query| &query.node) {
            // CREATE TABLE … AS EXECUTE: what is executed may do anything.
            Some(Some(NodeEnum::ExecuteStmt(_))) => {
                self.changes_catalog();
                self.note(Class::Unknown, Cause::Utility("execute"), true);
            }
            _ => self.child(query.as_deref()),
        }
    }

    /// Statements about the session. `false` if it is none of them.
    fn session_statement(&mut self, node: &NodeEnum) -> bool {
        let (class, words, leaves) = match node {
            NodeEnum::ListenStmt(_) => (Class::Session, "listen", Leaves::LISTEN),
            NodeEnum::UnlistenStmt(_) => (Class::Session, "unlisten", Leaves::UNLISTEN),
            NodeEnum::LoadStmt(_) => (Class::Session, "load", Leaves::LOAD),
            NodeEnum::DeallocateStmt(_) => (Class::Session, "deallocate", Leaves::DEALLOCATE),
            NodeEnum::DiscardStmt(discard) => match DiscardMode::try_from(discard.target) {
                Ok(DiscardMode::DiscardAll) => (Class::Session, "discard all", Leaves::DISCARD_ALL),
                Ok(DiscardMode::DiscardSequences) => {
                    (Class::Session, "discard sequences", Leaves::DISCARD_SEQUENCES)
                }
                Ok(DiscardMode::DiscardTemp) => (Class::Session, "discard temp", Leaves::DISCARD_TEMP),
                _ => (Class::Session, "discard", Leaves::default()),
            },
            NodeEnum::ConstraintsSetStmt(_) => (Class::Session, "set constraints", Leaves::LOCAL_SETTINGS),
            NodeEnum::PrepareStmt(statement) => {
                let PrepareStmt { name: _, argtypes: _, query: _ } = statement.as_ref();
                (Class::Session, "prepare", Leaves::PREPARE)
            }
            NodeEnum::ExecuteStmt(ExecuteStmt { name: _, params }) => {
                self.nodes(params);
                self.changes_catalog();
                (Class::Unknown, "execute", Leaves::default())
            }
            NodeEnum::DeclareCursorStmt(statement) => {
                let DeclareCursorStmt { portalname: _, options, query } = statement.as_ref();
                self.child(query.as_deref());
                let hold = options & CURSOR_OPTION_HOLD != 0;
                (Class::Unknown, "declare cursor", if hold { Leaves::HOLD_CURSOR } else { Leaves::CURSOR })
            }
            NodeEnum::FetchStmt(_) => (Class::Unknown, "fetch", Leaves::default()),
            NodeEnum::ClosePortalStmt(_) => (Class::Unknown, "close", Leaves::CLOSE),
            _ => return false,
        };
        // A cursor's query and a prepared statement run, if at all, with these.
        let may_write = matches!(node, NodeEnum::ExecuteStmt(_) | NodeEnum::FetchStmt(_));
        self.leaves |= leaves;
        self.note(class, Cause::Utility(words), may_write);
        true
    }

    /// TRUNCATE. With CASCADE also of the tables that refer to these, which the catalog does not say.
    fn truncate(&mut self, statement: &TruncateStmt) {
        let TruncateStmt { relations, restart_seqs: _, behavior } = statement;
        self.note(Class::Write, Cause::Utility("truncate"), true);
        for relation in relations {
            match &relation.node {
                Some(NodeEnum::RangeVar(relation)) => {
                    self.mention(Use::Written, &relation.schemaname, &relation.relname);
                }
                _ => self.writes_unnamed(),
            }
        }
        if *behavior != DropBehavior::DropRestrict as i32 {
            self.writes_unnamed();
        }
    }

    /// Utility statements that are no reads and leave nothing in the session.
    fn other_statement(&mut self, node: &NodeEnum) {
        let words = match node {
            NodeEnum::NotifyStmt(_) => "notify",
            NodeEnum::LockStmt(_) => return self.note(Class::Write, Cause::Utility("lock"), false),
            NodeEnum::TruncateStmt(statement) => return self.truncate(statement),
            NodeEnum::VacuumStmt(_) => "vacuum or analyze",
            NodeEnum::ClusterStmt(_) => "cluster",
            NodeEnum::ReindexStmt(_) => "reindex",
            NodeEnum::RefreshMatViewStmt(_) => "refresh materialized view",
            NodeEnum::CheckPointStmt(_) => "checkpoint",
            NodeEnum::AlterSystemStmt(_) => "alter system",
            NodeEnum::CreateFunctionStmt(statement) if is_native(&statement.options) => {
                // Its library is loaded at once.
                self.leaves |= Leaves::NATIVE_CODE;
                self.changes_catalog();
                return self.note(Class::Write, Cause::Ddl, true);
            }
            _ if is_ddl(node) => {
                self.changes_catalog();
                return self.note(Class::Write, Cause::Ddl, true);
            }
            _ => return self.not_understood("a kind of statement"),
        };
        self.note(Class::Write, Cause::Utility(words), true);
    }
}

/// Whether the options of BEGIN say READ ONLY and nothing against it.
fn promises_only_reads(options: &[Node]) -> bool {
    let mut read_only = false;
    for node in options {
        match option(node) {
            Some(("transaction_read_only", Some(Val::Ival(truth)))) if truth.ival == 1 => read_only = true,
            Some(("transaction_isolation", Some(Val::Sval(level))))
                if !level.sval.eq_ignore_ascii_case("serializable") => {}
            Some(("transaction_deferrable", _)) => {}
            _ => return false,
        }
    }
    read_only
}

/// Whether a function is written in C.
fn is_native(options: &[Node]) -> bool {
    options.iter().any(|node| {
        matches!(option_text(node), Some(("language", language)) if language.eq_ignore_ascii_case("c"))
    })
}

/// Statements that create, alter or drop something, or say who may do what with it.
#[rustfmt::skip]
fn is_ddl(node: &NodeEnum) -> bool {
    matches!(
        node,
        NodeEnum::CreateSchemaStmt(_) | NodeEnum::AlterTableStmt(_) | NodeEnum::AlterCollationStmt(_)
            | NodeEnum::AlterDomainStmt(_) | NodeEnum::GrantStmt(_) | NodeEnum::GrantRoleStmt(_)
            | NodeEnum::AlterDefaultPrivilegesStmt(_) | NodeEnum::CreateTableSpaceStmt(_)
            | NodeEnum::DropTableSpaceStmt(_) | NodeEnum::AlterTableSpaceOptionsStmt(_)
            | NodeEnum::AlterTableMoveAllStmt(_) | NodeEnum::CreateExtensionStmt(_)
            | NodeEnum::AlterExtensionStmt(_) | NodeEnum::AlterExtensionContentsStmt(_)
            | NodeEnum::CreateFdwStmt(_) | NodeEnum::AlterFdwStmt(_) | NodeEnum::CreateForeignServerStmt(_)
            | NodeEnum::AlterForeignServerStmt(_) | NodeEnum::CreateForeignTableStmt(_)
            | NodeEnum::CreateUserMappingStmt(_) | NodeEnum::AlterUserMappingStmt(_)
            | NodeEnum::DropUserMappingStmt(_) | NodeEnum::ImportForeignSchemaStmt(_)
            | NodeEnum::CreatePolicyStmt(_) | NodeEnum::AlterPolicyStmt(_) | NodeEnum::CreateAmStmt(_)
            | NodeEnum::CreateTrigStmt(_) | NodeEnum::CreateEventTrigStmt(_) | NodeEnum::AlterEventTrigStmt(_)
            | NodeEnum::CreatePlangStmt(_) | NodeEnum::CreateRoleStmt(_) | NodeEnum::AlterRoleStmt(_)
            | NodeEnum::AlterRoleSetStmt(_) | NodeEnum::DropRoleStmt(_) | NodeEnum::AlterSeqStmt(_)
            | NodeEnum::DefineStmt(_) | NodeEnum::CreateDomainStmt(_) | NodeEnum::CreateOpClassStmt(_)
            | NodeEnum::CreateOpFamilyStmt(_) | NodeEnum::AlterOpFamilyStmt(_) | NodeEnum::DropStmt(_)
            | NodeEnum::CommentStmt(_) | NodeEnum::SecLabelStmt(_) | NodeEnum::IndexStmt(_)
            | NodeEnum::CreateStatsStmt(_) | NodeEnum::AlterStatsStmt(_) | NodeEnum::CreateFunctionStmt(_)
            | NodeEnum::AlterFunctionStmt(_) | NodeEnum::RenameStmt(_) | NodeEnum::AlterObjectDependsStmt(_)
            | NodeEnum::AlterObjectSchemaStmt(_) | NodeEnum::AlterOwnerStmt(_) | NodeEnum::AlterOperatorStmt(_)
            | NodeEnum::AlterTypeStmt(_) | NodeEnum::RuleStmt(_) | NodeEnum::CompositeTypeStmt(_)
            | NodeEnum::CreateEnumStmt(_) | NodeEnum::CreateRangeStmt(_) | NodeEnum::AlterEnumStmt(_)
            | NodeEnum::CreatedbStmt(_) | NodeEnum::AlterDatabaseStmt(_)
            | NodeEnum::AlterDatabaseRefreshCollStmt(_) | NodeEnum::AlterDatabaseSetStmt(_)
            | NodeEnum::DropdbStmt(_) | NodeEnum::CreateConversionStmt(_) | NodeEnum::CreateCastStmt(_)
            | NodeEnum::CreateTransformStmt(_) | NodeEnum::DropOwnedStmt(_) | NodeEnum::ReassignOwnedStmt(_)
            | NodeEnum::AlterTsdictionaryStmt(_) | NodeEnum::AlterTsconfigurationStmt(_)
            | NodeEnum::CreatePublicationStmt(_) | NodeEnum::AlterPublicationStmt(_)
            | NodeEnum::CreateSubscriptionStmt(_) | NodeEnum::AlterSubscriptionStmt(_)
            | NodeEnum::DropSubscriptionStmt(_)
    )
}
