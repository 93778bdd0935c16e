-- abort_jobs(ids, keep) -> id bigint, status text; the jobs asked to abort (doing) or cancelled at once (cancelled)
-- Ask running jobs to stop; jobs that have not started are cancelled.
-- Called by  control.abort
-- Locks      the rows changed, until commit
update procrastinate_jobs
set abort_requested = status = 'doing',
    status = case when status = 'todo' then 'cancelled' else status end,
    scheduled_at = null,
    qt_finished_at = case when status = 'todo' then statement_timestamp() end,
    qt_expires_at = case when status = 'todo' then statement_timestamp() + make_interval(secs => %(keep)s::double precision) end
where id = any (%(ids)s::bigint[]) and status = any (array['todo', 'doing']::procrastinate_job_status[])
returning id, status::text
