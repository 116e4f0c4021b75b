//! Settings that are due on a leased connection, sent ahead of the statement that needs them and in the same round trip.
//!
//! PostgreSQL runs the statement even if the settings ahead of it were refused, so this is done only where they cannot be:
//! each of them has been made on this node before, by itself, and none is one of [`UNCERTAIN`].

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::ask::AskError;
use super::exchange::Owed;
use super::leased::Leased;
use crate::routing::NodeId;
use crate::server::{Connection, Settings, Unnamed};
use crate::wire::encode;

/// Names that are remembered of one user; beyond that it is begun anew.
const REMEMBERED: usize = 10_000;

/// Settings whose change can be refused although it was made before, or fail what is sent with it; in order. Some name what
/// can be dropped, some need a right that can be taken away, and some say how long things may take.
#[rustfmt::skip]
const UNCERTAIN: [&str; 60] = [
    "allow_in_place_tablespaces", "allow_system_table_mods", "backtrace_functions", "commit_delay",
    "compute_query_id", "deadlock_timeout", "debug_discard_caches", "default_table_access_method",
    "default_tablespace", "default_text_search_config", "dynamic_library_path", "event_triggers",
    "extension_control_path", "ignore_checksum_failure", "jit_debugging_support", "jit_dump_bitcode",
    "jit_profiling_support", "lc_messages", "lo_compat_privileges", "log_connections", "log_disconnections",
    "log_duration", "log_error_verbosity", "log_executor_stats", "log_lock_failures", "log_lock_waits",
    "log_min_duration_sample", "log_min_duration_statement", "log_min_error_statement", "log_min_messages",
    "log_parameter_max_length", "log_parser_stats", "log_planner_stats", "log_replication_commands",
    "log_statement", "log_statement_sample_rate", "log_statement_stats", "log_temp_files",
    "log_transaction_sample_rate", "max_stack_depth", "role", "session_authorization",
    "session_preload_libraries", "session_replication_role", "statement_timeout", "temp_file_limit",
    "temp_tablespaces", "track_activities", "track_cost_delay_timing", "track_counts", "track_functions",
    "track_io_timing", "track_wal_io_timing", "transaction_timeout", "update_process_title",
    "wal_compression", "wal_consistency_checking", "wal_init_zero", "wal_recycle", "zero_damaged_pages",
];

/// Which settings have been made on which nodes.
#[derive(Debug, Default)]
pub(super) struct Proven {
    names: Mutex<HashSet<(usize, Box<str>)>>,
}

impl Proven {
    /// These were made on the node.
    pub(super) fn add(&self, node: NodeId, settings: &Settings) {
        let mut names = self.lock();
        if names.len() > REMEMBERED {
            names.clear();
        }
        names.extend(settings.keys().map(|name| (node.0, name.as_str().into())));
    }

    /// Whether turning the settings of `connection` into `wanted` cannot fail.
    pub(super) fn covers(&self, node: NodeId, connection: &Connection, wanted: &Settings) -> bool {
        let names = self.lock();
        let is_certain = |(name, value): (&String, &String), other: &Settings| {
            other.get(name) == Some(value)
                || UNCERTAIN.binary_search(&name.as_str()).is_err()
                    && names.contains(&(node.0, name.as_str().into()))
        };
        // A time-out that is in force holds for what is sent, whether it is to be changed or not.
        !connection.settings.contains_key("statement_timeout")
            && wanted.iter().all(|setting| is_certain(setting, &connection.settings))
            && connection.settings.iter().all(|setting| is_certain(setting, wanted))
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<(usize, Box<str>)>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leased {
    /// Sends what is due ahead of what is sent next.
    pub(super) fn send_due(&mut self) {
        if self.due.is_empty() {
            return;
        }
        encode::query(&mut self.lease.outbox, &std::mem::take(&mut self.due));
        self.lease.prepared.set_unnamed(Unnamed::Absent);
        self.exchange.sent(Owed::Settings);
    }

    /// Settles what is due by itself, ahead of a question of the proxy's own.
    pub(super) async fn settle_due(&mut self) -> Result<(), AskError> {
        if !self.due.is_empty() {
            let due = std::mem::take(&mut self.due);
            self.ask(&due).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_uncertain_is_found() {
        assert!(UNCERTAIN.is_sorted());
    }
}
