
create temp table t (a int default 1 check (a > 0), b text collate "C"); alter table t add c xml; drop table pg_temp.t