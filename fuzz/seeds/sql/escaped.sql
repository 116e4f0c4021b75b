
select 'a\'b', 'c\\' || N'd\''