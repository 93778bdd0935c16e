-- retry_jobs(ids) -> id bigint; the jobs that are ready again
-- Make finished jobs ready to run once more. Errors and attempts stay: they are the job's history.
-- A scheduled job becomes ready now; running ones stay as they are.
-- Called by  control.retry
-- Locks      the rows changed, until commit
update procrastinate_jobs j
set status = 'todo',
    scheduled_at = null,
    abort_requested = false,
    qt_finished_at = null,
    qt_expires_at = null,
    qt_result = null,
    -- A twin may hold the queueing lock by now: this job then waits without it.
    queueing_lock = case
        when j.status <> 'todo' and j.queueing_lock is not null and exists (
            select from procrastinate_jobs t where t.queueing_lock = j.queueing_lock and t.status = 'todo'
        ) then null
        else j.queueing_lock
    end
where j.id = any (%(ids)s::bigint[])
    and (
        j.status = any (array['failed', 'cancelled', 'aborted', 'succeeded']::procrastinate_job_status[])
        or (j.status = 'todo' and j.scheduled_at < queue_tasks_parked_until_v1())
    )
returning j.id
