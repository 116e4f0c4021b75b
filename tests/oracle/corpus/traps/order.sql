-- What looks like a read and needs the primary because of how values of a type are compared.
-- First everything is made, then it is read: while the catalog is being read again, all reads stay on the primary.

create schema trap;
set search_path = trap, public;

create table log (at timestamptz default clock_timestamp(), what text);
create table thing (id int primary key, name text, owner text default current_user);
insert into thing select n, 'thing ' || n from generate_series(1, 20) n;
create function writes() returns int language plpgsql as
    $$ begin insert into trap.log (what) values ('writes()'); return 1; end $$;

create type weird as (n int);
create function weird_cmp(weird, weird) returns int language plpgsql as
    $$ begin insert into trap.log (what) values ('cmp'); return ($1).n - ($2).n; end $$;
create function weird_lt(weird, weird) returns bool language sql immutable as $$ select trap.weird_cmp($1, $2) < 0 $$;
create function weird_le(weird, weird) returns bool language sql immutable as $$ select trap.weird_cmp($1, $2) <= 0 $$;
create function weird_eq(weird, weird) returns bool language sql immutable as $$ select trap.weird_cmp($1, $2) = 0 $$;
create function weird_ge(weird, weird) returns bool language sql immutable as $$ select trap.weird_cmp($1, $2) >= 0 $$;
create function weird_gt(weird, weird) returns bool language sql immutable as $$ select trap.weird_cmp($1, $2) > 0 $$;
create operator <# (leftarg = weird, rightarg = weird, function = weird_lt);
create operator <=# (leftarg = weird, rightarg = weird, function = weird_le);
create operator =# (leftarg = weird, rightarg = weird, function = weird_eq);
create operator >=# (leftarg = weird, rightarg = weird, function = weird_ge);
create operator ># (leftarg = weird, rightarg = weird, function = weird_gt);
create operator class weird_ops default for type weird using btree as
    operator 1 <#, operator 2 <=#, operator 3 =#, operator 4 >=#, operator 5 >#,
    function 1 weird_cmp(weird, weird);
create table holds_weird (w weird);
insert into holds_weird values (row(2)), (row(1)), (row(3));

select pg_sleep(3);

select w from holds_weird order by w;
select max(w.w) from (select row_number() over (order by w) as w from holds_weird) w;
select distinct w from holds_weird;
select w from holds_weird group by w;
select row_number() over (order by w) from holds_weird;
select w from holds_weird union select w from holds_weird;
select count(distinct w) from holds_weird;
select greatest(w, w) from holds_weird;
select h.w from holds_weird h where h.w = row(1)::weird;
select array_agg(w order by w) from holds_weird;
select percentile_disc(0.5) within group (order by w) from holds_weird;
select w from holds_weird order by w using <#;
select id from thing where id = 1 order by name;
