-- What looks like a read and needs the primary because of names that mean something else than in PostgreSQL.
-- First everything is made, then it is read: while the catalog is being read again, all reads stay on the primary.

create schema trap;
set search_path = trap, public;

create table log (at timestamptz default clock_timestamp(), what text);
create table thing (id int primary key, name text, owner text default current_user);
insert into thing select n, 'thing ' || n from generate_series(1, 20) n;
create function writes() returns int language plpgsql as
    $$ begin insert into trap.log (what) values ('writes()'); return 1; end $$;

create schema shadow;
create function shadow.lower(text) returns text language plpgsql as
    $$ begin insert into trap.log (what) values ('lower'); return $1; end $$;
create function shadow.abs(int) returns int language plpgsql as
    $$ begin insert into trap.log (what) values ('abs'); return $1; end $$;
create function trap.upper(int) returns text language plpgsql as
    $$ begin insert into trap.log (what) values ('upper'); return $1::text; end $$;
create function shadow.int4eq_writes(int, int) returns bool language plpgsql as
    $$ begin insert into trap.log (what) values ('='); return $1 operator(pg_catalog.<>) $2; end $$;
create operator shadow.= (leftarg = int, rightarg = int, function = shadow.int4eq_writes);
create view shadow.pg_class as select trap.writes() as relname;
create table shadow.thing (id int);
create unlogged table shadow.only_here (id int);

select pg_sleep(3);

select upper(1);
select upper('a');
set search_path = shadow, pg_catalog;
select lower('A'::text);
select abs(-1);
select pg_catalog.lower('A'::text);
select 1 = 2;
select 1 where 1 in (2);
select case 1 when 2 then 'x' end;
select 1 where 1 between 0 and 1;
select nullif(1, 1);
select 1 is distinct from 2;
select relname from pg_class limit 1;
select id from thing;
select * from only_here;
select id from trap.thing where id = 1;
set search_path = trap, public;
select lower('A'::text);
select id from thing where id = 1;
select shadow.lower('A'::text);
select relname from shadow.pg_class;
select relname from pg_class where relname = 'thing' limit 1;
select 1 operator(shadow.=) 2;

