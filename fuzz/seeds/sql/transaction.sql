
begin read only; select 1; savepoint a; rollback to a; commit