//! What a segment has left in the session: settings that follow the client, and what binds it to its connection.

use std::time::SystemTime;

use super::leased::{Answer, Fate};
use super::pins::{self, IN_THE_PROCESS, PinView};
use super::serve::Session;
use super::settings::{Outcome, Resets};
use crate::sql::Leaves;
use crate::stats::Present;

/// What may have changed the session's settings.
const UNSETTLING: Leaves = Leaves::SETTINGS
    .with(Leaves::RESET_ALL)
    .with(Leaves::ROLE)
    .with(Leaves::DISCARD_ALL)
    .with(Leaves::UNNAMED_SETTING)
    .with(Leaves::ANYTHING);

/// What may have made the connection's temporary schema, which stays.
const MAY_MAKE_TEMP_SCHEMA: Leaves = Leaves::TEMP_TABLE.with(Leaves::ANYTHING);

impl Session {
    /// Notes what the segment has left behind in the session.
    pub(super) fn note_leaves(&mut self, leaves: Leaves) {
        let Some(l) = &mut self.leased else { return };
        if leaves.contains(Leaves::ASYNC_COMMIT) {
            self.database.cluster.commits_asynchronously();
        }
        l.left |= leaves;
        if leaves.contains(Leaves::ANYTHING) {
            l.lease.stain = Some(self.number);
        }
        l.lease.has_temp_schema |=
            leaves.intersects(MAY_MAKE_TEMP_SCHEMA) || self.settings.steering.temp_path;
        let failed = l.turn.answer == Answer::Failed && l.turn.summary.count < 2;
        // Of the others the server is asked. Code can have done anything before it failed.
        let told = if failed { Leaves::NATIVE_CODE } else { IN_THE_PROCESS.with(Leaves::UNNAMED_SETTING) };
        for leaf in leaves.only(told).iter() {
            self.pin(leaf);
        }
        let Some(l) = &mut self.leased else { return };
        if failed {
            return l.pins.end(Leaves::RESERVED_SETTING);
        }
        if leaves.contains(Leaves::DISCARD_SEQUENCES) {
            l.lease.wrote = None;
            l.pins.end(Leaves::SEQUENCE);
        }
        if leaves.intersects(Leaves::DISCARD_ALL) {
            l.pins.discard();
            l.lease.prepared.clear();
            l.lease.wrote = None;
            self.names.clear();
        }
        if leaves.intersects(Leaves::DEALLOCATE) {
            // It may have taken statements of the proxy's own with it.
            l.fate = Fate::Closed;
        }
    }

    /// Binds the session to its connection.
    pub(super) fn pin(&mut self, reason: Leaves) {
        let Some(l) = &mut self.leased else { return };
        if l.pins.reasons().contains(reason) {
            return;
        }
        if IN_THE_PROCESS.contains(reason) {
            l.fate = Fate::Closed;
        }
        let node = l.node.node().name.clone();
        let (client, server) = (self.registered.key.pid, l.lease.key.pid);
        tracing::info!(%reason, client, node, backend = server, "session pinned");
        let listed = self.proxy.pins.list(PinView {
            client,
            user: self.user.name.clone(),
            database: self.database.settings.name.clone(),
            address: self.address.to_string(),
            application: self.settings.application().to_owned(),
            node,
            server,
            reason: reason.labels().next().unwrap_or_default(),
            since: SystemTime::now(),
            long: self.user.limits.long_pin,
        });
        let counted = Present::new(&self.database.stats.pinned(&reason.to_string()));
        l.pins.add(reason, listed, counted);
    }

    /// The transaction is over: asks the server which settings the session has now, and what there is to bind it.
    pub(super) async fn take_stock(&mut self) {
        let Some(l) = &mut self.leased else { return };
        let left = std::mem::take(&mut l.left);
        let doubtful = pins::doubtful(left, l.pins.reasons());
        // What bound the session may be gone, and what was run by a name meanwhile may have set anything.
        let may_end = !l.pins.is_empty() && !doubtful.is_empty();
        let unsettled = may_end || left.intersects(UNSETTLING);
        if doubtful.is_empty() && !unsettled {
            return;
        }
        let mut question = pins::question(doubtful);
        if unsettled {
            question += ";";
            question += &self.settings.question(&self.user.name);
        }
        let answer = match l.ask_in_time(&question).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(node = %l.node.node().name, %error, "could not ask what a session has left on its connection, which is closed after it");
                l.fate = Fate::Closed;
                return;
            }
        };
        let found = pins::found(&answer);
        l.pins.end(doubtful.without(found));
        if unsettled {
            let resets = Resets {
                named: &l.turn.summary.resets,
                all: left.intersects(Leaves::RESET_ALL.with(Leaves::DISCARD_ALL)),
                outcome: if l.turn.answer == Answer::Failed { Outcome::Failed } else { Outcome::Done },
            };
            self.settings.learn(&answer, &mut l.lease, &resets);
            self.user.alike.share(&mut self.settings.current);
            self.user.alike.share(&mut l.lease.settings);
            if !self.settings.steering.temp_path {
                l.pins.end(Leaves::TEMP_PATH);
            }
            if self.settings.steering.async_commit {
                self.database.cluster.commits_asynchronously();
            }
        }
        for reason in found.iter() {
            self.pin(reason);
        }
    }
}
