-- take_job(worker_id, id) -> 0 or 1 row, as jobs.FetchedJob
-- Take one given job, if it waits: whatever its time, and whatever is before it in its queue or its lock's line. For tests.
-- Called by  testing.inline.InlineWorker.take
-- Locks      the row taken, until commit
-- Raises     23505 a job of the same lock is running
update procrastinate_jobs j
set status = 'doing',
    scheduled_at = null,
    worker_id = %(worker_id)s::bigint,
    qt_lease = j.qt_lease + 1,
    qt_started_at = coalesce(j.qt_started_at, statement_timestamp()),
    qt_attempted_at = statement_timestamp()
where j.id = %(id)s::bigint and j.status = 'todo'
returning
    j.id, j.qt_lease, j.queue_name::text, j.task_name::text, j.priority, j.lock, j.queueing_lock, j.args::text,
    j.attempts, j.qt_crashes,
    date_part('epoch', j.qt_enqueued_at) as enqueued, date_part('epoch', j.qt_started_at) as started, date_part('epoch', j.qt_attempted_at) as attempted,
    j.qt_ephemeral, j.qt_errors::text, j.qt_meta::text, false as limited
