
select "A""b", u&"d\0061t", été, 漢, a$1, t.*, $1 from s.t as "x y"