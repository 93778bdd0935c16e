-- ready() -> no rows
-- A backlog of 1,200,000 ready jobs in one queue, older than every job that is added to it: what is measured takes up to
-- 200,000 of them. Written without the triggers: what they cost is not in question here.
-- Called by  benchmarks.measures.flat
set session_replication_role = replica;
insert into procrastinate_jobs (queue_name, task_name, args)
select 'default', 'benchmarks.tasks.noop', '{"args": [], "kwargs": {}}' from generate_series(1, 1200000);
