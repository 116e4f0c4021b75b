-- What looks like a read and needs the primary because of a cast that nobody sees.
-- First everything is made, then it is read: while the catalog is being read again, all reads stay on the primary.

create schema trap;
set search_path = trap, public;

create table log (at timestamptz default clock_timestamp(), what text);
create table thing (id int primary key, name text, owner text default current_user);
insert into thing select n, 'thing ' || n from generate_series(1, 20) n;
create function writes() returns int language plpgsql as
    $$ begin insert into trap.log (what) values ('writes()'); return 1; end $$;

create type colour as enum ('red', 'green');
create function colour_of(int) returns colour language plpgsql as
    $$ begin insert into trap.log (what) values ('cast'); return 'red'; end $$;
create cast (int as colour) with function colour_of(int) as implicit;
create function wants_colour(colour) returns text language sql immutable as $$ select $1::text $$;

select pg_sleep(3);

select wants_colour(1);
select wants_colour(id) from thing where id = 1;
select 1::colour;
