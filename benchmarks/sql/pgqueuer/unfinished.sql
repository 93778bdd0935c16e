-- unfinished() -> one row: whether a job is left; jobs that are done are moved to the log
-- Called by  benchmarks.contestants
select exists (select from pgqueuer)
