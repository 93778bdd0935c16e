-- unfinished() -> one row: whether a job waits or runs
-- Called by  benchmarks.bench
select exists (select from procrastinate_jobs where status in ('todo', 'doing'))
