
select * from t where a = 1 and b = 'x' order by 1 limit 10