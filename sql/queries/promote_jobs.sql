-- promote_jobs(max_jobs) -> one row: promoted integer, next_due_in double precision (seconds or null)
-- Make ready the scheduled jobs whose time has come.
-- Called by  store.Store.promote_jobs
select promoted, next_due_in from queue_tasks_promote_jobs_v1(%(max_jobs)s::integer)
