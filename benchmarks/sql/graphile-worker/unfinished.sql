-- unfinished() -> one row: whether a job is left; jobs that are done are deleted
-- Called by  benchmarks.bench
select exists (select from graphile_worker._private_jobs)
