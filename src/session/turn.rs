//! Taking a segment: what it needs, where it goes, and sending it there.

use std::time::{Duration, Instant};

use bytes::Buf;

use super::client::Client;
use super::exchange::Owed;
use super::explain::Taken;
use super::failure::{End, Failure};
use super::heal::may_be_healed;
use super::leased::{Answer, Leased, Rerun, ServesAs, StandIn, Turn};
use super::obtain::avoided;
use super::pins::PINNING;
use super::segment::Ending;
use super::serve::Session;
use super::summary::Summary;
use super::timing::Run;
use super::understand::Understood;
use crate::config::Mode;
use crate::routing::{Decision, Doubt, Held, Reason, Request, Stale, Target, Wants, route};
use crate::sql::{Intent, Leaves};
use crate::wire::{self, Frontend, TransactionStatus, encode, query_text};

impl Session {
    /// Decides on a segment at the front of the client's inbox and sends it to where it belongs.
    pub(super) async fn take_segment(
        &mut self,
        client: &mut Client,
        len: usize,
        ending: Ending,
    ) -> Result<(), End> {
        if self.skipping {
            self.skip(client, ending);
            client.inbox.advance(len);
            return Ok(());
        }
        self.keep_up()?;
        if self.leased.is_none() && self.answer_alone(client, ending)? {
            client.inbox.advance(len);
            return Ok(());
        }
        let mut understood = self.understand(&client.inbox, ending).await?;
        if let Some(error) = &understood.hint_error {
            tracing::warn!(user = %self.user.name, database = %self.database.settings.name, %error, "hint ignored, statement sent to the primary");
        }
        if understood.ignores_hints {
            self.database.stats.hints_ignored();
        }
        if self.is_question(&understood, ending) {
            Box::pin(self.answer_question(client, &understood, ending)).await?;
            client.inbox.advance(len);
            return Ok(());
        }
        let summary = &understood.summary;
        if summary.count == 1
            && summary.leaves.contains(Leaves::DEALLOCATE)
            && Box::pin(self.deallocate(client, ending)).await?
        {
            client.inbox.advance(len);
            return Ok(());
        }
        if self.is_halted() {
            Box::pin(self.await_resume(client)).await?;
        }
        if let Err(mistake) = self.prepare_need(&mut understood, ending).await {
            let refused = self.refuse(mistake, &understood, ending).map(|_| client.inbox.advance(len));
            return self.or_fail(client, refused, len, ending);
        }
        if self.leave_pipeline(&understood) || self.cut_pipeline(ending) {
            return Ok(());
        }
        let sent = self.dispatch(client, understood, len, ending).await;
        self.or_fail(client, sent, len, ending)
    }

    async fn dispatch(
        &mut self,
        client: &mut Client,
        u: Understood,
        len: usize,
        ending: Ending,
    ) -> Result<(), End> {
        if self.is_out_of_place(&u.summary) && Box::pin(self.leave_replica(client, &u, ending)).await? {
            client.inbox.advance(len);
            return Ok(());
        }
        if self.is_ahead(&u.summary)
            && let Err(late) = Box::pin(self.await_replay(&u.summary)).await
        {
            self.refuse(late, &u, ending)?;
            client.inbox.advance(len);
            return Ok(());
        }
        self.send(client, u, len, ending, None).await
    }

    /// Drops a segment after an error, as PostgreSQL does. Its Sync ends that, for the server too if it skips as well.
    fn skip(&mut self, client: &mut Client, ending: Ending) {
        if ending != Ending::Sync {
            return;
        }
        self.skipping = false;
        match &mut self.leased {
            Some(leased) if leased.exchange.is_unsynced() => {
                encode::sync(&mut leased.lease.outbox);
                leased.exchange.sent(Owed::Ready { by_sync: true });
            }
            // The server has had a Sync of the proxy's own.
            Some(leased) => {
                leased.hand_over(client);
                encode::ready(&mut client.outbox, leased.exchange.status());
            }
            None => Self::say_ready(client),
        }
    }

    /// An error of the proxy's own fails the segment, not the session.
    fn or_fail(
        &mut self,
        client: &mut Client,
        sent: Result<(), End>,
        len: usize,
        ending: Ending,
    ) -> Result<(), End> {
        match sent {
            Err(End::Failure(failure)) if failure.severity == wire::Severity::Error => {
                client.inbox.advance(len);
                self.is_unsent(ending);
                self.fail(client, &failure, ending);
                Ok(())
            }
            sent => sent,
        }
    }

    /// The statement fails without a server having seen it.
    pub(super) fn fail(&mut self, client: &mut Client, failure: &Failure, ending: Ending) {
        self.database.stats.proxy_error(&failure.code);
        self.log_failure(failure);
        // What was answered before comes first.
        self.leased.iter_mut().for_each(|leased| leased.hand_over(client));
        failure.write(&mut client.outbox);
        let unsynced = self.leased.as_ref().is_some_and(|l| l.exchange.is_unsynced());
        match ending {
            Ending::Sync if unsynced => {
                // The server has part of the pipeline, and must hear of its end.
                self.skipping = true;
                self.skip(client, ending);
            }
            Ending::Sync | Ending::Query | Ending::Function => Self::say_ready(client),
            Ending::Flush | Ending::Open => self.skipping = true,
        }
    }

    /// Leases a server for the segment if none is held, and puts the segment into its outbox.
    pub(super) async fn send(
        &mut self,
        client: &mut Client,
        mut u: Understood,
        len: usize,
        ending: Ending,
        again: Option<Rerun>,
    ) -> Result<(), End> {
        if u.summary.leaves.contains(Leaves::SEQUENCE) {
            Box::pin(self.forget_sequences(u.summary.leaves)).await;
        }
        let taken = if let Some(leased) = &self.leased {
            let held = leased.held();
            Taken::from(self.decide(&u.summary, Some(held), again, Duration::ZERO))
        } else {
            let taken = self.obtain(&u.summary, again).await?;
            if self.settings.steering.temp_path {
                self.pin(Leaves::TEMP_PATH);
            }
            taken
        };
        if self.has_doubts(&client.inbox)? && Box::pin(self.verify(&client.inbox, &u, ending)).await? {
            client.inbox.advance(len);
            return Ok(());
        }
        let begun = Instant::now();
        self.account_for(client, &u.summary, taken, begun);
        self.touch(&u.summary);
        let Self { leased, items, plan, arrived, .. } = self;
        let Some(leased) = leased else { return Ok(()) };
        let mut run = Run::new(*arrived, begun, taken.decision.reason, u.summary.count);
        if leased.exchange.is_settled() {
            leased.since = *arrived;
        }
        if leased.exchange.is_unsynced() {
            // What was sent before it, without a Sync, may have left something, and is noted with it.
            u.summary.leaves |= leased.turn.summary.leaves;
            run = run.after(leased.turn.run);
        }
        let begins =
            u.summary.wants == Wants::ReadOnlyTransaction && ending == Ending::Query && u.summary.count == 1;
        leased.opening = begins.then(|| client.inbox[..len].into());
        let reads = leased.serves_as == ServesAs::Replica || u.summary.wants == Wants::Read;
        let replayable = (reads || may_be_healed(leased, &u, items, plan))
            && leased.exchange.is_settled()
            && matches!(ending, Ending::Sync | Ending::Query)
            && !u.foreign_portal
            && u.taken.is_none();
        let lendable = leased.exchange.status() != TransactionStatus::Failed
            && !leased.exchange.is_unsynced()
            && matches!(ending, Ending::Query | Ending::Sync);
        leased.exchange.sends(items.iter().map(|item| item.kind));
        super::heal::expect_descriptions(&client.inbox, items, plan, leased)?;
        let by_name = u.by_name.filter(|_| lendable);
        let (mut renamed, mut stand_in) = leased.pending();
        renamed.append(&mut self.renamed);
        stand_in = stand_in.or(u.taken.as_ref().map(|(_, told)| StandIn::for_nobody(told.clone())));
        leased.send_due();
        if let Some((name, prepared)) = &by_name {
            super::build::lend_name(name, prepared, leased);
        }
        super::build::build(&client.inbox, items, plan, leased, u.taken.as_ref().map(|(item, _)| *item))?;
        if let Some((name, _)) = &by_name {
            super::build::take_name_back(name, leased);
        }
        let retained = if replayable { len } else { 0 };
        if !replayable {
            client.inbox.advance(len);
        }
        if leased.has_undelivered() {
            // What the client has not taken of the answer before is not held back with this one's, nor dropped with it.
            leased.hand_over(client);
        }
        let turn = Turn {
            runs: 0,
            summary: u.summary,
            retained,
            answer: if replayable { Answer::HeldBack } else { Answer::PassedOn },
            renamed,
            reported: Vec::new(),
            stand_in,
            begun,
            run: Some(run),
        };
        self.blanks.put_back(std::mem::replace(&mut leased.turn, turn).summary);
        Ok(())
    }

    /// Begins the transaction that `opening`, a whole Query message, asks for, on the primary.
    pub(super) async fn begin_on_primary(&mut self, opening: &[u8]) -> Result<(), End> {
        let mut summary = Summary::nothing();
        summary.wants = Wants::Transaction;
        self.obtain(&summary, None).await?;
        let Some(mut leased) = self.leased.take() else { return Ok(()) };
        leased.settle_due().await.map_err(|e| Failure::error("08006", e.to_string()))?;
        let text = String::from_utf8_lossy(query_text(&opening[wire::HEADER_LEN..])?).into_owned();
        leased.ask(&text).await.map_err(|e| Failure::error("08006", e.to_string()))?;
        leased.exchange.began();
        self.leased = Some(leased);
        Ok(())
    }

    /// The decision that is carried out: one to observe sends everything to the primary.
    pub(super) fn carry_out(&self, decision: Decision) -> Taken {
        if self.database.settings.mode == Mode::Route {
            return decision.into();
        }
        let observed = Decision { target: Target::Primary, reason: Reason::Observe };
        Taken { decision: observed, would: Some(decision) }
    }

    /// Finds out what the segment's node must have replayed, and what is wrong with how the client asked for that.
    async fn prepare_need(&mut self, u: &mut Understood, ending: Ending) -> Result<(), Failure> {
        if let Some(denied) = u.denied.take() {
            return Err(*denied);
        }
        if let Some(mistake) = Self::own_mistake(u) {
            return Err(mistake);
        }
        if let Some(error) = u.no_token {
            return Err(Failure::error("22023", format!("invalid hint \"after\": {error}")));
        }
        if let Some(position) = Self::own_token(u) {
            Box::pin(self.mark_of(position)).await?;
        }
        self.require(&mut u.summary, ending).await
    }

    /// Where the segment goes, given what is known of the cluster at this moment.
    pub(super) fn decide(
        &mut self,
        summary: &Summary,
        held: Option<Held>,
        again: Option<Rerun>,
        waited: Duration,
    ) -> Decision {
        let mut stale = Stale::default();
        if held.is_some() {
            // Where it goes is settled, however fresh who is.
            self.view.clear();
        } else {
            self.database.cluster.replicas(&mut self.view);
            // xorshift64: good enough to spread load.
            self.dice ^= self.dice << 13;
            self.dice ^= self.dice >> 7;
            self.dice ^= self.dice << 17;
            stale = self.staleness(summary, waited);
        }
        let request = Request {
            wants: summary.wants,
            held,
            // Nobody can vouch for what binds the session to a connection.
            intent: summary
                .intent
                .or(self.defaults(None).intent)
                .filter(|intent| *intent == Intent::Primary || !summary.leaves.intersects(PINNING)),
            level: self.promised(summary).0,
            need: summary.need,
            stale,
            doubt: match again {
                Some(Rerun::OnPrimary) => Some(Doubt::RefusedBefore),
                Some(Rerun::Missing) => Some(Doubt::Catalog),
                _ => summary.doubt,
            },
            avoid: avoided(again),
        };
        route(&request, &self.view, self.dice)
    }

    /// Runs the retained segment again, elsewhere.
    pub(super) async fn run_again(&mut self, client: &mut Client, how: Rerun) -> Result<(), End> {
        let Some(mut leased) = self.leased.take() else { return Ok(()) };
        let blank = Turn::begin(self.blanks.take(), leased.turn.begun);
        let turn = std::mem::replace(&mut leased.turn, blank);
        let from = leased.node.node().id.0;
        // Twice is enough: what fails on two replicas is the primary's to answer.
        let how = if turn.runs > 0 { Rerun::OnPrimary } else { how };
        let is_settled = leased.exchange.is_settled();
        let cause = match how {
            Rerun::OnPrimary => "needs_primary",
            Rerun::Missing => "missing",
            Rerun::Elsewhere(_) if is_settled => "conflict",
            Rerun::Elsewhere(_) => "connection_lost",
            Rerun::Fresh => "reserved_setting",
            Rerun::Replan => "stale_plan",
        };
        if !leased.pins.is_empty() && is_settled {
            // What binds the session to this connection is still there.
            leased.rerun = None;
            self.leased = Some(leased);
        } else {
            self.registered.slot.free().await;
            // What a part of the segment may have left there before another part failed nobody has asked for.
            let is_clean = !(leased.left | turn.summary.leaves).intersects(PINNING.with(Leaves::ANYTHING));
            let Leased { lease, .. } = leased;
            if is_settled && is_clean {
                lease.give_back();
            }
        }
        self.database.stats.rerun(from, cause);
        if let (Rerun::OnPrimary, 0, Some(known)) = (how, turn.runs, &turn.summary.known) {
            known.refuse();
            // What the replica knew better may be new.
            self.database.cluster.catalog.ask();
        }
        if how == Rerun::Replan {
            self.replan().await;
        }
        let is_query = self.items.first().is_some_and(|i| i.kind == Frontend::Query);
        let ending = if is_query { Ending::Query } else { Ending::Sync };
        self.renamed = turn.renamed;
        let u = Understood::unread(turn.summary);
        let sent = self.send(client, u, turn.retained, ending, Some(how)).await;
        if let Some(leased) = &mut self.leased {
            leased.turn.runs = turn.runs + 1;
        }
        if how == Rerun::Fresh {
            self.pin(Leaves::RESERVED_SETTING);
        }
        self.or_fail(client, sent, turn.retained, ending)
    }
}
