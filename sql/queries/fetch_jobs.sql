-- fetch_jobs(worker_id, queues, max_jobs) -> 0..max_jobs rows, as jobs.FetchedJob
-- Take ready jobs for a worker.
-- Times are seconds since 1970: see jobs.FetchedJob.
-- Called by  store.JobStore.fetch_jobs
select
    id, lease, queue_name, task_name, priority, lock, queueing_lock, args, attempts, crashes,
    date_part('epoch', enqueued_at) as enqueued, date_part('epoch', started_at) as started, date_part('epoch', attempted_at) as attempted,
    ephemeral, errors, meta, limited
from queue_tasks_fetch_jobs_v1(%(worker_id)s::bigint, %(queues)s::text[], %(max_jobs)s::integer)
