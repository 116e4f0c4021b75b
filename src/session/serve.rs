//! The serve loop of one client: take what it sent, wait for either side, pass on what came back.
//!
//! One task owns the client's connection and, while it is leased, the server's. What a segment needs is decided in
//! `turn`, what the server answers is looked at in `replies`, and what happens when it has answered is in `finish`.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Buf;

use super::cancel::Registered;
use super::client::Client;
use super::explain::Route;
use super::failure::End;
use super::ground::Standing;
use super::leased::Leased;
use super::names::{Names, Renamed};
use super::need::{Kin, Located};
use super::poll::{poll_both, poll_client};
use super::proxy::{Admitted, Database, Proxy};
use super::rules::Ruled;
use super::segment::{self, Item, Step};
use super::settings::SessionSettings;
use super::statements::Prepared;
use super::summary::Blanks;
use super::timer::{Overdue, Timer};
use super::told::Told;
use super::user::User;
use crate::freshness::Tick;
use crate::pool::Lease;
use crate::routing::{NodeId, ReplicaView, Shown};
use crate::wire::{Frontend, TransactionStatus, encode, frontend_message};

/// While a statement runs, at most this many bytes of what the client sends ahead are taken in.
const AHEAD: usize = 64 * 1024;
/// Most bytes waiting for one server, or for one client, before the other side is asked for more.
pub(super) const BACKLOG: usize = 128 * 1024;
/// How long a server that works for a client that has left is waited for before it is looked at again.
const LEFT: Duration = Duration::from_millis(250);
/// The longest statement text that can be prepared, in bytes: it has to be kept whole.
const LONGEST_PARSE: usize = 16 * 1024 * 1024;

/// A client's lists of messages are given back when they have room for more than this and it waits or rests.
pub(super) const LONG: usize = 128;

/// One logged-in client.
pub(super) struct Session {
    /// No other session has had it.
    pub(super) number: u64,
    /// The configuration it goes by.
    pub(super) edition: u64,
    pub(super) proxy: Arc<Proxy>,
    pub(super) database: Arc<Database>,
    pub(super) user: Arc<User>,
    pub(super) settings: SessionSettings,
    pub(super) told: Told,
    pub(super) registered: Registered,
    /// Says when something takes longer than it may, if anything is limited.
    pub(super) timer: Option<Box<Timer>>,
    pub(super) names: Names,
    /// What the segment at hand has made of them.
    pub(super) renamed: Vec<Renamed>,
    pub(super) leased: Option<Leased>,
    /// Session pooling: connections this client keeps, one per node.
    pub(super) parked: Vec<(NodeId, Lease)>,
    /// Mark of scope `connection`.
    pub(super) last_write: Tick,
    /// The server process on which it wrote last.
    pub(super) wrote_on: u32,
    /// What it was shown, and must not be shown less than.
    pub(super) shown: Shown,
    /// Stands for the commits that were under way beside the read that left the read mark.
    pub(super) beside: Option<u64>,
    /// The client's address, without its port.
    pub(super) address: Box<str>,
    pub(super) kin: Kin,
    pub(super) located: Option<Located>,
    /// The messages of the segment at hand, and the statements they are about.
    pub(super) blanks: Blanks,
    pub(super) items: Vec<Item>,
    pub(super) plan: Vec<Option<Arc<Prepared>>>,
    pub(super) view: Vec<ReplicaView>,
    pub(super) standing: Option<Standing>,
    pub(super) ruled: Ruled,
    /// How the last statement was decided.
    pub(super) last_route: Option<Box<Route>>,
    /// When the message at hand arrived.
    pub(super) arrived: Instant,
    /// Bytes of a message of the client that are still to be passed on, or dropped.
    passing: Passing,
    /// After an error of the proxy's own in the extended protocol: everything up to Sync is skipped.
    pub(super) skipping: bool,
    pub(super) dice: u64,
    _admitted: Admitted,
}

/// What becomes of the rest of a message that is not held whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passing {
    Nothing,
    On(usize),
    Away(usize),
    /// COPY data has come before the server has asked for it: whether it will is not known yet.
    Early,
}

/// What there was to wait for.
pub(super) enum Event {
    /// More of the client, or room to pass more of it on.
    Client,
    /// More of the server.
    Server,
    /// It has left, and the server still works for it.
    ClientGone,
    ServerGone(io::Error),
    /// Something has taken longer than it may.
    Overdue(Overdue),
    /// The session is to end.
    Stop,
    /// Nothing to wait for: the client rests.
    Rest,
}

impl Session {
    pub(super) fn new(
        proxy: Arc<Proxy>,
        database: Arc<Database>,
        user: Arc<User>,
        settings: SessionSettings,
        registered: Registered,
        admitted: Admitted,
    ) -> Self {
        Self {
            number: proxy.sessions.fetch_add(1, Ordering::Relaxed),
            // Whatever may have changed since it was looked up is taken over with the first statement.
            edition: 0,
            timer: Timer::new(user.limits),
            proxy,
            database,
            user,
            settings,
            told: Told::default(),
            registered,
            names: Names::default(),
            renamed: Vec::new(),
            leased: None,
            parked: Vec::new(),
            last_write: Tick::NEVER,
            wrote_on: 0,
            shown: Shown::default(),
            beside: None,
            address: Box::default(),
            kin: Kin::default(),
            located: None,
            blanks: Blanks::default(),
            items: Vec::new(),
            plan: Vec::new(),
            view: Vec::new(),
            standing: None,
            ruled: Ruled::default(),
            last_route: None,
            arrived: Instant::now(),
            passing: Passing::Nothing,
            skipping: false,
            dice: rand::random(),
            _admitted: admitted,
        }
    }

    /// The session begins, in the task that this wakes.
    pub(super) fn begin(&self, waker: &Waker) {
        self.registered.slot.wakes(waker);
        if *self.proxy.stopping.borrow() {
            // It has come too late to be told.
            self.registered.slot.end();
        }
    }

    /// Serves the client until it rests, or it or the proxy ends. When it rests, whatever may happen next wakes the task.
    pub(super) async fn serve(&mut self, client: &mut Client) -> Result<(), End> {
        loop {
            let all_taken = self.take_all(client).await?;
            if all_taken && client.has_left() {
                // What it is still told reaches it if it listens.
                self.leased.iter_mut().for_each(|leased| leased.hand_over(client));
                return Err(End::Client);
            }
            match self.wait(client).await {
                Event::Client => self.timer.iter_mut().for_each(|timer| timer.stir()),
                Event::Server => self.replies(client).await?,
                Event::ServerGone(error) => Box::pin(self.server_gone(client, &error)).await?,
                Event::Overdue(what) => Box::pin(self.overdue(client, what)).await?,
                Event::ClientGone => Box::pin(self.client_left(client)).await,
                Event::Rest => return Ok(()),
                Event::Stop => return Err(Box::pin(self.halt(client)).await),
            }
        }
    }

    /// Whether more of what the client sent may be dealt with.
    fn can_take(&self, client: &Client) -> bool {
        match &self.leased {
            None => client.outbox.len() < BACKLOG,
            Some(l) if l.rerun.is_some() || l.lease.outbox.len() >= BACKLOG => false,
            Some(l) if self.passing == Passing::Early => {
                l.exchange.copies_in() || self.skipping || !l.exchange.may_copy()
            }
            Some(l) if self.passing != Passing::Nothing || l.exchange.copies_in() => true,
            Some(l) => l.exchange.is_ready() && !l.exchange.is_far_behind(),
        }
    }

    /// Deals with what the client has sent, as far as may be. True when all of it was, and more must arrive first.
    async fn take_all(&mut self, client: &mut Client) -> Result<bool, End> {
        if self.leased.is_none() && client.inbox.is_empty() {
            return Ok(true);
        }
        while self.can_take(client) {
            if !self.take(client).await? {
                return Ok(true);
            }
        }
        Ok(self.passing == Passing::Early)
    }

    /// Deals with one piece of what the client has sent. False when more must arrive first.
    async fn take(&mut self, client: &mut Client) -> Result<bool, End> {
        #[cfg(test)]
        super::contain::provoke_in_take(self, client);
        if self.passing == Passing::Early {
            self.passing = Passing::Nothing;
        }
        if self.passing != Passing::Nothing {
            return Ok(self.pass(client));
        }
        if self.leased.as_ref().is_some_and(|l| l.exchange.copies_in()) {
            return self.take_copy(client);
        }
        let Some(step) = segment::next(&client.inbox, &mut self.items, LONGEST_PARSE)? else {
            if self.items.capacity() > LONG {
                (self.items, self.plan) = (Vec::new(), Vec::new());
            }
            return Ok(false);
        };
        self.arrived = Instant::now();
        self.registered.slot.asks(self.arrived);
        match step {
            Step::Segment { len, ending } => self.take_segment(client, len, ending).await?,
            Step::Drop { .. } | Step::Large { kind: Frontend::CopyData, .. } if self.may_ask_for_copy() => {
                self.passing = Passing::Early;
                // Until it is asked, a server may keep to itself that it has run everything.
                self.leased.iter_mut().for_each(|l| encode::flush(&mut l.lease.outbox));
                return Ok(false);
            }
            Step::Large { kind, len } => return Box::pin(self.take_large(client, kind, len)).await,
            Step::Drop { len } => self.passing = Passing::Away(len),
            Step::Terminate => return Err(End::Client),
        }
        Ok(true)
    }

    /// Whether the server may still turn out to wait for COPY data.
    fn may_ask_for_copy(&self) -> bool {
        !self.skipping && self.leased.as_ref().is_some_and(|l| l.exchange.may_copy())
    }

    /// Moves on the rest of a message that is not held whole.
    fn pass(&mut self, client: &mut Client) -> bool {
        let (Passing::On(rest) | Passing::Away(rest)) = self.passing else { return false };
        let n = rest.min(client.inbox.len());
        if let (Passing::On(_), Some(leased)) = (self.passing, &mut self.leased) {
            leased.lease.outbox.extend_from_slice(&client.inbox[..n]);
        }
        client.inbox.advance(n);
        self.passing = match self.passing {
            _ if n == rest => Passing::Nothing,
            Passing::On(_) => Passing::On(rest - n),
            _ => Passing::Away(rest - n),
        };
        n > 0
    }

    /// `len` bytes at the front of the client's inbox, arrived or not, go to the server as they are.
    pub(super) fn pass_on(&mut self, len: usize) {
        self.passing = Passing::On(len);
    }

    /// Whether a server waits for the rest of a message of the client's.
    pub(super) fn is_passing_on(&self) -> bool {
        matches!(self.passing, Passing::On(_))
    }

    /// `len` bytes at the front of the client's inbox, arrived or not, are dropped.
    pub(super) fn pass_away(&mut self, len: usize) {
        self.passing = Passing::Away(len);
    }

    /// Passes COPY data, and whatever else a client sends while the server waits for it, to the server.
    fn take_copy(&mut self, client: &Client) -> Result<bool, End> {
        let Some(header) = frontend_message(&client.inbox)? else { return Ok(false) };
        match header.kind {
            Frontend::Terminate => return Err(End::Client),
            Frontend::CopyData | Frontend::Flush | Frontend::Sync => {}
            // What does not belong fails the COPY, and is not looked at. What follows it is.
            _ => self.leased.iter_mut().for_each(|leased| leased.exchange.copy_ended()),
        }
        self.pass_on(header.len);
        Ok(true)
    }

    /// Waits until something can go on. Cancel safe.
    async fn wait(&mut self, client: &mut Client) -> Event {
        let busy = self.leased.as_ref().is_some_and(|l| !l.exchange.is_settled());
        let ahead = if self.can_take(client) { usize::MAX } else { AHEAD };
        let left = client.has_left();
        if self.timer.is_some() {
            let doing = self.doing();
            self.timer.iter_mut().for_each(|timer| timer.is(doing));
        }
        let Self { leased, timer, registered, .. } = self;
        let happens = poll_fn(|cx| {
            // First: there may always be something else.
            if registered.slot.is_killed() {
                return Poll::Ready(Event::Stop);
            }
            let event = match leased {
                Some(leased) => poll_both(cx, client, leased, ahead),
                None => poll_client(cx, client, ahead),
            };
            if event.is_ready() {
                return event;
            }
            if let Some(timer) = timer {
                if !client.outbox.is_empty() || leased.as_ref().is_some_and(Leased::has_undelivered) {
                    timer.hold_up();
                }
                if let Poll::Ready(what) = timer.poll(cx) {
                    return Poll::Ready(Event::Overdue(what));
                }
            }
            if let Some(leased) = leased
                && leased.is_abandoned()
            {
                // A server that says nothing any more, or whose word does not count.
                return Poll::Ready(Event::ServerGone(io::ErrorKind::ConnectionAborted.into()));
            }
            if !busy && registered.slot.is_to_end(false) {
                Poll::Ready(Event::Stop)
            } else if leased.is_none() && client.rests() {
                Poll::Ready(Event::Rest)
            } else {
                Poll::Pending
            }
        });
        if busy && left {
            // A request to cancel that came before its statement had begun has done nothing.
            return Box::pin(tokio::time::timeout(LEFT, happens)).await.unwrap_or(Event::ClientGone);
        }
        happens.await
    }

    /// Tells the client that it may go on, outside a transaction.
    pub(super) fn say_ready(client: &mut Client) {
        encode::ready(&mut client.outbox, TransactionStatus::Idle);
    }
}
