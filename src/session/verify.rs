//! Rows have the shape the client was told.
//!
//! A client that has described a statement decodes its rows by that description ever after. On a server that has the
//! statement, PostgreSQL itself refuses to run it when a table has changed meanwhile ("cached plan must not change
//! result type"). A server that has to prepare it anew would answer in the new shape without a word: there the
//! description is compared first.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Buf;

use super::ask::{more, unless_abandoned};
use super::failure::{End, Failure};
use super::leased::Leased;
use super::names::Names;
use super::segment::{Ending, Item};
use super::serve::Session;
use super::statements::Prepared;
use super::understand::Understood;
use crate::server::{Connection, Unnamed};
use crate::wire::{
    self, Backend, Bind, Describe, ErrorFields, Frontend, Kind, TransactionStatus, WireError,
    backend_message, encode,
};

/// The shape of rows, from the whole message that describes them (`RowDescription` or `NoData`): the columns' names and
/// types, by which PostgreSQL compares them, too. Where they come from does not count: a table may have been made anew.
pub(super) fn shape(message: &[u8]) -> u64 {
    /// Bytes of a column's description behind its name: table and number of the column, then what counts.
    const SOURCE: usize = 6;
    const TYPE: usize = 12;
    let mut hasher = DefaultHasher::new();
    let mut rest = message.get(wire::HEADER_LEN + 2..).unwrap_or_default();
    while let Some(end) = rest.iter().position(|byte| *byte == 0) {
        rest[..end].hash(&mut hasher);
        let about = rest.get(end + 1..).unwrap_or_default();
        about.get(SOURCE..SOURCE + TYPE).hash(&mut hasher);
        rest = about.get(SOURCE + TYPE..).unwrap_or_default();
    }
    hasher.finish()
}

/// A statement, and the shape of its rows that the client was told.
type Described<'a> = (&'a Arc<Prepared>, Option<u64>);

/// The statement that a message binds or describes by its name, if the shape of its rows is known.
fn described_before<'a>(
    inbox: &[u8],
    item: &Item,
    about: Option<&'a Arc<Prepared>>,
    names: &Names,
) -> Result<Option<Described<'a>>, WireError> {
    let Some(prepared) = about else { return Ok(None) };
    let body = wire::body(&inbox[item.start..], item.len);
    let name = match item.kind {
        Frontend::Bind => Bind::read(body)?.statement,
        Frontend::Describe => Describe::read(body)?.name,
        _ => return Ok(None),
    };
    let told = names.told(name);
    let is_known = !name.is_empty() && prepared.shape().or(told).is_some();
    Ok(is_known.then_some((prepared, told)))
}

impl Session {
    /// Whether a statement that the segment binds or describes has to be looked at: whether its rows still have the shape
    /// that the client was told.
    pub(super) fn has_doubts(&mut self, inbox: &[u8]) -> Result<bool, WireError> {
        let Some(leased) = &mut self.leased else { return Ok(false) };
        for (item, about) in self.items.iter().zip(&self.plan) {
            let Some((prepared, told)) = described_before(inbox, item, about.as_ref(), &self.names)? else {
                continue;
            };
            let is_there = leased.lease.prepared.touch(prepared.id);
            let binds_other = item.kind == Frontend::Bind && told.is_some() && told != prepared.shape();
            if !is_there || binds_other {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Sees to it that what the segment binds or describes has the shape it had before, where the leased server would
    /// have to prepare it anew, and that this is the shape the client was told. True when the segment was refused.
    pub(super) async fn verify(&mut self, inbox: &[u8], u: &Understood, ending: Ending) -> Result<bool, End> {
        for i in 0..self.items.len() {
            let item = self.items[i];
            let Some((prepared, told)) = described_before(inbox, &item, self.plan[i].as_ref(), &self.names)?
            else {
                continue;
            };
            let prepared = Arc::clone(prepared);
            let shape = match self.shape_of(&prepared).await {
                Ok(shape) => shape,
                Err(failure) => return self.refuse(failure, u, ending),
            };
            if item.kind == Frontend::Bind && told.is_some() && shape.is_some() && told != shape {
                let failure = Failure {
                    routine: "RevalidateCachedQuery",
                    ..Failure::error("0A000", "cached plan must not change result type")
                };
                return self.refuse(failure, u, ending);
            }
        }
        Ok(false)
    }

    /// The shape of a statement's rows on the leased server; `None` where it is not to be found out. The error is the
    /// server's.
    async fn shape_of(&mut self, prepared: &Arc<Prepared>) -> Result<Option<u64>, Failure> {
        let Some(leased) = &mut self.leased else { return Ok(None) };
        let in_between =
            leased.exchange.is_unsynced() || leased.exchange.status() == TransactionStatus::Failed;
        if leased.lease.prepared.touch(prepared.id) || in_between {
            return Ok(prepared.shape());
        }
        // A connection that is lost is found out, and dealt with, when the segment is sent.
        if leased.settle_due().await.is_err() {
            return Ok(None);
        }
        let passed = leased.set_aside();
        let Leased { lease, node, tenure, .. } = leased;
        let described = unless_abandoned(node.node(), tenure.abandonments, describe_anew(lease, prepared));
        let Some(found) = described.await else {
            // What it still says of this must not be taken for an answer to the segment, which finds out that it is lost.
            leased.lease.close();
            leased.put_back(passed);
            return Ok(None);
        };
        leased.put_back(passed);
        let Some(found) = found? else { return Ok(None) };
        if prepared.described(found) != found {
            self.replan_one(prepared).await.described(found);
        }
        Ok(Some(found))
    }
}

/// The shape of a statement's rows as the server would prepare it now; `None` when the connection is lost. The error is
/// the server's. Not cancel safe.
async fn describe_anew(connection: &mut Connection, statement: &Prepared) -> Result<Option<u64>, Failure> {
    encode::parse(&mut connection.outbox, b"", &statement.text, &statement.types);
    encode::describe(&mut connection.outbox, Kind::Statement, b"");
    encode::sync(&mut connection.outbox);
    connection.prepared.set_unnamed(Unnamed::Is(statement.id));
    let mut found = Ok(None);
    loop {
        let Ok(header) = backend_message(&connection.inbox) else { return Ok(None) };
        let Some(header) = header.filter(|h| h.len <= connection.inbox.len()) else {
            if more(connection).await.unwrap_or(0) == 0 {
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
                connection.prepared.set_unnamed(Unnamed::Unknown);
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

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::{BufMut, BytesMut};

    fn described(columns: &[(&str, u32, u32)]) -> u64 {
        let mut message = BytesMut::from(&b"T\0\0\0\0"[..]);
        message.put_u16(u16::try_from(columns.len()).unwrap());
        for (name, table, kind) in columns {
            message.put_slice(name.as_bytes());
            message.put_u8(0);
            message.put_u32(*table);
            message.put_u16(1);
            message.put_u32(*kind);
            message.put_slice(&[0, 4, 255, 255, 255, 255, 0, 0]);
        }
        shape(&message)
    }

    #[test]
    fn names_and_types_make_the_shape() {
        let one = described(&[("a", 16_384, 23), ("b", 16_384, 25)]);
        assert_eq!(one, described(&[("a", 16_999, 23), ("b", 0, 25)]));
        for other in [
            described(&[("a", 16_384, 23)]),
            described(&[("a", 16_384, 23), ("c", 16_384, 25)]),
            described(&[("a", 16_384, 23), ("b", 16_384, 23)]),
            described(&[("b", 16_384, 25), ("a", 16_384, 23)]),
        ] {
            assert_ne!(one, other);
        }
    }
}
