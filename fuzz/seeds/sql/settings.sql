
select set_config('a.b', '1', true), current_setting('port'); set local x = 'y'; show tidegate.level