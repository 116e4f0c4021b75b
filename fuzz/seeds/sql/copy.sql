
copy (select 1) to stdout with (format csv); do $$ begin perform 1; end $$; call p(1, 'x'); listen c; notify c, 'd'