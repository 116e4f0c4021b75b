//! Statements that touch tables that they do not name, and those of every day.

/// Objects, and statements about them.
pub struct Touching {
    /// Its schema, in which it makes its objects.
    pub name: &'static str,
    /// Makes the objects.
    pub ddl: &'static str,
    /// Statements of which the tables are to be known. Each is run by itself and undone.
    pub known: &'static [&'static str],
    /// Statements that may touch any table, for all that is known.
    pub any: &'static [&'static str],
}

pub const TOUCHING: &[Touching] = &[
    Touching {
        name: "touch_daily",
        ddl: "
create table users (id serial primary key, email text unique, at timestamptz default now(),
    token uuid default gen_random_uuid(), tags text[] default '{}', meta jsonb default '{}');
create table posts (id bigint generated always as identity primary key, author int references users, title text,
    length int generated always as (length(title)) stored, updated_at timestamptz);
create table tags (id int primary key, name text unique, uses int default 0);
create function touch() returns trigger language plpgsql as
    $$ begin new.updated_at := now(); return new; end $$;
create trigger touch before update on posts for each row execute function touch();
create function told() returns trigger language plpgsql as
    $$ begin perform pg_notify('posts', new.id::text); return new; end $$;
create trigger told after insert or update on posts for each row execute function told();
insert into users (email) select n || '@x' from generate_series(1, 5) n;
insert into posts (author, title) select n, 'post ' || n from generate_series(1, 5) n;
insert into tags select n, 'tag ' || n from generate_series(1, 5) n;
create view titles as select title, email from posts join users on users.id = author;
create materialized view counts as select author, count(*) from posts group by author",
        known: &[
            "insert into users (email) values ('new') returning id",
            "insert into users (email, at, token) values ('new', now(), gen_random_uuid()) returning *",
            "insert into users (email) values ('1@x') on conflict (email) do update set at = excluded.at",
            "insert into users (email) values ('1@x') on conflict do nothing",
            "insert into users default values",
            "insert into users (id) values (nextval('users_id_seq'))",
            "insert into posts (author, title) select id, lower(email) from users",
            "update posts set title = upper(title) from users where users.id = author and email like '1%'",
            "update users set tags = array_append(tags, 'x'), meta = meta || '{\"a\": 1}' where id = 1",
            "delete from posts using users where users.id = author and email = '1@x'",
            "delete from posts where id in (select id from posts order by id limit 2) returning id",
            "select * from users where id = 1 for update",
            "select * from posts p join users u on u.id = p.author for no key update of p skip locked",
            "select nextval('users_id_seq')",
            "select setval('users_id_seq', 10)",
            "select setval(pg_get_serial_sequence('users', 'id'), coalesce(max(id), 1)) from users",
            "select pg_advisory_xact_lock(1)",
            "copy tags (id, name) from stdin <<< 8\tx\n9\ty\n",
            "copy tags to '/dev/null'",
            "copy (delete from tags returning *) to '/dev/null'",
            "merge into tags t using (values (1), (9)) as v (id) on t.id = v.id
                 when matched then update set uses = uses + 1
                 when not matched then insert (id, name) values (v.id, 'new')",
            "merge into tags t using users u on t.id = u.id when matched then delete",
            "truncate posts",
            "truncate only tags, posts restart identity",
            "with gone as (delete from tags where id = 1 returning *) insert into tags select 7, name || 7 from gone",
            "with new as (insert into users (email) values ('n') returning id)
                 insert into posts (author, title) select id, 'x' from new",
            "explain analyze insert into tags values (10, 'ten')",
            "explain insert into tags values (10, 'ten')",
            "insert into tags values (11, 'a'); update users set email = 'b' where id = 1",
            "lock table tags in share row exclusive mode",
            "notify news, 'x'",
            "select pg_notify('news', 'x')",
            "select * from users",
            "select count(*) from posts where author = any (select id from users)",
            "select * from titles where title = 'post 1'",
            "select * from titles where false",
            "select * from counts",
            "with recursive r (id) as (select 1 union select id + 1 from r join tags using (id)) select * from r",
            "select (select max(id) from tags), exists (select from users), array(select id from posts)",
            "select * from users u left join lateral (select * from posts where author = u.id limit 1) p on true",
            "table tags",
            "values ((select count(*) from tags))",
            "explain select * from titles",
            "select 1 from tags group by name having count(*) > (select count(*) from users)",
        ],
        any: &[
            "truncate users cascade",
            "refresh materialized view counts",
            "create table copied as select * from tags",
            "select * into another from tags",
            "do $$ begin update touch_daily.tags set uses = 2; end $$",
            "alter table tags add column extra int default 3",
            "analyze tags",
            "copy tags (id) from program 'echo 12'",
        ],
    },
    Touching {
        name: "touch_keys",
        ddl: "
create table a (id int primary key, x int unique);
create table b (id int primary key, a int references a on delete cascade on update cascade);
create table c (id int primary key, b int references b on delete set null);
create table d (id int primary key, c int default 1 references c on delete set default);
create table e (id int primary key, x int references a (x) on update cascade deferrable initially deferred);
create table self (id int primary key, up int references self on delete cascade);
create table parted (id int primary key) partition by range (id);
create table parted_1 partition of parted for values from (0) to (10);
create table parted_2 partition of parted for values from (10) to (20);
create table of_parted (p int references parted on delete cascade) partition by list (p);
create table of_parted_1 partition of of_parted for values in (1, 2, 3);
create table of_parted_2 partition of of_parted default;
insert into a select n, n from generate_series(1, 5) n; insert into b select n, n from generate_series(1, 5) n;
insert into c select n, n from generate_series(1, 5) n; insert into d select n, n from generate_series(2, 5) n;
insert into e select n, n from generate_series(1, 3) n;
insert into self values (1, null), (2, 1), (3, 2);
insert into parted select n from generate_series(1, 15) n; insert into of_parted select n from generate_series(1, 15) n",
        known: &[
            "delete from a where id = 4",
            "delete from a where id = 5",
            "update a set id = id + 100 where id = 1",
            "update a set x = x + 100 where id = 1",
            "delete from b where id = 2",
            "delete from c where id = 3",
            "delete from self where id = 1",
            "delete from parted where id = 2",
            "delete from parted where id = 12",
            "delete from only parted_2",
            "delete from parted_1 where id in (1, 5)",
            "with x as (delete from a where id = 4 returning id) select * from x",
            "merge into a using (values (4)) v (id) on a.id = v.id when matched then delete",
            "select * from a join b on b.a = a.id",
            "select * from of_parted",
        ],
        any: &["truncate a cascade", "truncate parted cascade"],
    },
    Touching {
        name: "touch_partitions",
        ddl: "
create table m (id int, r int, note text) partition by range (id);
create table m_1 partition of m for values from (0) to (10);
create table m_2 partition of m for values from (10) to (20) partition by list (r);
create table m_2a partition of m_2 for values in (1);
create table m_2b partition of m_2 default;
insert into m values (1, 1), (11, 1), (12, 2);
create table log (what text);
create function noted() returns trigger language plpgsql as
    $$ begin insert into touch_partitions.log values (tg_table_name); return new; end $$;
create table t (id int, at timestamptz) partition by range (id);
create table t_1 partition of t for values from (0) to (10);
create trigger noted after insert or update on t for each row execute function noted();
create table t_2 partition of t for values from (10) to (20);
create table parent (id int, name text);
create table child (extra int) inherits (parent);
create table grandchild () inherits (child);
insert into parent values (1, 'p'); insert into child values (2, 'c', 2); insert into grandchild values (3, 'g', 3);
create view over_m as select id, r from m where id < 15",
        known: &[
            "insert into m values (5, 1), (15, 1), (16, 9)",
            "insert into m_2 values (15, 1)",
            "update m set id = 15 where id = 1",
            "update m set r = 2 where id = 11",
            "update m_2 set r = 2 where id = 11",
            "delete from m where note is null",
            "insert into over_m values (3, 3)",
            "update over_m set id = 12",
            "copy m (id, r) from stdin <<< 3\t1\n13\t7\n",
            "truncate m",
            "truncate m_2",
            "merge into m using (values (1), (18)) v (id) on m.id = v.id
                 when matched then update set id = 14 when not matched then insert (id, r) values (v.id, 1)",
            "update parent set name = upper(name)",
            "update only parent set name = upper(name)",
            "delete from parent where id = 3",
            "delete from child",
            "truncate parent",
            "truncate only parent",
            "select * from m where id = 11",
            "select * from m where id = 500",
            "select * from over_m where r = 1 and false",
            "select * from parent",
            "select * from only parent",
            "select * from m_2",
            "select * from t",
        ],
        any: &[
            "insert into t values (1), (11)",
            "insert into t_1 values (2)",
            "insert into t_2 values (12)",
            "copy t_1 (id) from stdin <<< 4\n",
        ],
    },
    Touching {
        name: "touch_triggers",
        ddl: "
create table log (what text);
create table lonely (id int, at timestamptz);
create function noted() returns trigger language plpgsql as
    $$ begin insert into touch_triggers.log values (tg_op); if tg_op = 'DELETE' then return old; end if; return new; end $$;
create table rows (id int primary key, n int); create trigger x after insert on rows for each row execute function noted();
create table whole (id int); create trigger x after insert or truncate on whole for each statement execute function noted();
create table late (id int);
create constraint trigger x after insert on late deferrable initially deferred for each row execute function noted();
create table conditional (id int);
create trigger x before update on conditional for each row when (old.id > 1) execute function noted();
create function writes(int) returns int language plpgsql as
    $$ begin insert into touch_triggers.log values ('writes'); return $1; end $$;
create function lies(int) returns int language plpgsql immutable as $$ begin return touch_triggers.writes($1); end $$;
create function switched() returns trigger language plpgsql as
    $$ begin return null; end $$;
create table hidden (id int); create trigger x after insert on hidden for each row when (touch_triggers.lies(new.id) > 0)
    execute function switched();
create table defaulted (id int, n int default touch_triggers.writes(1));
create table generated (id int, n int generated always as (touch_triggers.lies(id)) stored);
create table checked (id int check (touch_triggers.lies(id) > 0));
create table indexed (id int); create index on indexed (touch_triggers.lies(id));
create table partial (id int); create index on partial (id) where touch_triggers.lies(id) > 0;
create table cut (id int) partition by range (touch_triggers.lies(id));
create table cut_1 partition of cut for values from (0) to (100);
create domain positive as int check (touch_triggers.lies(value) > 0);
create domain written as int default touch_triggers.writes(3);
create table domains (id positive, w written);
create type pair as (a positive, b int);
create table pairs (p pair, ps pair[]);
insert into rows values (1, 1); insert into conditional values (1), (2); insert into whole values (1);
truncate log;
create function chain() returns trigger language plpgsql as
    $$ begin delete from touch_triggers.whole; return null; end $$;
create table chained (id int); create trigger x after insert on chained for each row execute function chain();
create table calm (id int); create trigger x before insert on calm for each row execute function switched()",
        known: &[
            "insert into lonely values (1, now())",
            "insert into calm values (1)",
            "select * from rows",
            "select n from rows where id in (select id from lonely)",
        ],
        any: &[
            "insert into rows values (2, 2)",
            "insert into rows values (1, 2) on conflict (id) do update set n = 3",
            "insert into whole values (1)",
            "truncate whole",
            "insert into late values (1)",
            "update conditional set id = 5",
            "insert into hidden values (1)",
            "insert into defaulted (id) values (1)",
            "insert into defaulted (id, n) values (1, default)",
            "copy defaulted (id) from stdin <<< 1\n",
            "insert into generated (id) values (1)",
            "insert into checked values (1)",
            "insert into indexed values (1)",
            "insert into partial values (1)",
            "insert into cut values (1)",
            "insert into domains (id) values (1)",
            "insert into domains (w) values (default)",
            "insert into pairs (p.a) values (1)",
            "insert into pairs (ps[1].a) values (1)",
            "insert into chained values (1)",
            "insert into lonely values (touch_triggers.writes(1))",
            "insert into lonely select writes(id) from rows",
            "update lonely set id = writes(1)",
            "select writes(1)",
            "select * from rows where id = lies(1)",
            "select * from checked where id = 5",
            "select row(1, 2)::pair",
            "delete from lonely where id = 5::positive",
        ],
    },
    Touching {
        name: "touch_views",
        ddl: "
create table base (id int primary key, owner text default current_user, n int);
create table other (id int primary key, n int);
create table log (what text);
insert into base values (1, 'a', 1), (2, 'b', 2); insert into other values (1, 10), (3, 30);
create function writes(int) returns int language plpgsql as
    $$ begin insert into touch_views.log values ('writes'); return $1; end $$;
create view simple as select id, n from base where id > 0;
create view twice as select id, n from simple with check option;
create view joined as select b.id, o.n from base b join other o using (id);
create function instead() returns trigger language plpgsql as
    $$ begin update touch_views.other set n = new.n where id = new.id; return new; end $$;
create trigger x instead of insert or update on joined for each row execute function instead();
create view wrapped as select id, n from joined;
create view filtered as select id, n from base where id in (select id from other);
create view harmful as select id, n from base where writes(id) > 0;
create view ruled as select id, n from base;
create rule r as on update to ruled do instead update touch_views.other set n = new.n where id = new.id;
create table with_rule (id int); insert into with_rule values (1);
create rule r as on insert to with_rule do also insert into touch_views.log values ('rule');
create table moved (id int); insert into moved values (1);
create rule r as on delete to moved do instead insert into touch_views.log values ('kept');
create materialized view kept as select * from joined",
        known: &[
            "insert into simple values (5, 5)",
            "update simple set n = 9 where id = 1",
            "delete from twice where id = 2",
            "insert into twice values (6, 6)",
            "insert into simple values (1, 5) on conflict (id) do update set n = 7",
            "update filtered set n = 0",
            "with simple as (select 1 as id) update simple set n = 3",
            "select * from joined",
            "select * from wrapped where n > (select avg(n) from twice)",
            "select * from filtered",
            "select * from kept",
            "with base as (select * from other) select * from base",
            "with x as (select * from base), base as (select * from other) select * from base, x",
        ],
        any: &[
            "update joined set n = 11",
            "copy joined from stdin <<< 1\t5\n",
            "update wrapped set n = 12",
            "update ruled set n = 13 where id = 1",
            "insert into with_rule values (2)",
            "explain insert into with_rule values (2)",
            "delete from moved",
            "update harmful set n = 14",
            "with harmful as (select 1 as id) update harmful set n = 15",
            "with harmful as (select 1 as id) delete from harmful",
            "select * from harmful",
        ],
    },
    Touching {
        name: "touch_policies",
        ddl: "
create role touch_reader;
create table mates (who text, id int); insert into mates values ('touch_reader', 1), ('other', 2);
create table secrets (id int, what text); insert into secrets values (1, 'mine'), (2, 'theirs');
create table log (what text);
alter table secrets enable row level security;
create policy seen on secrets for select using (id in (select id from touch_policies.mates where who = current_user));
create policy kept on secrets for update using (id < 100) with check (true);
create function writes(int) returns bool language plpgsql as
    $$ begin insert into touch_policies.log values ('policy'); return true; end $$;
create policy made on secrets for insert with check (touch_policies.writes(id));
create table calm (id int); insert into calm values (1);
alter table calm enable row level security;
create policy seen on calm using (id > 0) with check (id < 50);
create table seen_by_all (id int); insert into seen_by_all values (1);
create view over_secrets as select * from secrets;
alter view over_secrets owner to touch_reader;
grant all on all tables in schema touch_policies to touch_reader",
        known: &[
            "[touch_reader] select * from secrets",
            "[touch_reader] select * from over_secrets",
            "select * from over_secrets",
            "[touch_reader] select * from calm",
            "[touch_reader] insert into calm values (3)",
            "[touch_reader] update calm set id = id + 1",
            "[touch_reader] select * from seen_by_all where id in (select id from secrets)",
        ],
        any: &["[touch_reader] insert into secrets values (1, 'new')", "[touch_reader] update secrets set what = 'x'"],
    },
    Touching {
        name: "touch_functions",
        ddl: "
create table t (id int); insert into t values (1), (2);
create table u (id int); insert into u values (1);
create table rates (name text, rate int); insert into rates values ('x', 2);
create table log (what text);
create function atomic_read() returns bigint language sql stable begin atomic select count(*) from touch_functions.u; end;
create function atomic_of_view() returns bigint language sql stable begin atomic select touch_functions.atomic_read() + count(*) from touch_functions.t; end;
create function sql_read() returns bigint language sql stable as 'select count(*) from touch_functions.u';
create function plain_read() returns bigint language plpgsql stable as $$ begin return (select count(*) from touch_functions.u); end $$;
create function swallowed() returns bigint language plpgsql stable as
    $$ declare n bigint; begin select count(*) into n from touch_functions.u; raise exception 'x'; exception when others then return n; end $$;
create function says_immutable(int) returns int language sql immutable as 'select max(rate) from touch_functions.rates';
create function set_of() returns setof touch_functions.t language sql stable as 'select * from touch_functions.t';
create function set_writes() returns setof touch_functions.t language sql as 'insert into touch_functions.u select id from touch_functions.t returning *';
create function of_row(t) returns bigint language sql stable as 'select count(*) from touch_functions.u';
create view v as select atomic_read() as n;
create view w as select sql_read() as n;
create function step(int, int) returns int language sql stable begin atomic select $1 + $2 + (select max(rate) from touch_functions.rates); end;
create aggregate rated (int) (sfunc = step, stype = int, initcond = '0');
create function op_read(t, int) returns bool language sql stable as 'select exists (select from touch_functions.rates)';
create operator ~~~ (leftarg = t, rightarg = int, function = op_read);
create function slug(text) returns text language plpgsql as $$ begin return lower(replace($1, ' ', '-')); end $$;
create function counted(int) returns bigint language sql as 'select count(*) from touch_functions.u where id > $1';
create function numbered() returns bigint language plpgsql as $$ begin return nextval('touch_functions.numbers'::regclass); end $$;
create sequence numbers;
create function indirect() returns int language plpgsql as $$ begin perform touch_functions.does_it(); return 1; end $$;
create function does_it() returns void language plpgsql as $$ begin insert into touch_functions.log values (1); end $$;
create function dynamic(text) returns void language plpgsql as $$ begin execute $1; end $$;
create function large() returns oid language plpgsql as $$ begin return lo_from_bytea(0, 'x'); end $$;
create view numbering as select numbered() as n;
create view large_ones as select large() as n;
create procedure does() language sql as 'insert into touch_functions.log values (1)';
prepare run as insert into touch_functions.log values ('run')",
        known: &[
            "select atomic_read()",
            "select atomic_of_view()",
            "select * from v",
            "select rated(id) from t",
            "select * from t where id > 0 and atomic_read() > 0",
            "insert into t select atomic_read()",
            "insert into rates values (slug('A B'), 1)",
            "select slug(name) from rates",
            "select counted(0)",
            "select numbered()",
            "select * from numbering",
            "insert into t values (numbered())",
            "select txid_current()",
            "select pg_current_wal_lsn()",
        ],
        any: &[
            "select sql_read()",
            "select plain_read()",
            "select swallowed()",
            "select says_immutable(1)",
            "explain select * from t where id = says_immutable(1)",
            "select * from set_of()",
            "select * from set_writes()",
            "select t.of_row from t",
            "select of_row(t) from t",
            "select * from w",
            "select t ~~~ 1 from t",
            "call does()",
            "execute run",
            "select * from ts_stat('select ''a''::tsvector from touch_functions.u')",
            "select lo_from_bytea(0, 'x')",
            "select large()",
            "select * from large_ones",
            "select indirect()",
            "insert into t values (indirect())",
            "select dynamic('delete from touch_functions.t')",
        ],
    },
    Touching {
        name: "touch_paths",
        ddl: "
create role touch_outsider;
create schema touch_closed;
create table touch_closed.t (id int);
create table t (id int); insert into t values (1);
create function touch_closed.reads() returns bigint language sql stable begin atomic select 1; end;
create function reads() returns bigint language sql stable begin atomic select count(*) from touch_paths.t; end;
grant all on t to touch_outsider;
grant all on touch_closed.t to touch_outsider",
        known: &[
            "insert into t values (2)",
            "select * from t",
            "select * from touch_closed.t",
            "insert into touch_closed.t values (1)",
            "[touch_outsider touch_closed, touch_paths] insert into t values (3)",
            "[touch_outsider touch_closed, touch_paths] select * from t",
            "[touch_outsider touch_closed, touch_paths] select reads()",
            "[none touch_closed, touch_paths] insert into t values (3)",
        ],
        any: &[],
    },
];

/// What concerns every statement of a database, so each has one of its own.
pub const TOUCHING_ALL: &[Touching] = &[
    Touching {
        name: "touch_types",
        ddl: "
create table rates (name text, rate int); insert into rates values ('x', 2);
create table log (what text);
create type colour as enum ('red', 'green');
create function colour_of(int) returns colour language plpgsql as
    $$ begin insert into touch_types.log values ('cast'); return 'red'; end $$;
create cast (int as colour) with function colour_of(int) as assignment;
create type tariff as (a int);
create function tariff_of(int) returns tariff language sql stable begin atomic select row(max(rate))::touch_types.tariff
    from touch_types.rates; end;
create cast (int as tariff) with function tariff_of(int) as implicit;
create function tariff_eq(tariff, tariff) returns bool language internal immutable as 'record_eq';
create operator = (leftarg = tariff, rightarg = tariff, function = tariff_eq);
create table tariffs (t tariff); insert into tariffs values (row(2)::tariff);
create table paint (id int, c colour); create table paints (cs colour[]);
create type version as (major int, minor int);
create function version_lt(version, version) returns bool language sql stable as
    'select $1.major * max(rate) < $2.major * max(rate) from touch_types.rates';
create function version_eq(version, version) returns bool language sql immutable as 'select $1.major = $2.major';
create function version_cmp(version, version) returns int language plpgsql stable as
    $$ begin return ($1.major - $2.major) * (select max(rate) from touch_types.rates); end $$;
create operator < (leftarg = version, rightarg = version, function = version_lt);
create operator = (leftarg = version, rightarg = version, function = version_eq);
create operator class versions default for type version using btree as operator 1 <, operator 3 =,
    function 1 version_cmp(version, version);
create table releases (v version); insert into releases values (row(2, 1)), (row(1, 1))",
        known: &[
            "select c from paint order by c",
        ],
        any: &[
            "select * from tariffs where t = 2",
            "update paint set id = 2 where c = 'red'",
            "insert into paint values (1, 2)",
            "insert into paints (cs[1]) values (1)",
            "select v from releases order by v",
            "select distinct v from releases",
            "select max(v::text) from releases group by v",
        ],
    },
    Touching {
    name: "touch_casts",
    ddl: "
create table rates (name text, rate int); insert into rates values ('x', 2);
create table log (what text);
create type money_of as (amount int, name text);
create function rate_of(money_of) returns int language plpgsql stable as
    $$ begin return $1.amount * (select max(rate) from touch_casts.rates); end $$;
create cast (money_of as int) with function rate_of(money_of) as implicit;
create table prices (id int, price money_of); insert into prices values (1, row(3, 'x'));
create table sums (n int);
create type shade as (c int);
create function shade_out(shade) returns point language plpgsql as
    $$ begin insert into touch_casts.log values ('out'); return point(1, 2); end $$;
create cast (shade as point) with function shade_out(shade) as assignment;
create table points (p point)",
    known: &[],
    any: &[
        "select 1 + price from prices",
        "insert into sums select price from prices",
        "insert into points values (row(1)::shade)",
    ],
},
    Touching {
        name: "touch_overloads",
        ddl: "
create table t (id int);
create table log (what text);
create function nextval(text, int) returns bigint language plpgsql as
    $$ begin insert into touch_overloads.log values ('nextval'); return 1; end $$;
create function setval(text) returns bigint language plpgsql as
    $$ begin insert into touch_overloads.log values ('setval'); return 1; end $$;
create function nextval(int) returns bigint language plpgsql as
    $$ begin insert into touch_overloads.log values ('nextval'); return 1; end $$;
create function numbered() returns bigint language sql as 'select touch_overloads.nextval(1)'",
        known: &[],
        any: &[
            "select nextval('x', 1)",
            "select setval('x')",
            "select nextval(1)",
            "insert into t values (nextval(1))",
            "select numbered()",
        ],
    },
];
