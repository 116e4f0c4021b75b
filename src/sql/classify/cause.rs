//! Why a statement is of its class, for metrics and for people.

use crate::sql::builtins::{self, Verdict};
use crate::sql::catalog::Blame;
use std::fmt;
use std::sync::Arc;

/// Why a statement is of its class. Of several causes, the first of the strictest class.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cause {
    /// Nothing in it but what any node answers alike.
    Plain,
    /// No statement at all.
    Empty,
    /// FOR UPDATE, FOR NO KEY UPDATE, FOR SHARE, FOR KEY SHARE.
    LockingClause,
    /// A CTE that inserts, updates, deletes or merges.
    WritableCte,
    /// SELECT … INTO.
    SelectInto,
    /// EXPLAIN ANALYZE of what is not a read.
    ExplainAnalyze,
    /// A function that is not known to be harmless on a replica.
    Function(Box<str>),
    /// Something that the catalog knows of an object the statement uses.
    Catalog(Arc<Blame>),
    /// A relation that shows the state of one node or one session.
    SystemView(Box<str>),
    /// A temporary relation, or something else in the temporary schema.
    TemporaryRelation,
    /// Creates, alters or drops.
    Ddl,
    /// INSERT, UPDATE, DELETE, MERGE.
    Dml,
    /// COPY, in any direction.
    Copy,
    /// CALL.
    Call,
    /// DO.
    Do,
    /// SET, RESET, SHOW.
    Setting,
    /// BEGIN, COMMIT, SAVEPOINT and the like, alone or among other statements.
    TransactionControl,
    /// Another utility statement, by the words it begins with.
    Utility(&'static str),
    /// The grammar refuses it.
    SyntaxError,
    /// Too long to be parsed.
    TooLarge,
    /// The grammar knows it, this module does not.
    NotUnderstood(&'static str),
}

impl Cause {
    /// A short, stable label for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Cause::Plain => "plain",
            Cause::Empty => "empty",
            Cause::LockingClause => "locking_clause",
            Cause::WritableCte => "writable_cte",
            Cause::SelectInto => "select_into",
            Cause::ExplainAnalyze => "explain_analyze",
            Cause::Function(_) => "function",
            Cause::Catalog(blame) => blame.label(),
            Cause::SystemView(_) => "system_view",
            Cause::TemporaryRelation => "temporary_relation",
            Cause::Ddl => "ddl",
            Cause::Dml => "dml",
            Cause::Copy => "copy",
            Cause::Call => "call",
            Cause::Do => "do",
            Cause::Setting => "setting",
            Cause::TransactionControl => "transaction_control",
            Cause::Utility(_) => "utility",
            Cause::SyntaxError => "syntax_error",
            Cause::TooLarge => "too_large",
            Cause::NotUnderstood(_) => "not_understood",
        }
    }
}

/// For people: a clause that follows "the statement".
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::Plain => "only reads",
            Cause::Empty => "is empty",
            Cause::LockingClause => "locks the rows it reads",
            Cause::WritableCte => "writes in a WITH clause",
            Cause::SelectInto => "creates a table with SELECT INTO",
            Cause::ExplainAnalyze => "is executed by EXPLAIN ANALYZE",
            Cause::Function(name) => return function(f, name),
            Cause::Catalog(blame) => return write!(f, "needs the primary: {blame}"),
            Cause::SystemView(name) => {
                return write!(f, "reads {name}, which differs from node to node");
            }
            Cause::TemporaryRelation => "is about temporary objects",
            Cause::Ddl => "creates, alters or drops something",
            Cause::Dml => "writes",
            Cause::Copy => "is a COPY",
            Cause::Call => "calls a procedure",
            Cause::Do => "runs a code block",
            Cause::Setting => "is about settings",
            Cause::TransactionControl => "controls a transaction",
            Cause::Utility(words) => return write!(f, "is a utility statement ({words})"),
            Cause::SyntaxError => "is not understood by PostgreSQL's grammar",
            Cause::TooLarge => "is too long to be parsed",
            Cause::NotUnderstood(what) => {
                return write!(f, "contains {what}, which is not understood");
            }
        })
    }
}

fn function(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    match builtins::verdict(name) {
        Verdict::Primary(reason) => write!(f, "calls {name}(): {reason}"),
        Verdict::Harmless | Verdict::Unlisted => {
            write!(f, "calls {name}(), which is not known to be harmless on a replica")
        }
    }
}
