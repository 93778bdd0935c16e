-- locked() -> no rows
-- 100,000 jobs behind 50 locks, each held by a job that runs under a worker that lives for a day.
-- Called by  benchmarks.measures.flat
set session_replication_role = replica;
insert into procrastinate_workers (last_heartbeat) values (now() + interval '1 day');
insert into procrastinate_jobs (queue_name, task_name, args, lock, status, worker_id, qt_lease)
select 'default', 'benchmarks.tasks.noop', '{"args": [], "kwargs": {}}', 'hot' || n, 'doing', (select max(id) from procrastinate_workers), 1
from generate_series(1, 50) n;
insert into procrastinate_jobs (queue_name, task_name, args, lock)
select 'default', 'benchmarks.tasks.noop', '{"args": [], "kwargs": {}}', 'hot' || n % 50 + 1 from generate_series(1, 100000) n;
