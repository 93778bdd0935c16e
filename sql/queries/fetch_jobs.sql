-- fetch_jobs(worker_id, queues, max_jobs) -> 0..max_jobs rows, as jobs.FetchedJob
-- Take ready jobs for a worker.
-- Called by  store.Store.fetch_jobs
select
    id, lease, queue_name, task_name, priority, lock, queueing_lock, args, attempts, enqueued_at, started_at, attempted_at,
    ephemeral, errors, meta
from queue_tasks_fetch_jobs_v1(%(worker_id)s::bigint, %(queues)s::text[], %(max_jobs)s::integer)
