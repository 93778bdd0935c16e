-- cancel_jobs(ids, keep) -> id bigint; the jobs cancelled
-- Cancel jobs that have not started; running and finished ones stay as they are. keep: seconds the row stays, null for ever.
-- Called by  control.cancel
-- Locks      the rows changed, by id, until commit
with held as materialized (
    select j.id
    from procrastinate_jobs j
    where j.id = any (%(ids)s::bigint[]) and j.status = 'todo'
    order by j.id
    for no key update
)
update procrastinate_jobs j
set status = 'cancelled',
    scheduled_at = null,
    qt_finished_at = statement_timestamp(),
    qt_expires_at = statement_timestamp() + make_interval(secs => %(keep)s::double precision)
where j.id = any (array(select h.id from held h))
returning j.id
