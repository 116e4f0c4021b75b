//! One client: passes messages between it and Tidegate, and has each simple query tried on the standby before the
//! client hears that it is done.

use std::io;
use std::net::TcpStream;
use std::sync::{Arc, PoisonError};

use tidegate::wire::{self, Frontend, StartupParameters, TransactionStatus};

use crate::Places;
use crate::answer::Answer;
use crate::kind::Kind;
use crate::peer::Message;
use crate::record::Record;
use crate::relay::{self, Relay};
use crate::settle;
use crate::trial::{Claim, Done, Trial};
use crate::word::Word;

/// What makes Tidegate say what it would do. Freshness does not count here: the standby has replayed everything.
const ASKED: &str = "-c tidegate.trace=on -c tidegate.consistency=eventual";

/// Serves one client until it leaves.
pub fn serve(client: TcpStream, places: &Arc<Places>) -> io::Result<()> {
    let Some((relay, parameters)) = Relay::open(client, places.tidegate, asking)? else { return Ok(()) };
    let trial = Trial::begin(places, &parameters)?;
    let test = relay::test_of(&places.corpus, &parameters);
    let mut session =
        Session { places: Arc::clone(places), relay, trial, test, status: TransactionStatus::Idle };
    session.pass_answer()?;
    session.serve()
}

/// The client's start-up parameters, with our questions among its options.
fn asking(parameters: &StartupParameters) -> StartupParameters {
    let mut asking = parameters.clone();
    match asking.values.iter_mut().find(|(name, _)| name == "options") {
        Some((_, options)) => *options = format!("{options} {ASKED}"),
        None => asking.values.push(("options".to_owned(), ASKED.to_owned())),
    }
    asking
}

struct Session {
    places: Arc<Places>,
    relay: Relay,
    trial: Trial,
    test: String,
    status: TransactionStatus,
}

impl Session {
    fn serve(&mut self) -> io::Result<()> {
        loop {
            let message = self.relay.client.read_frontend()?;
            self.relay.server.write(&message.bytes)?;
            match message.kind {
                Frontend::Query => self.query(&message)?,
                Frontend::Sync | Frontend::FunctionCall => self.pass_answer()?,
                Frontend::Terminate => return Ok(()),
                _ => {}
            }
        }
    }

    fn query(&mut self, message: &Message<Frontend>) -> io::Result<()> {
        let before = self.status;
        let mut passed = self.relay.pass()?;
        self.status = passed.answer.status;
        let word = passed.answer.word.take();
        // A text in another encoding than UTF-8 is not read.
        let text = wire::query_text(message.body()).ok().and_then(|text| std::str::from_utf8(text).ok());
        if let Some(text) = text {
            self.try_it(text, before, word, &passed.answer)?;
        }
        self.relay.client.write(&passed.ready)
    }

    fn try_it(
        &mut self,
        text: &str,
        before: TransactionStatus,
        word: Option<Word>,
        answer: &Answer,
    ) -> io::Result<()> {
        let kind = Kind::of(text);
        let waited = word.as_ref().is_some_and(Word::waits_for_the_catalog);
        let idle = answer.error.is_none() && answer.status == TransactionStatus::Idle;
        let word = match word {
            Some(word) if waited && idle && kind == Kind::Read => {
                Some(settle::settle(&mut self.relay.server, text, word)?)
            }
            word => word,
        };
        let claim = word.as_ref().map_or(Claim::Primary, Word::claim);
        let mut again = || self.relay.server.query(text);
        let outcome = self.trial.of(&Done { text, kind, before, answer, claim }, &mut again)?;
        let mut record =
            Record { test: self.test.clone(), text: text.to_owned(), kind, word, waited, outcome };
        if claim == Claim::PinnedRead && record.is_miss() {
            // Said by a catalog that is behind, and harmless there: a pinned session stays on the primary.
            record.word = settle::confirm(&mut self.relay.server, text)?.or(record.word);
        }
        self.places.records.lock().unwrap_or_else(PoisonError::into_inner).push(record);
        Ok(())
    }

    /// Passes on everything up to and including `ReadyForQuery`.
    fn pass_answer(&mut self) -> io::Result<()> {
        let passed = self.relay.pass()?;
        self.status = passed.answer.status;
        self.relay.client.write(&passed.ready)
    }
}
