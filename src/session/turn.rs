//! Taking a segment: what it needs, where it goes, and sending it there.

use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, BytesMut};

use super::client::Client;
use super::exchange::Owed;
use super::failure::{End, Failure};
use super::leased::{Leased, Rerun, Summary, Turn};
use super::segment::{Ending, Item};
use super::serve::Session;
use super::statements::{Known, Prepared};
use crate::freshness::Tick;
use crate::routing::{Decision, Held, Reason, Request, Wants, route};
use crate::sql::{Class, HintError, Hints, Leaves, Level, Scope};
use crate::wire::{
    self, Bind, Describe, Frontend, Kind, Parse, TransactionStatus, WireError, encode, parse_message,
    query_text,
};

/// A segment as far as it was understood, before it is sent.
pub(super) struct Understood {
    pub(super) summary: Summary,
    pub(super) defined: Vec<Box<[u8]>>,
    /// The Parse whose name is taken, and what the client is told instead of the server's error.
    taken: Option<(usize, BytesMut)>,
    /// A portal is executed that an earlier segment has bound.
    foreign_portal: bool,
    hint_error: Option<HintError>,
}

impl Session {
    /// Decides on a segment at the front of the client's inbox and sends it to where it belongs.
    pub(super) async fn take_segment(
        &mut self,
        client: &mut Client,
        len: usize,
        ending: Ending,
    ) -> Result<(), End> {
        if self.skipping {
            if ending == Ending::Sync {
                self.skipping = false;
                Self::say_ready(client);
            }
            client.inbox.advance(len);
            return Ok(());
        }
        if self.leased.is_none() && self.answer_alone(client, ending)? {
            client.inbox.advance(len);
            return Ok(());
        }
        let understood = self.understand(&client.inbox, ending).await?;
        if let Some(error) = &understood.hint_error {
            tracing::warn!(user = %self.user.name, database = %self.database.settings.name, %error, "hint ignored, statement sent to the primary");
        }
        match self.send(client, understood, len, ending, None).await {
            Err(End::Failure(failure)) if failure.severity == wire::Severity::Error => {
                client.inbox.advance(len);
                self.fail(client, &failure, ending);
                Ok(())
            }
            sent => sent,
        }
    }

    /// The statement fails without a server having seen it.
    pub(super) fn fail(&mut self, client: &mut Client, failure: &Failure, ending: Ending) {
        self.database.stats.proxy_error(&failure.code);
        tracing::warn!(
            user = %self.user.name, database = %self.database.settings.name, sqlstate = %failure.code,
            "{}", failure.message
        );
        failure.write(&mut client.outbox);
        match ending {
            Ending::Sync | Ending::Query | Ending::Function => Self::say_ready(client),
            Ending::Flush | Ending::Open => self.skipping = true,
        }
    }

    /// Answers segments that need no server: nothing but Sync, Flush and Close of what is ours alone.
    fn answer_alone(&mut self, client: &mut Client, ending: Ending) -> Result<bool, WireError> {
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

    /// Finds out what the segment's statements may do, and gives the client's names to those it prepares.
    async fn understand(&mut self, inbox: &[u8], ending: Ending) -> Result<Understood, WireError> {
        let mut u = Understood {
            summary: Summary::nothing(),
            defined: Vec::new(),
            taken: None,
            foreign_portal: false,
            hint_error: None,
        };
        self.plan.clear();
        let mut bound = false;
        let readable = !self.settings.steering.unreadable;
        for i in 0..self.items.len() {
            let item = self.items[i];
            let body = &inbox[item.start + wire::HEADER_LEN..item.start + item.len];
            let mut about = None;
            match item.kind {
                Frontend::Query => {
                    let text = query_text(body)?;
                    self.names.forget_unnamed();
                    let (known, hints) = if readable {
                        self.proxy.statements.look_up(text).await
                    } else {
                        (self.proxy.statements.unreadable(), Ok(Hints::default()))
                    };
                    u.summary.count += u64::from(known.statement.count);
                    u.add(&known, &hints);
                }
                Frontend::Parse => {
                    let parse = parse_message(body)?;
                    let prepared = self.proxy.statements.prepare(parse.text, parse.types, readable).await;
                    self.define(i, &parse, &prepared, &mut u);
                    // What is prepared and not run here is at home where it will be run.
                    u.add(&prepared.known, &prepared.hints);
                    about = Some(prepared);
                }
                Frontend::Bind => {
                    bound = true;
                    about = self.names.get(Bind::read(body)?.statement).cloned();
                    match &about {
                        Some(prepared) => u.add(&prepared.known, &prepared.hints),
                        None => u.summary.unknown(),
                    }
                }
                Frontend::Describe | Frontend::Close => {
                    let describe = Describe::read(body)?;
                    if describe.kind == Kind::Statement {
                        about = self.names.get(describe.name).cloned();
                        if item.kind == Frontend::Close {
                            self.names.remove(describe.name);
                        }
                    }
                }
                Frontend::Execute => {
                    u.summary.count += 1;
                    u.foreign_portal |= !bound;
                }
                Frontend::FunctionCall => {
                    u.summary.count += 1;
                    u.summary.unknown();
                }
                _ => {}
            }
            self.plan.push(about);
        }
        if matches!(ending, Ending::Open) || u.foreign_portal {
            u.summary.unknown();
        }
        Ok(u)
    }

    /// Gives the client's name to a statement. A name that is taken is the client's mistake.
    fn define(&mut self, item: usize, parse: &Parse<'_>, prepared: &Arc<Prepared>, u: &mut Understood) {
        if !parse.name.is_empty() && self.names.get(parse.name).is_some() {
            let text =
                format!("prepared statement \"{}\" already exists", String::from_utf8_lossy(parse.name));
            let mut error = BytesMut::new();
            Failure::error("42P05", text).write(&mut error);
            u.taken.get_or_insert((item, error));
            return;
        }
        self.names.set(parse.name, Arc::clone(prepared));
        u.defined.push(parse.name.into());
    }

    /// Leases a server for the segment if none is held, and puts the segment into its outbox.
    pub(super) async fn send(
        &mut self,
        client: &mut Client,
        u: Understood,
        len: usize,
        ending: Ending,
        again: Option<Rerun>,
    ) -> Result<(), End> {
        let begun = Instant::now();
        let reason = match &self.leased {
            Some(leased) => {
                let held = if leased.pins.is_empty() { Held::Transaction } else { Held::Pin };
                self.decide(&u.summary, Some(held), again).reason
            }
            None => {
                let (leased, reason) = self.obtain(&u.summary, again).await?;
                self.leased = Some(leased);
                reason
            }
        };
        self.count(&u.summary, reason);
        let Self { leased, items, plan, settings, .. } = self;
        let Some(leased) = leased else { return Ok(()) };
        let replayable = leased.on_replica
            && leased.exchange.is_settled()
            && matches!(ending, Ending::Sync | Ending::Query)
            && !u.foreign_portal
            && u.taken.is_none();
        super::build::build(&client.inbox, items, plan, leased, u.taken.as_ref().map(|(item, _)| *item))?;
        if !matches!(u.summary.leaves, l if l.is_empty()) {
            u.summary.known.iter().for_each(|k| settings.named(&k.statement.setting_names));
        }
        leased.may_write |= u.summary.may_write && !leased.on_replica;
        let retained = if replayable { len } else { 0 };
        if !replayable {
            client.inbox.advance(len);
        }
        leased.turn = Turn {
            summary: u.summary,
            reason,
            retained,
            committed: !replayable,
            failed: false,
            defined: u.defined,
            stand_in: u.taken.map(|(_, error)| error),
            begun,
        };
        Ok(())
    }

    fn count(&self, summary: &Summary, reason: Reason) {
        let Some(leased) = &self.leased else { return };
        self.database.stats.ran(leased.node.node().id.0, leased.on_replica, reason, summary.count);
        if reason == Reason::Stale {
            self.database.stats.prevented.increment(summary.count);
        }
    }

    /// Where the segment goes, given what is known of the cluster at this moment.
    pub(super) fn decide(&mut self, summary: &Summary, held: Option<Held>, again: Option<Rerun>) -> Decision {
        let steering = self.settings.steering;
        let scope = summary.scope.or(steering.scope).unwrap_or(self.database.settings.scope);
        let level = summary.level.or(steering.level).unwrap_or(self.database.settings.consistency);
        let cluster = &self.database.cluster;
        cluster.replicas(&mut self.view);
        // xorshift64: good enough to spread load.
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        let request = Request {
            wants: summary.wants,
            held,
            intent: summary.intent.or(steering.intent),
            level,
            mark: match (level, scope) {
                (Level::Eventual, _) => Tick::NEVER,
                (_, Scope::Connection) => self.mark,
                (_, Scope::Database) => cluster.mark(),
            },
            refused_before: summary.refused_before || again == Some(Rerun::OnPrimary),
            avoid: match again {
                Some(Rerun::Elsewhere(node)) => Some(node),
                _ => None,
            },
        };
        route(&request, &self.view, self.dice)
    }

    /// A message that is not held whole passes in pieces. False when its beginning has not arrived yet.
    pub(super) async fn take_large(
        &mut self,
        client: &mut Client,
        kind: Frontend,
        len: usize,
    ) -> Result<bool, End> {
        let head = match kind {
            Frontend::CopyData => {
                self.pass_away(len);
                return Ok(true);
            }
            Frontend::Bind => match Bind::read(wire::body(&client.inbox, len)) {
                Ok(_) => len.min(client.inbox.len()),
                Err(_) if client.inbox.len() < 4096 => return Ok(false),
                Err(error) => return Err(error.into()),
            },
            Frontend::Query | Frontend::FunctionCall => 0,
            _ => {
                return Err(Failure::fatal(
                    "54000",
                    format!("a {kind:?} message of {len} bytes is too long"),
                )
                .into());
            }
        };
        if self.skipping {
            self.pass_away(len);
            return Ok(true);
        }
        let mut summary = Summary::nothing();
        summary.unknown();
        summary.count = u64::from(kind != Frontend::Bind);
        if let Err(end) = self.send_large(client, kind, len, head, summary).await {
            let End::Failure(failure) = end else { return Err(end) };
            if failure.severity != wire::Severity::Error {
                return Err(failure.into());
            }
            self.pass_away(len);
            self.fail(client, &failure, if kind == Frontend::Bind { Ending::Open } else { Ending::Query });
        }
        Ok(true)
    }

    async fn send_large(
        &mut self,
        client: &mut Client,
        kind: Frontend,
        len: usize,
        head: usize,
        summary: Summary,
    ) -> Result<(), End> {
        let item = Item { kind, start: 0, len };
        self.items.clear();
        self.plan.clear();
        let mut names = 0;
        if kind == Frontend::Bind {
            let bind = Bind::read(wire::body(&client.inbox[..head], len))?;
            names = wire::HEADER_LEN + bind.names_len();
            self.plan.push(self.names.get(bind.statement).cloned());
            self.items.push(item);
        } else {
            self.names.forget_unnamed();
        }
        // Nothing is in the segment but the head of this message: its rest follows byte by byte.
        let u =
            Understood { summary, defined: Vec::new(), taken: None, foreign_portal: false, hint_error: None };
        self.send(client, u, names, Ending::Open, None).await?;
        if let (Some(leased), true) = (&mut self.leased, kind != Frontend::Bind) {
            leased.exchange.sent(Owed::Ready { by_sync: false });
            leased.lease.prepared.set_unnamed(None);
            // Nobody has read what it says, so nobody vouches for the session it leaves behind.
            leased.tainted = true;
        }
        self.pass_on(len - names);
        Ok(())
    }

    /// Runs the retained segment again, elsewhere.
    pub(super) async fn run_again(&mut self, client: &mut Client, how: Rerun) -> Result<(), End> {
        let Some(leased) = self.leased.take() else { return Ok(()) };
        let Leased { turn, lease, node, exchange, .. } = leased;
        let from = node.node().id.0;
        self.registered.slot.free().await;
        let cause = match how {
            Rerun::OnPrimary => "needs_primary",
            Rerun::Elsewhere(_) if exchange.is_settled() => "conflict",
            Rerun::Elsewhere(_) => "connection_lost",
        };
        if exchange.is_settled() {
            lease.give_back();
        }
        drop(node);
        self.database.stats.rerun(from, cause);
        if let (Rerun::OnPrimary, Some(known)) = (how, &turn.summary.known) {
            known.refuse();
        }
        let is_query = self.items.first().is_some_and(|i| i.kind == Frontend::Query);
        let ending = if is_query { Ending::Query } else { Ending::Sync };
        let u = Understood {
            summary: turn.summary,
            defined: turn.defined,
            taken: None,
            foreign_portal: false,
            hint_error: None,
        };
        match self.send(client, u, turn.retained, ending, Some(how)).await {
            Err(End::Failure(failure)) if failure.severity == wire::Severity::Error => {
                client.inbox.advance(turn.retained);
                self.fail(client, &failure, ending);
                Ok(())
            }
            sent => sent,
        }
    }

    /// Transaction status as the client knows it.
    pub(super) fn status(&self) -> TransactionStatus {
        self.leased.as_ref().map_or(TransactionStatus::Idle, |l| l.exchange.status())
    }
}

impl Summary {
    fn nothing() -> Self {
        Self {
            wants: Wants::Read,
            intent: None,
            level: None,
            scope: None,
            refused_before: false,
            may_write: false,
            leaves: Leaves::default(),
            count: 0,
            known: None,
        }
    }

    /// A part that may do anything.
    fn unknown(&mut self) {
        self.wants = strictest(self.wants, Wants::Unknown);
        self.may_write = true;
    }
}

impl Understood {
    /// One more statement of the segment.
    fn add(&mut self, known: &Arc<Known>, hints: &Result<Hints, HintError>) {
        let s = &mut self.summary;
        s.wants = strictest(s.wants, wants(&known.statement.class));
        s.may_write |= known.statement.may_write;
        s.leaves |= known.statement.leaves;
        s.refused_before |= known.was_refused();
        s.known.get_or_insert_with(|| Arc::clone(known));
        match hints {
            Ok(hints) => {
                s.intent = hints.intent.or(s.intent);
                s.level = hints.consistency.or(s.level);
                s.scope = hints.scope.or(s.scope);
            }
            Err(error) => {
                // A hint that cannot be followed never opens a replica.
                s.level = Some(Level::Primary);
                self.hint_error = Some(error.clone());
            }
        }
    }
}

fn wants(class: &Class) -> Wants {
    match class {
        Class::Read => Wants::Read,
        Class::Begin(begin) if begin.read_only => Wants::ReadOnlyTransaction,
        Class::Begin(_) | Class::End | Class::Savepoint => Wants::Transaction,
        Class::Own(_) | Class::Session => Wants::SessionState,
        Class::Write => Wants::Write,
        Class::Unknown => Wants::Unknown,
    }
}

fn strictest(a: Wants, b: Wants) -> Wants {
    let rank = |w| match w {
        Wants::Read => 0,
        Wants::ReadOnlyTransaction => 1,
        Wants::SessionState => 2,
        Wants::Transaction => 3,
        Wants::Unknown => 4,
        Wants::Write => 5,
    };
    if rank(a) >= rank(b) { a } else { b }
}
