//! One client of the load: it connects, does its work again and again, and connects again when it was hung up on.
//!
//! Nothing is ever sent twice: what failed is noted, and the next thing is another one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_postgres::{Client, Error, NoTls, SimpleQueryMessage, Statement};

use super::dice::Dice;
use super::ledger::{Account, Fate};
use super::progress::{NO_CONNECTION, Progress};

/// A client that has waited so long for an answer gives up and hangs up.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Pause after a connection was refused.
const AGAIN: Duration = Duration::from_millis(20);
/// The connection ended, without a word, under something that the client did.
pub const HUNG_UP: &str = "hung up";
/// The same, when it did nothing.
const HUNG_UP_IDLE: &str = "hung up when idle";
/// How many of a writer's last writes a read looks for.
const LOOKS_BACK: usize = 20;
/// Rows of the table that nobody writes; the row `id` says [`fact`].
pub const FACTS: i32 = 100;

/// What the row `id` of the table at rest says.
pub fn fact(id: i32) -> i32 {
    id * 7 + 3
}

/// How a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Simple queries.
    Simple,
    /// A prepared statement.
    Prepared,
    /// Simple queries in a transaction.
    SimpleBlock,
    /// A prepared statement in a transaction.
    PreparedBlock,
}

impl Way {
    pub fn is_block(self) -> bool {
        matches!(self, Self::SimpleBlock | Self::PreparedBlock)
    }
}

/// What a client does.
#[derive(Clone, Debug)]
pub enum Work {
    Write(Arc<Account>),
    ReadBack(Arc<[Arc<Account>]>),
    Rest,
}

impl Work {
    fn text(&self) -> &'static str {
        match self {
            Self::Write(_) => "insert into ledger values ($1, $2, $3)",
            Self::ReadBack(_) => "select seq from ledger where writer = $1 and seq >= $2",
            Self::Rest => "select n from facts where id = $1",
        }
    }
}

/// What all clients share.
#[derive(Debug)]
pub struct Shared {
    pub url: String,
    pub stop: watch::Sender<bool>,
    /// Answers that were wrong.
    pub wrong: Mutex<Vec<String>>,
}

impl Shared {
    fn is_over(&self) -> bool {
        *self.stop.borrow()
    }

    fn found(&self, wrong: String) {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).push(wrong);
    }
}

/// A client.
pub struct Actor {
    pub shared: Arc<Shared>,
    pub progress: Arc<Progress>,
    pub work: Work,
    pub way: Way,
    pub dice: Dice,
}

struct Session {
    client: Client,
    statement: Statement,
}

/// Why something failed.
enum Failed {
    Told(Error),
    /// The client gave up.
    NoAnswer,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Told(error)
    }
}

impl Failed {
    /// An SQLSTATE, or what happened instead of an answer.
    fn why(&self) -> String {
        match self {
            Self::NoAnswer => "no answer".to_owned(),
            Self::Told(error) => {
                error.code().map_or_else(|| HUNG_UP.to_owned(), |code| code.code().to_owned())
            }
        }
    }

    /// Whether there is nothing more to do on this connection.
    fn ends_session(&self) -> bool {
        match self {
            Self::NoAnswer => true,
            Self::Told(error) => error.as_db_error().is_some_and(|told| told.severity() != "ERROR"),
        }
    }

    /// What is to be believed of a write, or of a COMMIT, that ended so.
    ///
    /// `08006` is taken at its word: documented as "cannot have written, run it again", it must not come for what may have
    /// been done. A server that is stopped (`57P01`, `57P02`) says so also after a commit.
    fn fate(&self) -> Fate {
        let why = self.why();
        let vague = ["no answer", HUNG_UP, "08007", "40003", "57P01", "57P02"];
        if vague.contains(&why.as_str()) || why.starts_with("XX") || why.starts_with("58") {
            Fate::Unknown(why)
        } else {
            Fate::Refused(why)
        }
    }
}

impl Actor {
    pub async fn run(mut self) {
        let mut over = self.shared.stop.subscribe();
        while !self.shared.is_over() {
            let begun = Instant::now();
            let connected = tokio::select! {
                connected = within(self.connect()) => connected,
                _ = over.wait_for(|over| *over) => return,
            };
            match connected {
                Ok(session) => self.work_on(&session).await,
                Err(failed) => {
                    self.progress.note(begun, Some(format!("{NO_CONNECTION} ({})", failed.why())));
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    async fn connect(&self) -> Result<Session, Error> {
        let (client, connection) = tokio_postgres::connect(&self.shared.url, NoTls).await?;
        tokio::spawn(connection);
        let statement = client.prepare(self.work.text()).await?;
        Ok(Session { client, statement })
    }

    async fn work_on(&mut self, session: &Session) {
        // A session that ended with an error has been told of it.
        let mut was_told = false;
        while !self.shared.is_over() {
            let begun = Instant::now();
            if session.client.is_closed() {
                if !was_told {
                    self.progress.note(begun, Some(HUNG_UP_IDLE.to_owned()));
                }
                return;
            }
            let failed = match self.work.clone() {
                Work::Write(account) => self.write(session, &account).await,
                Work::ReadBack(accounts) => {
                    let account = &accounts[self.roll(accounts.len())];
                    self.read_back(session, account).await
                }
                Work::Rest => self.rest(session).await,
            };
            let why = failed.as_ref().map(Failed::why);
            was_told = why.is_some();
            self.progress.note(begun, why);
            match failed {
                Some(failed) if failed.ends_session() => return,
                Some(Failed::Told(_)) if self.way.is_block() && !session.client.is_closed() => {
                    let rollback = session.client.batch_execute("rollback");
                    if !matches!(tokio::time::timeout(PATIENCE, rollback).await, Ok(Ok(()))) {
                        return;
                    }
                }
                _ => {}
            }
            let pause = 2 + self.roll(6) as u64;
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    fn roll(&mut self, limit: usize) -> usize {
        usize::try_from(self.dice.below(i32::try_from(limit).unwrap())).unwrap()
    }

    /// One write; `None` if it was acknowledged.
    async fn write(&self, session: &Session, account: &Account) -> Option<Failed> {
        let seq = account.send();
        if self.way.is_block() {
            // Without COMMIT it cannot be there, however its statements ended.
            if let Err(failed) = within(self.open_block(session, account.writer, seq)).await {
                account.told(seq, Fate::Refused(format!("before COMMIT: {}", failed.why())));
                return Some(failed);
            }
        }
        let ended = within(async {
            if self.way.is_block() {
                session.client.batch_execute("commit").await
            } else {
                self.insert(session, account.writer, seq, 0).await
            }
        });
        let failed = ended.await.err();
        account.told(seq, failed.as_ref().map_or(Fate::Acknowledged, Failed::fate));
        failed
    }

    async fn open_block(&self, session: &Session, writer: i32, seq: i64) -> Result<(), Error> {
        session.client.batch_execute("begin").await?;
        self.insert(session, writer, seq, 1).await?;
        self.insert(session, writer, seq, 2).await
    }

    async fn insert(&self, session: &Session, writer: i32, seq: i64, part: i32) -> Result<(), Error> {
        if matches!(self.way, Way::Prepared | Way::PreparedBlock) {
            session.client.execute(&session.statement, &[&writer, &seq, &part]).await.map(drop)
        } else {
            let text = format!("insert into ledger values ({writer}, {seq}, {part})");
            session.client.batch_execute(&text).await
        }
    }

    /// Looks for what was acknowledged to a writer before.
    async fn read_back(&self, session: &Session, account: &Account) -> Option<Failed> {
        let expected = account.acknowledged(LOOKS_BACK);
        let from = expected.first().copied().unwrap_or(0);
        let read = within(async {
            if self.way == Way::Prepared {
                let rows = session.client.query(&session.statement, &[&account.writer, &from]).await?;
                return Ok(rows.iter().map(|row| row.get(0)).collect());
            }
            let text = format!("select seq from ledger where writer = {} and seq >= {from}", account.writer);
            self.read(session, &text).await
        });
        match read.await {
            Ok(seen) => {
                let missing: Vec<i64> = expected.into_iter().filter(|seq| !seen.contains(seq)).collect();
                if !missing.is_empty() {
                    self.stale(session, account.writer, &missing).await;
                }
                None
            }
            Err(failed) => Some(failed),
        }
    }

    async fn stale(&self, session: &Session, writer: i32, missing: &[i64]) {
        let asked = within(session.client.simple_query("show tidegate.last_route")).await;
        let route = asked.map_or_else(|failed| failed.why(), |rows| cells(&rows).join(" "));
        self.shared.found(format!(
            "a stale read: writes {missing:?} of writer {writer} were acknowledged before it began and it lacked them \
             (it went to {route})"
        ));
    }

    async fn rest(&mut self, session: &Session) -> Option<Failed> {
        let id = i32::try_from(self.roll(FACTS.unsigned_abs() as usize)).unwrap();
        let read = within(async {
            if self.way == Way::Prepared {
                let rows = session.client.query(&session.statement, &[&id]).await?;
                return Ok(rows.iter().map(|row| i64::from(row.get::<_, i32>(0))).collect());
            }
            self.read(session, &format!("select n from facts where id = {id}")).await
        });
        match read.await {
            Ok(seen) if seen == [i64::from(fact(id))] => None,
            Ok(seen) => {
                self.shared.found(format!("a wrong answer: the fact {id} is {seen:?}"));
                None
            }
            Err(failed) => Some(failed),
        }
    }

    async fn read(&self, session: &Session, text: &str) -> Result<Vec<i64>, Error> {
        if self.way.is_block() {
            session.client.batch_execute("begin read only").await?;
        }
        let rows = session.client.simple_query(text).await?;
        if self.way.is_block() {
            session.client.batch_execute("commit").await?;
        }
        Ok(cells(&rows).iter().map(|cell| cell.parse().unwrap()).collect())
    }
}

async fn within<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, Failed> {
    tokio::time::timeout(PATIENCE, answer).await.map_err(|_| Failed::NoAnswer)?.map_err(Failed::Told)
}

fn cells(messages: &[SimpleQueryMessage]) -> Vec<String> {
    let cell = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    };
    messages.iter().filter_map(cell).collect()
}
