//! What is logged of statements: slow ones, those that fail in a way operators must know of, and where they go if a client
//! wants that. Never a literal, unless the settings allow it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::explain::Route;
use super::failure::Failure;
use super::leased::{Leased, ServesAs};
use super::serve::Session;
use super::summary::Summary;
use super::timing::Run;
use crate::wire::{self, ErrorFields};

/// Logs a line about a statement on a server, at a level and with fields of its own.
macro_rules! log {
    ($level:ident, $session:expr, $leased:expr, $run:expr, $shape:expr, $($own:tt)+) => {{
        let (session, leased, run): (&Session, &Leased, Option<&Run>) = ($session, $leased, $run);
        tracing::$level!(
            node = leased.node.node().name.as_str(),
            target = target(leased),
            reason = run.map(|run| run.reason.label()),
            user = session.user.name.as_str(),
            database = session.database.settings.name.as_str(),
            address = &*session.address,
            application = session.settings.application(),
            client = session.registered.key.pid,
            backend = leased.lease.key.pid,
            ms = run.map(|run| millis(run.arrived.elapsed())),
            wait_ms = run.map(|run| millis(run.sent - run.arrived)),
            statement = $shape,
            $($own)+
        )
    }};
}

impl Session {
    /// A statement has taken longer than `slow_statement`.
    #[cold]
    pub(super) fn log_slow(&self, leased: &Leased, run: &Run) {
        let Some(left_out) = self.database.throttles.slow.pass(self.database.cluster.clock.now()) else {
            return;
        };
        let shape = shape(&leased.turn.summary);
        log!(warn, self, leased, Some(run), shape, left_out, "slow statement");
    }

    /// Counts and logs an error that the client is about to get. What operators must know of is a warning; mistakes
    /// of an app are everyday life.
    pub(super) fn report(&self, code: &str, len: usize) {
        let Some(l) = &self.leased else { return };
        self.database.stats.server_error(l.node.node().id.0, code);
        let fields = ErrorFields::read(wire::body(&l.lease.inbox[l.scanned..], len));
        let message = if self.proxy.log_statements.load(Ordering::Relaxed) {
            String::from_utf8_lossy(fields.message)
        } else {
            "".into()
        };
        let (run, shape) = (l.turn.run.as_ref(), shape(&l.turn.summary));
        if !matches!(code.get(..2), Some("40" | "53" | "55" | "57" | "58" | "XX" | "08")) {
            log!(info, self, l, run, shape, sqlstate = code, "{message}");
            return;
        }
        let Some(left_out) = self.database.throttles.errors.pass(self.database.cluster.clock.now()) else {
            return;
        };
        // The other side of a deadlock, as the server's own log and pg_stat_activity call it.
        let others = if code == "40P01" { processes(fields.detail, l.lease.key.pid) } else { String::new() };
        let others = Some(others.as_str()).filter(|others| !others.is_empty());
        log!(warn, self, l, run, shape, sqlstate = code, others, left_out, "{message}");
    }

    /// Logs an error of the proxy's own that the client is about to get.
    pub(super) fn log_failure(&self, failure: &Failure) {
        let Some(left_out) = self.database.throttles.errors.pass(self.database.cluster.clock.now()) else {
            return;
        };
        tracing::warn!(
            sqlstate = %failure.code,
            user = self.user.name.as_str(),
            database = self.database.settings.name.as_str(),
            address = &*self.address,
            application = self.settings.application(),
            client = self.registered.key.pid,
            ms = millis(self.arrived.elapsed()),
            left_out,
            "{}",
            failure.message
        );
    }

    /// Where a statement goes, for a client that wants it to be logged.
    #[cold]
    pub(super) fn log_route(&self, route: &Route, summary: &Summary) {
        let (Some(l), now) = (&self.leased, self.database.cluster.clock.now()) else { return };
        let Some(left_out) = self.database.throttles.routes.pass(now) else { return };
        let why = route.why().join("; ");
        tracing::info!(
            target: "tidegate::route",
            user = self.user.name.as_str(),
            database = self.database.settings.name.as_str(),
            address = &*self.address,
            application = self.settings.application(),
            client = self.registered.key.pid,
            backend = l.lease.key.pid,
            statement = shape(summary),
            why,
            left_out,
            "{}",
            self.headline(route)
        );
    }
}

fn shape(summary: &Summary) -> &str {
    summary.known.as_ref().map(|known| known.shape.as_ref()).unwrap_or_default()
}

fn target(leased: &Leased) -> &'static str {
    if leased.serves_as == ServesAs::Replica { "replica" } else { "primary" }
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// The processes of a deadlock but for our own, with commas between them. Each has a line of the detail, and its number
/// comes first there, in whichever language; numbers of locks come behind.
fn processes(detail: &[u8], own: u32) -> String {
    let detail = String::from_utf8_lossy(detail);
    let lines = detail.lines().filter_map(|line| {
        let digits = line.find(|c: char| c.is_ascii_digit())?;
        let number = line[digits..].split(|c: char| !c.is_ascii_digit()).next()?;
        number.parse::<u32>().ok()
    });
    let mut others: Vec<u32> = lines.filter(|process| *process != own).collect();
    others.dedup();
    others.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadlock_names_the_other_processes_and_no_locks() {
        let detail = "Process 71 waits for ExclusiveLock on advisory lock [5,0,4711,1]; blocked by process 72.\n\
                      Process 72 waits for ShareLock on transaction 746; blocked by process 71.";
        assert_eq!(processes(detail.as_bytes(), 71), "72");
        assert_eq!(processes(b"", 71), "");
        let german = "Prozess 72 wartet auf ShareLock-Sperre auf Transaktion 746; blockiert von Prozess 71.";
        assert_eq!(processes(german.as_bytes(), 71), "72");
    }
}
