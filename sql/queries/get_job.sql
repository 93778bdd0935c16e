-- get_job(id) -> 0 or 1 row, as results.JobRow
-- One job's whole story.
-- Called by  results.read, results.TaskResult
select
    id, queue_name::text, task_name::text, priority, lock, status::text,
    -- Neither a parked job's time nor infinity is one that Python could read.
    case when isfinite(scheduled_at) and scheduled_at < queue_tasks_parked_until_v1() then scheduled_at end as scheduled_at,
    attempts, worker_id, args::text,
    qt_enqueued_at, qt_started_at, qt_attempted_at, qt_finished_at, qt_result::text, qt_errors::text, qt_meta::text
from procrastinate_jobs
where id = %(id)s::bigint
