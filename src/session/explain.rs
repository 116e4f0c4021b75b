//! What was decided for a statement, and why, in words.

use std::fmt::Write;
use std::sync::Arc;

use super::known::Known;
use super::serve::Session;
use super::summary::Summary;
use crate::freshness::Tick;
use crate::routing::{Decision, Need, NodeId, Reason, ReplicaView, Target};
use crate::sql::catalog::Tables;
use crate::sql::{Leaves, Level, Scope};

/// What was decided for a statement, with all that the decision went by.
#[derive(Clone, Debug)]
pub(super) struct Route {
    /// The node it went to; `None` for a statement that is only explained.
    node: Option<NodeId>,
    decision: Decision,
    /// What would have been decided, where the proxy only observes.
    would: Option<Decision>,
    level: Level,
    scope: Scope,
    need: Need,
    at: Tick,
    replicas: Vec<ReplicaView>,
    known: Option<Arc<Known>>,
    leaves: Leaves,
}

/// A decision that is carried out, and the one that would have been.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) decision: Decision,
    /// Where the proxy only observes: what would have been decided.
    pub(super) would: Option<Decision>,
}

impl From<Decision> for Taken {
    fn from(decision: Decision) -> Self {
        Self { decision, would: None }
    }
}

impl Session {
    /// Keeps what was decided, for who asks.
    pub(super) fn remember(&mut self, summary: &Summary, taken: Taken, node: Option<NodeId>, now: Tick) {
        // Its memory is used again: this is done for every statement.
        let mut last = self.last_route.take();
        let mut replicas = last.as_mut().map(|last| std::mem::take(&mut last.replicas)).unwrap_or_default();
        replicas.clone_from(&self.view);
        let route = self.route(summary, taken, node, now, replicas);
        match &mut last {
            Some(last) => **last = route,
            None => last = Some(Box::new(route)),
        }
        self.last_route = last;
    }

    /// Everything the decision on a statement went by, as it was a moment ago.
    pub(super) fn route(
        &self,
        summary: &Summary,
        taken: Taken,
        node: Option<NodeId>,
        now: Tick,
        replicas: Vec<ReplicaView>,
    ) -> Route {
        let (level, scope) = self.promised(summary);
        Route {
            node,
            decision: taken.decision,
            would: taken.would,
            level,
            scope,
            need: summary.need,
            at: now,
            replicas,
            known: summary.known.clone(),
            leaves: summary.leaves,
        }
    }

    /// One line for `tidegate.trace`: where the statement goes and the reason's label.
    pub(super) fn headline(&self, route: &Route) -> String {
        let mut text = self.place(route, route.decision);
        if let Some(would) = route.would {
            let _ = write!(text, "; would be {}", self.place(route, would));
        }
        text
    }

    /// The lines of `SHOW tidegate.last_route` and `EXPLAIN (ROUTE)`.
    pub(super) fn lines(&self, route: &Route) -> Vec<String> {
        let mut lines = vec![format!("to: {}", self.place(route, route.decision))];
        let decided = route.would.unwrap_or(route.decision);
        if let Some(would) = route.would {
            lines.push(format!("would be: {}", self.place(route, would)));
        }
        lines.push(format!("because: {}", decided.reason.meaning()));
        lines.extend(route.why());
        lines.extend(self.tables(route));
        let ago = |tick: Tick| format!("{:.1} ms ago", route.at.since(tick) as f64 / 1e6);
        let mark = match route.need.mark {
            Tick::NEVER => "none".to_owned(),
            mark => ago(mark),
        };
        let seen = route.need.seen.map(|seen| format!(", read mark: {}", ago(seen.at))).unwrap_or_default();
        lines.push(format!("level: {}, scope: {}, mark: {mark}{seen}", route.level, route.scope));
        for replica in &route.replicas {
            let name = self.node_name(replica.id);
            let verdict = if decided.target == Target::Replica(replica.id) {
                "taken".to_owned()
            } else if !route.need.is_met_by(replica) {
                let short = route.need.mark_for(replica).since(replica.horizon) as f64 / 1e6;
                format!("not fresh enough, {short:.1} ms short")
            } else {
                "fresh enough".to_owned()
            };
            let horizon = ago(replica.horizon);
            let busy = replica.outstanding;
            let place = if replica.is_near { ", near" } else { "" };
            let slow = match replica.share {
                ReplicaView::WHOLE => String::new(),
                share => format!(", let in slowly: {} % so far", share / 10),
            };
            lines.push(format!("replica {name}: {verdict}, horizon {horizon}, works on {busy}{place}{slow}"));
        }
        if route.replicas.is_empty() && matches!(decided.reason, Reason::NoReplica | Reason::Stale) {
            lines.push("no replica is healthy".to_owned());
        }
        lines
    }

    /// The tables a statement touches.
    fn tables(&self, route: &Route) -> Vec<String> {
        let touched = route.known.as_ref().and_then(|known| known.statement.touched.as_ref());
        let Some(touched) = touched else { return Vec::new() };
        let snapshot = self.database.cluster.catalog.current();
        let name =
            |oid: &u32| snapshot.catalog.table_name(*oid).unwrap_or("(a table that is gone)").to_owned();
        let list = |word: &str, tables: &Tables| match tables {
            Tables::Any => Some(format!("{word}: any table, as far as is known")),
            Tables::Known(known) if known.is_empty() => None,
            Tables::Known(known) => {
                Some(format!("{word}: {}", known.iter().map(name).collect::<Vec<_>>().join(", ")))
            }
        };
        [list("reads", &touched.reads), list("writes", &touched.writes)].into_iter().flatten().collect()
    }

    fn place(&self, route: &Route, decision: Decision) -> String {
        let cluster = &self.database.cluster;
        let (role, node) = match (decision.target, route.node) {
            (Target::Wait(_), _) => {
                return format!("a replica, as soon as one is fresh enough, reason {}", decision.reason);
            }
            (Target::Nowhere, _) => return format!("nowhere, an error, reason {}", decision.reason),
            (Target::Replica(id), _) => ("replica", Some(id)),
            (Target::Held, Some(id)) if cluster.primary().is_none_or(|primary| primary.id != id) => {
                ("replica", Some(id))
            }
            (Target::Held | Target::Primary, Some(id)) => ("primary", Some(id)),
            (Target::Held | Target::Primary, None) => ("primary", cluster.primary().map(|p| p.id)),
        };
        let node = node.map_or_else(|| "(none)".to_owned(), |id| self.node_name(id));
        format!("{role} {node}, reason {}", decision.reason)
    }

    fn node_name(&self, id: NodeId) -> String {
        self.database.cluster.node(id).map_or_else(|| "?".to_owned(), |node| node.name.clone())
    }
}

impl Route {
    /// What the statement may do and why: its class, the chain of causes, what it leaves behind.
    pub(super) fn why(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let Some(known) = &self.known else { return lines };
        let statement = &known.statement;
        lines.push(statement.in_words());
        if !self.leaves.is_empty() {
            lines.push(format!("leaves in the session: {}", self.leaves));
        }
        lines
    }
}
