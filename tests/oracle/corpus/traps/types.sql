-- What looks like a read and needs the primary because of operators, casts, domains and aggregates.
-- First everything is made, then it is read: while the catalog is being read again, all reads stay on the primary.

create schema trap;
set search_path = trap, public;

create table log (at timestamptz default clock_timestamp(), what text);
create table thing (id int primary key, name text, owner text default current_user);
insert into thing select n, 'thing ' || n from generate_series(1, 20) n;
create function writes() returns int language plpgsql as
    $$ begin insert into trap.log (what) values ('writes()'); return 1; end $$;

create function op_writes(int, text) returns bool language plpgsql as
    $$ begin insert into trap.log (what) values ('===='); return true; end $$;
create operator ==== (leftarg = int, rightarg = text, function = op_writes);
create operator public.==== (leftarg = int, rightarg = int, function = int4eq);
create function plus_writes(thing, int) returns int language plpgsql as
    $$ begin insert into trap.log (what) values ('+'); return $2; end $$;
create operator + (leftarg = thing, rightarg = int, function = plus_writes);
create type pair as (a int, b int);
create function pair_of(text) returns pair language plpgsql as
    $$ begin insert into trap.log (what) values ('cast'); return row(1, 2)::trap.pair; end $$;
create cast (text as pair) with function pair_of(text);
create function checks(int) returns bool language plpgsql as
    $$ begin insert into trap.log (what) values ('check'); return true; end $$;
create domain checked as int check (trap.checks(value));
create domain deeper as checked;
create table uses_domain (id int, c checked);
insert into uses_domain values (1, 1);
create type with_domain as (c checked);
create function state_writes(int, int) returns int language plpgsql as
    $$ begin insert into trap.log (what) values ('aggregate'); return coalesce($1, 0) + $2; end $$;
create aggregate adds (int) (sfunc = state_writes, stype = int);

select pg_sleep(3);

select 1 ==== 'a'::text;
select id from thing where id ==== name and id = 1;
select 1 operator(trap.====) 'a'::text;
select 1 operator(public.====) 1;
select t + 1 from thing t where id = 1;
select 1 ==== any (array['a'::text]);
select 'x'::text::pair;
select cast(name as pair) from thing where id = 1;
select name::pair from thing where id = 1;
select 1::checked;
select '1'::checked;
select checked '1';
select cast(id as checked) from thing where id = 1;
select 1::deeper;
select array[1]::checked[];
select '{1}'::checked[];
select row(1)::with_domain;
select * from uses_domain;
select c + 1 from uses_domain;
select * from json_populate_record(null::with_domain, '{"c": 1}');
select * from json_to_record('{"c": 1}') as r(c checked);
select adds(id) from thing where id < 3;
select adds(id) over () from thing where id < 3;
select id from thing where id = 1;
