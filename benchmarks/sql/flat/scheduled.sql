-- scheduled() -> no rows
-- 1,000,000 jobs due within the month after tomorrow.
-- Called by  benchmarks.measures.flat
set session_replication_role = replica;
insert into procrastinate_jobs (queue_name, task_name, args, scheduled_at)
select 'default', 'benchmarks.tasks.noop', '{"args": [], "kwargs": {}}', now() + interval '1 day' + make_interval(secs => n * 2.5)
from generate_series(1, 1000000) n;
