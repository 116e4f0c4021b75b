
select sum(a) filter (where b) over (partition by c order by d rows between 1 preceding and current row) from t for update of t