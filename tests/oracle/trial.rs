//! Trying on the standby what a client has just done on the primary.

use std::io;

use tidegate::wire::{StartupParameters, TransactionStatus};

use crate::Places;
use crate::answer::{Answer, Failure};
use crate::kind::Kind;
use crate::peer::Peer;
use crate::record::{Obstacle, Outcome};
use crate::standby::Standby;
use crate::tide::Tide;

/// How often answers that differ are compared again before they count as different.
const ROUNDS: usize = 3;

/// A client's statement, as the primary has answered it.
pub struct Done<'a> {
    pub text: &'a str,
    pub kind: Kind,
    /// The session's state before it.
    pub before: TransactionStatus,
    pub answer: &'a Answer,
    pub claim: Claim,
}

/// What Tidegate says of a statement, as far as it can be proven wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// A replica can serve it.
    Replica,
    /// A replica could serve it in a session that is not pinned.
    PinnedRead,
    /// It needs the primary.
    Primary,
}

/// What one client does, done again on the standby.
pub struct Trial {
    tide: Tide,
    standby: Option<Standby>,
    /// A session on the primary to which the same was done as to the one on the standby, so it has no temporary
    /// objects either.
    twin: Peer,
    /// Changes of the session made in the transaction that is open on the primary.
    pending: Vec<String>,
}

impl Trial {
    /// Opens a session on the standby like the client's on the primary.
    pub fn begin(places: &Places, parameters: &StartupParameters) -> io::Result<Self> {
        let mut tide = Tide::watch(places.primary, places.standby)?;
        // The database and the user must be there already.
        tide.wait()?;
        let standby = Standby::log_in(places.standby, parameters).ok();
        let (twin, _) = Peer::log_in(places.primary, parameters)?;
        Ok(Self { tide, standby, twin, pending: Vec::new() })
    }

    /// Tries a statement. `again` runs it in the client's session on the primary once more.
    pub fn of(
        &mut self,
        done: &Done<'_>,
        again: &mut dyn FnMut() -> io::Result<Answer>,
    ) -> io::Result<Outcome> {
        let after = done.answer.status;
        let outcome = if done.before != TransactionStatus::Idle || after != TransactionStatus::Idle {
            self.follow_transaction(done)?;
            Outcome::InTransaction
        } else if done.answer.error.is_none() {
            self.run(done.text, done.kind, done.answer)?
        } else {
            Outcome::FailedOnPrimary
        };
        match (outcome, done.claim) {
            _ if done.answer.error.is_some() => Ok(Outcome::FailedOnPrimary),
            (Outcome::Different(_), Claim::Replica) => self.compare_again(done, again),
            (Outcome::Refused(failure), Claim::Replica) if failure.is_about_names() => {
                self.look_again(done, failure, again)
            }
            (outcome @ (Outcome::Refused(_) | Outcome::Different(_)), Claim::PinnedRead) => {
                self.ask_twin(done, outcome)
            }
            (outcome, _) => Ok(outcome),
        }
    }

    /// Settings and prepared statements of a transaction are there once it is committed.
    fn follow_transaction(&mut self, done: &Done<'_>) -> io::Result<()> {
        if done.kind == Kind::SessionState && done.answer.error.is_none() {
            self.pending.push(done.text.to_owned());
        }
        if done.answer.status != TransactionStatus::Idle {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        if done.answer.error.is_some() || done.answer.last_tag() == "ROLLBACK" || pending.is_empty() {
            return Ok(());
        }
        for text in pending {
            self.run(&text, Kind::SessionState, done.answer)?;
        }
        Ok(())
    }

    fn run(&mut self, text: &str, kind: Kind, expected: &Answer) -> io::Result<Outcome> {
        if !self.tide.wait()? {
            return Ok(Outcome::NotComparable(Obstacle::Replay));
        }
        let Some(standby) = &mut self.standby else {
            return Ok(Outcome::NotComparable(Obstacle::NoSession));
        };
        let Ok(answer) = standby.run(text) else {
            self.standby = None;
            return Ok(Outcome::NotComparable(Obstacle::NoSession));
        };
        let Some(answer) = answer else { return Ok(Outcome::NotComparable(Obstacle::Slow)) };
        if let Some(failure) = answer.error {
            return Ok(Outcome::Refused(failure));
        }
        if kind == Kind::SessionState {
            self.twin.query(text)?;
        }
        Ok(expected.difference(&answer).map_or(Outcome::Same, Outcome::Different))
    }

    /// The answers differ. What another session has changed meanwhile, and what the primary itself does not answer
    /// alike twice, says nothing about the standby.
    fn compare_again(
        &mut self,
        done: &Done<'_>,
        again: &mut dyn FnMut() -> io::Result<Answer>,
    ) -> io::Result<Outcome> {
        let mut last = Outcome::NotDeterministic;
        let mut expected = done.answer.clone();
        for _ in 0..ROUNDS {
            let answer = again()?;
            let stable = expected.difference(&answer).is_none() && answer.error.is_none();
            expected = answer;
            match self.run(done.text, done.kind, &expected)? {
                different @ Outcome::Different(_) if stable => last = different,
                Outcome::Different(_) => last = Outcome::NotDeterministic,
                other => return Ok(other),
            }
        }
        Ok(last)
    }

    /// Something is not there on the standby. Perhaps another session has dropped it meanwhile, or has it made anew.
    fn look_again(
        &mut self,
        done: &Done<'_>,
        failure: Failure,
        again: &mut dyn FnMut() -> io::Result<Answer>,
    ) -> io::Result<Outcome> {
        let answer = again()?;
        match &answer.error {
            Some(error) if error.code == failure.code => Ok(Outcome::NotDeterministic),
            Some(_) => Ok(Outcome::Refused(failure)),
            None => self.run(done.text, done.kind, &answer),
        }
    }

    /// A pinned session stays on the primary with what it has of its own, and that is missing on the standby. What the
    /// twin answers as the standby does is about that; it says nothing about the statement.
    fn ask_twin(&mut self, done: &Done<'_>, outcome: Outcome) -> io::Result<Outcome> {
        if let Outcome::Refused(failure) = &outcome
            && !failure.is_about_names()
        {
            return Ok(outcome);
        }
        let answer = self.twin.query(done.text)?;
        let again = match &answer.error {
            Some(failure) => Outcome::Refused(failure.clone()),
            None => self.run(done.text, done.kind, &answer)?,
        };
        Ok(if again == outcome || again == Outcome::Same { Outcome::OwnObjects } else { outcome })
    }
}
