-- reclaim_jobs(worker_id, in_hand, older_than, keep) -> id bigint; the jobs taken back
-- Take back jobs that are running under this worker but that it does not have in hand: the answer to the fetch that took them
-- was lost. They are ready again, or aborted if that was asked for. older_than: seconds since the fetch; longer than a fetch
-- can still be under way. keep: seconds the row of an aborted job stays, null for ever.
-- Called by  store.Store.reclaim_jobs
-- Locks      the rows changed, by id, until commit
with stray as materialized (
    select j.id, j.queueing_lock, j.abort_requested
    from procrastinate_jobs j
    where j.worker_id = %(worker_id)s::bigint
        and j.status = 'doing'
        and j.id <> all (%(in_hand)s::bigint[])
        and j.qt_attempted_at < clock_timestamp() - make_interval(secs => %(older_than)s::double precision)
    order by j.id
    for update
),
line as materialized (
    -- Of several with one queueing lock, the first gets it.
    select s.id, s.abort_requested, row_number() over (partition by s.queueing_lock, s.abort_requested order by s.id) as place
    from stray s
)
update procrastinate_jobs j
set status = case when l.abort_requested then 'aborted' else 'todo' end::procrastinate_job_status,
    abort_requested = false,
    worker_id = null,
    -- A twin may have taken the queueing lock meanwhile: this job then waits without it.
    queueing_lock = case
        when not l.abort_requested and j.queueing_lock is not null and (
            l.place > 1
            or exists (select from procrastinate_jobs t where t.queueing_lock = j.queueing_lock and t.status = 'todo')
        ) then null
        else j.queueing_lock
    end,
    qt_started_at = case when j.attempts = 0 and not l.abort_requested then null else j.qt_started_at end,
    qt_finished_at = case when l.abort_requested then clock_timestamp() end,
    qt_expires_at = case when l.abort_requested then clock_timestamp() + make_interval(secs => %(keep)s::double precision) end
from line l
where j.id = l.id
returning j.id
