
prepare p as select $1; execute p('x'); deallocate p; declare c cursor with hold for select 1; fetch 2 from c