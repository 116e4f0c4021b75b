
with x as (delete from t returning a), y as materialized (values (1), (2)) select * from x join y using (a)