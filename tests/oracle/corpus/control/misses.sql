-- The app says that a replica may have these, and it is wrong: the oracle must find three misses here, or it would find none
-- anywhere.

create table log (what text);
create function writes() returns int language plpgsql as
    $$ begin insert into log values ('written'); return 1; end $$;
select pg_sleep(3);

select 1;
/* tidegate: intent=replica */ select pg_is_in_recovery();
/* tidegate: intent=replica */ select writes();
begin;
/* tidegate: intent=replica */ select writes();
commit;
select writes();
create temp table mine (id int);
select count(*) from mine;
/* tidegate: intent=replica */ select pg_is_in_recovery();
drop table mine;
discard all;
/* tidegate: intent=replica */ select inet_server_port();
