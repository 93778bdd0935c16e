-- retry_jobs(ids) -> id bigint; the jobs that are ready again
-- Make finished jobs ready to run once more.
-- Called by  control.retry
select id from queue_tasks_retry_jobs_v1(%(ids)s::bigint[])
