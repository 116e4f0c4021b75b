
select * from generate_series(1, 3) with ordinality as g(a, b), lateral (select 1) x, rows from (f(1), g('x')) as r tablesample system (1)