//! What a lease's statements touch, and the marks of what they write.

use std::sync::Arc;

use super::leased::{Leased, ServesAs};
use super::serve::Session;
use super::summary::{Summary, nothing_touched};
use crate::cluster::catalog::Changing;
use crate::cluster::{Cluster, UnderWay};
use crate::freshness::Group;
use crate::routing::Wants;
use crate::sql::catalog::{Does, Tables};
use crate::sql::{Class, Touched};
use crate::wire::TransactionStatus;

/// What the statements of an open transaction, or of one statement, touch.
#[derive(Debug)]
pub(super) struct Touching {
    tables: Touched,
    /// The keys under which something was written.
    keys: Vec<Group>,
    /// The generation of the catalog by which this is known; `None`: nothing was touched yet.
    generation: Option<u64>,
    /// As long as what was sent may commit a write that nobody was told of yet.
    under_way: Option<UnderWay>,
    /// As long as what was sent may change the catalog.
    changing: Option<Changing>,
}

impl Default for Touching {
    fn default() -> Self {
        Self {
            tables: nothing_touched(),
            keys: Vec::new(),
            generation: None,
            under_way: None,
            changing: None,
        }
    }
}

impl Touching {
    fn add(&mut self, summary: &Summary, did: Does) {
        let Touched { reads, writes } = &summary.touched;
        if summary.does.contains(Does::WRITES) {
            // What it saw of the tables it writes to, its own mark stands for.
            self.tables.reads = self.tables.reads.and(&without(reads, writes));
            self.tables.writes = self.tables.writes.and(writes);
            self.keys.extend(summary.key.filter(|key| !self.keys.contains(key)));
        } else {
            self.tables.reads = self.tables.reads.and(reads);
        }
        let generation = *self.generation.get_or_insert(summary.generation);
        if generation != summary.generation || did.contains(Does::CHANGES_CATALOG) {
            self.tables.writes = Tables::Any;
        }
    }

    /// The tables written to, as far as that is certain: what was known of them must still be what is known.
    fn written(&self, cluster: &Cluster) -> Tables {
        let is_certain = cluster.catalog.is_certain()
            && self.generation.is_none_or(|generation| generation == cluster.catalog.generation());
        if is_certain { self.tables.writes.clone() } else { Tables::Any }
    }

    /// The tables of which the client was shown what no mark of its own stands for.
    pub(super) fn shown(&self) -> &Tables {
        &self.tables.reads
    }

    /// What may have been committed has its marks.
    pub(super) fn arrived(&mut self) {
        self.under_way = None;
    }

    /// Whether the answer that is awaited may be that of a commit.
    pub(super) fn may_commit(&self) -> bool {
        self.under_way.is_some()
    }
}

/// Those tables that are not among the others.
fn without(tables: &Tables, others: &Tables) -> Tables {
    match (tables, others) {
        (Tables::Known(tables), Tables::Known(others)) if tables != others => Tables::Known(
            tables.iter().copied().filter(|table| others.binary_search(table).is_err()).collect(),
        ),
        (Tables::Any, Tables::Known(_)) => Tables::Any,
        _ => Tables::none(),
    }
}

/// Whether a segment can only go on with the transaction that is open.
fn stays_inside(leased: &Leased, summary: &Summary) -> bool {
    let savepoint = || summary.known.as_ref().is_some_and(|known| known.statement.class == Class::Savepoint);
    leased.exchange.status() == TransactionStatus::Open
        && summary.count <= 1
        && (matches!(summary.wants, Wants::Read | Wants::Write | Wants::SessionState) || savepoint())
}

impl Session {
    /// A segment is about to be sent.
    pub(super) fn touch(&mut self, summary: &Summary) {
        let cluster = &self.database.cluster;
        let Some(leased) = &mut self.leased else { return };
        leased.did |= summary.does;
        if summary.does.contains(Does::WRITES) && leased.serves_as == ServesAs::Primary {
            leased.serves_as = ServesAs::Writer;
        }
        leased.touching.add(summary, leased.did);
        if leased.did.contains(Does::CHANGES_CATALOG) && leased.touching.changing.is_none() {
            leased.touching.changing = Some(Changing::begin(cluster));
        }
        if leased.serves_as == ServesAs::Writer && !stays_inside(leased, summary) {
            let written = leased.touching.written(cluster);
            // The one before is dropped after this one has begun.
            leased.touching.under_way = Some(UnderWay::begin(cluster, &written));
        }
    }

    /// Sets the marks of what was written: it is acknowledged to the proxy, or may have been committed.
    pub(super) fn mark(&mut self) {
        let client = self.client_group();
        let cluster = Arc::clone(&self.database.cluster);
        let Some(leased) = &self.leased else { return };
        let touching = &leased.touching;
        let own = self.settings.steering.key;
        let groups = touching.keys.iter().copied().chain(own).chain([client]);
        self.last_write = cluster.wrote(&touching.written(&cluster), groups);
    }

    /// What is announced to the client must be visible to it, and to all others.
    pub(super) fn mark_everything(&mut self) {
        let client = self.client_group();
        let groups = self.settings.steering.key.into_iter().chain([client]);
        self.last_write = self.database.cluster.wrote(&Tables::Any, groups);
    }
}
