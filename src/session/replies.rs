//! Looking at what a server answers: type and length of everything, the body of little, no row ever.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Instant;

use super::client::Client;
use super::exchange::Seen;
use super::failure::{End, Failure};
use super::fault::Interruption;
use super::heal::heal;
use super::leased::{Answer, Fate, Leased, Rerun, ServesAs};
use super::serve::Session;
use super::verify::shape;
use crate::routing::Wants;
use crate::server::Unnamed;
use crate::sql::catalog::{Does, Tables};
use crate::wire::{
    self, Backend, ErrorFields, Header, TransactionStatus, WireError, backend_message, encode,
    parameter_status,
};

/// Longest message that is held whole, in bytes; rows and COPY data are not.
const LONGEST: usize = 16 * 1024 * 1024;

/// Most of an answer that is held back to be able to run the segment elsewhere, in bytes.
const HELD_BACK: usize = 256 * 1024;

/// What looking at one message led to.
enum Looked {
    /// Go on with the next.
    Next,
    /// The rest has not arrived.
    Wait,
    /// The server is ready for the next command.
    Ready(TransactionStatus),
    /// The same, and the client does not know that it was asked to be.
    Left(TransactionStatus),
    /// The segment runs again elsewhere, and this connection is over.
    Abandon(Rerun),
}

impl Session {
    /// Deals with what has arrived from the server.
    pub(super) async fn replies(&mut self, client: &mut Client) -> Result<(), End> {
        #[cfg(test)]
        super::contain::provoke_in_replies(self);
        loop {
            let looked = match self.look(client) {
                Ok(looked) => looked,
                Err(error) => {
                    tracing::error!(%error, "a server broke the protocol, its connection is closed");
                    let error = io::Error::new(io::ErrorKind::InvalidData, error);
                    return Box::pin(self.server_gone(client, &error)).await;
                }
            };
            match looked {
                Looked::Next => {}
                Looked::Wait => break,
                Looked::Abandon(how) => return Box::pin(self.run_again(client, how)).await,
                Looked::Ready(status) => {
                    self.await_cancel().await;
                    self.ready(client, status, true).await?;
                }
                Looked::Left(status) => {
                    self.await_cancel().await;
                    self.ready(client, status, false).await?;
                }
            }
            if self.leased.is_none() {
                return Ok(());
            }
        }
        self.deliver(client).await
    }

    /// Sends on at once what can be sent at once.
    pub(super) async fn deliver(&mut self, client: &mut Client) -> Result<(), End> {
        let Some(leased) = &mut self.leased else { return Ok(()) };
        let _at_once = poll_fn(|cx| Poll::Ready(leased.poll_deliver(cx, client))).await;
        Ok(())
    }

    /// Looks at the next message in the server's inbox.
    fn look(&mut self, client: &mut Client) -> Result<Looked, WireError> {
        let Some(l) = &mut self.leased else { return Ok(Looked::Wait) };
        if l.arriving > 0 {
            let n = l.arriving.min(l.lease.inbox.len() - l.scanned);
            l.scanned += n;
            l.arriving -= n;
            return Ok(if l.arriving > 0 { Looked::Wait } else { Looked::Next });
        }
        let Some(header) = backend_message(&l.lease.inbox[l.scanned..])? else { return Ok(Looked::Wait) };
        let arrived = l.lease.inbox.len() - l.scanned;
        if arrived < header.len {
            let streams =
                matches!(header.kind, Backend::DataRow | Backend::CopyData | Backend::FunctionCallResponse);
            if streams && l.rerun.is_none() && !l.exchange.is_preparing() {
                l.commit(client);
                l.arriving = header.len;
                return Ok(Looked::Next);
            }
            return if header.len > LONGEST {
                Err(WireError::Malformed("too long"))
            } else {
                Ok(Looked::Wait)
            };
        }
        let body = wire::body(&l.lease.inbox[l.scanned..], header.len);
        let seen = l.exchange.received(header.kind, body)?;
        self.act(client, header, seen)
    }

    /// Does what a whole message asks for.
    fn act(&mut self, client: &mut Client, header: Header<Backend>, seen: Seen) -> Result<Looked, WireError> {
        let Some(l) = &mut self.leased else { return Ok(Looked::Wait) };
        match seen {
            Seen::Error => return Ok(self.error(client, header.len)),
            _ if l.rerun.is_some() => {
                l.hide(header.len);
                if let (Seen::Ready(_) | Seen::Left(_), Some(how)) = (seen, l.rerun) {
                    return Ok(Looked::Abandon(how));
                }
                return Ok(Looked::Next);
            }
            Seen::Hide => {
                l.hide(header.len);
                return Ok(Looked::Next);
            }
            Seen::AsParseComplete => encode::close_into_parse_complete(&mut l.lease.inbox[l.scanned..]),
            Seen::Left(status) => {
                l.hide(header.len);
                return Ok(Looked::Left(status));
            }
            Seen::Ready(status) => {
                l.commit(client);
                l.scanned += header.len;
                return Ok(Looked::Ready(status));
            }
            Seen::Pass => {}
        }
        match header.kind {
            Backend::ParameterDescription => l.describing = l.described.pop_front().flatten(),
            Backend::RowDescription | Backend::NoData => {
                if let Some((name, prepared)) = l.describing.take() {
                    let shape = shape(&l.lease.inbox[l.scanned..l.scanned + header.len]);
                    prepared.described(shape);
                    self.names.tell(&name, shape);
                }
            }
            // What code on the primary reports while it runs is not for later.
            Backend::NoticeResponse if l.serves_as != ServesAs::Replica => l.commit(client),
            Backend::ParseComplete
            | Backend::BindComplete
            | Backend::CloseComplete
            | Backend::NoticeResponse => {}
            Backend::ParameterStatus => {
                let (name, value) = parameter_status(wire::body(&l.lease.inbox[l.scanned..], header.len))?;
                // Which node serves is the proxy's affair: to the client there is one database, and it takes writes.
                if name == b"in_hot_standby" {
                    l.hide(header.len);
                    return Ok(Looked::Next);
                }
                let [name, value] = [name, value].map(|text| String::from_utf8_lossy(text).into_owned());
                if self.postpones_report(name, value, header.len) {
                    return Ok(Looked::Next);
                }
            }
            Backend::CommandComplete => {
                l.commit(client);
                // In a string or pipeline of several statements this one may be committed already.
                if l.serves_as == ServesAs::Writer && l.turn.summary.count > 1 {
                    self.mark();
                }
                self.statement_ended();
            }
            Backend::EmptyQueryResponse | Backend::PortalSuspended => {
                l.commit(client);
                self.statement_ended();
            }
            Backend::NotificationResponse => {
                l.commit(client);
                // What it announces must be readable.
                self.mark_everything();
            }
            _ => l.commit(client),
        }
        if let Some(l) = &mut self.leased {
            l.scanned += header.len;
            if l.scanned > HELD_BACK {
                l.commit(client);
            }
        }
        Ok(Looked::Next)
    }

    /// An error: of a read that can run elsewhere it stays between us and the server.
    fn error(&mut self, client: &mut Client, len: usize) -> Looked {
        let Some(l) = &mut self.leased else { return Looked::Wait };
        let fields = ErrorFields::read(wire::body(&l.lease.inbox[l.scanned..], len));
        let (code, fatal) = (String::from_utf8_lossy(fields.code).into_owned(), fields.severity != b"ERROR");
        // "cached plan must not change result type"
        let stale_plan = fields.routine == b"RevalidateCachedQuery";
        let routine = fields.routine.to_vec();
        let has =
            |made: &[u8]| made.is_empty() || fields.message.windows(made.len()).any(|part| part == made);
        let was_made = l.turn.stand_in.as_ref().is_some_and(|stand_in| has(stand_in.made));
        let undone = l.exchange.skipped();
        undone.not_prepared.iter().for_each(|id| l.lease.prepared.remove(*id));
        for id in undone.not_closed {
            // It is still there; that one more than allowed is kept for a while does no harm.
            let _ = l.lease.prepared.insert(id);
        }
        l.lease.prepared.set_unnamed(Unnamed::Unknown);
        l.described.clear();
        if fatal {
            l.fate = Fate::HangingUp;
        }
        if code == "25006" && l.serves_as != ServesAs::Replica {
            // A primary takes writes: perhaps it is none any more.
            l.node.node().wake();
        }
        if l.rerun.is_some() {
            l.hide(len);
            return Looked::Next;
        }
        let healed = heal(l, &code, stale_plan);
        let how = healed.or_else(|| how_elsewhere(l, &code, fatal).filter(|_| !stale_plan));
        self.blame(&code, fatal, &routine, how);
        let Some(l) = &mut self.leased else { return Looked::Wait };
        if let Some(how) = how {
            tracing::info!(node = %l.node.node().name, sqlstate = %code, ?how, "a statement could not be served here, it is run again");
            // Unlogged tables are refused with 0A000, and reading them is no write.
            if let ("25006" | "55000" | "XX000", Some(known), true) =
                (code.as_str(), &l.turn.summary.known, l.serves_as == ServesAs::Replica)
            {
                known.wrote();
                l.turn.summary.does |= Does::WRITES;
                l.turn.summary.touched.writes = Tables::Any;
            }
            l.hide(len);
            l.drop_scanned();
            l.rerun = Some(how);
            return if fatal { Looked::Abandon(how) } else { Looked::Next };
        }
        if stale_plan {
            // The client prepares it anew, and must not be given what is there already.
            self.plan.iter().flatten().for_each(|prepared| self.proxy.statements.retire(prepared));
        }
        let at = l.turn.renamed.len().saturating_sub(undone.renamed);
        self.names.undo(l.turn.renamed.drain(at..));
        l.commit(client);
        l.turn.answer = Answer::Failed;
        if let Some(run) = &mut l.turn.run {
            run.error = code.as_bytes().try_into().ok();
        }
        // The server skips everything up to a Sync that was not sent yet; or would, had the proxy not sent one of its own.
        self.skipping |= l.exchange.is_ready() && l.exchange.is_unsynced() || l.exchange.is_about_to_leave();
        let told = self.told_for_cancel(&code);
        let Some(l) = &mut self.leased else { return Looked::Wait };
        let stand_in = l.turn.stand_in.take().filter(|_| was_made);
        if let Some(error) = told.or(stand_in.map(|stand_in| stand_in.told)) {
            l.hide(len);
            let rest = l.lease.inbox.split_off(l.scanned);
            l.scanned += error.len();
            l.lease.inbox.extend_from_slice(&error);
            l.lease.inbox.extend_from_slice(&rest);
        } else {
            self.report(&code, len);
            if let Some(l) = &mut self.leased {
                l.scanned += len;
            }
        }
        if self.leased.as_ref().is_some_and(|l| l.exchange.has_told_all()) {
            self.timed(Instant::now());
        }
        Looked::Next
    }

    /// The server hung up or cannot be understood.
    pub(super) async fn server_gone(&mut self, client: &mut Client, error: &io::Error) -> Result<(), End> {
        let Some(l) = &mut self.leased else { return Ok(()) };
        let node = l.node.node().clone();
        if l.fate != Fate::HangingUp && !l.is_abandoned() {
            self.database.cluster.lost(node.id, error);
        }
        if l.serves_as == ServesAs::Writer {
            // Whether it was committed nobody knows: whoever reads next must see it if it was.
            self.mark();
        }
        let Some(l) = &mut self.leased else { return Ok(()) };
        if l.fate != Fate::HangingUp {
            let again = l.rerun.is_some() || l.turn.is_kept();
            self.interrupted(Interruption::ConnectionLost, again);
        }
        let Some(l) = &mut self.leased else { return Ok(()) };
        if l.did.contains(Does::CHANGES_CATALOG) {
            self.database.cluster.catalog.changed();
        }
        if let Some(how) = l.rerun {
            return Box::pin(self.run_again(client, how)).await;
        }
        // On a primary the statement may have been carried out: only who asked can decide to ask again.
        if is_read(l) && l.turn.is_kept() {
            return Box::pin(self.run_again(client, Rerun::Elsewhere(node.id))).await;
        }
        let (torn, fatal) = (l.arriving > 0, l.fate == Fate::HangingUp);
        let leaving = l.exchange.is_leaving();
        if leaving && l.exchange.has_answered() && l.described.is_empty() && !torn && !fatal {
            l.hand_over(client);
            self.leased = None;
            self.registered.slot.free().await;
            return Ok(());
        }
        let wrote = l.serves_as == ServesAs::Writer;
        // What was kept to be run again will not be.
        l.commit(client);
        l.turn.answer = Answer::Failed;
        self.timed(Instant::now());
        let Some(l) = &mut self.leased else { return Ok(()) };
        l.hand_over(client);
        let ready_owed = l.exchange.owes_ready();
        // The Sync that was sent may have been the proxy's own.
        let in_pipeline = l.exchange.is_unsynced() || leaving;
        self.leased = None;
        self.registered.slot.free().await;
        tracing::warn!(node = %node.name, user = %self.user.name, database = %self.database.settings.name, %error, "server connection lost under a client");
        if torn || fatal {
            // The client has been told FATAL, or half of a row: nothing more can be said to it.
            client.flush().await;
            return Err(End::Client);
        }
        let failure = if wrote {
            Failure::error(
                "08007",
                format!("connection to {} lost, transaction resolution unknown", node.name),
            )
        } else {
            Failure::error("08006", format!("connection to {} lost", node.name))
        };
        self.database.stats.proxy_error(&failure.code);
        failure.write(&mut client.outbox);
        if ready_owed {
            Self::say_ready(client);
        } else if in_pipeline {
            self.skipping = true;
        } else {
            // Nothing was asked, and what the session had there is gone.
            return Err(Failure::fatal("57P01", format!("connection to {} lost", node.name)).into());
        }
        Ok(())
    }
}

/// Whether what runs is nothing but a read, which has no effect that a second run would double.
fn is_read(l: &Leased) -> bool {
    let only_reads = l.turn.summary.wants == Wants::Read && l.pins.is_empty();
    l.serves_as == ServesAs::Replica || l.serves_as == ServesAs::Primary && only_reads
}

/// Whether, and how, the segment can run elsewhere after this error of a replica.
fn how_elsewhere(l: &Leased, code: &str, fatal: bool) -> Option<Rerun> {
    if !l.turn.is_kept() || l.serves_as != ServesAs::Replica {
        return None;
    }
    let node = l.node.node().id;
    match code {
        // Read-only transaction; feature not supported, or wrong state, during recovery; cannot assign OIDs or
        // transaction ids during recovery. A read has no effect, so running it on the primary is always right, and
        // what the primary says is the truth.
        "25006" | "0A000" | "55000" | "XX000" => Some(Rerun::OnPrimary),
        // Something is not there, or not allowed: the replica may not have replayed yet that it is. Freshness does not tell, of
        // what was made without this proxy or at level eventual.
        "42P01" | "42703" | "42704" | "42883" | "3F000" | "42501" => Some(Rerun::Missing),
        // Conflict with recovery: on a standby nothing else is a serialization failure.
        "40001" | "40P01" => Some(Rerun::Elsewhere(node)),
        _ if fatal && code.starts_with("57P") => Some(Rerun::Elsewhere(node)),
        _ => None,
    }
}
