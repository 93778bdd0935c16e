-- retry_jobs(ids, wait, args, lock) -> id bigint; the jobs that run once more
-- Make finished jobs ready to run once more, now or after `wait` seconds, with the arguments they had or with others.
-- Called by  control.retry, control.retry_job
select id
from queue_tasks_retry_jobs_v1(
    %(ids)s::bigint[], %(wait)s::double precision, %(args)s::jsonb, %(lock)s::text
)
