
insert into t (a, b) values (1, 'x'), (2, null) on conflict (a) do update set b = excluded.b returning *