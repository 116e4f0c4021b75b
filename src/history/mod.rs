//! The check of a history: were all answers allowed, given what had been sent and acknowledged before?
//!
//! Owns what each level promises about a **key**, and holds every read against it while the history is made, in memory
//! that does not grow with time. It must not know connections, SQL or a clock: what happened is handed in, in the order
//! in which it happened, with instants since the beginning of the run.
//!
//! Every key is written by one writer with the values 1, 2, 3 and so on, the next one only after the one before was
//! acknowledged. That makes the questions decidable at once: a read is held against a few numbers instead of against
//! all that happened before. A key is a **register**, whose value is read, or an append-only **list**, whose elements 1 to
//! `k` stand for the value `k`; of a list only the newest elements are read, so that it need not be kept whole.

mod key;
mod violation;

#[cfg(test)]
mod naive;
#[cfg(test)]
mod tests;

use std::time::Duration;

use key::Key;
pub use violation::{Kind, Kinds};

/// Elements are read from a multiple of this on: between one and two times so many. Few in tests, so that random
/// histories get past them.
const WINDOW: u64 = if cfg!(test) { 3 } else { 16 };

/// What reads are promised to see: the levels of `docs/freshness.md`, as far as they differ in what can be observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Some past state.
    Eventual,
    /// Everything that was acknowledged so long before the read was sent.
    Bounded(Duration),
    /// Everything acknowledged through the same proxy before the read was sent, and of what was written through that, a
    /// session never goes back in time.
    Session,
    /// Everything acknowledged to anybody, or returned to anybody, before the read was sent.
    Strong,
}

/// A register or a list, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyId(pub usize);

/// One connection of a client, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId(pub usize);

/// One of the proxies before the cluster, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProxyId(pub usize);

/// A read that is about to be sent, with what it must see at least.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    /// What is read.
    pub key: KeyId,
    /// Elements of a list are to be read from here on, this one not included.
    pub base: u64,
    /// When it was sent.
    pub sent_at: Duration,
    session: SessionId,
    /// The greatest value that was acknowledged and that the level, or a token, promises.
    acknowledged: u64,
    /// The greatest value acknowledged to anybody, promised or not.
    newest: u64,
    /// The greatest value that any read had returned.
    returned: u64,
}

/// What a read has answered.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// The value of a register; 0 when it is not there.
    Value(i64),
    /// The elements of a list after the ticket's base, in the order in which they came.
    Elements(&'a [i64]),
}

/// What was found about a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What is wrong with it.
    pub kinds: Kinds,
    /// What it was held against.
    pub limits: Limits,
    /// How long ago, when the read was sent, the oldest write had been acknowledged that it did not see; 0 when it has
    /// missed nothing. At least so long, when that write is long gone.
    pub staleness: Duration,
    /// How long ago, when the read was sent, the key had been written last. Far back, a read is an easy one.
    pub since_write: Option<Duration>,
}

/// What a read was held against: values that it must not be below, and one that it must not be above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The greatest value that was acknowledged and promised before it was sent.
    pub acknowledged: u64,
    /// The greatest value read before on its connection, as far as the level makes something of that.
    pub before: u64,
    /// The greatest value returned to anybody before it was sent.
    pub returned: u64,
    /// The greatest value sent before it was answered.
    pub sent: u64,
}

/// What has happened, as far as it can still matter.
#[derive(Debug)]
pub struct History {
    promise: Promise,
    keys: Box<[Key]>,
    sessions: Box<[Session]>,
}

#[derive(Debug)]
struct Session {
    proxy: ProxyId,
    /// By key: the greatest value that was read on this connection.
    seen: Box<[u64]>,
}

impl History {
    /// Nothing has happened. Every session is connected through the proxy given for it.
    pub fn new(promise: Promise, keys: usize, proxies: usize, sessions: &[ProxyId]) -> Self {
        let session = |proxy: &ProxyId| Session { proxy: *proxy, seen: vec![0; keys].into() };
        Self {
            promise,
            keys: (0..keys).map(|_| Key::new(proxies)).collect(),
            sessions: sessions.iter().map(session).collect(),
        }
    }

    /// The next value of `key`: the one after the last that was acknowledged, so a write of unknown outcome is repeated.
    pub fn next_value(&self, key: KeyId) -> u64 {
        self.keys[key.0].newest() + 1
    }

    /// A write of this value is about to be sent on a session.
    pub fn sending(&mut self, key: KeyId, value: u64, session: SessionId) {
        let proxy = self.sessions[session.0].proxy;
        self.keys[key.0].sending(value, proxy);
    }

    /// The write of this value was acknowledged on a session.
    pub fn acknowledged(&mut self, key: KeyId, value: u64, session: SessionId, at: Duration) {
        let proxy = self.sessions[session.0].proxy;
        self.keys[key.0].acknowledged(value, proxy, at);
    }

    /// Up to which element a list can be thrown away now, if there is something new to throw away. Whoever is told so
    /// may begin at once: reads under way that still ask for these elements are not judged any more.
    pub fn trim(&mut self, key: KeyId) -> Option<u64> {
        self.keys[key.0].trim()
    }

    /// A read is about to be sent. With a token it must see at least the value that was written before the token was
    /// asked for, through whichever proxy.
    pub fn reading(&self, session: SessionId, key: KeyId, token: Option<u64>, at: Duration) -> Ticket {
        let state = &self.keys[key.0];
        let promised = match self.promise {
            Promise::Eventual => 0,
            Promise::Bounded(time) => state.acknowledged_by(at.checked_sub(time)),
            Promise::Session => state.acknowledged_through(self.sessions[session.0].proxy),
            Promise::Strong => state.newest(),
        };
        Ticket {
            key,
            base: state.base(),
            sent_at: at,
            session,
            acknowledged: promised.max(token.unwrap_or(0)),
            newest: state.newest(),
            returned: state.returned(),
        }
    }

    /// The read was answered. `None` when it cannot be judged: what it asked for may have been thrown away meanwhile.
    pub fn answered(&mut self, ticket: &Ticket, seen: Seen<'_>) -> Option<Verdict> {
        let state = &mut self.keys[ticket.key.0];
        if matches!(seen, Seen::Elements(_)) && state.is_trimmed_after(ticket.base) {
            return None;
        }
        let Session { proxy, seen: before } = &mut self.sessions[ticket.session.0];
        let before = &mut before[ticket.key.0];
        let Ticket { acknowledged, returned, .. } = *ticket;
        let promised = match self.promise {
            Promise::Session => state.sent_through(*proxy),
            _ => u64::MAX,
        };
        let limits = Limits { acknowledged, before: promised.min(*before), returned, sent: state.sent() };
        let (value, mut kinds) = reading_of(seen, ticket.base);
        kinds.set(Kind::Invented, value > limits.sent);
        kinds.set(Kind::Missed, value < limits.acknowledged);
        let monotonic = matches!(self.promise, Promise::Session | Promise::Strong);
        kinds.set(Kind::Backwards, monotonic && value < limits.before);
        kinds.set(Kind::Reordered, self.promise == Promise::Strong && value < limits.returned);
        // What was invented holds nobody else to it.
        if !kinds.has(Kind::Invented) {
            *before = value.max(*before);
            state.returns(value);
        }
        let missed = (value < ticket.newest).then(|| state.acknowledged_at(value + 1)).flatten();
        let staleness = missed.map_or(Duration::ZERO, |at| ticket.sent_at.saturating_sub(at));
        let since_write =
            state.acknowledged_at(ticket.newest).map(|written| ticket.sent_at.saturating_sub(written));
        Some(Verdict { kinds, limits, staleness, since_write })
    }

    /// The session has ended and another one takes its number: it has read nothing yet.
    pub fn reconnected(&mut self, session: SessionId) {
        self.sessions[session.0].seen.fill(0);
    }
}

/// The value that an answer stands for, and what is wrong with the answer itself.
fn reading_of(seen: Seen<'_>, base: u64) -> (u64, Kinds) {
    let mut kinds = Kinds::default();
    let value = match seen {
        Seen::Value(value) => u64::try_from(value).unwrap_or_else(|_| {
            kinds.set(Kind::Invented, true);
            0
        }),
        Seen::Elements(elements) => {
            let in_order =
                (base + 1..).zip(elements).take_while(|(n, e)| i64::try_from(*n) == Ok(**e)).count();
            kinds.set(Kind::Broken, in_order < elements.len());
            // Of a broken list, what is whole of it.
            base + in_order as u64
        }
    };
    (value, kinds)
}
