//! What a statement must see: from levels, scopes, tokens and what the session was shown, to one mark.

use std::sync::Arc;

use super::ask::unless_abandoned;
use super::failure::Failure;
use super::leased::{Leased, ServesAs};
use super::rules::Defaults;
use super::segment::Ending;
use super::serve::Session;
use super::summary::Summary;
use crate::cluster::{Lost, Node, State, footprint};
use crate::freshness::{Footprint, Group, Position, Tick};
use crate::routing::{Need, Promise, Wants};
use crate::server::Settings;
use crate::sql::{Intent, Level, Scope};

/// The group of all who give this key.
pub(super) fn key(text: &str) -> Group {
    Group::of("key", &[text])
}

/// What a session has in common with other connections of the same process.
#[derive(Debug, Default)]
pub(super) struct Kin {
    group: Option<Group>,
    /// The settings this was made from.
    settings: Option<Settings>,
}

/// A position whose mark is known, under the primary it was asked under.
#[derive(Clone, Copy, Debug)]
pub(super) struct Located {
    position: Position,
    term: u64,
    mark: Tick,
}

impl Session {
    /// The group of the clients that are the same to scope `client`.
    pub(super) fn client_group(&mut self) -> Group {
        let current = &self.settings.current;
        let is_known = self.kin.settings.as_ref().is_some_and(|made_from| Arc::ptr_eq(made_from, current));
        if let Some(group) = self.kin.group.filter(|_| is_known) {
            return group;
        }
        let group = Group::of("client", &[&self.user.name, &self.address, self.application_name()]);
        self.kin = Kin { group: Some(group), settings: Some(Arc::clone(current)) };
        group
    }

    /// What a segment's node must have replayed. To be asked once, when the segment arrives.
    pub(super) async fn require(&mut self, summary: &mut Summary, ending: Ending) -> Result<(), Failure> {
        summary.need = self.need(summary, ending);
        if !self.may_be_read_elsewhere(summary) {
            return Ok(());
        }
        if summary.after.is_empty() && self.settings.steering.after.is_none() {
            return Ok(());
        }
        Box::pin(self.require_positions(summary)).await
    }

    /// The node must have replayed what the client has given tokens for, too.
    async fn require_positions(&mut self, summary: &mut Summary) -> Result<(), Failure> {
        for position in std::mem::take(&mut summary.after).into_iter().chain(self.settings.steering.after) {
            let mark = self.mark_of(position).await?;
            summary.need.mark = summary.need.mark.max(mark);
        }
        Ok(())
    }

    /// Whether a replica comes into question at all.
    fn may_be_read_elsewhere(&self, summary: &Summary) -> bool {
        let on_replica = self.leased.as_ref().is_some_and(|l| l.serves_as == ServesAs::Replica);
        let intent = || summary.intent.or(self.defaults(None).intent) == Some(Intent::Replica);
        on_replica || matches!(summary.wants, Wants::Read | Wants::ReadOnlyTransaction) || intent()
    }

    /// The level and the scope that hold for a segment.
    pub(super) fn promised(&self, summary: &Summary) -> (Level, Scope) {
        let (level, scope) = if let (Some(level), Some(scope)) = (summary.level, summary.scope) {
            (level, scope)
        } else {
            let Defaults { level, scope, .. } = self.defaults(None);
            (summary.level.unwrap_or(level), summary.scope.unwrap_or(scope))
        };
        // No mark of this process stands for what another one writes.
        let by_anybody = level == Level::Session && self.proxy.door.is_shared();
        (if by_anybody { Level::Strong } else { level }, scope)
    }

    /// What a segment is promised.
    pub(super) fn promise(&mut self, (level, scope): (Level, Scope), key: Option<Group>) -> Promise {
        let group = match scope {
            Scope::Client => Some(self.client_group()),
            Scope::Key => key.or(self.settings.steering.key),
            Scope::Connection | Scope::Database => None,
        };
        Promise { level, scope, own: self.last_write, group }
    }

    fn need(&mut self, summary: &Summary, ending: Ending) -> Need {
        let is_bound = |l: &Leased| l.serves_as != ServesAs::Replica && !l.exchange.is_settled();
        if self.leased.as_ref().is_some_and(is_bound) {
            // The primary has everything, and in the middle of a transaction the session stays there.
            return Need::default();
        }
        let promise = self.promise(self.promised(summary), summary.key);
        let cluster = &self.database.cluster;
        if summary.wants == Wants::Read {
            cluster.reads();
        }
        let read = if self.is_certain(summary, ending) {
            footprint(&summary.touched.reads)
        } else {
            Footprint::Anything
        };
        let now = match promise.level {
            Level::Strong if self.may_be_read_elsewhere(summary) => cluster.want_now(),
            Level::Bounded(age) => {
                // In time, so that those who come later find a replica that is young enough.
                let now = cluster.clock.now();
                cluster.want(now.before(age / 2));
                now
            }
            Level::Strong => cluster.clock.now(),
            // The instant does not matter.
            Level::Eventual | Level::Session | Level::Primary => Tick::NEVER,
        };
        Need::of(&promise, read, &cluster.marks, &self.shown, now)
    }

    /// Whether the tables that a segment reads are known for certain, and are all that its snapshot will be used for.
    fn is_certain(&self, summary: &Summary, ending: Ending) -> bool {
        let catalog = &self.database.cluster.catalog;
        // A transaction's snapshot may be older than the statement, and serve others after it.
        let alone = self.leased.is_none() && !matches!(ending, Ending::Flush | Ending::Open);
        alone
            && summary.wants != Wants::ReadOnlyTransaction
            && catalog.is_certain()
            && catalog.generation() == summary.generation
    }

    /// Whether the segment reads in a transaction on a replica that has not replayed what it must see.
    pub(super) fn is_ahead(&self, summary: &Summary) -> bool {
        let reads = |l: &&Leased| l.serves_as == ServesAs::Replica && summary.wants != Wants::Transaction;
        let shows = |l: &Leased| shows(l.node.node(), summary.need.mark);
        self.leased.as_ref().filter(reads).is_some_and(|l| !shows(l))
    }

    /// In a READ ONLY transaction on a replica every statement sees what was acknowledged before it. The transaction
    /// cannot move, so the replica is waited for, unless it is lost.
    pub(super) async fn await_replay(&self, summary: &Summary) -> Result<(), Failure> {
        let Some(leased) = &self.leased else { return Ok(()) };
        let wait = self.database.settings.pool.connect_timeout;
        let (cluster, node, mark) = (&self.database.cluster, leased.node.node(), summary.need.mark);
        cluster.want(mark);
        let replayed = cluster.progress_within(wait, || shows(node, mark));
        let replayed = unless_abandoned(node, leased.tenure.abandonments, replayed).await;
        let name = &node.name;
        let text = match replayed {
            Some(true) => return Ok(()),
            Some(false) => format!(
                "replica {name} has not replayed within {wait:?} what this READ ONLY transaction must see"
            ),
            None => format!("replica {name} is lost, on which this READ ONLY transaction runs"),
        };
        Err(Failure::error("40001", text).with_hint("Run the transaction again."))
    }

    /// The mark of everything up to a position.
    pub(super) async fn mark_of(&mut self, position: Position) -> Result<Tick, Failure> {
        let cluster = &self.database.cluster;
        let term = cluster.term();
        if let Some(located) = self.located.filter(|l| l.position == position && l.term == term) {
            return Ok(located.mark);
        }
        let mark = cluster.mark_of(position).await.map_err(|lost| refusal(position, lost))?;
        self.located = Some(Located { position, term, mark });
        Ok(mark)
    }
}

/// Whether a node shows everything acknowledged before `mark`: it has replayed that, or has become the primary.
fn shows(node: &Node, mark: Tick) -> bool {
    node.horizon() >= mark || node.state() == State::Primary
}

/// Why what a token stands for cannot be waited for.
fn refusal(position: Position, lost: Lost) -> Failure {
    let text = format!("the token {position} cannot be waited for: {lost}");
    match lost {
        Lost::NoPrimary => Failure::error("57P03", text).with_hint("Try again when there is a primary."),
        Lost::Foreign(_) | Lost::Ahead(_) => Failure::error("57T02", text).with_hint(
            "Read without it and ask for a new one: SHOW tidegate.token. What it stood for is not in this cluster.",
        ),
    }
}
