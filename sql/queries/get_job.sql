-- get_job(id) -> 0 or 1 row, as results.JobRow
-- One job's whole story.
-- Called by  results.read
select
    id, queue_name::text, task_name::text, priority, lock, status::text, scheduled_at, attempts, worker_id, args::text,
    qt_enqueued_at, qt_started_at, qt_attempted_at, qt_finished_at, qt_result::text, qt_errors::text, qt_meta::text
from procrastinate_jobs
where id = %(id)s::bigint
