-- retry_jobs(ids) -> id bigint; the jobs that are ready again
-- Make finished jobs ready to run once more. Errors and attempts stay: they are the job's history.
-- A scheduled job becomes ready now; running ones stay as they are.
-- Called by  control.retry
-- Locks      the rows changed, until commit
with chosen as (
    select
        j.id,
        j.status,
        j.queueing_lock,
        -- Of several with one queueing lock, the first gets it.
        row_number() over (partition by j.queueing_lock order by j.id) as place
    from (
        select id, status, queueing_lock
        from procrastinate_jobs
        where id = any (%(ids)s::bigint[])
            and (
                status = any (array['failed', 'cancelled', 'aborted', 'succeeded']::procrastinate_job_status[])
                or (status = 'todo' and scheduled_at < queue_tasks_parked_until_v1())
            )
        order by id
        for update
    ) j
)
update procrastinate_jobs j
set status = 'todo',
    scheduled_at = null,
    abort_requested = false,
    qt_finished_at = null,
    qt_expires_at = null,
    qt_result = null,
    qt_crashes = 0,
    qt_meta = nullif(j.qt_meta - 'progress', '{}'::jsonb),
    -- A twin may hold the queueing lock: this job then waits without it.
    queueing_lock = case
        when c.status = 'todo' then c.queueing_lock
        when c.place > 1 then null
        when exists (
            select from procrastinate_jobs t where t.queueing_lock = c.queueing_lock and t.status = 'todo'
        ) then null
        else c.queueing_lock
    end
from chosen c
where j.id = c.id
returning j.id
