//! What is known of `PostgreSQL`'s own functions and views, by name: which answer alike on every node.
//!
//! The lists hold every name in `pg_catalog` of `PostgreSQL` 15 and 18, each in exactly one of them; `tests/builtins.rs`
//! holds them against a running server and asks a replica whether they are true. They are names, not signatures: a
//! name is harmless only if all its overloads are, in both versions. Whether a name means the built-in function at all
//! (`search_path`, a user's overload, a version that does not have it) is the catalog's knowledge, not this module's.
//!
//! Where "alike" is a matter of opinion:
//!
//! * `version()`, `icu_unicode_version()`, time zones: of the server's build. Nodes of one cluster may differ in the minor
//!   version, but each answer is a true one, and drivers ask at every connect: harmless.
//! * `age(xid)`, `mxid_age`: transactions in flight that have not written yet are unknown to a replica, so it may be behind by
//!   as many. The figures count towards two billion, and `age(timestamp)` is everyday business: harmless.
//! * `pg_relation_size` and its like: pages, free space map and unlogged tables are laid out by each node: the node's.
//! * `pg_current_snapshot()`: a standby's shows no transaction in progress, although there are some: the node's.
//! * `pg_xact_status()`: a standby calls a transaction that it has not heard of an error: the node's.

use std::fmt;

const HARMLESS: &str = include_str!("builtins/harmless.txt");
const PRIMARY: &str = include_str!("builtins/primary.txt");
const VIEWS: &str = include_str!("builtins/views.txt");
const PLAIN_VIEWS: &str = include_str!("builtins/plain_views.txt");

/// What the lists say of a function's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Any node answers alike.
    Harmless,
    /// Only the primary will do.
    Primary(Reason),
    /// Not a name the lists know.
    Unlisted,
}

/// Why a function belongs on the primary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// It changes data or a sequence, or takes a transaction id.
    Writes,
    /// It reads or changes state of the one session it runs in.
    Session,
    /// It tells of the node it runs on, so a replica's answer would be another one.
    Node,
    /// A standby refuses it.
    NeedsPrimary,
    /// It runs SQL that it is given as text.
    RunsSql,
    /// It reads files of the server.
    ServerFiles,
    /// It works on large objects.
    LargeObject,
    /// It may create the temporary schema, when `search_path` begins with it.
    TempSchema,
    /// It works on another server.
    Elsewhere,
    /// Only `PostgreSQL` itself calls it: a trigger, a handler, a part of a dictionary.
    Internal,
    /// It is volatile, and nothing more is known.
    Volatile,
}

impl Reason {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "writes" => Reason::Writes,
            "session" => Reason::Session,
            "node" => Reason::Node,
            "needs_primary" => Reason::NeedsPrimary,
            "runs_sql" => Reason::RunsSql,
            "server_files" => Reason::ServerFiles,
            "large_object" => Reason::LargeObject,
            "temp_schema" => Reason::TempSchema,
            "elsewhere" => Reason::Elsewhere,
            "internal" => Reason::Internal,
            "volatile" => Reason::Volatile,
            _ => return None,
        })
    }

    /// Whether the function may change what another session reads.
    pub fn may_write(self) -> bool {
        !matches!(self, Reason::Session | Reason::Node | Reason::ServerFiles | Reason::TempSchema)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Writes => "it writes",
            Reason::Session => "it is about the session it runs in",
            Reason::Node => "it is about the node it runs on",
            Reason::NeedsPrimary => "a standby refuses it",
            Reason::RunsSql => "it runs SQL given as text",
            Reason::ServerFiles => "it reads files of the server",
            Reason::LargeObject => "it works on large objects",
            Reason::TempSchema => "it may create the temporary schema",
            Reason::Elsewhere => "it works on another server",
            Reason::Internal => "it is for PostgreSQL's own use",
            Reason::Volatile => "it is volatile",
        })
    }
}

/// Functions that belong on the primary and may write, but no table: a sequence, which is always read on the primary, a
/// notification, a transaction id, a position.
const CHANGE_NO_ROWS: [&str; 11] = [
    "nextval",
    "pg_current_wal_flush_lsn",
    "pg_current_wal_insert_lsn",
    "pg_current_wal_lsn",
    "pg_current_xact_id",
    "pg_logical_emit_message",
    "pg_notify",
    "pg_walfile_name",
    "pg_walfile_name_offset",
    "setval",
    "txid_current",
];

/// Whether a function of `pg_catalog` that may write changes no table's rows for certain.
pub fn changes_no_rows(name: &str) -> bool {
    CHANGE_NO_ROWS.binary_search(&name).is_ok()
}

/// The verdict on a function of `pg_catalog`, by its name as the grammar gives it (folded to lower case if unquoted).
pub fn verdict(name: &str) -> Verdict {
    if find(HARMLESS, name).is_some() {
        return Verdict::Harmless;
    }
    match find(PRIMARY, name) {
        Some(reason) => Verdict::Primary(Reason::parse(reason).unwrap_or(Reason::Volatile)),
        None => Verdict::Unlisted,
    }
}

/// Whether a relation of this name shows state of one node or one session, whatever schema it is in: the views of
/// extensions may have been put into any.
pub fn is_node_view(name: &str) -> bool {
    // `pg_stats` and `pg_statistic`, ordinary replicated data in spite of their names, are not among these families.
    let families = [
        "pg_stat_",
        "pg_statio_",
        "pg_replication_",
        "pg_buffercache",
        "pg_available_extension",
        "pg_shmem_",
    ];
    families.iter().any(|family| name.starts_with(family)) || find(VIEWS, name).is_some()
}

/// Whether a name is that of a view of `pg_catalog` or `information_schema` which shows replicated data only.
pub fn is_plain_view(name: &str) -> bool {
    find(PLAIN_VIEWS, name).is_some()
}

/// The rest of the line that begins with the word `name`: a binary search over the sorted lines of a list, which needs
/// no table to be built and kept.
fn find<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = list;
    while !rest.is_empty() {
        let middle = rest.len() / 2;
        let bytes = rest.as_bytes();
        let start =
            bytes.iter().take(middle).rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let end = bytes
            .iter()
            .skip(start)
            .position(|byte| *byte == b'\n')
            .map_or(rest.len(), |length| start + length);
        let line = rest.get(start..end)?;
        let (word, remark) = line.split_once(' ').unwrap_or((line, ""));
        // Comments come first, so they sort before every name.
        let order = if line.starts_with('#') { std::cmp::Ordering::Less } else { word.cmp(name) };
        match order {
            std::cmp::Ordering::Equal => return Some(remark),
            std::cmp::Ordering::Less => rest = rest.get(end + 1..).unwrap_or(""),
            std::cmp::Ordering::Greater => rest = rest.get(..start)?,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(list: &str) -> Vec<(&str, &str)> {
        let lines = list.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.split_once(' ').unwrap_or((line, ""))).collect()
    }

    #[test]
    fn functions_that_change_no_rows_are_for_the_primary_all_the_same() {
        assert!(CHANGE_NO_ROWS.is_sorted() && CHANGE_NO_ROWS.iter().all(|name| changes_no_rows(name)));
        assert!(
            CHANGE_NO_ROWS
                .iter()
                .all(|name| matches!(verdict(name), Verdict::Primary(reason) if reason.may_write()))
        );
        assert!(!changes_no_rows("lo_put") && !changes_no_rows("query_to_xml"));
    }

    #[test]
    fn lists_are_sorted_disjoint_and_found() {
        for list in [HARMLESS, PRIMARY, VIEWS, PLAIN_VIEWS] {
            assert!(lines(list).is_sorted_by(|a, b| a.0 < b.0));
            assert!(lines(list).iter().all(|(name, remark)| find(list, name) == Some(remark)));
        }
        assert!(lines(HARMLESS).iter().all(|(name, _)| find(PRIMARY, name).is_none()));
        assert!(lines(PLAIN_VIEWS).iter().all(|(name, _)| !is_node_view(name)));
        assert!(lines(HARMLESS).iter().all(|(_, remark)| matches!(*remark, "" | "volatile")));
        assert!(lines(PRIMARY).iter().all(|(_, reason)| Reason::parse(reason).is_some()));
        assert!(
            ["", "zzz", "#", "!", "nextva", "nextvall"].iter().all(|name| verdict(name) == Verdict::Unlisted)
        );
    }

    #[test]
    fn the_names_that_matter() {
        let harmless = [
            "random",
            "clock_timestamp",
            "timeofday",
            "gen_random_uuid",
            "uuidv4",
            "uuidv7",
            "random_normal",
            "pg_sleep",
            "now",
            "casefold",
            "interval_accum",
        ];
        assert!(harmless.iter().all(|name| verdict(name) == Verdict::Harmless));
        let primary = [
            ("nextval", Reason::Writes),
            ("txid_current", Reason::Writes),
            ("pg_current_xact_id", Reason::Writes),
            ("currval", Reason::Session),
            ("set_config", Reason::Session),
            ("pg_try_advisory_lock", Reason::Session),
            ("pg_backend_pid", Reason::Session),
            ("inet_server_addr", Reason::Session),
            ("pg_stat_get_activity", Reason::Node),
            ("pg_is_in_recovery", Reason::Node),
            ("pg_terminate_backend", Reason::Node),
            ("pg_export_snapshot", Reason::Node),
            ("pg_switch_wal", Reason::NeedsPrimary),
            ("RI_FKey_check_ins", Reason::Internal),
            ("pg_notify", Reason::NeedsPrimary),
            ("query_to_xml", Reason::RunsSql),
            ("ts_stat", Reason::RunsSql),
            ("pg_read_file", Reason::ServerFiles),
            ("lo_create", Reason::LargeObject),
            ("current_schema", Reason::TempSchema),
            ("dblink_exec", Reason::Elsewhere),
        ];
        for (name, reason) in primary {
            assert_eq!(verdict(name), Verdict::Primary(reason), "{name}");
        }
    }

    #[test]
    fn views() {
        assert!(
            ["pg_stat_activity", "pg_locks", "pg_settings", "pg_stat_statements"]
                .iter()
                .all(|view| is_node_view(view))
        );
        assert!(
            ["pg_class", "pg_stats", "pg_statistic", "orders", "pg_roles"]
                .iter()
                .all(|view| !is_node_view(view))
        );
    }
}
