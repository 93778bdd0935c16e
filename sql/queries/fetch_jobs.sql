-- fetch_jobs(worker_id, queues, max_jobs) -> 0..max_jobs rows, as jobs.FetchedJob
-- Take ready jobs for a worker.
-- Times beyond those that Python can hold (infinity, BC) are cut: they would fail the whole fetch, which has happened.
-- Called by  store.Store.fetch_jobs
select
    id, lease, queue_name, task_name, priority, lock, queueing_lock, args, attempts, crashes,
    least(greatest(enqueued_at, '0001-01-02 00:00+00'), '9999-12-30 00:00+00') as enqueued_at,
    least(greatest(started_at, '0001-01-02 00:00+00'), '9999-12-30 00:00+00') as started_at,
    attempted_at, ephemeral, errors, meta, limited
from queue_tasks_fetch_jobs_v1(%(worker_id)s::bigint, %(queues)s::text[], %(max_jobs)s::integer)
