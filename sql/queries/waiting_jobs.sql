-- waiting_jobs(task_name) -> rows, as results.JobRow
-- The jobs that wait, ready, scheduled or parked, oldest first; of one task, or of all (null).
-- Called by  testing.waiting.enqueued
select
    id, queue_name::text, task_name::text, priority, lock, status::text, scheduled_at, attempts, worker_id, args::text,
    qt_enqueued_at, qt_started_at, qt_attempted_at, qt_finished_at, qt_result::text, qt_errors::text, qt_meta::text
from procrastinate_jobs
where status = 'todo' and (%(task_name)s::text is null or task_name = %(task_name)s::text)
order by id
