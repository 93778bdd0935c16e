-- live(count integer, priority integer) -> no rows
-- The jobs that are run while something is measured; qt_meta tells them from the others.
-- Called by  benchmarks.measures.flat
insert into procrastinate_jobs (queue_name, task_name, args, priority, qt_meta)
select 'default', 'benchmarks.tasks.noop', '{"args": [], "kwargs": {}}', %(priority)s::integer, '{"live": true}'
from generate_series(1, %(count)s::integer)
