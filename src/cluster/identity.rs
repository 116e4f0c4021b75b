//! What a node says of itself.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::freshness::Lsn;

/// What a node says of itself. One query, which any user may run.
#[allow(clippy::struct_excessive_bools, reason = "independent answers of the server")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Whether it replays somebody else's WAL.
    pub in_recovery: bool,
    /// The system identifier: the same on a primary and its replicas, and nowhere else.
    pub system: String,
    /// The newest timeline it has evidence of.
    pub timeline: u32,
    /// Whether that is known at once on a replica, and not only when it writes its control file.
    pub shows_timeline: bool,
    /// How far its WAL goes: flushed on a primary, replayed on a replica.
    pub position: Lsn,
    /// `server_version_num`.
    pub version: u32,
    /// `server_version`, for people.
    pub version_text: String,
    /// Whether commits of some user of this database may be acknowledged before they are flushed.
    pub async_commit: bool,
    /// Whether transactions of some user of this database are serializable by default.
    pub serializable: bool,
}

/// The oldest server this proxy is tested with: `server_version_num` of PostgreSQL 13.
pub const OLDEST_VERSION: u32 = 130_000;

/// `received_tli` is what a replica streams (NULL without `pg_read_all_stats`); the control file says what it had
/// reached when it was last written. On a primary the name of the current WAL file begins with its timeline.
const QUESTION: &str = "
select pg_catalog.pg_is_in_recovery(),
       (select system_identifier::text from pg_catalog.pg_control_system()),
       case when pg_catalog.pg_is_in_recovery()
            then greatest((select timeline_id from pg_catalog.pg_control_checkpoint()),
                          (select min_recovery_end_timeline from pg_catalog.pg_control_recovery()),
                          (select received_tli from pg_catalog.pg_stat_wal_receiver))
            else ('x' || substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))::bit(32)::int
       end,
       pg_catalog.current_setting('server_version_num')::int,
       pg_catalog.current_setting('server_version'),
       ((case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn()
              else pg_catalog.pg_current_wal_flush_lsn() end) - '0/0'::pg_catalog.pg_lsn)::int8,
       pg_catalog.pg_has_role('pg_read_all_stats', 'usage'),";

/// `synchronous_commit` can come from the configuration, the database, the role or a function's SET clause.
const DEFAULTS: &str = "
       (select reset_val from pg_catalog.pg_settings where name = 'synchronous_commit') = 'off'
         or exists (select from pg_catalog.pg_db_role_setting, unnest(setconfig) s
                    where s ilike 'synchronous_commit=%'
                      and lower(split_part(s, '=', 2)) not in
                          ('on', 'true', 'yes', '1', 'local', 'remote_write', 'remote_apply'))
         or exists (select from pg_catalog.pg_proc, unnest(proconfig) s where s ilike 'synchronous_commit=%'),
       pg_catalog.current_setting('default_transaction_isolation') = 'serializable'
         or exists (select from pg_catalog.pg_db_role_setting, unnest(setconfig) s
                    where s ilike 'default_transaction_isolation=serializable')";

impl Identity {
    /// Asks the server.
    pub async fn ask(client: &Client) -> Result<Self, tokio_postgres::Error> {
        let row = match client.query_one(&format!("{QUESTION}{DEFAULTS}"), &[]).await {
            // Without the right to know better, the strictest is assumed.
            Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                client.query_one(&format!("{QUESTION} true, true"), &[]).await?
            }
            row => row?,
        };
        let number = |n: i32| u32::try_from(n).unwrap_or(0);
        Ok(Self {
            in_recovery: row.try_get(0)?,
            system: row.try_get(1)?,
            timeline: number(row.try_get(2)?),
            position: Lsn(u64::try_from(row.try_get::<_, Option<i64>>(5)?.unwrap_or(0)).unwrap_or(0)),
            shows_timeline: row.try_get(6)?,
            version: number(row.try_get(3)?),
            version_text: row.try_get(4)?,
            async_commit: row.try_get::<_, Option<bool>>(7)?.unwrap_or(true),
            serializable: row.try_get::<_, Option<bool>>(8)?.unwrap_or(true),
        })
    }
}
