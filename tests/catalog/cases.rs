//! Objects of every kind, and what is to be known of them.

use super::table::Case;

pub const CASES: &[Case] = &[
    Case {
        name: "tables",
        ddl: "
create table t (id serial primary key, at timestamptz default now(), u uuid default gen_random_uuid());
create unlogged table u (id int);
create sequence s;
create materialized view m as select * from u;
create view v as select * from t where id > 1;
create view vu as select count(*) from u;
create view vs as select last_value from s;
create view vl as select * from t for update",
        asks: &[
            ("read t", "ok | t"),
            ("read tables.t", "ok | t"),
            ("read other.t", "relation other.t is not in the catalog | * | writes"),
            ("read pg_temp.t", "relation pg_temp.t is temporary | * | writes+leaves+changes"),
            ("read u", "table u is unlogged, so replicas do not have its rows | u"),
            ("read s", "sequence s is a sequence, of which replicas run ahead | s"),
            ("read m", "ok | m"),
            ("read v", "ok | t"),
            ("read vu", "table u is unlogged, so replicas do not have its rows, used by view vu | u"),
            ("read vs", "sequence s is a sequence, of which replicas run ahead, used by view vs | s"),
            ("read vl", "view vl locks rows | t"),
            ("write t", "ok | t | writes"),
            ("write v", "ok | t | writes"),
            ("cast t", "ok"),
            ("cast u", "table u is unlogged, so replicas do not have its rows"),
        ],
    },
    Case {
        name: "views",
        ddl: "
create table t (id int);
create function v(int) returns int language sql as 'select $1';
create function s(int) returns int language sql stable as 'select $1';
create view v1 as select v(id) from t;
create view v2 as select * from v1;
create view v3 as select * from v2 join t on true;
create view stable as select s(id) from t;
create view nv as select nextval(n) from (select 'tables.s'::text as n) x;
create view stat as select count(*) from pg_stat_activity;
create view cs as select current_schema, id from t;
create view clock as select clock_timestamp(), random(), id from t;
create view agg as select max(id), row_number() over (order by min(id)) from t group by id",
        asks: &[
            ("read v1", "function v(integer) is VOLATILE, used by view v1 | * | writes+leaves"),
            ("read v2", "function v(integer) is VOLATILE, used by view v1, used by view v2 | * | writes+leaves"),
            (
                "read v3",
                "function v(integer) is VOLATILE, used by view v1, used by view v2, used by view v3 | * | writes+leaves",
            ),
            ("read stable", "ok | *"),
            ("read nv", "function pg_catalog.nextval: it writes, used by view nv | - | writes"),
            (
                "read stat",
                "view pg_catalog.pg_stat_activity: it is about the node it runs on, used by view stat | *",
            ),
            ("read cs", "function pg_catalog.current_schema: it may create the temporary schema, used by view cs | t"),
            ("read clock", "ok | t"),
            ("read agg", "ok | t"),
        ],
    },
    Case {
        name: "functions",
        ddl: "
create table t (id int);
create function plain() returns int language sql as 'select 1';
create function defaults(a int, b int default 1, c int default 2) returns int language sql as 'select 1';
create function defaults(a int, b int, c int, d int) returns int language sql stable as 'select 1';
create function many(variadic a int[]) returns int language sql as 'select 1';
create function two(a int) returns int language sql stable as 'select 1';
create function two(a text) returns int language sql as 'select 1';
create function seq() returns bigint language sql stable as $$ select nextval('tables.s') $$;
create function lock() returns bool language plpgsql stable as $$ begin return pg_try_advisory_lock(1); end $$;
create function pid() returns int language sql stable as $$ select PG_BACKEND_PID () $$;
create function words() returns text language sql stable as $$ select 'nextval(1)' /* nextval(2) */ -- nextval(3) $$;
create function dynamic(q text) returns int language plpgsql stable as $$ begin execute q; return 1; end $$;
create function caller() returns int language plpgsql stable as $$ declare n int; begin select plain() into n; return n; end $$;
create function caller2() returns int language sql stable as $$ select functions.caller() $$;
create function activity() returns bigint language sql stable as $$ select count(*) from pg_stat_activity $$;
create function fine(a int) returns int language plpgsql immutable as $$ begin return abs(a); end $$;
create function now() returns int language sql as 'select 1';
create function proc_maker() returns void language plpgsql as $$ begin create table if not exists x (); end $$;
create function proc_caller() returns void language plpgsql as $$ begin perform proc_maker(); end $$;
create procedure p(inout a int, b int default 1) language sql as 'select 1';
create function said_read() returns int language sql as 'select 1';
comment on function said_read() is 'tidegate: read, it only looks volatile';
create function said_primary() returns int language sql stable as 'select 1';
comment on function said_primary() is 'Tidegate:PRIMARY';
create function atomic_plain() returns bigint language sql stable begin atomic select count(*) from t; end;
create function atomic_volatile() returns bigint language sql stable begin atomic select plain() from t; end;
create function atomic_next() returns bigint language sql stable begin atomic select txid_current() from t; end;
create view atomic as select atomic_plain()",
        asks: &[
            ("call plain/0", "function plain() is VOLATILE | * | writes+leaves"),
            ("call plain/1", "function plain is not in the catalog | * | writes+leaves+changes"),
            ("call plain/?", "function plain() is VOLATILE | * | writes+leaves"),
            ("call functions.plain/0", "function plain() is VOLATILE | * | writes+leaves"),
            ("call pg_catalog.plain/0", "function pg_catalog.plain is not in the catalog | * | writes+leaves+changes"),
            ("call defaults/0", "function defaults is not in the catalog | * | writes+leaves+changes"),
            ("call defaults/1", "function defaults(integer, integer, integer) is VOLATILE | * | writes+leaves"),
            ("call defaults/3", "function defaults(integer, integer, integer) is VOLATILE | * | writes+leaves"),
            ("call defaults/4", "ok | *"),
            ("call many/5", "function many(integer[]) is VOLATILE | * | writes+leaves"),
            ("call two/1", "function two(text) is VOLATILE | * | writes+leaves"),
            ("call seq/0", "function seq() uses nextval() | * | writes"),
            ("call lock/0", "function lock() uses pg_try_advisory_lock() | * | leaves"),
            ("call pid/0", "function pid() uses pg_backend_pid() | *"),
            ("call words/0", "ok | *"),
            ("call dynamic/1", "function dynamic(text) uses dynamic SQL | * | writes+leaves+changes"),
            ("call caller/0", "function plain() is VOLATILE, used by function caller() | * | writes+leaves"),
            (
                "call caller2/0",
                "function plain() is VOLATILE, used by function caller(), used by function caller2() | * | writes+leaves",
            ),
            ("call activity/0", "function activity() uses pg_stat_activity | *"),
            ("call fine/1", "ok | *"),
            ("call now/0", "function now() is VOLATILE | * | writes+leaves"),
            ("[tables] call now/0", "ok"),
            ("[pg_catalog] call now/0", "ok"),
            ("[*] call now/0", "function now() is VOLATILE | * | writes+leaves"),
            ("call pg_catalog.now/0", "ok"),
            ("call proc_maker/0", "function proc_maker() is VOLATILE | * | writes+leaves+changes"),
            ("call proc_caller/0", "function proc_caller() is VOLATILE | * | writes+leaves+changes"),
            ("call p/2", "function p(integer, integer) is VOLATILE | * | writes+leaves"),
            ("call p/1", "function p(integer, integer) is VOLATILE | * | writes+leaves"),
            ("call said_read/0", "ok | *"),
            ("call said_primary/0", "function said_primary() belongs on the primary by its comment | * | writes+leaves"),
            ("call atomic_plain/0", "ok | t"),
            ("read atomic", "ok | t"),
            ("call atomic_volatile/0", "function plain() is VOLATILE, used by function atomic_volatile() | * | writes+leaves"),
            (
                "call atomic_next/0",
                "function pg_catalog.txid_current: it writes, used by function atomic_next() | t | writes",
            ),
            ("call nextval/1", "function nextval: it writes | - | writes"),
            ("call lower/1", "ok"),
            ("call int4/1", "ok"),
            ("call jsonpath/1", "ok"),
            ("call jsonpath/2", "function jsonpath is not in the catalog | * | writes+leaves+changes"),
            ("call query_to_xml/4", "function query_to_xml: it runs SQL given as text | * | writes+leaves+changes"),
        ],
    },
    Case {
        name: "aggregates",
        ddl: "
create function bad_add(int, int) returns int language plpgsql as $$ begin return $1; end $$;
create function good_add(int, int) returns int language sql immutable as 'select $1 + $2';
create aggregate bad_sum(int) (sfunc = bad_add, stype = int);
create aggregate good_sum(int) (sfunc = good_add, stype = int)",
        asks: &[
            (
                "call bad_sum/1",
                "function bad_add(integer, integer) is VOLATILE, used by function bad_sum(integer) | * | writes+leaves",
            ),
            ("call good_sum/1", "ok | *"),
        ],
    },
    Case {
        name: "path_a",
        ddl: "
create function f(int) returns int language sql stable as 'select 1';
create function g(int) returns int language sql stable as 'select 1';
create table t (id int);
create unlogged table ux (id int)",
        asks: &[],
    },
    Case {
        name: "path_b",
        ddl: "
create function f(int) returns int language sql as 'select 1';
create function g(bigint) returns int language sql as 'select 1';
create unlogged table t (id int);
create table ux (id int)",
        asks: &[
            ("[path_a,path_b] call f/1", "ok | *"),
            ("[path_b,path_a] call f/1", "function f(integer) is VOLATILE | * | writes+leaves"),
            ("[*] call f/1", "function f(integer) is VOLATILE | * | writes+leaves"),
            ("[path_a,path_b] call g/1", "function g(bigint) is VOLATILE | * | writes+leaves"),
            ("[path_a] call g/1", "ok | *"),
            ("[path_a,path_b] read t", "ok | path_a.t,t"),
            ("[path_b,path_a] read t", "table t is unlogged, so replicas do not have its rows | path_a.t,t"),
            ("[*] read ux", "table path_a.ux is unlogged, so replicas do not have its rows | path_a.ux,ux"),
            ("[nowhere] read t", "relation t is not in the catalog | * | writes"),
            ("[path_a] read pg_class", "ok | *"),
        ],
    },
    Case {
        name: "policies",
        ddl: "
create function may() returns bool language plpgsql as $$ begin return true; end $$;
create table on_t (id int);
alter table on_t enable row level security;
create policy p on on_t for select using (may());
create table off_t (id int);
create policy p on off_t using (may());
create table ins (id int);
alter table ins enable row level security;
create policy p on ins for insert with check (may());
create view over as select * from on_t",
        asks: &[
            ("read on_t", "function may() is VOLATILE, used by table on_t | * | writes+leaves"),
            ("read over", "function may() is VOLATILE, used by table on_t, used by view over | * | writes+leaves"),
            ("read off_t", "ok | off_t"),
            ("read ins", "ok | ins"),
        ],
    },
    Case {
        name: "types",
        ddl: "
create function check_it(text) returns bool language plpgsql as $$ begin return true; end $$;
create domain bad as text check (check_it(value));
create domain good as text check (length(value) > 1);
create domain worse as bad;
create table t (a bad);
create table ta (a bad[]);
create type pair as (a int, b bad);
create type plain as (a int, b text);
create function from_text(text) returns plain language plpgsql as $$ begin return null; end $$;
create cast (text as plain) with function from_text(text);
create function bad_op(text, text) returns bool language plpgsql as $$ begin return true; end $$;
create operator === (leftarg = text, rightarg = text, procedure = bad_op);
create operator ==== (leftarg = text, rightarg = text, procedure = texteq);
create view ops as select 'a'::text === 'b';
create function total(t) returns int language sql as 'select 1';
create function name_of(t) returns int language sql stable as 'select 1';
create function uses_op() returns bool language sql stable as $$ select 'a' === 'b' $$;
create function uses_type() returns text language plpgsql stable as $$ declare a bad; begin return a; end $$",
        asks: &[
            ("cast bad", "function check_it(text) is VOLATILE, used by type bad | * | writes+leaves"),
            ("cast _bad", "function check_it(text) is VOLATILE, used by type bad, used by type _bad | * | writes+leaves"),
            ("cast good", "ok"),
            ("cast worse", "function check_it(text) is VOLATILE, used by type bad, used by type worse | * | writes+leaves"),
            ("call bad/1", "function check_it(text) is VOLATILE, used by type bad | * | writes+leaves"),
            ("read t", "function check_it(text) is VOLATILE, used by type bad, used by table t | t | writes+leaves"),
            (
                "read ta",
                "function check_it(text) is VOLATILE, used by type bad, used by type _bad, used by table ta | ta | writes+leaves",
            ),
            (
                "cast pair",
                "function check_it(text) is VOLATILE, used by type bad, used by type pair | - | writes+leaves",
            ),
            ("cast plain", "function from_text(text) is VOLATILE | * | writes+leaves"),
            ("cast int4", "ok"),
            ("operator ===", "function bad_op(text, text) is VOLATILE, used by operator === | * | writes+leaves"),
            ("operator ====", "ok"),
            ("[tables] operator ===", "ok"),
            ("read ops", "function bad_op(text, text) is VOLATILE, used by operator ===, used by view ops | * | writes+leaves"),
            ("field total", "function total(t) is VOLATILE | * | writes+leaves"),
            ("field name_of", "ok | *"),
            ("field id", "ok"),
            (
                "call uses_op/0",
                "function bad_op(text, text) is VOLATILE, used by operator ===, used by function uses_op() | * | writes+leaves",
            ),
            (
                "call uses_type/0",
                "function check_it(text) is VOLATILE, used by type bad, used by function uses_type() | * | writes+leaves",
            ),
        ],
    },
    Case {
        name: "partitions",
        ddl: "
create table good (id int, r int) partition by range (id);
create table good_1 partition of good for values from (0) to (10);
create table good_2 partition of good for values from (10) to (20) partition by range (r);
create table good_2a partition of good_2 for values from (0) to (10);
create table bad (id int) partition by range (id);
create table bad_1 partition of bad for values from (0) to (10);
create unlogged table bad_2 (id int);
alter table bad attach partition bad_2 for values from (10) to (20);
create table parent (id int);
create table child () inherits (parent);
create view v as select * from good",
        asks: &[
            ("read good", "ok | good,good_1,good_2,good_2a"),
            ("read good_2", "ok | good_2,good_2a"),
            ("read good_2a", "ok | good_2a"),
            ("read v", "ok | good,good_1,good_2,good_2a"),
            ("write good", "ok | good,good_1,good_2,good_2a | writes"),
            (
                "read bad",
                "table bad_2 is unlogged, so replicas do not have its rows, used by table bad | bad,bad_1,bad_2",
            ),
            ("read bad_1", "ok | bad_1"),
            ("read parent", "ok | child,parent"),
        ],
    },
    Case {
        name: "foreign_tables",
        ddl: "
create extension file_fdw;
create server files foreign data wrapper file_fdw;
create foreign table f (line text) server files options (filename '/dev/null');
create view v as select * from f;
create table parent (line text) partition by list (line);
alter table parent attach partition f for values in ('a')",
        asks: &[
            ("read f", "foreign table f is a foreign table | f"),
            ("write f", "foreign table f is a foreign table | * | writes"),
            ("read v", "foreign table f is a foreign table, used by view v | f"),
            ("read parent", "foreign table f is a foreign table, used by table parent | f,parent"),
        ],
    },
    Case {
        name: "cascades",
        ddl: "
create table a (id int primary key);
create table b (id int primary key, a int references a on delete cascade);
create table c (id int primary key, b int references b on delete set null);
create table d (id int primary key, c int references c);
create table e (id int primary key, e int references e on update cascade, a int references a on delete restrict)",
        asks: &[
            ("write a", "ok | a,b,c | writes"),
            ("write b", "ok | b,c | writes"),
            ("write c", "ok | c | writes"),
            ("write d", "ok | d | writes"),
            ("write e", "ok | e | writes"),
            ("read a", "ok | a"),
        ],
    },
    Case {
        name: "triggers",
        ddl: "
create table log (id int);
create function touch() returns trigger language plpgsql as $$
  begin if tg_op = 'UPDATE' and new is distinct from old then new.at = now(); end if; return new; end $$;
create function audit() returns trigger language plpgsql as $$ begin insert into triggers.log values (1); return new; end $$;
create function dynamic() returns trigger language plpgsql as $$ begin execute 'select 1'; return new; end $$;
create function indirect() returns trigger language plpgsql as $$ begin perform side(); return new; end $$;
create function side() returns void language plpgsql as $$ begin insert into triggers.log values (1); end $$;
create function guc() returns trigger language plpgsql as $$ begin perform set_config('a.b', 'c', false); return new; end $$;
create function sets() returns trigger language plpgsql as $$ begin set a.b = 'c'; return new; end $$;
create function upd() returns trigger language plpgsql as $$
  begin insert into triggers.log values (1) on conflict do nothing; update triggers.log set id = 2; return new; end $$;
create table touched (id int, at timestamptz); create trigger x before update on touched for each row execute function touch();
create table audited (id int); create trigger x after insert on audited for each row execute function audit();
create table dynamics (id int); create trigger x after insert on dynamics for each row execute function dynamic();
create table indirects (id int); create trigger x after insert on indirects for each row execute function indirect();
create table gucs (id int); create trigger x after insert on gucs for each row execute function guc();
create table setters (id int); create trigger x after insert on setters for each row execute function sets();
create table upds (id int); create trigger x after insert on upds for each row execute function upd();
create table disabled (id int); create trigger x after insert on disabled for each row execute function audit();
alter table disabled disable trigger x;
create table parent (id int primary key);
create table child (id int references parent on delete cascade);
create trigger x after delete on child for each row execute function audit();
create table ts (v tsvector, t text);
create trigger x before insert on ts for each row execute function tsvector_update_trigger(v, 'pg_catalog.english', t);
create table ruled (id int); create rule r as on insert to ruled do also insert into triggers.log values (1);
create view v as select * from touched;
create view va as select * from audited",
        asks: &[
            ("read audited", "ok | audited"),
            ("write touched", "ok | touched | writes"),
            ("write audited", "function audit() is VOLATILE, used by table audited | * | writes"),
            ("write dynamics", "function dynamic() is VOLATILE, used by table dynamics | * | writes+leaves+changes"),
            ("write indirects", "function indirect() is VOLATILE, used by table indirects | * | writes"),
            ("write gucs", "ok | gucs | writes+leaves"),
            ("write setters", "ok | setters | writes+leaves"),
            ("write upds", "function upd() is VOLATILE, used by table upds | * | writes"),
            ("write disabled", "ok | disabled | writes"),
            ("write parent", "function audit() is VOLATILE, used by table child | * | writes"),
            ("write ts", "ok | ts | writes"),
            ("write ruled", "table ruled has rules that rewrite what is written | * | writes"),
            ("write v", "ok | touched | writes"),
            ("write va", "function audit() is VOLATILE, used by table audited | * | writes"),
        ],
    },
    Case {
        name: "defaults",
        ddl: "
create table log (id int);
create function logged() returns int language plpgsql as $$ begin insert into defaults.log values (1); return 1; end $$;
create function harmless() returns int language sql immutable as 'select 1';
create table d (id int default logged());
create table c (id int check (logged() > 0));
create table h (id int default harmless() check (id > harmless()));
create index on h ((harmless() + id)) where id > harmless();
create table g (id int generated always as identity, x int generated always as (1 + 2) stored)",
        asks: &[
            ("read d", "ok | d"),
            ("write d", "function logged() is VOLATILE, used by table d | * | writes"),
            ("write c", "function logged() is VOLATILE, used by table c | * | writes"),
            ("write h", "ok | h | writes"),
            ("write g", "ok | g | writes"),
        ],
    },
    Case {
        name: "extensions",
        ddl: "
create extension citext schema extensions;
create extension tablefunc schema extensions;
create extension hstore schema extensions;
create extension dblink schema extensions;
create table t (a citext, b hstore);
create view v as select * from t where a = 'x'",
        asks: &[
            ("read t", "ok | t"),
            ("read v", "ok | t"),
            ("write t", "ok | t | writes"),
            ("cast citext", "ok"),
            ("operator =", "ok"),
            ("call gen_random_uuid/0", "ok"),
            ("call normal_rand/3", "ok"),
            ("call crosstab/1", "function crosstab: it runs SQL given as text | * | writes+leaves+changes"),
            ("call extensions.crosstab/1", "function crosstab(text): it runs SQL given as text | * | writes+leaves"),
            ("call extensions.dblink/2", "function dblink(text, text): it works on another server | * | writes+leaves"),
        ],
    },
];
