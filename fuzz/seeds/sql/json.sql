
select json_object('a': 1), json_query(a, '$.b' passing 1 as x), * from json_table(a, '$' columns (b int path '$.c'))