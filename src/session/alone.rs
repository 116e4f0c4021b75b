//! What the proxy answers by itself, because no server needs to know, or because only the proxy does.

use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::client::Client;
use super::exchange::Owed;
use super::failure::{End, Failure};
use super::leased::{Leased, ServesAs, StandIn, Turn};
use super::pins::PINNING;
use super::segment::{Ending, Item};
use super::serve::Session;
use super::statements::Statements;
use super::summary::Summary;
use super::understand::Understood;
use crate::freshness::Position;
use crate::routing::Target;
use crate::sql::{Class, Deallocated, Leaves, Own};
use crate::wire::{self, Describe, Frontend, Kind, TransactionStatus, WireError, encode, query_text};

/// What a pipeline may hold that the proxy answers itself.
const ONE_BY_ONE: [Frontend; 5] =
    [Frontend::Parse, Frontend::Bind, Frontend::Describe, Frontend::Execute, Frontend::Sync];

impl Session {
    /// Answers segments that need no server: nothing but Sync, Flush and Close of what is ours alone.
    pub(super) fn answer_alone(&mut self, client: &mut Client, ending: Ending) -> Result<bool, WireError> {
        let idle = |item: &Item| matches!(item.kind, Frontend::Sync | Frontend::Flush | Frontend::Close);
        if !self.items.iter().all(idle) {
            return Ok(false);
        }
        for item in self.items.iter().filter(|i| i.kind == Frontend::Close) {
            let close = Describe::read(&client.inbox[item.start + wire::HEADER_LEN..item.start + item.len])?;
            if close.kind == Kind::Statement {
                self.names.remove(close.name);
            }
            encode::close_complete(&mut client.outbox);
        }
        if ending == Ending::Sync {
            Self::say_ready(client);
        }
        Ok(true)
    }

    /// DEALLOCATE of statements the client has prepared by protocol: on the servers they have other names, and are
    /// not the client's alone. False when the statement is the server's business.
    pub(super) async fn deallocate(&mut self, client: &mut Client, ending: Ending) -> Result<bool, End> {
        let status = self.leased.as_ref().map_or(TransactionStatus::Idle, |l| l.exchange.status());
        // What a transaction that is still open has prepared has not bound the session yet.
        let in_sql = self.leased.as_ref().is_some_and(|l| {
            l.pins.reasons().contains(Leaves::PREPARE)
                || l.left.intersects(Leaves::PREPARE.with(Leaves::ANYTHING))
        });
        let unsynced = self.leased.as_ref().is_some_and(|l| l.exchange.is_unsynced());
        if unsynced || status == TransactionStatus::Failed {
            return Ok(false);
        }
        let item = self.items[0];
        let whole = self.items.iter().all(|item| ONE_BY_ONE.contains(&item.kind));
        let text = match (ending, self.plan.iter().flatten().next()) {
            (Ending::Query, _) => query_text(wire::body(&client.inbox[item.start..], item.len))?,
            // One statement that is prepared, or was, and run at once.
            (Ending::Sync, Some(prepared))
                if whole && self.plan.iter().flatten().all(|other| other.id == prepared.id) =>
            {
                &prepared.text
            }
            _ => return Ok(false),
        };
        let tag = match Statements::deallocated(text) {
            Some(Deallocated::All) => {
                self.names.clear();
                if let Some(l) = self.leased.as_mut().filter(|_| in_sql) {
                    // The server takes the proxy's own statements with the client's.
                    if l.ask("deallocate all").await.is_err() {
                        return Ok(false);
                    }
                    l.lease.prepared.clear();
                    l.pins.end(Leaves::PREPARE);
                    // Whatever EXECUTE has run meanwhile.
                    l.left |= Leaves::ANYTHING;
                }
                "DEALLOCATE ALL"
            }
            Some(Deallocated::Name(name)) if self.names.remove(name.as_bytes()) => "DEALLOCATE",
            _ => return Ok(false),
        };
        if let Some(leased) = &mut self.leased {
            leased.hand_over(client);
        }
        if ending == Ending::Query {
            encode::command_complete(&mut client.outbox, tag);
        } else {
            self.answer_one_by_one(client, tag)?;
        }
        encode::ready(&mut client.outbox, status);
        if !self.leased.as_ref().is_some_and(|l| l.exchange.is_settled()) {
            return Ok(true);
        }
        if self.leased.as_ref().is_some_and(|l| !l.left.is_empty()) {
            self.deliver(client).await?;
            self.take_stock().await;
        }
        if self.leased.as_ref().is_some_and(|l| l.pins.is_empty()) {
            self.release(client).await?;
        }
        Ok(true)
    }

    /// Answers the messages of a pipeline that runs one statement without rows.
    fn answer_one_by_one(&self, client: &mut Client, tag: &str) -> Result<(), WireError> {
        for item in &self.items {
            match item.kind {
                Frontend::Parse => encode::parse_complete(&mut client.outbox),
                Frontend::Bind => encode::bind_complete(&mut client.outbox),
                Frontend::Execute => encode::command_complete(&mut client.outbox, tag),
                Frontend::Describe => {
                    let body = wire::body(&client.inbox[item.start..], item.len);
                    if Describe::read(body)?.kind == Kind::Statement {
                        encode::no_parameters(&mut client.outbox);
                    }
                    encode::no_data(&mut client.outbox);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether a READ ONLY transaction runs on a replica, and now needs what a replica would answer wrongly.
    pub(super) fn is_out_of_place(&self, summary: &Summary) -> bool {
        let in_transaction =
            |l: &Leased| l.serves_as == ServesAs::Replica && l.exchange.status() == TransactionStatus::Open;
        self.leased.as_ref().is_some_and(in_transaction)
            && (summary.known.as_ref().is_some_and(|k| k.statement.is_wrong_on_a_replica())
                // Nobody is bound to a replica: who writes later would have to be elsewhere.
                || summary.leaves.intersects(PINNING))
    }

    /// A segment [is out of place](Session::is_out_of_place). Before its transaction has seen anything it can begin again
    /// on the primary; later it cannot, and an error is better than a wrong answer: the server is made to fail the
    /// transaction, and true is returned.
    pub(super) async fn leave_replica(
        &mut self,
        client: &mut Client,
        u: &Understood,
        ending: Ending,
    ) -> Result<bool, End> {
        let Some(leased) = &mut self.leased else { return Ok(false) };
        if let Some(opening) = leased.opening.take() {
            // The client may have taken the answer to its BEGIN in part.
            leased.hand_over(client);
            self.leased = None;
            self.registered.slot.free().await;
            self.begin_on_primary(&opening).await?;
            return Ok(false);
        }
        let text = "this statement needs the primary, and its READ ONLY transaction runs on a replica";
        let failure = Failure::error("25006", text)
            .with_hint("Begin the transaction with the comment /* tidegate: intent=primary */.");
        self.refuse(failure, u, ending)
    }

    /// Fails a segment in a transaction: the server is made to give an error, so that it knows of it as well, and the
    /// client reads ours in its place.
    pub(super) fn refuse(&mut self, failure: Failure, u: &Understood, ending: Ending) -> Result<bool, End> {
        let Some(leased) = self.leased.as_mut().filter(|l| !l.exchange.is_unsynced()) else {
            return Err(failure.into());
        };
        if !matches!(ending, Ending::Query | Ending::Sync) {
            return Err(failure.into_fatal().into());
        }
        let mut error = BytesMut::new();
        failure.write(&mut error);
        leased.send_due();
        encode::query(&mut leased.lease.outbox, "select 1/0");
        leased.exchange.sent(Owed::Ready { by_sync: false });
        leased.turn = Turn {
            stand_in: Some(StandIn { told: error, made: b"" }),
            ..Turn::begin(u.summary.clone(), Instant::now())
        };
        self.is_unsent(ending);
        self.database.stats.proxy_error(&failure.code);
        Ok(true)
    }

    /// No server has had the segment: the names it gives, or takes back, are as they were. (A simple query that fails has
    /// destroyed the unnamed statement all the same.)
    pub(super) fn is_unsent(&mut self, ending: Ending) {
        if ending != Ending::Query {
            self.names.undo(self.renamed.drain(..));
        }
    }

    /// What is wrong with the value of a setting of our own, if the segment is nothing but that.
    pub(super) fn own_mistake(u: &Understood) -> Option<Failure> {
        let (name, value) = own_change(&u.summary)?;
        super::own::mistake(name, value?)
    }

    /// The token that `SET tidegate.after` gives, if the segment is nothing but that.
    pub(super) fn own_token(u: &Understood) -> Option<Position> {
        let ("after", Some(value)) = own_change(&u.summary)? else { return None };
        value.parse().ok()
    }

    /// A pipeline that began with reads on a replica, and was not synced, goes on with something for the primary: the
    /// replica's part is ended by a Sync of our own, and the segment is taken up again when that is answered.
    /// Reads have no effect, and each statement sees its own snapshot, so nothing is torn apart.
    pub(super) fn leave_pipeline(&mut self, u: &Understood) -> bool {
        let pipelined = |l: &Leased| {
            l.serves_as == ServesAs::Replica
                && l.exchange.status() == TransactionStatus::Idle
                && l.exchange.is_unsynced()
        };
        if u.foreign_portal || !self.leased.as_ref().is_some_and(pipelined) {
            return false;
        }
        let fresh = self.leased.as_ref().is_some_and(|l| u.summary.need.is_met_by(&l.node.node().view()));
        if fresh && matches!(self.decide(&u.summary, None, None, Duration::ZERO).target, Target::Replica(_)) {
            return false;
        }
        self.sync_unseen();
        true
    }

    /// A simple query or a function call in a pipeline that was not synced. A server that has met an error in the pipeline
    /// ignores it, and nothing in the answers tells whether that was the case: so the pipeline is ended by a Sync of our
    /// own, as the query would end it, and the segment is taken up again when that is answered.
    pub(super) fn cut_pipeline(&mut self, ending: Ending) -> bool {
        let is_whole = matches!(ending, Ending::Query | Ending::Function);
        if !is_whole || !self.leased.as_ref().is_some_and(|l| l.exchange.is_unsynced()) {
            return false;
        }
        self.sync_unseen();
        true
    }

    /// Ends what the server has of a pipeline, unseen by the client. The segment will be understood once more.
    fn sync_unseen(&mut self) {
        self.names.undo(self.renamed.drain(..));
        if let Some(leased) = &mut self.leased {
            encode::sync(&mut leased.lease.outbox);
            leased.exchange.sent(Owed::Leave);
        }
    }
}

/// The setting of our own that the segment changes, and its new value, `None` for the default; if it is nothing but that.
pub(super) fn own_change(summary: &Summary) -> Option<(&str, Option<&str>)> {
    let Class::Own(own) = &summary.known.as_ref()?.statement.class else { return None };
    match &**own {
        Own::Set { name, value, .. } => Some((name, Some(value))),
        Own::Reset { name, .. } => Some((name, None)),
        Own::Show { .. } | Own::ExplainRoute => None,
    }
}
