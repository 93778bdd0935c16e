-- promote_jobs(max_jobs) -> one row, as store.Promotion
-- Make ready the scheduled jobs whose time has come; and tell when the next pause of a queue ends by itself.
-- Called by  store.MaintenanceStore.promote_jobs
select
    p.promoted,
    p.next_due_in,
    p.next_due_at,
    extract(epoch from r.paused_until - clock_timestamp())::double precision as resumes_in,
    extract(epoch from r.paused_until)::double precision as resumes_at
from queue_tasks_promote_jobs_v1(%(max_jobs)s::integer) p
cross join lateral (
    select min(q.paused_until) as paused_until
    from queue_tasks_queues q
    where q.paused_until > clock_timestamp() and q.paused_until < 'infinity'
) r
