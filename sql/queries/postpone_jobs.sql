-- postpone_jobs(ids, wait) -> id bigint; the jobs that are scheduled now
-- Jobs that were made ready by a retry are due after so many seconds instead. Those a worker took meanwhile stay.
-- Called by  control.retry
-- Locks      the rows changed, until commit
update procrastinate_jobs
set scheduled_at = statement_timestamp() + make_interval(secs => %(wait)s::double precision)
where id = any (%(ids)s::bigint[]) and status = 'todo' and scheduled_at is null
returning id
