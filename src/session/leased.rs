//! A server connection in the hands of a session, and what is in flight on it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{Buf, BytesMut};
use tokio::sync::OwnedSemaphorePermit;

use super::ask::{self, AskError};
use super::build::NOBODY;
use super::client::Client;
use super::exchange::Exchange;
use super::names::Renamed;
use super::pins::Pins;
use super::statements::Prepared;
use super::summary::{Blank, Summary};
use super::timing::Run;
use super::touch::Touching;
use crate::cluster::Outstanding;
use crate::pool::Lease;
use crate::routing::{Held, NodeId};
use crate::sql::Leaves;
use crate::sql::catalog::Does;

/// A server connection in the hands of a session.
pub(super) struct Leased {
    pub(super) lease: Lease,
    pub(super) node: Outstanding,
    pub(super) serves_as: ServesAs,
    pub(super) exchange: Exchange,
    /// Statements that make the session's settings, not sent yet; empty when they are in force.
    pub(super) due: String,
    /// What keeps the session on this connection.
    pub(super) pins: Pins,
    /// Statements whose description the client waits for, in order, unnamed ones as `None`; and the one whose rows are
    /// described next.
    pub(super) described: VecDeque<Option<Described>>,
    pub(super) describing: Option<Described>,
    /// What may have been left in the session since it was last known in full.
    pub(super) left: Leaves,
    /// What the open transaction may have done, and to which tables.
    pub(super) did: Does,
    pub(super) touching: Touching,
    /// Which time of the node this began in.
    pub(super) tenure: Tenure,
    /// Room in the primary's budget for reads that no replica was fresh enough for.
    pub(super) room: Option<OwnedSemaphorePermit>,
    pub(super) fate: Fate,
    /// When the first message of the transaction at hand arrived.
    pub(super) since: Instant,
    /// The message that began a READ ONLY transaction, as long as nothing else was done in it.
    pub(super) opening: Option<Box<[u8]>>,
    pub(super) turn: Turn,
    /// Bytes at the front of the server's inbox that have been looked at.
    pub(super) scanned: usize,
    /// Bytes of a row, or of COPY data, that are still to arrive and to be passed on.
    pub(super) arriving: usize,
    /// The segment is to be run again elsewhere as soon as this server has finished with it.
    pub(super) rerun: Option<Rerun>,
}

/// A statement that is described, and the client's name for it.
pub(super) type Described = (Box<[u8]>, Arc<Prepared>);

/// A time in a node's existence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tenure {
    /// Which of its lives.
    pub(super) life: u64,
    /// How often what was under way there had been given up.
    pub(super) abandonments: u64,
}

/// The role in which a node serves a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServesAs {
    /// As the primary, in a transaction that has not written.
    Primary,
    /// As the primary, in a transaction that may have written.
    Writer,
    /// As a replica: nothing can be written there.
    Replica,
}

/// What becomes of a server connection when the session lets go of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is lent again.
    Shared,
    /// It must not serve anybody else.
    Closed,
    /// The server said FATAL: it hangs up, and a direct connection would be over.
    HangingUp,
}

/// The segment a server works on.
pub(super) struct Turn {
    pub(super) summary: Box<Summary>,
    /// The segment's bytes at the front of the client's inbox, kept to run it again; 0 when that cannot be.
    pub(super) retained: usize,
    pub(super) answer: Answer,
    /// Names the client has given or taken back, in order: undone where that has no effect.
    pub(super) renamed: Vec<Renamed>,
    /// Settings the server has reported, and the client is told of when the segment ends.
    pub(super) reported: Vec<(String, String)>,
    /// What the client is told in place of the error the server was made to give.
    pub(super) stand_in: Option<StandIn>,
    /// When the server was sent it.
    pub(super) begun: Instant,
    /// Until it is answered in full, and was counted.
    pub(super) run: Option<Run>,
    /// How often the segment has been run before.
    pub(super) runs: u8,
}

/// An error of the proxy's own, and what the one of the server has in its message whose place it takes: another may come
/// first.
pub(super) struct StandIn {
    pub(super) told: BytesMut,
    pub(super) made: &'static [u8],
}

/// What the client has been told of a segment's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing yet: what has arrived is held back, because the segment may still run elsewhere.
    HeldBack,
    /// What arrives is passed on.
    PassedOn,
    /// What arrives is passed on, and an error was among it.
    Failed,
}

/// How a segment is run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rerun {
    /// On the primary: a replica cannot do it.
    OnPrimary,
    /// On the primary: a replica lacks something that may only be new.
    Missing,
    /// Anywhere but on this node.
    Elsewhere(NodeId),
    /// On a connection that nobody has used: on others a library has reserved the name of the setting.
    Fresh,
    /// With its statements prepared anew: a table they use has changed.
    Replan,
}

impl StandIn {
    /// For the error that there is no statement of a name that none has.
    pub(super) fn for_nobody(told: BytesMut) -> Self {
        Self { told, made: NOBODY }
    }
}

impl Leased {
    /// What is still to be known of earlier segments of a pipeline that was not synced: names that may have no effect, and an
    /// error of the proxy's own that is still to come.
    pub(super) fn pending(&mut self) -> (Vec<Renamed>, Option<StandIn>) {
        if !self.exchange.is_unsynced() {
            return (Vec::new(), None);
        }
        (std::mem::take(&mut self.turn.renamed), self.turn.stand_in.take())
    }

    /// A connection that was just lent.
    pub(super) fn new(lease: Lease, node: Outstanding, serves_as: ServesAs, blank: Blank) -> Self {
        let exchange = Exchange::with(blank.queue);
        // Until a segment is sent; the clock is not looked at for it.
        let turn = Turn::begin(blank.summary, lease.created);
        Self {
            since: lease.created,
            lease,
            node,
            serves_as,
            exchange,
            due: String::new(),
            pins: Pins::default(),
            left: Leaves::default(),
            did: Does::NOTHING,
            touching: Touching::default(),
            tenure: Tenure::default(),
            room: None,
            fate: Fate::Shared,
            described: VecDeque::new(),
            describing: None,
            opening: None,
            turn,
            scanned: 0,
            arriving: 0,
            rerun: None,
        }
    }

    /// Why the session holds it, if it does.
    pub(super) fn held(&self) -> Held {
        if self.pins.is_empty() { Held::Transaction } else { Held::Pin }
    }

    /// Whether what is under way on the node has been given up since it was lent.
    pub(super) fn is_abandoned(&self) -> bool {
        self.node.node().abandonments() != self.tenure.abandonments
    }

    /// Bytes at the front of the server's inbox that are for the client, now.
    fn approved(&self) -> usize {
        if self.turn.answer == Answer::HeldBack { 0 } else { self.scanned }
    }

    /// Whether the client has not taken yet what is for it.
    pub(super) fn has_undelivered(&self) -> bool {
        self.approved() > 0
    }

    /// Sends what is for the client. Ready when all of it is sent.
    pub(super) fn poll_deliver(&mut self, cx: &mut Context<'_>, client: &mut Client) -> Poll<()> {
        std::task::ready!(client.poll_flush(cx));
        while self.approved() > 0 {
            let n = std::task::ready!(client.poll_write(cx, &self.lease.inbox[..self.approved()]));
            self.lease.inbox.advance(n);
            self.scanned -= n;
        }
        Poll::Ready(())
    }

    /// Hands what is for the client and could not be sent at once over to the client's own outbox.
    pub(super) fn hand_over(&mut self, client: &mut Client) {
        let n = self.approved();
        client.outbox.extend_from_slice(&self.lease.inbox[..n]);
        self.lease.inbox.advance(n);
        self.scanned -= n;
    }

    /// Takes a message that was just looked at out of the server's inbox; it begins behind what was scanned.
    pub(super) fn hide(&mut self, len: usize) {
        let inbox = &mut self.lease.inbox;
        if self.scanned == 0 {
            inbox.advance(len);
        } else {
            inbox.copy_within(self.scanned + len.., self.scanned);
            inbox.truncate(inbox.len() - len);
        }
    }

    /// Asks a question of the proxy's own.
    pub(super) async fn ask(&mut self, sql: &str) -> Result<ask::Answer, AskError> {
        let passed = self.set_aside();
        let answer =
            ask::answered(self.node.node(), self.tenure.abandonments, ask::ask(&mut self.lease, sql)).await;
        self.put_back(passed);
        answer
    }

    /// The same, whatever `statement_timeout` the session has. The question must not change anything.
    pub(super) async fn ask_in_time(&mut self, sql: &str) -> Result<ask::Answer, AskError> {
        let passed = self.set_aside();
        let answer =
            ask::answered(self.node.node(), self.tenure.abandonments, ask::ask_in_time(&mut self.lease, sql))
                .await;
        self.put_back(passed);
        answer
    }

    /// Takes what was looked at, and is still to be passed on, out of the way of an answer to the proxy itself.
    pub(super) fn set_aside(&mut self) -> BytesMut {
        self.lease.inbox.split_to(self.scanned)
    }

    /// Puts back what [`Leased::set_aside`] has taken.
    pub(super) fn put_back(&mut self, passed: BytesMut) {
        if !passed.is_empty() {
            let rest = std::mem::replace(&mut self.lease.inbox, passed);
            self.lease.inbox.extend_from_slice(&rest);
        }
    }

    /// Puts messages of the proxy's own before the last one that was looked at, of `len` bytes.
    pub(super) fn put_before(&mut self, len: usize, messages: &[u8]) {
        let rest = self.lease.inbox.split_off(self.scanned - len);
        self.lease.inbox.extend_from_slice(messages);
        self.lease.inbox.extend_from_slice(&rest);
        self.scanned += messages.len();
    }

    /// Drops what was held back.
    pub(super) fn drop_scanned(&mut self) {
        self.lease.inbox.advance(self.scanned);
        self.scanned = 0;
    }

    /// The answer is for the client: from here on the segment cannot be run again.
    pub(super) fn commit(&mut self, client: &mut Client) {
        if self.turn.answer == Answer::HeldBack {
            self.turn.answer = Answer::PassedOn;
            client.inbox.advance(self.turn.retained);
            self.turn.retained = 0;
        }
    }
}

impl Turn {
    /// Whether the segment can still be run again: its bytes are kept, and the client has been told nothing.
    pub(super) fn is_kept(&self) -> bool {
        self.retained > 0 && self.answer == Answer::HeldBack
    }

    /// A segment that cannot be run again, begun at `begun`.
    pub(super) fn begin(summary: Box<Summary>, begun: Instant) -> Self {
        Self {
            summary,
            retained: 0,
            answer: Answer::PassedOn,
            renamed: Vec::new(),
            reported: Vec::new(),
            stand_in: None,
            begun,
            run: None,
            runs: 0,
        }
    }
}
