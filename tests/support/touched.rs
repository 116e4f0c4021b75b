//! What a statement has really touched, by the counters of the server it ran on, held against what Tidegate says of it.
//!
//! The session that runs the statement is asked before and after it, within one transaction:
//!
//! * which tables' counters of inserted, updated and deleted rows have moved, whoever did it: the statement itself, a
//!   foreign key, a trigger, a rule, a function;
//! * which tables' rows in `pg_class` have been replaced by the transaction: TRUNCATE and all that writes a table anew
//!   count no rows, but give it another file;
//! * which tables or their indexes have been scanned, and which have been locked: a lock is taken on whatever is
//!   planned, also where the plan then leaves it out, and a function's tables are among them.
//!
//! Partitioned tables have no rows; their partitions are asked about.
//!
//! These are per transaction, are in every version, and know of reads, too; the WAL and what is decoded from it do not.

use std::collections::BTreeMap;

use tidegate::sql::catalog::{Catalog, SearchPath, Tables};
use tidegate::sql::{Class, Statement, Strings, Touched, parse};

/// What the session is asked. One row for each relation with something to tell, and one with the session's settings. No name in
/// it depends on the session's `search_path`, where there can be other operators than the server's.
pub const QUESTION: &str = "
with mine as materialized (
    select relation, transactionid from pg_catalog.pg_locks
    where pid operator(pg_catalog.=) pg_catalog.pg_backend_pid()
), seen as (
    select c.oid,
        pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid)
            operator(pg_catalog.+) pg_catalog.pg_stat_get_xact_tuples_updated(c.oid)
            operator(pg_catalog.+) pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid) as changes,
        pg_catalog.pg_stat_get_xact_numscans(c.oid)
            operator(pg_catalog.+) case when c.oid operator(pg_catalog.>=) 16384::pg_catalog.oid then coalesce(
                (select pg_catalog.sum(pg_catalog.pg_stat_get_xact_numscans(i.indexrelid))::bigint
                 from pg_catalog.pg_index i where i.indrelid operator(pg_catalog.=) c.oid), 0) else 0 end as scans,
        c.oid operator(pg_catalog.=) any (select relation from mine where relation is not null) as locked,
        case when c.xmin operator(pg_catalog.=) any (select transactionid from mine where transactionid is not null)
            then c.ctid::pg_catalog.text else '' end as place
    from pg_catalog.pg_class c
    where c.relkind operator(pg_catalog.=) any ('{r,m,f}'::pg_catalog.\"char\"[])
        and c.relpersistence operator(pg_catalog.<>) 't'::pg_catalog.\"char\"
)
select oid::pg_catalog.text, oid::pg_catalog.regclass::pg_catalog.text, changes::pg_catalog.text,
    scans::pg_catalog.text, locked::pg_catalog.text, place, '', '' from seen
where changes operator(pg_catalog.<>) 0 or scans operator(pg_catalog.<>) 0 or locked
    or place operator(pg_catalog.<>) ''
union all
select '', '', '', '', '', pg_catalog.current_setting('search_path'), current_user::pg_catalog.text,
    pg_catalog.current_setting('standard_conforming_strings')";

/// Makes what waits for COMMIT happen now.
pub const SETTLE: &str = "set constraints all immediate";

/// OIDs from here on are not the server's own.
const FIRST_OF_USERS: u32 = 16_384;

/// `pg_largeobject` and `pg_largeobject_metadata`. Functions change them, and functions read them: on the primary, always.
/// Whoever names them in a statement reads any table, in Tidegate's words.
const LARGE_OBJECTS: [u32; 2] = [2613, 2995];

/// `pg_class`, where a table that is written anew has its new file. Of who asks for that, Tidegate says that any table is read.
const PG_CLASS: u32 = 1259;

/// `pg_namespace`, where `current_schema` puts the session's temporary schema if `search_path` begins with it. It is nothing
/// to anybody else.
const PG_NAMESPACE: u32 = 2615;

/// Functions that lock tables to tell a definition in which they are. They read no row of them.
const ONLY_LOCK: [&str; 5] = [
    "pg_get_viewdef",
    "pg_get_ruledef",
    "pg_get_functiondef",
    "pg_partition_tree",
    "satisfies_hash_partition",
];

/// What the session has told at one moment.
#[derive(Debug, Default)]
pub struct Counters {
    tables: BTreeMap<u32, Table>,
    path: String,
    user: String,
    strings: String,
}

#[derive(Clone, Debug, Default)]
struct Table {
    name: String,
    changes: String,
    scans: String,
    locked: bool,
    place: String,
}

/// The tables that something was done to, by OID, with their names.
pub type Names = BTreeMap<u32, String>;

/// What was really touched between two moments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Real {
    /// Rows of these have changed, or all of them at once.
    pub changed: Names,
    /// These have been scanned, or at least been planned to be. None of the server's own is among them: of those, Tidegate
    /// says that any table is read.
    pub read: Names,
}

impl Counters {
    /// From the rows that [`QUESTION`] returns.
    pub fn read(rows: &[Vec<Option<String>>]) -> Self {
        let mut counters = Self::default();
        for row in rows {
            let field = |at: usize| row.get(at).cloned().flatten().unwrap_or_default();
            let Ok(oid) = field(0).parse() else {
                (counters.path, counters.user, counters.strings) = (field(5), field(6), field(7));
                continue;
            };
            let locked = field(4) == "true";
            let table = Table { name: field(1), changes: field(2), scans: field(3), locked, place: field(5) };
            counters.tables.insert(oid, table);
        }
        counters
    }

    /// What Tidegate says of a text, for this session.
    pub fn claim(&self, text: &str, catalog: &Catalog) -> Statement {
        let strings = if self.strings == "off" { Strings::Escaped } else { Strings::Standard };
        parse(text, strings).judge(catalog, &SearchPath::parse(&self.path, &self.user))
    }

    /// What has been touched between this moment and a later one, by a statement of this text.
    pub fn until(&self, later: &Self, text: &str) -> Real {
        let none = Table { changes: "0".to_owned(), scans: "0".to_owned(), ..Table::default() };
        let locks_count = !ONLY_LOCK.iter().any(|name| text.to_ascii_lowercase().contains(name));
        let mut real = Real::default();
        let mut rewrites = false;
        for (oid, now) in &later.tables {
            let before = self.tables.get(oid).unwrap_or(&none);
            let is_users = *oid >= FIRST_OF_USERS;
            let rewritten = is_users && now.place != before.place;
            rewrites |= rewritten;
            if (now.changes != before.changes || rewritten) && !LARGE_OBJECTS.contains(oid) {
                real.changed.insert(*oid, now.name.clone());
            }
            let locked = now.locked && !before.locked && locks_count;
            if is_users && (now.scans != before.scans || locked) {
                real.read.insert(*oid, now.name.clone());
            }
        }
        if rewrites {
            real.changed.remove(&PG_CLASS);
        }
        if text.contains("current_schema") {
            real.changed.remove(&PG_NAMESPACE);
        }
        real
    }
}

impl Real {
    /// What is wrong with a claim about the statement, one line a table.
    pub fn beyond(&self, class: &Class, claim: &Touched) -> Vec<String> {
        let mut wrong = outside(&self.changed, &[&claim.writes], "changes");
        // Reads are all that is asked on a replica. For anything else only what it changes counts.
        if *class == Class::Read {
            wrong.extend(outside(&self.read, &[&claim.reads, &claim.writes], "reads"));
        }
        wrong
    }
}

/// Those of `tables` that none of the sets has.
pub fn outside(tables: &Names, sets: &[&Tables], verb: &str) -> Vec<String> {
    let has = |oid: u32| {
        sets.iter().any(|set| match set {
            Tables::Any => true,
            Tables::Known(known) => known.contains(&oid),
        })
    };
    tables.iter().filter(|(oid, _)| !has(**oid)).map(|(_, name)| format!("{verb} {name}")).collect()
}
