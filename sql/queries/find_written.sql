-- find_written(worker_id, ids, leases, outcomes) -> id bigint, status text; those that were written
-- Which finishes have been written whose answer was lost: the row does not run any more, and is as this very worker left it
-- under this very lease. A job that came back and was fetched since is not found, nor one that was deleted on success.
-- Called by  store.JobStore.find_written
-- Index      procrastinate_jobs_pkey
select j.id, j.status::text as status
from unnest(%(ids)s::bigint[], %(leases)s::bigint[], %(outcomes)s::text[]) w (id, lease, outcome)
join procrastinate_jobs j on j.id = w.id
where j.qt_lease = w.lease
    and j.status <> 'doing'
    and j.worker_id is not distinct from case when w.outcome <> 'released' then %(worker_id)s::bigint end
