
select 'a''b', E'a\'b\\', N'n', U&'\0041' UESCAPE '!', b'01', x'1F', $$d$$, $a$ $$ $a$, 'c'
'd' -- e
'f'