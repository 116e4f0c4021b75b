
merge into t using s on t.a = s.a when matched and s.b = 'x' then update set b = 'y' when not matched then do nothing