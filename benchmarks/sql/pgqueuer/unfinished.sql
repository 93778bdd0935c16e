-- unfinished() -> one row: whether a job is left; jobs that are done are moved to the log
-- Called by  benchmarks.bench
select exists (select from pgqueuer)
