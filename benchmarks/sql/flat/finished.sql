-- finished() -> no rows
-- 1,000,000 jobs that have succeeded and are kept for a week.
-- Called by  benchmarks.measures.flat
set session_replication_role = replica;
insert into procrastinate_jobs
    (queue_name, task_name, args, status, attempts, worker_id, qt_lease, qt_started_at, qt_finished_at, qt_expires_at, qt_result)
select 'default', 'benchmarks.tasks.noop', '{"args": [], "kwargs": {}}', 'succeeded', 1, 1, 1, now(), now(), now() + interval '7 days', 'null'
from generate_series(1, 1000000);
