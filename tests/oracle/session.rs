//! One client: passes messages between it and Tidegate, and has each simple query tried on the standby before the
//! client hears that it is done.

use std::io;
use std::net::TcpStream;
use std::sync::{Arc, PoisonError};

use tidegate::wire::{self, Backend, Frontend, Startup, StartupParameters, TransactionStatus, encode};

use crate::Places;
use crate::answer::Answer;
use crate::kind::Kind;
use crate::peer::{Message, Peer};
use crate::record::Record;
use crate::settle;
use crate::trial::{Claim, Done, Trial};
use crate::word::Word;

/// What makes Tidegate say what it would do. Freshness does not count here: the standby has replayed everything.
const ASKED: &str = "-c tidegate.trace=on -c tidegate.consistency=eventual";
/// Bytes of an answer that are held back at most.
const HELD: usize = 64 * 1024;

/// Serves one client until it leaves.
pub fn serve(client: TcpStream, places: &Arc<Places>) -> io::Result<()> {
    let mut client = Peer::over(client)?;
    let parameters = loop {
        match client.read_startup()? {
            (Startup::Ssl | Startup::GssEnc, _) => client.send(encode::encryption_refused)?,
            (Startup::Cancel(_), packet) => {
                let mut tidegate = Peer::connect(places.tidegate)?;
                tidegate.write(&packet)?;
                tidegate.drain();
                return Ok(());
            }
            (Startup::Session(parameters), _) => break parameters,
        }
    };
    let mut tidegate = Peer::connect(places.tidegate)?;
    tidegate.send(|out| encode::startup(out, &asking(&parameters)))?;
    let trial = Trial::begin(places, &parameters)?;
    let name = parameters.get("application_name").unwrap_or_default();
    let test = format!("{}/{}", places.corpus, name.trim_start_matches("pg_regress/"));
    let mut session = Session {
        places: Arc::clone(places),
        client,
        tidegate,
        trial,
        test,
        status: TransactionStatus::Idle,
    };
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
    client: Peer,
    tidegate: Peer,
    trial: Trial,
    test: String,
    status: TransactionStatus,
}

/// An answer that has been passed on, all but its `ReadyForQuery`.
struct Passed {
    answer: Answer,
    ready: Vec<u8>,
}

impl Session {
    fn serve(&mut self) -> io::Result<()> {
        loop {
            let message = self.client.read_frontend()?;
            self.tidegate.write(&message.bytes)?;
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
        let mut passed = self.pass()?;
        self.status = passed.answer.status;
        let word = passed.answer.word.take();
        // A text in another encoding than UTF-8 is not read.
        let text = wire::query_text(message.body()).ok().and_then(|text| std::str::from_utf8(text).ok());
        if let Some(text) = text {
            self.try_it(text, before, word, &passed.answer)?;
        }
        self.client.write(&passed.ready)
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
                Some(settle::settle(&mut self.tidegate, text, word)?)
            }
            word => word,
        };
        let claim = word.as_ref().map_or(Claim::Primary, Word::claim);
        let mut again = || self.tidegate.query(text);
        let outcome = self.trial.of(&Done { text, kind, before, answer, claim }, &mut again)?;
        let mut record =
            Record { test: self.test.clone(), text: text.to_owned(), kind, word, waited, outcome };
        if claim == Claim::PinnedRead && record.is_miss() {
            // Said by a catalog that is behind, and harmless there: a pinned session stays on the primary.
            record.word = settle::confirm(&mut self.tidegate, text)?.or(record.word);
        }
        self.places.records.lock().unwrap_or_else(PoisonError::into_inner).push(record);
        Ok(())
    }

    /// Passes on everything up to and including `ReadyForQuery`.
    fn pass_answer(&mut self) -> io::Result<()> {
        let passed = self.pass()?;
        self.status = passed.answer.status;
        self.client.write(&passed.ready)
    }

    /// Passes on everything before `ReadyForQuery`, without what Tidegate says to us.
    fn pass(&mut self) -> io::Result<Passed> {
        let (mut answer, mut held) = (Answer::default(), Vec::new());
        loop {
            let message = match self.tidegate.read_backend() {
                Ok(message) => message,
                Err(error) => {
                    self.client.write(&held)?;
                    return Err(error);
                }
            };
            answer.take(&message);
            match message.kind {
                Backend::NoticeResponse if Word::read(message.body()).is_some() => {}
                Backend::ReadyForQuery => {
                    self.client.write(&held)?;
                    return Ok(Passed { answer, ready: message.bytes });
                }
                Backend::CopyInResponse => {
                    held.extend(message.bytes);
                    self.client.write(&std::mem::take(&mut held))?;
                    self.pass_copy_data()?;
                }
                _ => held.extend(message.bytes),
            }
            if held.len() > HELD {
                self.client.write(&std::mem::take(&mut held))?;
            }
        }
    }

    fn pass_copy_data(&mut self) -> io::Result<()> {
        loop {
            let message = self.client.read_frontend()?;
            self.tidegate.write(&message.bytes)?;
            if matches!(message.kind, Frontend::CopyDone | Frontend::CopyFail) {
                return Ok(());
            }
        }
    }
}
