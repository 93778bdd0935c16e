-- queues() -> no rows
-- 1,000 queues of 200 ready jobs each.
-- Called by  benchmarks.measures.flat
set session_replication_role = replica;
insert into procrastinate_jobs (queue_name, task_name, args)
select 'queue' || n % 1000, 'benchmarks.tasks.noop', '{"args": [], "kwargs": {}}' from generate_series(1, 200000) n;
