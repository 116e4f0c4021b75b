//! Trying on the standby what a client has just done on the primary.

use std::io;

use tidegate::wire::{StartupParameters, TransactionStatus};

use crate::Places;
use crate::answer::Answer;
use crate::kind::Kind;
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
}

/// What one client does, done again on the standby.
pub struct Trial {
    tide: Tide,
    standby: Option<Standby>,
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
        Ok(Self { tide, standby, pending: Vec::new() })
    }

    /// Tries a statement. `again` runs it on the primary once more; it is asked for only if the statement is harmless.
    pub fn of(
        &mut self,
        done: &Done<'_>,
        again: Option<&mut dyn FnMut() -> io::Result<Answer>>,
    ) -> io::Result<Outcome> {
        let outcome = self.first(done)?;
        match (outcome, again) {
            (Outcome::Different(_), Some(again)) => self.compare_again(done, again),
            (outcome, _) => Ok(outcome),
        }
    }

    fn first(&mut self, done: &Done<'_>) -> io::Result<Outcome> {
        let after = done.answer.status;
        if done.before != TransactionStatus::Idle || after != TransactionStatus::Idle {
            self.follow_transaction(done)?;
            return Ok(match done.answer.error {
                Some(_) => Outcome::FailedOnPrimary,
                None => Outcome::InTransaction,
            });
        }
        if done.answer.error.is_some() {
            return Ok(Outcome::FailedOnPrimary);
        }
        self.run(done.text, done.answer)
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
            self.run(&text, done.answer)?;
        }
        Ok(())
    }

    fn run(&mut self, text: &str, expected: &Answer) -> io::Result<Outcome> {
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
            match self.run(done.text, &expected)? {
                different @ Outcome::Different(_) if stable => last = different,
                Outcome::Different(_) => last = Outcome::NotDeterministic,
                other => return Ok(other),
            }
        }
        Ok(last)
    }
}
