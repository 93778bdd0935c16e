-- bare_insert() -> no rows
-- The least an enqueue could be: no index but the key, no trigger, no notification, nothing returned.
-- Called by  benchmarks.sides.ours
insert into bare (args) values ('{"args": [], "kwargs": {}}')
