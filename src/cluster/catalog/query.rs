//! The questions that a reading of the catalog asks.
//!
//! None takes a lock on anything of the user's, so what needs one (`pg_get_viewdef` and its like) is not used: trees come
//! as text. Each is a scan of one catalog table, or little more. Nothing here decides anything.
//!
//! The numbers are OIDs that never change: 11 `pg_catalog`, 1247 `pg_type`, 1255 `pg_proc`, 1259 `pg_class`, 2604
//! `pg_attrdef`, 2606 `pg_constraint`, 2617 `pg_operator`, 2618 `pg_rewrite`, 2620 `pg_trigger`, 3079 `pg_extension`, 3256
//! `pg_policy`. Objects below 16384 came with the server.

/// Begins a reading. All of it sees one moment.
pub(super) const BEGIN: &str = "begin isolation level repeatable read read only";

/// Ends a reading.
pub(super) const COMMIT: &str = "commit";

/// What a connection is set to when it is made. A catalog table that somebody has locked is waited for only a while.
pub(super) const SETTINGS: &str = "set statement_timeout = '60s'; set lock_timeout = '5s'; set jit = off; \
     set plan_cache_mode = force_generic_plan; \
     set idle_in_transaction_session_timeout = '60s'; set default_transaction_isolation = 'read committed'; \
     listen tidegate_catalog";

/// The version of the server, and whether it is a standby.
pub(super) const VERSION: &str =
    "select pg_catalog.current_setting('server_version_num')::int4, pg_catalog.pg_is_in_recovery()";

pub(super) const SCHEMAS: &str = "select oid, nspname from pg_catalog.pg_namespace \
     where nspname not like 'pg\\_temp\\_%' and nspname not like 'pg\\_toast%'";

/// What in [`FUNCTIONS`] came with version 14, and what older versions are asked instead.
pub(super) const PARSED_BODY: (&str, &str) = ("p.prosqlbody::text", "null::text");

/// Functions that are not `pg_catalog`'s own.
pub(super) const FUNCTIONS: &str = "select p.oid, p.pronamespace, p.proname, \
     case when p.prokind = 'a' then 'aggregate' else l.lanname end, p.provolatile, \
     (p.pronargs - p.pronargdefaults - case when p.provariadic <> 0 then 1 else 0 end)::int2, \
     case when p.provariadic <> 0 then null \
          when p.prokind = 'p' then coalesce(pg_catalog.cardinality(p.proallargtypes)::int2, p.pronargs) \
          else p.pronargs end, \
     pg_catalog.oidvectortypes(p.proargtypes), \
     case when l.lanname in ('sql', 'plpgsql') then p.prosrc end, \
     p.prosqlbody::text, p.proargdefaults::text, t.oid is not null \
     from pg_catalog.pg_proc p join pg_catalog.pg_language l on l.oid = p.prolang \
     left join pg_catalog.pg_type t on t.oid = p.proargtypes[0] and t.typtype in ('c', 'd', 'p') \
     where p.oid >= 16384 or p.pronamespace <> 11";

pub(super) const EXTENSIONS: &str = "select d.objid, e.extname from pg_catalog.pg_depend d \
     join pg_catalog.pg_extension e on e.oid = d.refobjid \
     where d.classid = 1255 and d.refclassid = 3079 and d.deptype = 'e'";

pub(super) const COMMENTS: &str = "select objoid, description from pg_catalog.pg_description \
     where objoid >= 16384 and classoid = 1255 and objsubid = 0 and description ilike '%tidegate%'";

pub(super) const RELATIONS: &str = "select oid, relnamespace, relname, relkind, relpersistence, relrowsecurity \
     from pg_catalog.pg_class where relkind in ('r', 'p', 'v', 'm', 'f', 'S', 'c') and relpersistence <> 't' \
     and (oid >= 16384 or relnamespace <> 11)";

/// Without the row types of relations, and arrays of these.
pub(super) const TYPES: &str = "select t.oid, t.typnamespace, t.typname, t.typelem, t.typrelid \
     from pg_catalog.pg_type t \
     left join pg_catalog.pg_type e on e.oid = t.typelem and t.typcategory = 'A' \
     left join pg_catalog.pg_class c on c.oid = coalesce(nullif(t.typrelid, 0), e.typrelid) \
     where t.oid >= 16384 and (c.oid is null or c.relkind = 'c')";

pub(super) const OPERATORS: &str =
    "select oid, oprnamespace, oprname, oprcode::oid from pg_catalog.pg_operator where oid >= 16384";

pub(super) const CASTS: &str =
    "select casttarget, castfunc, castcontext = 'i' from pg_catalog.pg_cast where castfunc >= 16384";

pub(super) const COMPARISONS: &str = "select distinct c.opcintype, p.amproc::oid \
     from pg_catalog.pg_amproc p join pg_catalog.pg_opclass c \
     on c.opcfamily = p.amprocfamily and c.opcintype = p.amproclefttype \
     where c.opcdefault and p.amproc::oid >= 16384";

pub(super) const CHILDREN: &str = "select inhrelid, inhparent from pg_catalog.pg_inherits";

pub(super) const FOREIGN_KEYS: &str = "select conrelid, confrelid from pg_catalog.pg_constraint \
     where contype = 'f' and (confdeltype in ('c', 'n', 'd') or confupdtype in ('c', 'n', 'd'))";

/// The parts of relations: where they are, their OID, whose they are, what they are, a trigger's function, their tree. The
/// commonest defaults are left out: constants, `now()` and `gen_random_uuid()`, which have no arguments. Before version 15 the
/// triggers that a partition has from its parent are called internal.
pub(super) const PARTS: &str = "\
     select 2618::oid, oid, ev_class, case when ev_type = '1' then 'v' else 'r' end::\"char\", 0::oid, \
            pg_catalog.concat(ev_qual::text, ev_action::text) from pg_catalog.pg_rewrite where oid >= 16384 \
     union all select 3256, oid, polrelid, case when polcmd in ('r', '*') then 'p' else 'w' end::\"char\", 0, \
            pg_catalog.concat(polqual::text, polwithcheck::text) from pg_catalog.pg_policy \
     union all select 2604, oid, adrelid, 'd', 0, adbin::text from pg_catalog.pg_attrdef \
            where adbin::text !~ '^[{](CONST|FUNCEXPR :funcid (1299|3432)) ' \
     union all select 2606, oid, case when contypid <> 0 then contypid else conrelid end, \
            case when contypid <> 0 then 'D' else 'c' end::\"char\", 0, conbin::text \
            from pg_catalog.pg_constraint where contype = 'c' and oid >= 16384 \
     union all select 1259, indexrelid, indrelid, 'i', 0, pg_catalog.concat(indexprs::text, indpred::text) \
            from pg_catalog.pg_index where indrelid >= 16384 and (indexprs is not null or indpred is not null) \
     union all select 2620, oid, tgrelid, 't', tgfoid, tgqual::text \
            from pg_catalog.pg_trigger where (not tgisinternal or tgfoid >= 16384) and tgenabled <> 'D'";

/// What the definitions of objects name. What came with the server is named only where `initdb` made it late.
pub(super) const USES: &str = "select distinct classid, objid, refclassid, refobjid from pg_catalog.pg_depend \
     where objid >= 16384 and deptype = 'n' and (\
     classid in (1255, 2618, 3256) and refclassid in (1247, 1255, 1259, 2617) \
     or classid in (1247, 1259, 2604, 2606, 2617, 2620) and refclassid in (1247, 1255, 2617))";

/// Settings of `search_path` and `default_transaction_isolation`: of this database or any, of which role, the value, whether it
/// is the isolation's.
pub(super) const PATHS: &str = "select s.setdatabase <> 0, r.rolname, \
     pg_catalog.substr(c.setting, pg_catalog.strpos(c.setting, '=') + 1), c.setting like 'default%' \
     from pg_catalog.pg_db_role_setting s \
     cross join lateral pg_catalog.unnest(s.setconfig) as c(setting) \
     left join pg_catalog.pg_roles r on r.oid = s.setrole \
     where (c.setting like 'search\\_path=%' or c.setting like 'default\\_transaction\\_isolation=%') \
     and (s.setrole = 0 or r.oid is not null) \
     and (s.setdatabase = 0 or s.setdatabase = \
          (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()))";

/// Who asks, and the `search_path` that it got when it connected.
pub(super) const OWN_PATH: &str = "select session_user, pg_catalog.current_setting('search_path'), \
     pg_catalog.current_setting('default_transaction_isolation')";

/// One text for everything that the other questions read and that can change: every change of a row gives it a new `xmin`.
/// Without temporary relations, which come and go.
pub(super) const FINGERPRINT: &str = "select pg_catalog.concat(count(*), ' ', \
     sum(pg_catalog.hashtextextended(pg_catalog.concat_ws(' ', class, oid, version), 0))) from (\
     select 1, oid, xmin from pg_catalog.pg_namespace \
          where nspname not like 'pg\\_temp\\_%' and nspname not like 'pg\\_toast%' \
     union all select 2, oid, xmin from pg_catalog.pg_proc where oid >= 16384 \
     union all select 3, oid, xmin from pg_catalog.pg_class \
          where oid >= 16384 and relpersistence <> 't' and relkind not in ('i', 't') \
     union all select 4, oid, xmin from pg_catalog.pg_type where oid >= 16384 and typtype <> 'c' \
     union all select 5, oid, xmin from pg_catalog.pg_operator where oid >= 16384 \
     union all select 6, oid, xmin from pg_catalog.pg_cast where oid >= 16384 \
     union all select 7, oid, xmin from pg_catalog.pg_amproc where oid >= 16384 \
     union all select 8, inhrelid, xmin from pg_catalog.pg_inherits \
     union all select 9, oid, xmin from pg_catalog.pg_constraint where oid >= 16384 \
     union all select 10, oid, xmin from pg_catalog.pg_rewrite where oid >= 16384 \
     union all select 11, oid, xmin from pg_catalog.pg_policy \
     union all select 12, oid, xmin from pg_catalog.pg_attrdef \
     union all select 13, indexrelid, xmin from pg_catalog.pg_index \
          where indrelid >= 16384 and (indexprs is not null or indpred is not null) \
     union all select 14, oid, xmin from pg_catalog.pg_trigger where not tgisinternal or tgfoid >= 16384 \
     union all select 15, objid, xmin from pg_catalog.pg_depend where classid = 1255 and refclassid = 3079 \
     union all select 16, objoid, xmin from pg_catalog.pg_description where objoid >= 16384 and classoid = 1255 \
     union all select 17, setrole, xmin from pg_catalog.pg_db_role_setting\
     ) as rows(class, oid, version)";

pub(super) const SYSTEM_FUNCTIONS: &str =
    "select oid, proname, provolatile from pg_catalog.pg_proc where oid < 16384 and pronamespace = 11";

pub(super) const SYSTEM_RELATIONS: &str = "select oid, relnamespace, relname, relkind, relpersistence, relrowsecurity \
     from pg_catalog.pg_class where relkind in ('r', 'v') and oid < 16384 and relnamespace = 11";

pub(super) const SYSTEM_TYPES: &str = "select oid, typname from pg_catalog.pg_type \
     where oid < 16384 and typnamespace = 11 and typtype <> 'c' and typcategory <> 'A'";

pub(super) const SYSTEM_PARTS: &str = "select 2618::oid, oid, ev_class, 'v'::\"char\", 0::oid, ev_action::text \
     from pg_catalog.pg_rewrite where oid < 16384 and ev_type = '1'";

pub(super) const SYSTEM_USES: &str = "select distinct classid, objid, refclassid, refobjid from pg_catalog.pg_depend \
     where objid < 16384 and deptype = 'n' and classid = 2618 and refclassid in (1255, 1259)";
