//! What a node may be used for, given what it says of itself and what is known of the others.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::identity::OLDEST_VERSION;
use super::roles::{Claim, Evidence, Holder, Verdict, judge};
use super::{Cluster, Identity, Node, State, Term, What};

/// How long the first node that takes itself for the primary waits until the others were heard of: a former primary may be
/// the first to answer.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// What is known of who was, is, and wants to be the primary.
#[derive(Debug, Default)]
pub(super) struct Office {
    /// Nodes that take themselves for the primary.
    claims: Vec<Claim>,
    holder: Option<Holder>,
    /// Since when nobody holds it.
    vacant: Option<Instant>,
    /// Why nobody may hold it, though there are nodes that would.
    contested: Option<String>,
}

impl Cluster {
    /// Decides what the node may be used for, given what it says of itself, and publishes that.
    pub(super) fn admit(&self, node: &Arc<Node>, identity: &Identity) -> State {
        node.set_identity(identity.clone());
        if !identity.in_recovery {
            self.serializable.store(identity.serializable, Ordering::Relaxed);
        }
        if identity.async_commit {
            self.commits_asynchronously();
        }
        let objection = match self.unfit(identity) {
            None if identity.in_recovery => self.astray(node, identity),
            None => self.claims(node, identity),
            unfit => unfit,
        };
        let before = node.seen();
        let state = match objection {
            Some(objection) => {
                self.refuse(node, &objection);
                State::Refused
            }
            None if identity.in_recovery => State::Replica,
            None => {
                self.crown(node, identity);
                State::Primary
            }
        };
        if identity.in_recovery {
            self.office().withdraw(node);
        }
        if state == State::Replica && before != State::Replica {
            node.forget_horizon();
        }
        // A replica opens when its first horizon is known (see `replica`).
        if state != State::Replica {
            node.set_state(state);
        }
        if state == State::Primary {
            self.crowned.notify_waiters();
            self.progressed();
        }
        if before != state {
            tracing::info!(node = %node.name, ?state, timeline = identity.timeline, "node seen");
        }
        self.hear(node);
        state
    }

    fn refuse(&self, node: &Arc<Node>, objection: &str) {
        let is_news = node.seen() != State::Refused || !node.is_out_because(objection);
        if is_news {
            tracing::error!(node = %node.name, "node refused: {objection}");
            self.chronicle.note(&node.name, What::Refused, objection);
        }
        let was_primary = self.holds_office(node);
        self.resign_as(node, State::Refused);
        node.is_out(&objection);
        if was_primary {
            self.depose(node);
        }
    }

    /// Why a node can be no node of this cluster, whatever its role is.
    fn unfit(&self, identity: &Identity) -> Option<String> {
        if identity.version < OLDEST_VERSION {
            return Some(format!("PostgreSQL {} is too old, 13 or newer is needed", identity.version_text));
        }
        let mut system = self.system.lock().unwrap_or_else(PoisonError::into_inner);
        let expected =
            system.get_or_insert_with(|| self.founding_system().unwrap_or_else(|| identity.system.clone()));
        (*expected != identity.system).then(|| {
            let found = &identity.system;
            format!("its system identifier is {found}, the cluster's is {expected}: another database")
        })
    }

    /// The system that this is, at the beginning: the primary's, if there is one, or that of the node that is named first.
    fn founding_system(&self) -> Option<String> {
        let nodes = self.nodes();
        let heard = || nodes.iter().filter_map(|node| node.identity());
        let primary =
            heard().filter(|identity| !identity.in_recovery).max_by_key(|identity| identity.timeline);
        primary.or_else(|| heard().next()).map(|identity| identity.system.clone())
    }

    /// Why a node is no replica of the primary there is.
    fn astray(&self, node: &Node, identity: &Identity) -> Option<String> {
        let term = *self.samples.borrow();
        if term.number == 0 || identity.timeline == term.timeline {
            node.set_astray(None);
            return None;
        }
        // Beside a primary that is at work for long, it has left that primary's history, and says nothing about it.
        node.set_astray(self.primary().is_some().then_some(identity.timeline));
        let advice = if identity.shows_timeline {
            ""
        } else {
            ", as far as its control file tells, which may be minutes old: GRANT pg_read_all_stats to the first user of the \
             configuration to know at once"
        };
        Some(format!("it is on timeline {}, the primary on {}{advice}", identity.timeline, term.timeline))
    }

    /// A node takes itself for the primary. Why it is not; `None`: it is.
    fn claims(&self, node: &Arc<Node>, identity: &Identity) -> Option<String> {
        let claim = Claim {
            node: node.id,
            name: node.name.clone(),
            timeline: identity.timeline,
            flushed: identity.position,
            writable: node.is_writable(),
        };
        let evidence = self.evidence(&claim);
        let verdict = judge(&claim, &evidence);
        let mut office = self.office();
        office.withdraw(node);
        let text = match verdict {
            Verdict::Reigns => None,
            Verdict::Fenced(text) => return Some(text),
            Verdict::Contested(rivals) => {
                let names = evidence.rivals.iter().filter(|rival| rivals.contains(&rival.node));
                let mut names: Vec<_> =
                    names.map(|rival| rival.name.clone()).chain([node.name.clone()]).collect();
                names.sort();
                Some((
                    rivals,
                    format!(
                        "{} all take themselves for the primary on timeline {}",
                        names.join(" and "),
                        claim.timeline
                    ),
                ))
            }
        };
        office.claims.push(claim);
        office.contested = text.as_ref().map(|(_, text)| text.clone());
        drop(office);
        let (rivals, text) = text?;
        for rival in self.nodes().iter().filter(|rival| rivals.contains(&rival.id)) {
            if rival.seen() == State::Primary {
                self.refuse(rival, &text);
                rival.wake();
            }
        }
        Some(text)
    }

    fn evidence(&self, claim: &Claim) -> Evidence {
        let system = self.system.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let nodes = self.nodes();
        let others = nodes.iter().filter(|other| other.id != claim.node).filter_map(|other| {
            let identity = other.identity()?;
            let counts =
                Some(&identity.system) == system.as_ref() && !(identity.in_recovery && other.is_astray());
            counts.then(|| (identity.timeline, other.name.clone()))
        });
        let office = self.office();
        // A node that leaves the list and comes back is another to us, of the same name.
        let is_member = |name: &str| nodes.iter().any(|node| node.name == name);
        // Whoever names the nodes may leave out what does not run. One that is there speaks for itself: it may have been
        // promoted by mistake, and have been made a replica again.
        let away = office.holder.iter().filter(|holder| !is_member(&holder.name));
        let newest = others.chain(away.map(|holder| (holder.timeline, holder.name.clone())));
        let newest = newest.max().unwrap_or_default();
        let rivals = office.claims.iter().filter(|rival| rival.node != claim.node && is_member(&rival.name));
        // Samples of the insert position say nothing of what must still be there after a crash.
        let is_flushed = !self.async_commit.load(Ordering::Relaxed);
        let is_another = |holder: &Holder| holder.name != claim.name && is_member(&holder.name);
        let holder = office.holder.clone().filter(|holder| is_flushed && is_another(holder));
        Evidence { newest, rivals: rivals.cloned().collect(), holder }
    }

    fn crown(&self, node: &Arc<Node>, identity: &Identity) {
        let timeline = identity.timeline;
        let before = self.primary.swap(Some(Arc::clone(node)));
        let is_new = before.as_ref().is_none_or(|before| before.id != node.id);
        let mut office = self.office();
        let mut detail = format!("timeline {timeline}");
        if let Some(since) = office.vacant.take() {
            let seconds = since.elapsed().as_secs_f64();
            detail = format!("{detail}, after {seconds:.1} s without a primary");
            tracing::warn!(node = %node.name, timeline, seconds, "there is a primary again");
        } else if is_new {
            tracing::info!(node = %node.name, timeline, "primary");
        }
        let changed = office.holder.as_ref().is_some_and(|holder| holder.name != node.name);
        if changed {
            self.failovers.fetch_add(1, Ordering::Relaxed);
        }
        if is_new {
            // Another one may take its place before anybody has missed it.
            if let Some(former) = before.as_ref().filter(|former| former.seen() == State::Primary) {
                let text = format!("{} is the primary, on timeline {timeline}", node.name);
                self.chronicle.note(&former.name, What::PrimaryLost, text);
            }
            let what = if changed { What::Failover } else { What::Primary };
            self.chronicle.note(&node.name, what, detail);
        }
        office.holder = Some(Holder { name: node.name.clone(), timeline, flushed: identity.position });
        drop(office);
        self.samples.send_modify(|term| {
            if is_new || term.timeline != timeline || term.number == 0 {
                self.history.begin(&identity.system, timeline, node.reached());
                *term = Term { number: term.number + 1, timeline, sample: None };
            }
        });
        if let Some(rival) = before.filter(|rival| rival.id != node.id) {
            rival.suspect();
            self.depose(&rival);
        }
        // Their timelines are looked at again, now that there is one to compare them with.
        self.nodes().iter().filter(|other| other.id != node.id).for_each(|other| other.wake());
    }

    /// Whether the node was the primary when it was asked last, though it may be suspect by now.
    pub(super) fn holds_office(&self, node: &Node) -> bool {
        self.primary.load().as_ref().is_some_and(|primary| primary.id == node.id)
    }

    /// What was under way on a node that is not the primary any more is given up: whether its commits are part of the
    /// cluster's history nobody can tell, and nothing more may be written there.
    fn depose(&self, node: &Node) {
        tracing::warn!(node = %node.name, "it is not the primary any more: what is under way there is given up");
        self.give_up(node);
    }

    /// What is under way on the node is given up.
    pub(super) fn give_up(&self, node: &Node) {
        node.abandon();
        self.abandoned.send_replace(());
    }

    /// The node is not to be used any more.
    pub(super) fn resign(&self, node: &Node) {
        self.resign_as(node, State::Down);
        self.office().withdraw(node);
    }

    fn resign_as(&self, node: &Node, state: State) {
        node.set_state(state);
        node.forget_horizon();
        if self.holds_office(node) {
            self.primary.store(None);
            self.orphaned.notify_one();
            let mut office = self.office();
            office.vacant.get_or_insert_with(Instant::now);
            let flushed = self.samples.borrow().sample.map(|sample| sample.flushed);
            if let (Some(holder), Some(flushed)) = (&mut office.holder, flushed) {
                holder.flushed = holder.flushed.max(flushed);
            }
            tracing::warn!(node = %node.name, "the primary is lost, writes wait for one");
        }
    }

    /// Something was heard of the node, if only that it cannot be reached.
    pub(super) fn hear(&self, node: &Node) {
        if node.hear() {
            self.heard.send_replace(());
        }
    }

    /// Until there is a first primary: waits until all nodes were heard of, for a while.
    pub(super) async fn first_look(&self, node: &Node) {
        self.hear(node);
        if self.term() > 0 {
            return;
        }
        let mut heard = self.heard.subscribe();
        let all = async {
            while self.term() == 0 && self.nodes().iter().any(|node| !node.was_heard()) {
                let _ = heard.changed().await;
            }
        };
        let _ = tokio::time::timeout(FIRST_LOOK, all).await;
    }

    /// Why nobody is the primary, though several nodes would be.
    pub fn contested(&self) -> Option<String> {
        self.office().contested.clone()
    }

    /// How often another node has become the primary.
    pub fn failovers(&self) -> u64 {
        self.failovers.load(Ordering::Relaxed)
    }

    /// Told whenever what is under way on some node is given up: see [`Node::abandonments`].
    pub fn abandonments(&self) -> tokio::sync::watch::Receiver<()> {
        self.abandoned.subscribe()
    }

    fn office(&self) -> MutexGuard<'_, Office> {
        self.office.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Office {
    /// The node does not take itself for the primary, or is away.
    fn withdraw(&mut self, node: &Node) {
        let before = self.claims.len();
        self.claims.retain(|claim| claim.node != node.id);
        if self.claims.len() < before {
            self.contested = None;
        }
    }
}
