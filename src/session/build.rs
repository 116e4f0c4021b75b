//! Putting a segment into a server's outbox: names are replaced by the proxy's own, and what the server lacks is
//! prepared on the way.

use std::sync::Arc;

use bytes::BytesMut;

use super::exchange::Owed;
use super::leased::{Fate, Leased};
use super::segment::Item;
use super::statements::{Prepared, server_name};
use crate::server::{Connection, Unnamed};
use crate::wire::{self, Bind, Describe, Frontend, Kind, WireError, encode, parse_message};

/// A statement name no server has: closing it is answered and does nothing, describing it is an error.
pub(super) const NOBODY: &[u8] = b"__tidegate_none";

/// Appends the segment's messages to the server's outbox. In the place of item number `taken`, a Parse whose name the
/// client has given already, the server is made to give an error: it would skip what follows up to a Sync.
pub(super) fn build(
    inbox: &[u8],
    items: &[Item],
    plan: &[Option<Arc<Prepared>>],
    leased: &mut Leased,
    taken: Option<usize>,
) -> Result<(), WireError> {
    for (i, (item, about)) in items.iter().zip(plan).enumerate() {
        let is_skipped = taken.is_some_and(|taken| i > taken);
        if is_skipped && !matches!(item.kind, Frontend::Sync | Frontend::Flush) {
            continue;
        }
        let raw = &inbox[item.start..(item.start + item.len).min(inbox.len())];
        let body = &raw[wire::HEADER_LEN..];
        match (item.kind, about) {
            (Frontend::Parse, Some(prepared)) => {
                if taken == Some(i) {
                    encode::describe(&mut leased.lease.outbox, Kind::Statement, NOBODY);
                    leased.exchange.sent_unsynced();
                    continue;
                }
                parse(raw, body, prepared, leased)?;
            }
            (Frontend::Bind, about) => bind(item, raw, about.as_ref(), leased)?,
            (Frontend::Describe | Frontend::Close, about) => {
                describe(item.kind, raw, about.as_ref(), leased)?;
            }
            (Frontend::Sync, _) => {
                leased.lease.outbox.extend_from_slice(raw);
                leased.exchange.sent(Owed::Ready { by_sync: true });
            }
            (Frontend::Query | Frontend::FunctionCall, _) => {
                if leased.exchange.is_unsynced() {
                    // PostgreSQL 18 has lost its way after this: the first statement behind the next Sync fails with
                    // "StartTransactionCommand: unexpected state STARTED". It must not be another client's.
                    leased.fate = Fate::Closed;
                }
                leased.lease.outbox.extend_from_slice(raw);
                if item.kind == Frontend::Query {
                    leased.lease.prepared.set_unnamed(Unnamed::Absent);
                }
                leased.exchange.sent(Owed::Ready { by_sync: false });
            }
            _ => {
                leased.lease.outbox.extend_from_slice(raw);
                leased.exchange.sent_unsynced();
            }
        }
    }
    Ok(())
}

/// Prepares a statement under the proxy's name, and closes another where there is no room: its number is returned.
fn prepare(connection: &mut Connection, prepared: &Prepared) -> Option<u64> {
    let evicted = connection.prepared.insert(prepared.id);
    if let Some(evicted) = evicted {
        encode::close(&mut connection.outbox, Kind::Statement, &server_name(evicted));
    }
    encode::parse(&mut connection.outbox, &prepared.server_name, &prepared.text, &prepared.types);
    evicted
}

/// Gives a statement the client's own name on the server: SQL that is to follow uses it.
pub(super) fn lend_name(name: &str, prepared: &Prepared, leased: &mut Leased) {
    let Leased { lease, exchange, .. } = leased;
    encode::parse(&mut lease.outbox, name.as_bytes(), &prepared.text, &prepared.types);
    exchange.sent(Owed::Parse { id: None, visible: false });
    encode::sync(&mut lease.outbox);
    exchange.sent(Owed::Leave);
}

/// Takes the name off again.
pub(super) fn take_name_back(name: &str, leased: &mut Leased) {
    let Leased { lease, exchange, .. } = leased;
    encode::close(&mut lease.outbox, Kind::Statement, name.as_bytes());
    exchange.sent(Owed::Hidden);
    encode::sync(&mut lease.outbox);
    exchange.sent(Owed::Leave);
}

/// Sees to it that the server has the statement under the proxy's name; `visible` when the client asked for it.
fn ensure(prepared: &Prepared, visible: bool, leased: &mut Leased) {
    let Leased { lease, exchange, .. } = leased;
    if lease.prepared.touch(prepared.id) {
        if visible {
            // The server has it. Something must be answered in its place in the order: closing what does not exist.
            encode::close(&mut lease.outbox, Kind::Statement, NOBODY);
            exchange.sent(Owed::CloseAsParse);
        }
        return;
    }
    if let Some(evicted) = prepare(lease, prepared) {
        exchange.sent(Owed::Evicted { id: evicted });
    }
    exchange.sent(Owed::Parse { id: Some(prepared.id), visible });
}

/// Sees to it that the server's unnamed statement is the client's, or that there is none.
fn ensure_unnamed(prepared: Option<&Arc<Prepared>>, leased: &mut Leased) {
    let Leased { lease, exchange, .. } = leased;
    let wanted = prepared.map_or(Unnamed::Absent, |p| Unnamed::Is(p.id));
    if lease.prepared.unnamed() == wanted {
        return;
    }
    if let Some(p) = prepared {
        encode::parse(&mut lease.outbox, b"", &p.text, &p.types);
        exchange.sent(Owed::Parse { id: None, visible: false });
    } else {
        encode::close(&mut lease.outbox, Kind::Statement, b"");
        exchange.sent(Owed::Hidden);
    }
    lease.prepared.set_unnamed(wanted);
}

fn parse(raw: &[u8], body: &[u8], prepared: &Arc<Prepared>, leased: &mut Leased) -> Result<(), WireError> {
    if !parse_message(body)?.name.is_empty() {
        ensure(prepared, true, leased);
        return Ok(());
    }
    leased.lease.outbox.extend_from_slice(raw);
    leased.lease.prepared.set_unnamed(Unnamed::Is(prepared.id));
    leased.exchange.sent(Owed::Parse { id: None, visible: true });
    Ok(())
}

fn bind(
    item: &Item,
    raw: &[u8],
    about: Option<&Arc<Prepared>>,
    leased: &mut Leased,
) -> Result<(), WireError> {
    let body = &raw[wire::HEADER_LEN..];
    let bind = Bind::read(body)?;
    // Of a message too long to hold, only the names are sent here; the rest follows.
    let whole = raw.len() == item.len;
    let names = wire::HEADER_LEN + bind.names_len();
    let arrived = if whole { raw.len() } else { names };
    match about {
        _ if bind.statement.is_empty() => {
            ensure_unnamed(about, leased);
            leased.lease.outbox.extend_from_slice(&raw[..arrived]);
        }
        None => leased.lease.outbox.extend_from_slice(&raw[..arrived]),
        Some(prepared) => {
            ensure(prepared, false, leased);
            let out: &mut BytesMut = &mut leased.lease.outbox;
            encode::bind_head(out, bind.portal, &prepared.server_name, item.len - names);
            out.extend_from_slice(&raw[names..arrived]);
        }
    }
    leased.exchange.sent_unsynced();
    Ok(())
}

fn describe(
    kind: Frontend,
    raw: &[u8],
    about: Option<&Arc<Prepared>>,
    leased: &mut Leased,
) -> Result<(), WireError> {
    let target = Describe::read(&raw[wire::HEADER_LEN..])?;
    let close = kind == Frontend::Close;
    match about {
        Some(_) if close && !target.name.is_empty() => {
            // The name was the client's; the statement is everybody's and stays.
            encode::close(&mut leased.lease.outbox, Kind::Statement, NOBODY);
        }
        Some(prepared) if target.kind == Kind::Statement && !target.name.is_empty() => {
            ensure(prepared, false, leased);
            encode::describe(&mut leased.lease.outbox, Kind::Statement, &prepared.server_name);
        }
        about => {
            if !close && target.kind == Kind::Statement && target.name.is_empty() {
                ensure_unnamed(about, leased);
            }
            leased.lease.outbox.extend_from_slice(raw);
        }
    }
    if close {
        if target.kind == Kind::Statement && target.name.is_empty() {
            leased.lease.prepared.set_unnamed(Unnamed::Absent);
        }
        leased.exchange.sent(Owed::Close { of: target.kind });
    } else {
        leased.exchange.sent_unsynced();
    }
    Ok(())
}
