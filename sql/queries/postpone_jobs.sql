-- postpone_jobs(ids, wait) -> id bigint; the jobs that are scheduled now
-- Jobs that were made ready by a retry are due after so many seconds instead. Those a worker took meanwhile stay.
-- Called by  control.retry
-- Locks      the rows changed, by id, until commit
with held as materialized (
    select j.id
    from procrastinate_jobs j
    where j.id = any (%(ids)s::bigint[]) and j.status = 'todo' and j.scheduled_at is null
    order by j.id
    for no key update
)
update procrastinate_jobs j
set scheduled_at = statement_timestamp() + make_interval(secs => %(wait)s::double precision)
where j.id = any (array(select h.id from held h))
returning j.id
