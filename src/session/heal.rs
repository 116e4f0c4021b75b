//! Errors that a client would not have met on a connection of its own, and that running the segment again mends.
//!
//! A plan that an `ALTER TABLE` has overtaken fails with "cached plan must not change result type". The client that was
//! told the old columns must hear of it. One that was not, because it has only just prepared the statement or reads the
//! description of each answer, would not have got the error if others did not share the plan.
//!
//! A setting `name.x` can be set before the library `name` is loaded, and not after: on a shared connection somebody
//! else may have loaded it.

use std::sync::Arc;

use super::leased::{Leased, Rerun};
use super::segment::Item;
use super::serve::Session;
use super::statements::Prepared;
use super::understand::Understood;
use crate::sql::{Class, Leaves};
use crate::wire::{self, Describe, Frontend, Kind, Parse, WireError};

/// Whether a segment that runs on the primary is worth keeping until its answer comes.
pub(super) fn may_be_healed(
    leased: &Leased,
    u: &Understood,
    items: &[Item],
    plan: &[Option<Arc<Prepared>>],
) -> bool {
    let uses = |(item, about): (&Item, &Option<Arc<Prepared>>)| {
        matches!(item.kind, Frontend::Bind | Frontend::Describe) && about.is_some()
    };
    items.iter().zip(plan).any(uses) || leased.pins.is_empty() && sets_custom(u)
}

/// Whether the segment is one SET of a setting that no library has defined yet.
fn sets_custom(u: &Understood) -> bool {
    let Some(known) = &u.summary.known else { return false };
    u.summary.count == 1
        && known.statement.class == Class::Session
        && known.statement.leaves.contains(Leaves::SETTINGS)
        && known.statement.setting_names.iter().any(|name| name.contains('.'))
}

/// How a segment that failed is run again on the same kind of connection, if it is.
pub(super) fn heal(l: &Leased, code: &str, stale_plan: bool) -> Option<Rerun> {
    if !l.turn.is_kept() || l.turn.runs > 0 {
        return None;
    }
    match code {
        _ if stale_plan => Some(Rerun::Replan),
        "42602" if l.pins.is_empty() && l.turn.summary.leaves.contains(Leaves::SETTINGS) => {
            Some(Rerun::Fresh)
        }
        _ => None,
    }
}

/// Notes which of the client's statements the segment asks the server to describe.
pub(super) fn expect_descriptions(
    inbox: &[u8],
    items: &[Item],
    plan: &[Option<Arc<Prepared>>],
    leased: &mut Leased,
) -> Result<(), WireError> {
    for (item, about) in items.iter().zip(plan) {
        let (Frontend::Describe, Some(prepared)) = (item.kind, about) else { continue };
        let describe = Describe::read(wire::body(&inbox[item.start..], item.len))?;
        if describe.kind == Kind::Statement {
            let named = !describe.name.is_empty();
            leased.described.push_back(named.then(|| (describe.name.into(), Arc::clone(prepared))));
        }
    }
    Ok(())
}

impl Session {
    /// Prepares the statements of the segment anew, for this client and whoever comes after it.
    pub(super) async fn replan(&mut self) {
        for i in 0..self.plan.len() {
            if let Some(old) = self.plan[i].clone() {
                self.replan_one(&old).await;
            }
        }
    }

    /// Puts a new statement of the same text in the place of one whose tables have changed.
    pub(super) async fn replan_one(&mut self, old: &Prepared) -> Arc<Prepared> {
        self.proxy.statements.retire(old);
        let ground = self.ground();
        let readable = self.is_readable(&old.text);
        let catalog = &self.database.cluster.catalog;
        let same = Parse { name: b"", text: &old.text, types: &old.types };
        let new = self.proxy.statements.prepare(&same, &ground, catalog, readable).await;
        self.names.replace(old.id, &new);
        for prepared in self.plan.iter_mut().flatten().filter(|prepared| prepared.id == old.id) {
            *prepared = Arc::clone(&new);
        }
        new
    }
}
