
select a+-1, a<>-1, @-1, a@>b, a->>'b', a+/*c*/-1, *--d
 !! 5, a::text, f(a => 1, b := 2)