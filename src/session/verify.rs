//! Rows have the shape the client was told.
//!
//! A client that has described a statement decodes its rows by that description ever after. On a server that has the
//! statement, PostgreSQL itself refuses to run it when a table has changed meanwhile ("cached plan must not change
//! result type"). A server that has to prepare it anew would answer in the new shape without a word: there the
//! description is compared first.

use std::future::poll_fn;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Buf;

use super::build::prepare;
use super::failure::{End, Failure};
use super::segment::Ending;
use super::serve::Session;
use super::statements::Prepared;
use super::understand::Understood;
use crate::server::Connection;
use crate::wire::{
    self, Backend, Bind, ErrorFields, Frontend, Kind, TransactionStatus, backend_message, encode,
};

/// The shape of rows, from the whole message that describes them (`RowDescription` or `NoData`).
pub(super) fn shape(message: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    message.hash(&mut hasher);
    hasher.finish()
}

impl Session {
    /// Prepares on the leased server what the segment binds, where the server lacks it and clients have been told its
    /// shape. True when the segment was refused, because the shape is another now.
    pub(super) async fn verify(&mut self, inbox: &[u8], u: &Understood, ending: Ending) -> Result<bool, End> {
        let Some(leased) = &self.leased else { return Ok(false) };
        if leased.exchange.is_unsynced() || leased.exchange.status() == TransactionStatus::Failed {
            return Ok(false);
        }
        for i in 0..self.items.len() {
            let item = self.items[i];
            let (Frontend::Bind, Some(prepared)) = (item.kind, &self.plan[i]) else { continue };
            let named = !Bind::read(wire::body(&inbox[item.start..], item.len))?.statement.is_empty();
            let Some(told) = self.names.told(prepared.id).filter(|_| named) else { continue };
            let prepared = Arc::clone(prepared);
            let Some(leased) = &mut self.leased else { return Ok(false) };
            if leased.lease.prepared.touch(prepared.id) {
                continue;
            }
            match describe_anew(&mut leased.lease, &prepared).await {
                // A connection that is lost is found out, and dealt with, when the segment is sent.
                Ok(found) if found.is_none_or(|found| found == told) => {}
                Ok(_) => {
                    self.proxy.statements.retire(&prepared);
                    let failure = Failure {
                        routine: "RevalidateCachedQuery",
                        ..Failure::error("0A000", "cached plan must not change result type")
                    };
                    return self.refuse(failure, u, ending);
                }
                Err(failure) => return self.refuse(failure, u, ending),
            }
        }
        Ok(false)
    }
}

/// Prepares the statement under the proxy's name, and returns the shape of its rows; `None` when the connection is
/// lost. The error is the server's. Not cancel safe.
async fn describe_anew(connection: &mut Connection, statement: &Prepared) -> Result<Option<u64>, Failure> {
    prepare(connection, statement);
    encode::describe(&mut connection.outbox, Kind::Statement, &statement.server_name);
    encode::sync(&mut connection.outbox);
    if poll_fn(|cx| connection.poll_flush(cx)).await.is_err() {
        return Ok(None);
    }
    let mut found = Ok(None);
    loop {
        let Ok(header) = backend_message(&connection.inbox) else { return Ok(None) };
        let Some(header) = header.filter(|h| h.len <= connection.inbox.len()) else {
            if poll_fn(|cx| connection.poll_read(cx)).await.unwrap_or(0) == 0 {
                return Ok(None);
            }
            continue;
        };
        match header.kind {
            Backend::RowDescription | Backend::NoData => {
                found = Ok(Some(shape(&connection.inbox[..header.len])));
            }
            Backend::ErrorResponse => {
                let error = ErrorFields::read(wire::body(&connection.inbox, header.len));
                let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                connection.prepared.remove(statement.id);
                found =
                    Err(Failure { code: text(error.code).into(), ..Failure::error("", text(error.message)) });
            }
            _ => {}
        }
        connection.inbox.advance(header.len);
        if header.kind == Backend::ReadyForQuery {
            return found;
        }
    }
}
