-- parked() -> no rows
-- 100,000 jobs that wait for something else than a time.
-- Called by  benchmarks.measures.flat
set session_replication_role = replica;
insert into procrastinate_jobs (queue_name, task_name, args, scheduled_at)
select 'default', 'benchmarks.tasks.noop', '{"args": [], "kwargs": {}}', queue_tasks_parked_until_v1() from generate_series(1, 100000);
