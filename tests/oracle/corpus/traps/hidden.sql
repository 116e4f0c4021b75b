-- What looks like a read and needs the primary because of what relations and functions are in this database.
-- First everything is made, then it is read: while the catalog is being read again, all reads stay on the primary.

create schema trap;
set search_path = trap, public;

create table log (at timestamptz default clock_timestamp(), what text);
create table thing (id int primary key, name text, owner text default current_user);
insert into thing select n, 'thing ' || n from generate_series(1, 20) n;
create unlogged table volatile_thing (id int primary key, name text);
insert into volatile_thing values (1, 'gone after a crash');
create sequence ticket start 100;
select nextval('ticket');

create function writes() returns int language plpgsql as
    $$ begin insert into trap.log (what) values ('writes()'); return 1; end $$;
create function writes_sql() returns int language sql as
    $$ insert into trap.log (what) values ('writes_sql()'); select 1 $$;
create function lies() returns int language plpgsql immutable as $$ begin return trap.writes(); end $$;
create function locks() returns setof thing language sql as $$ select * from thing for update $$;
create function takes_ticket() returns bigint language sql as $$ select nextval('trap.ticket') $$;
create function by_thing(thing) returns int language plpgsql as
    $$ begin insert into trap.log (what) values ('by_thing()'); return $1.id; end $$;
create function nested() returns int language plpgsql stable as $$ begin return trap.writes(); end $$;
create function defaulted(int default trap.writes()) returns int language sql immutable as $$ select $1 $$;
create function reads() returns bigint language sql stable as $$ select count(*) from trap.thing $$;
create function pure(int) returns int language sql immutable as $$ select $1 + 1 $$;

create table constrained (id int check (id > trap.lies() - 100));
insert into constrained values (5);

-- views
create view over_unlogged as select * from volatile_thing;
create view over_sequence as select last_value from ticket;
create view over_nextval as select nextval('trap.ticket') as n;
create view over_writes as select trap.writes() as n;
create view over_view as select * from over_writes;
create view over_locks as select * from thing for update;
create view over_recovery as select pg_is_in_recovery() as is_standby;
create view over_statistics as select n_tup_ins from pg_stat_user_tables where relname = 'thing';
create view over_settings as select setting from pg_settings where name = 'transaction_read_only';
create view over_backend as select pg_backend_pid() > 0 as is_there, inet_server_port() as port;
create view over_wal as select pg_current_wal_lsn() is not null as is_primary;
create view over_xid as select txid_current() > 0 as has_xid;
create view over_sequences as select last_value from pg_sequences where sequencename = 'ticket';
create view over_lock as select pg_try_advisory_xact_lock(7) as got;
create view over_subquery as select (select max(id) from volatile_thing) as n;
create view over_lateral as select t.id, w.n from thing t, lateral (select trap.writes() as n) w;
create view over_set_returning as select * from locks();
create view over_cte as with a as (select trap.writes() as n) select n from a;
create view over_case as select case when id > 0 then trap.writes() end as n from thing where id = 1;
create view plain as select id, name from thing where id < 5;
create materialized view kept as select trap.writes() as n;
create view over_kept as select * from kept;

-- partitions and children
create table parent (id int) partition by range (id);
create table parent_low partition of parent for values from (0) to (10);
create unlogged table parent_high partition of parent for values from (10) to (20);
insert into parent values (5), (15);
create table grown (id int);
create unlogged table grown_child () inherits (grown);

-- row-level security
create role trap_reader;
grant usage on schema trap to trap_reader;
grant select on all tables in schema trap to trap_reader;
grant insert on log to trap_reader;
create table guarded (id int);
insert into guarded values (1), (2);
create function allowed(int) returns bool language plpgsql as
    $$ begin insert into trap.log (what) values ('policy'); return true; end $$;
create policy looks on guarded for select using (trap.allowed(id));
alter table guarded enable row level security;
grant select on guarded to trap_reader;
create table calm (id int);
insert into calm values (1);
create policy looks on calm for select using (id > 0);
alter table calm enable row level security;
grant select on calm to trap_reader;

-- rules and columns that are functions
create table ruled (id int);
create rule "_RETURN" as on select to ruled do instead select trap.writes() as id;

select pg_sleep(3);

-- ------------------------------------------------------------------------------------------------ relations
select * from volatile_thing;
table volatile_thing;
select id from thing where exists (select from volatile_thing);
select id from thing where id in (select id from volatile_thing);
with v as (select * from volatile_thing) select * from v;
select * from thing union all select v.id, v.name, '' from volatile_thing v;
explain (costs off) select * from volatile_thing;
explain (costs off) insert into trap.log (what) select name from volatile_thing;
select * from trap.volatile_thing;
select * from only volatile_thing;
select last_value from ticket;
select * from ticket;
table ticket;
select t.last_value from thing, ticket t where thing.id = 1;
select * from over_unlogged;
select * from over_sequence;
select * from over_nextval;
select * from over_writes;
select * from over_view;
select * from over_locks;
select * from over_recovery;
select * from over_statistics;
select * from over_settings;
select * from over_backend;
select * from over_wal;
select * from over_xid;
select * from over_sequences;
select * from over_lock;
select * from over_subquery;
select * from over_lateral limit 1;
select * from over_set_returning limit 1;
select * from over_cte;
select * from over_case;
select * from ruled;
select count(*) from over_view v join thing t on t.id = v.n;
select * from kept;
select * from over_kept;
select * from plain;
select * from parent;
select * from parent where id < 10;
select * from parent_low;
select * from grown;
select * from only grown;
set constraint_exclusion = on;
select * from constrained where id = 5;
reset constraint_exclusion;

-- ------------------------------------------------------------------------------------------------ functions
select writes();
select writes_sql();
select lies();
select nested();
select takes_ticket();
select * from locks() limit 1;
select defaulted();
select defaulted(1);
select reads();
select pure(1);
explain (costs off) select lies();
explain (costs off) select * from thing where id = lies();
explain (costs off) select * from thing where id = nested();
explain (costs off) select writes();
select thing.by_thing from thing where id = 1;
select t.by_thing from thing t where id = 1;
select (t).by_thing from thing t where id = 1;
select (select t).by_thing from thing t where id = 1;
select by_thing(t) from thing t where id = 1;
select id from thing where id = 1 order by thing.by_thing;
select id from thing where id = 1 group by id having max(id) = writes();
select id from thing limit writes();
select id from thing offset writes() limit 1;
select sum(id) filter (where writes() = 1) from thing where id = 1;
select sum(id) over (order by writes()) from thing where id = 1;
select array_agg(id order by writes()) from thing where id = 1;
select distinct on (writes()) id from thing where id = 1;
select case when true then writes() end;
select coalesce(null, writes());
select greatest(writes(), 0);
select nullif(writes(), 0);
select array[writes()];
select row(writes(), 2);
select (array[1, 2, 3])[writes()];
select * from thing tablesample bernoulli (100) repeatable (writes()) where id = 1;
select * from generate_series(1, writes());
select * from rows from (generate_series(1, 1), writes());
select * from thing t join lateral (select writes() as n) w on true where t.id = 1;
values (writes());
values (1), (writes());
with recursive r(n) as (select writes() union all select n + 1 from r where n < 2) select * from r;
select ts_stat('select to_tsvector(trap.writes()::text)');

-- ------------------------------------------------------------------------------------------------ policies
select * from guarded;
set role trap_reader;
select * from guarded;
select count(*) from guarded where id = 1;
select * from calm;
select * from thing where id = 1;
reset role;
select * from guarded;
set session authorization trap_reader;
select * from guarded;
reset session authorization;
