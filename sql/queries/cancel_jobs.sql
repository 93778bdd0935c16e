-- cancel_jobs(ids, keep) -> id bigint; the jobs cancelled
-- Cancel jobs that have not started; running and finished ones stay as they are. keep: seconds the row stays, null for ever.
-- Called by  control.cancel
-- Locks      the rows changed, until commit
update procrastinate_jobs
set status = 'cancelled',
    scheduled_at = null,
    qt_finished_at = statement_timestamp(),
    qt_expires_at = statement_timestamp() + make_interval(secs => %(keep)s::double precision)
where id = any (%(ids)s::bigint[]) and status = 'todo'
returning id
