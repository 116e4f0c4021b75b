//! What became of one statement.

use std::fmt;

use crate::answer::{Difference, Failure};
use crate::kind::Kind;
use crate::trial::Claim;
use crate::word::{Target, Word};

/// One statement that a client sent.
#[derive(Clone, Debug)]
pub struct Record {
    /// The test it belongs to: the corpus, and what the client calls itself.
    pub test: String,
    pub text: String,
    pub kind: Kind,
    /// What Tidegate says of it.
    pub word: Option<Word>,
    /// It said so only after it had read the catalog again; until then it went to the primary.
    pub waited: bool,
    pub outcome: Outcome,
}

/// What the standby did with a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not tried: the primary refused it, too.
    FailedOnPrimary,
    /// Not tried: in a transaction the primary sees what no standby can.
    InTransaction,
    /// It could not be tried in a way that tells anything.
    NotComparable(Obstacle),
    /// Refused.
    Refused(Failure),
    /// Answered otherwise.
    Different(Difference),
    /// Answered otherwise, as the primary did when it was asked again.
    NotDeterministic,
    /// Answered otherwise, or refused, because the session has temporary objects and the like.
    OwnObjects,
    /// Answered alike.
    Same,
}

/// Why nothing can be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// The standby did not replay in time what the primary had written.
    Replay,
    /// The standby was still at it when it was stopped.
    Slow,
    /// The client's session on the standby is gone, or was never there.
    NoSession,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Replay => "replay did not get there in time",
            Self::Slow => "took too long on the standby",
            Self::NoSession => "no session on the standby",
        })
    }
}

impl Record {
    /// The corpus that the test belongs to.
    pub fn corpus(&self) -> &str {
        self.test.split('/').next().unwrap_or_default()
    }

    pub fn would_go_to(&self, target: Target) -> bool {
        self.word.as_ref().is_some_and(|word| word.target == target)
    }

    /// Tidegate's reason, or nothing.
    pub fn reason(&self) -> &str {
        self.word.as_ref().map_or("", |word| &word.reason)
    }

    /// What Tidegate says the statement is, or nothing.
    pub fn detail(&self) -> &str {
        self.word.as_ref().map_or("", |word| &word.detail)
    }

    fn claim(&self) -> Claim {
        self.word.as_ref().map_or(Claim::Primary, Word::claim)
    }

    /// Tidegate would have sent it to a replica, or would send it there from a session that is not pinned, and that is
    /// wrong.
    pub fn is_miss(&self) -> bool {
        self.claim() != Claim::Primary && matches!(self.outcome, Outcome::Refused(_) | Outcome::Different(_))
    }

    /// A read that a standby can serve, in a session that is free to go there: these count for the share of reads that
    /// leave the primary.
    pub fn is_offloadable(&self) -> bool {
        self.kind == Kind::Read && self.outcome == Outcome::Same && self.reason() != "pinned"
    }

    /// As [`Self::is_offloadable`], in a pinned session.
    pub fn is_pinned_read(&self) -> bool {
        self.kind == Kind::Read && self.outcome == Outcome::Same && self.reason() == "pinned"
    }

    /// Tidegate takes it for a read.
    pub fn is_read(&self) -> bool {
        self.claim() != Claim::Primary
    }
}

impl Outcome {
    /// A word for the table, and what there is to say about it.
    pub fn told(&self) -> (&'static str, String) {
        match self {
            Self::FailedOnPrimary => ("failed", String::new()),
            Self::InTransaction => ("in a transaction", String::new()),
            Self::NotComparable(obstacle) => ("not comparable", obstacle.to_string()),
            Self::Refused(failure) => ("refused", format!("{} {}", failure.code, failure.message)),
            Self::Different(difference) => ("different", difference.to_string()),
            Self::NotDeterministic => ("not deterministic", String::new()),
            Self::OwnObjects => ("own objects", String::new()),
            Self::Same => ("same", String::new()),
        }
    }
}
