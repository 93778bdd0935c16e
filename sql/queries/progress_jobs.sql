-- progress_jobs(worker_id, ids, leases, progress) -> id bigint; the rows written
-- Note how far running jobs have come, under their fence, and tell those who follow, if any.
-- Called by  store.JobStore.progress_jobs
-- Locks      the rows changed, by id, until commit
with held as materialized (
    select j.id, p.progress
    from procrastinate_jobs j
    join unnest(%(ids)s::bigint[], %(leases)s::bigint[], %(progress)s::text[]) p (id, lease, progress) on p.id = j.id
    where j.status = 'doing' and j.worker_id = %(worker_id)s::bigint and j.qt_lease = p.lease
    order by j.id
    for no key update of j
),
noted as (
    update procrastinate_jobs j
    set qt_meta = coalesce(j.qt_meta, '{}'::jsonb) || jsonb_build_object('progress', h.progress::jsonb)
    from held h
    where j.id = h.id
    returning j.id
)
select n.id, case when f.followed then pg_notify('queue_tasks_progress', n.id::text) end
from noted n
cross join (select queue_tasks_is_followed_v1() as followed offset 0) f
