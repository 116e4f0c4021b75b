-- The table `forgotten` is left out of all that Tidegate says: the oracle must find every statement that touches it here, or
-- it would find none anywhere.

create table forgotten (id int primary key, n int);
create table known (id int primary key, n int);
create table child (id int references forgotten on delete cascade);
create table tied (id int references known on delete cascade deferrable initially deferred);
create view over_forgotten as select * from forgotten where n > 0;

insert into known values (1, 1);
insert into forgotten values (1, 1), (2, 2);
select * from known;
select * from over_forgotten;
begin;
update forgotten set n = 3 where id = 1;
update known set n = 2;
commit;
truncate forgotten, child;
select * from known where exists (select from forgotten);
select 1 from forgotten where false;
create table later (id int);
insert into later values (1);
