//! Leasing a server connection for a segment: from the decision to a connection that is ready for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ask::{AskError, answered, ask, unless_abandoned};
use super::explain::Taken;
use super::failure::{End, Failure};
use super::fault::is_servers;
use super::leased::{Leased, Rerun, ServesAs, Tenure};
use super::serve::Session;
use super::settings::{difference, renewal};
use super::stale::{Room, can_serve};
use super::summary::Summary;
use crate::cluster::{Node, Outstanding, State};
use crate::pool::{Lease, LeaseError};
use crate::routing::{NodeId, Target};
use crate::server::ConnectError;
use crate::stats::Present;

/// How long a new connection to a replica waits for the monitor to confirm that the replica has not been restarted.
const CONFIRM: Duration = Duration::from_secs(1);

/// Pause before a primary that could not be used is tried again.
const AGAIN: Duration = Duration::from_millis(20);

/// Why a node could not be used for a segment.
enum Unfit {
    /// Another node may do.
    Node,
    /// It is a replica that may not know the user, or its password, yet: the primary does.
    Behind,
    /// The database was paused meanwhile.
    Halted,
    /// The client is told.
    Client(Failure),
}

impl From<Failure> for Unfit {
    fn from(failure: Failure) -> Self {
        Self::Client(failure)
    }
}

impl Session {
    /// Leases a connection for the segment, with the session's settings in force, on a node that is right for it at the
    /// moment the connection is there: waiting for one takes time, and what was fresh may be gone.
    pub(super) async fn obtain(&mut self, summary: &Summary, again: Option<Rerun>) -> Result<Taken, End> {
        let mut again = again;
        // When it began to wait for a replica, if it did.
        let mut begun: Option<Instant> = None;
        // Every node may fail once, and a replica can turn stale while a connection to it is waited for.
        let mut attempts = self.database.cluster.nodes().len() * 2 + 1;
        // Since when it waits for a primary.
        let mut without: Option<Instant> = None;
        while attempts > 0 {
            self.keep_up()?;
            let decided =
                self.decide(summary, None, again, begun.map_or(Duration::ZERO, |begun| begun.elapsed()));
            let taken = self.carry_out(decided);
            let target = taken.decision.target;
            let avoid = avoided(again);
            if let Target::Wait(nanos) = target {
                begun.get_or_insert_with(Instant::now);
                Box::pin(self.unless_killed(self.await_replica(summary, avoid, nanos))).await?;
                continue;
            }
            let room = match self.room_at_once(taken.decision)? {
                Room::Given(room) => room,
                Room::Awaited(room) => {
                    match Box::pin(self.unless_killed(self.room(room, summary, avoid))).await?? {
                        Some(room) => Some(room),
                        None => continue,
                    }
                }
            };
            let node = match target {
                Target::Replica(id) => {
                    let Some(node) = self.database.cluster.node(id) else {
                        attempts -= 1;
                        continue;
                    };
                    node
                }
                Target::Nowhere => return Err(Self::none_fresh(taken.decision.reason).into()),
                Target::Primary | Target::Held | Target::Wait(_) => {
                    let unsettled = self.unsettled(summary);
                    if let Some(number) = unsettled
                        && Box::pin(self.settle(number, summary, avoid)).await
                    {
                        continue;
                    }
                    self.primary(&mut without).await?
                }
            };
            match self.lease_on(&node, matches!(target, Target::Replica(_)), summary, again).await {
                Ok(()) => {
                    if let Some(leased) = &mut self.leased {
                        leased.room = room;
                        self.user.pool(node.id).iter().for_each(|pool| {
                            self.registered.slot.runs(pool, &leased.lease.key);
                        });
                    }
                    self.database.stats.lent(node.id.0);
                    return Ok(taken);
                }
                Err(Unfit::Client(failure)) => return Err(failure.into()),
                // Nothing was sent: what has become of the primary is waited for.
                Err(Unfit::Node) if target == Target::Primary => {
                    without.get_or_insert_with(Instant::now);
                }
                Err(Unfit::Node) => {
                    attempts -= 1;
                    again = Some(Rerun::Elsewhere(node.id));
                }
                Err(Unfit::Behind) => {
                    attempts -= 1;
                    again = Some(Rerun::Missing);
                }
                Err(Unfit::Halted) => Box::pin(self.unless_killed(self.database.gate.passed())).await?,
            }
        }
        Err(Failure::no_node(&self.database.settings.name).into())
    }

    /// The primary, waited for up to `failover_timeout` when none is known, or none that can be used. Since when it is
    /// waited for is `without`.
    async fn primary(&self, without: &mut Option<Instant>) -> Result<Arc<Node>, Failure> {
        match self.database.cluster.primary() {
            Some(primary) if without.is_none() => Ok(primary),
            _ => Box::pin(self.next_primary(without)).await,
        }
    }

    async fn next_primary(&self, without: &mut Option<Instant>) -> Result<Arc<Node>, Failure> {
        if without.is_some() {
            // One that can be asked and not connected to is not tried without pause.
            tokio::time::sleep(AGAIN).await;
        }
        let since = *without.get_or_insert_with(Instant::now);
        let (cluster, settings) = (&self.database.cluster, &self.database.settings);
        if let Some(why) = cluster.contested() {
            return Err(Failure::contested(&settings.name, &why));
        }
        let patience = settings.pool.failover_timeout;
        let left = patience.saturating_sub(since.elapsed());
        let _waiting = Present::new(&self.database.stats.without_primary);
        match self.unless_killed(cluster.primary_within(left)).await? {
            Some(primary) if !left.is_zero() => Ok(primary),
            _ => match cluster.contested() {
                Some(why) => Err(Failure::contested(&settings.name, &why)),
                None => Err(Failure::no_primary(&settings.name, patience)),
            },
        }
    }

    async fn lease_on(
        &mut self,
        node: &Arc<Node>,
        on_replica: bool,
        summary: &Summary,
        again: Option<Rerun>,
    ) -> Result<(), Unfit> {
        let outstanding = node.begin();
        let is_fit = || if on_replica { can_serve(node, summary) } else { node.state() == State::Primary };
        let tenure = Tenure { life: node.life(), abandonments: node.abandonments() };
        let serves_as = if on_replica { ServesAs::Replica } else { ServesAs::Primary };
        if let Some(i) = self.parked.iter().position(|(id, _)| *id == node.id) {
            let (_, mut lease) = self.parked.swap_remove(i);
            if lease.is_quiet() && is_fit() {
                if self.wants_fresh(&lease, again) {
                    Box::pin(self.freshen(&mut lease, node)).await?;
                }
                let due = self.apply_settings(&mut lease, node, on_replica).await?;
                self.holds(lease, (outstanding, tenure), serves_as, due);
                return Ok(());
            }
        }
        // A node that has just been added, or removed.
        let Some(pool) = self.user.pool(node.id) else { return Err(Unfit::Node) };
        let lent = match pool.lease_at_once() {
            Some(lent) => lent,
            None if self.is_halted() => return Err(Unfit::Halted),
            None => {
                let in_turn = unless_abandoned(node, tenure.abandonments, pool.lease_in_turn());
                match Box::pin(self.unless_killed(in_turn)).await? {
                    Some(lent) => lent,
                    None => return Err(Unfit::Node),
                }
            }
        };
        let mut lease = match lent {
            Ok(lease) => lease,
            Err(LeaseError::Connect { error, .. }) if !error.is_answer() => {
                self.database.cluster.lost(node.id, &error);
                return Err(Unfit::Node);
            }
            Err(LeaseError::Closed { .. }) => return Err(Unfit::Node),
            Err(error) => {
                if let (LeaseError::Connect { error, .. }, false) = (&error, on_replica) {
                    self.user.is_refused_by_primary(error);
                }
                let is_servers = matches!(&error, LeaseError::Connect { error, .. } if refuses_itself(error));
                if is_servers {
                    node.failed();
                }
                // Another node may have what this one lacks.
                let unfit = if on_replica && is_servers {
                    Unfit::Node
                } else if on_replica && self.is_behind_on_user(&error) {
                    Unfit::Behind
                } else {
                    Unfit::Client(Failure::from_lease(error))
                };
                return Err(unfit);
            }
        };
        if self.is_halted() {
            // It is closed: whoever has paused the database may have counted on there being none.
            return Err(Unfit::Halted);
        }
        if on_replica && !lease.confirmed {
            let made = self.database.cluster.clock.at(lease.created);
            if !Box::pin(node.confirmed(made, CONFIRM)).await {
                return Err(Unfit::Node);
            }
            lease.confirmed = true;
        }
        if !is_fit() {
            lease.give_back();
            return Err(Unfit::Node);
        }
        if self.wants_fresh(&lease, again) {
            Box::pin(self.freshen(&mut lease, node)).await?;
        }
        if self.forgets_sequences(&lease, summary.leaves) {
            Box::pin(self.prepare(&mut lease, node, on_replica, "discard sequences")).await?;
            lease.wrote = None;
        }
        let due = self.apply_settings(&mut lease, node, on_replica).await?;
        self.holds(lease, (outstanding, tenure), serves_as, due);
        Ok(())
    }

    /// Whether the replica that has refused a connection may not know the user's password yet. What the primary refuses is no
    /// password any more.
    fn is_behind_on_user(&self, error: &LeaseError) -> bool {
        matches!(error, LeaseError::Connect { error, .. } if self.user.may_be_ahead(error))
    }

    /// From here on the session has this connection to a node, in one of its lives. It is put in its place at once: what is
    /// moved for every statement counts.
    fn holds(
        &mut self,
        lease: Lease,
        (node, tenure): (Outstanding, Tenure),
        serves_as: ServesAs,
        due: String,
    ) {
        let blank = self.blanks.for_lease();
        self.leased =
            Some(Leased { due, tenure, since: self.arrived, ..Leased::new(lease, node, serves_as, blank) });
    }

    /// Whether the session would find on the connection what a new server session has not.
    fn wants_fresh(&self, lease: &Lease, again: Option<Rerun>) -> bool {
        again == Some(Rerun::Fresh) || self.settings.steering.temp_path && lease.has_temp_schema
    }

    /// Puts a new connection in the place of this one.
    async fn freshen(&self, lease: &mut Lease, node: &Node) -> Result<(), Unfit> {
        let pool = self.user.pool(node.id).ok_or(Unfit::Node)?;
        pool.renew(lease).await.map_err(|error| Unfit::Client(Failure::from_lease(error)))
    }

    /// Brings the session's settings onto the connection where they differ. Returns the statements that are to do it, where
    /// they can be sent along with the session's own.
    async fn apply_settings(
        &self,
        lease: &mut Lease,
        node: &Node,
        on_replica: bool,
    ) -> Result<String, Unfit> {
        let wanted = &self.settings.current;
        // Whatever code has left there is this session's own, or somebody else's.
        let foreign = lease.stain.is_some_and(|by| by != self.number);
        let sql = if foreign { renewal(wanted) } else { difference(lease, wanted) };
        if sql.is_empty() {
            return Ok(sql);
        }
        let is_certain = self.user.proven.covers(node.id, lease, wanted);
        if !is_certain {
            Box::pin(self.prepare(lease, node, on_replica, &sql)).await?;
            self.user.proven.add(node.id, wanted);
        }
        if foreign {
            lease.stain = None;
        }
        lease.settings = Arc::clone(wanted);
        Ok(if is_certain { sql } else { String::new() })
    }

    /// Runs what must have been run on the connection before the session's own statement.
    async fn prepare(
        &self,
        lease: &mut Lease,
        node: &Node,
        on_replica: bool,
        sql: &str,
    ) -> Result<(), Unfit> {
        match answered(node, node.abandonments(), ask(lease, sql)).await {
            Ok(_) => Ok(()),
            Err(AskError::Refused { code, message }) if !on_replica => {
                Err(Failure { code: code.into(), ..Failure::error("", message) }.into())
            }
            // A replica may lack the role; the primary has it, or has the right words for it.
            Err(AskError::Refused { .. }) => Err(Unfit::Node),
            Err(error) => {
                self.database.cluster.lost(node.id, &error);
                Err(Unfit::Node)
            }
        }
    }
}

/// Whether a server refuses connections because of what it lacks, and not because of who asks.
fn refuses_itself(error: &ConnectError) -> bool {
    matches!(error, ConnectError::Refused { code, .. } if is_servers(code, true, b""))
}

/// The node that failed this very segment.
pub(super) fn avoided(again: Option<Rerun>) -> Option<NodeId> {
    match again {
        Some(Rerun::Elsewhere(node)) => Some(node),
        _ => None,
    }
}
