//! Questions of the proxy's own on a leased connection, between a client's statements.

use std::future::poll_fn;
use std::task::Poll;

use crate::cluster::Node;
use crate::server::{Connection, Unnamed};
use crate::wire::{
    self, Backend, ErrorFields, WireError, backend_message, data_row, encode, parameter_status,
};
use bytes::Buf;

/// The rows of an answer as text, and the settings reported with it.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) rows: Vec<Vec<Option<String>>>,
    pub(super) reported: Vec<(String, String)>,
}

/// Why there is no answer. Unless the server refused, the connection is not to be used again.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("{message} (SQLSTATE {code})")]
    Refused { code: String, message: String },
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Wire(#[from] WireError),
}

/// Sends one simple query and takes the whole answer. Not cancel safe: the connection is then in doubt.
pub(super) async fn ask(connection: &mut Connection, sql: &str) -> Result<Answer, AskError> {
    // A simple query destroys the unnamed statement.
    connection.prepared.set_unnamed(Unnamed::Absent);
    encode::query(&mut connection.outbox, sql);
    let (mut answer, mut refused) = (Answer::default(), None);
    loop {
        let Some(header) = backend_message(&connection.inbox)?.filter(|h| h.len <= connection.inbox.len())
        else {
            if more(connection).await? == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
            continue;
        };
        let body = wire::body(&connection.inbox, header.len);
        match header.kind {
            Backend::DataRow => answer.rows.push(data_row(body)?.into_iter().map(|c| c.map(lossy)).collect()),
            Backend::ParameterStatus => {
                let (name, value) = parameter_status(body)?;
                answer.reported.push((lossy(name), lossy(value)));
            }
            Backend::ErrorResponse => {
                let error = ErrorFields::read(body);
                refused = Some(AskError::Refused { code: lossy(error.code), message: lossy(error.message) });
            }
            _ => {}
        }
        connection.inbox.advance(header.len);
        if header.kind == Backend::ReadyForQuery {
            return refused.map_or(Ok(answer), Err);
        }
    }
}

/// Waits for more of an answer, and sends what is still to be sent meanwhile: a server that waits for us to read what it has to
/// say reads nothing itself. 0 at the end of the connection.
pub(super) async fn more(connection: &mut Connection) -> std::io::Result<usize> {
    poll_fn(|cx| match connection.poll_flush(cx) {
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        _ => connection.poll_read(cx),
    })
    .await
}

/// Asks a question that must be answered whatever `statement_timeout` the session has. It must not change anything.
pub(super) async fn ask_in_time(connection: &mut Connection, sql: &str) -> Result<Answer, AskError> {
    match ask(connection, sql).await {
        Err(AskError::Refused { code, .. }) if code == "57014" => {
            let patient = format!("begin read only;set local statement_timeout = 0;{sql};commit");
            let answer = ask(connection, &patient).await;
            if answer.is_err() {
                // The block may be open.
                ask(connection, "rollback").await?;
            }
            answer
        }
        answer => answer,
    }
}

/// What is asked of a node that had been given up `before` times, unless it is given up meanwhile.
pub(super) async fn unless_abandoned<T>(
    node: &Node,
    before: u64,
    asked: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        answer = asked => Some(answer),
        () = node.abandoned(before) => None,
    }
}

/// The answer to a question of the proxy's own, unless the node is given up meanwhile. The connection is then in doubt.
pub(super) async fn answered(
    node: &Node,
    before: u64,
    asked: impl Future<Output = Result<Answer, AskError>>,
) -> Result<Answer, AskError> {
    let given_up = || Err(AskError::Io(std::io::ErrorKind::ConnectionAborted.into()));
    unless_abandoned(node, before, asked).await.unwrap_or_else(given_up)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
