-- What looks like a read and needs the primary because of the session's or the server's state.

create schema trap;
set search_path = trap, public;
create table thing (id int primary key, name text);
insert into thing select n, 'thing ' || n from generate_series(1, 20) n;
create function sets_path() returns void language sql as $$ select set_config('search_path', 'trap', false) $$;
select pg_sleep(3);

-- isolation levels a standby does not have
set default_transaction_isolation = 'serializable';
select id from thing where id = 1;
set default_transaction_isolation to default;
select id from thing where id = 1;
set session characteristics as transaction isolation level serializable;
select id from thing where id = 1;
explain (costs off) select id from thing where id = 1;
set session characteristics as transaction isolation level read committed;
select set_config('default_transaction_isolation', 'serializable', false);
select id from thing where id = 1;
reset default_transaction_isolation;
select id from thing where id = 1;
set default_transaction_read_only = on;
select id from thing where id = 1;
set default_transaction_read_only = off;
select id from thing where id = 1;

-- the state of a node, a session, a transaction
select pg_is_in_recovery();
select pg_backend_pid() = 0;
select inet_server_port();
select current_setting('transaction_read_only');
select current_setting('in_hot_standby');
select current_setting('port');
select current_setting('data_directory');
select current_setting('cluster_name');
select current_setting('search_path');
select current_setting(name) from (values ('port')) v(name);
select setting from pg_settings where name = 'port';
show port;
show transaction_read_only;
select txid_current() > 0;
select pg_current_xact_id() is not null;
select txid_current_if_assigned();
select txid_current_snapshot() is null;
select pg_current_snapshot() is null;
select pg_export_snapshot() is null;
select age(xmin) < 0 from thing where id = 1;
select pg_current_wal_lsn() is null;
select pg_current_wal_flush_lsn() is null;
select pg_last_wal_replay_lsn() is null;
select pg_last_xact_replay_timestamp() is null;
select pg_walfile_name(pg_current_wal_lsn()) is null;
select pg_postmaster_start_time() is null;
select pg_postmaster_start_time();
select pg_conf_load_time();
select timeline_id is null from pg_control_checkpoint();
select redo_lsn from pg_control_checkpoint();
select count(*) > 0 from pg_stat_activity;
select count(*) from pg_stat_replication;
select count(*) from pg_stat_wal_receiver;
select count(*) from pg_replication_slots;
select count(*) > 0 from pg_stat_get_activity(null);
select count(*) from pg_locks where locktype = 'advisory';
select n_live_tup from pg_stat_user_tables where relname = 'thing';
select pg_stat_get_live_tuples('thing'::regclass);
select pg_relation_size('thing');
select pg_database_size(current_database()) > 0;
select pg_size_pretty(pg_total_relation_size('thing'));
select pg_advisory_xact_lock(1);
select pg_try_advisory_xact_lock(1);
select pg_notify('channel', 'payload');
select pg_listening_channels();
select pg_my_temp_schema();
select pg_trigger_depth();
select * from pg_prepared_xact();
select name from pg_cursors;
select pg_jit_available();
select pg_read_file('PG_VERSION');
select count(*) > 0 from pg_ls_dir('.');
select (pg_stat_file('postgresql.auto.conf')).modification;

-- the temporary schema by another road
select set_config('search_path', 'pg_temp, trap', false);
select current_schema();
select current_schemas(true);
select set_config('search_path', 'trap, public', false);
select current_schema();
select sets_path();
select id from thing where id = 1;

-- a database whose transactions are serializable, after a new login
alter database regression set default_transaction_isolation = 'serializable';
select pg_sleep(3);
\c
select id from trap.thing where id = 1;
set default_transaction_isolation = 'read committed';
select id from trap.thing where id = 1;
alter database regression reset default_transaction_isolation;
select pg_sleep(3);
\c
set search_path = trap, public;
select id from thing where id = 1;

-- a temporary table that hides another
create temp table thing (id int, name text);
insert into thing values (0, 'hidden');
select * from thing where id < 2;
select * from trap.thing where id < 2;
drop table thing;
select * from trap.thing where id < 2;
