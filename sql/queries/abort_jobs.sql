-- abort_jobs(ids, keep) -> id bigint, status text; the jobs asked to abort (doing) or cancelled at once (cancelled)
-- Ask running jobs to stop; jobs that have not started are cancelled.
-- Called by  control.abort
-- Locks      the rows changed, by id, until commit
with held as materialized (
    select j.id
    from procrastinate_jobs j
    where j.id = any (%(ids)s::bigint[]) and j.status = any (array['todo', 'doing']::procrastinate_job_status[])
    order by j.id
    for no key update
)
update procrastinate_jobs j
set abort_requested = j.status = 'doing',
    status = case when j.status = 'todo' then 'cancelled' else j.status end,
    scheduled_at = null,
    qt_finished_at = case when j.status = 'todo' then statement_timestamp() end,
    qt_expires_at = case when j.status = 'todo' then statement_timestamp() + make_interval(secs => %(keep)s::double precision) end
where j.id = any (array(select h.id from held h))
returning j.id, j.status::text
