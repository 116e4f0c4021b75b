//! One reading of the catalog, over one connection.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Row, Statement};

use super::decode::{self, Answers, SystemAnswers};
use super::paths::Paths;
use super::query;
use crate::cluster::ProbeError;
use crate::cluster::probe::bounded;
use crate::sql::catalog::{Facts, System};

/// Longest wait for any answer: longer than the server itself works at it.
const ANSWER: Duration = Duration::from_secs(90);

/// The version in which functions got parsed bodies.
const PARSED_BODIES: i32 = 140_000;

/// Why the catalog could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The user may not read one of the catalog's tables.
    #[error("{0}")]
    Denied(String),
    /// The server became a standby.
    #[error("it is a standby")]
    Standby,
    /// The connection is of no more use.
    #[error(transparent)]
    Broken(#[from] ProbeError),
}

impl From<tokio_postgres::Error> for ReadError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(db) if *db.code() == SqlState::INSUFFICIENT_PRIVILEGE => {
                Self::Denied(db.message().to_owned())
            }
            _ => Self::Broken(error.into()),
        }
    }
}

/// What one reading found.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) facts: Facts,
    pub(super) paths: Paths,
}

/// Reads over one connection. What came with the server is read once.
#[derive(Debug)]
pub(super) struct Reader {
    client: Client,
    questions: Questions,
    system: Arc<System>,
}

impl Reader {
    /// Prepares a fresh connection and reads what came with the server.
    pub(super) async fn new(client: Client) -> Result<Self, ReadError> {
        bounded(ANSWER, client.batch_execute(query::SETTINGS)).await?;
        let row = bounded(ANSWER, client.query_one(query::VERSION, &[])).await?;
        let (version, standby): (i32, bool) = (row.try_get(0)?, row.try_get(1)?);
        if standby {
            return Err(ReadError::Standby);
        }
        let questions = within(Questions::prepare(&client, version)).await?;
        let answers = within(system(&client)).await?;
        let system = blocking(move || answers.facts()).await?;
        Ok(Self { client, questions, system: Arc::new(system) })
    }

    /// Whether the connection has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// A text that is another one when anything may have changed.
    pub(super) async fn fingerprint(&self) -> Result<String, ReadError> {
        within(async {
            let row = self.client.query_one(&self.questions.fingerprint, &[]).await?;
            Ok(row.try_get::<_, Option<String>>(0)?.unwrap_or_default())
        })
        .await
    }

    /// Reads everything, as of one moment that is not before the call.
    pub(super) async fn read(&self) -> Result<Reading, ReadError> {
        within(async { Ok(self.client.batch_execute(query::BEGIN).await?) }).await?;
        let answers = within(self.questions.ask(&self.client)).await;
        // Whatever came of it, the transaction ends here.
        let ended = within(async { Ok(self.client.batch_execute(query::COMMIT).await?) }).await;
        let (answers, paths, own_path) = answers?;
        ended?;
        let system = Arc::clone(&self.system);
        blocking(move || {
            let (user, seen) = decode::own_path(&own_path)?;
            let paths = Paths::new(decode::paths(&paths)?, &user, seen);
            Ok(Reading { facts: answers.facts(system)?, paths })
        })
        .await
    }
}

async fn within<T>(question: impl Future<Output = Result<T, ReadError>>) -> Result<T, ReadError> {
    match tokio::time::timeout(ANSWER, question).await {
        Ok(answer) => answer,
        Err(_) => Err(ProbeError::Timeout(ANSWER).into()),
    }
}

/// Decodes off the runtime, which has other things to do: a large catalog takes a while.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, tokio_postgres::Error> + Send + 'static,
) -> Result<T, ReadError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

async fn system(client: &Client) -> Result<SystemAnswers, ReadError> {
    let (functions, relations, types, parts, uses) = tokio::try_join!(
        client.query(query::SYSTEM_FUNCTIONS, &[]),
        client.query(query::SYSTEM_RELATIONS, &[]),
        client.query(query::SYSTEM_TYPES, &[]),
        client.query(query::SYSTEM_PARTS, &[]),
        client.query(query::SYSTEM_USES, &[]),
    )?;
    Ok(SystemAnswers { functions, relations, types, parts, uses })
}

/// The questions, prepared.
#[derive(Debug)]
struct Questions {
    schemas: Statement,
    functions: Statement,
    extensions: Statement,
    comments: Statement,
    relations: Statement,
    types: Statement,
    operators: Statement,
    casts: Statement,
    comparisons: Statement,
    children: Statement,
    foreign_keys: Statement,
    parts: Statement,
    uses: Statement,
    paths: Statement,
    own_path: Statement,
    fingerprint: Statement,
}

impl Questions {
    async fn prepare(client: &Client, version: i32) -> Result<Self, ReadError> {
        let (new, old) = query::PARSED_BODY;
        let functions = if version < PARSED_BODIES {
            query::FUNCTIONS.replace(new, old)
        } else {
            query::FUNCTIONS.to_owned()
        };
        Ok(Self {
            schemas: client.prepare(query::SCHEMAS).await?,
            functions: client.prepare(&functions).await?,
            extensions: client.prepare(query::EXTENSIONS).await?,
            comments: client.prepare(query::COMMENTS).await?,
            relations: client.prepare(query::RELATIONS).await?,
            types: client.prepare(query::TYPES).await?,
            operators: client.prepare(query::OPERATORS).await?,
            casts: client.prepare(query::CASTS).await?,
            comparisons: client.prepare(query::COMPARISONS).await?,
            children: client.prepare(query::CHILDREN).await?,
            foreign_keys: client.prepare(query::FOREIGN_KEYS).await?,
            parts: client.prepare(query::PARTS).await?,
            uses: client.prepare(query::USES).await?,
            paths: client.prepare(query::PATHS).await?,
            own_path: client.prepare(query::OWN_PATH).await?,
            fingerprint: client.prepare(query::FINGERPRINT).await?,
        })
    }

    /// Asks them all at once, so that the whole takes one round trip.
    async fn ask(&self, client: &Client) -> Result<(Answers, Vec<Row>, Row), ReadError> {
        let answers = tokio::try_join!(
            client.query(&self.schemas, &[]),
            client.query(&self.functions, &[]),
            client.query(&self.extensions, &[]),
            client.query(&self.comments, &[]),
            client.query(&self.relations, &[]),
            client.query(&self.types, &[]),
            client.query(&self.operators, &[]),
            client.query(&self.casts, &[]),
            client.query(&self.comparisons, &[]),
            client.query(&self.children, &[]),
            client.query(&self.foreign_keys, &[]),
            client.query(&self.parts, &[]),
            client.query(&self.uses, &[]),
            client.query(&self.paths, &[]),
            client.query_one(&self.own_path, &[]),
        )?;
        let (schemas, functions, extensions, comments, relations, types, operators, casts, ..) = answers;
        let (.., comparisons, children, foreign_keys, parts, uses, paths, own_path) = answers;
        let answers = Answers {
            schemas,
            functions,
            extensions,
            comments,
            relations,
            types,
            operators,
            casts,
            comparisons,
            children,
            foreign_keys,
            parts,
            uses,
        };
        Ok((answers, paths, own_path))
    }
}
