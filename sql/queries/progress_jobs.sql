-- progress_jobs(worker_id, ids, leases, progress) -> id bigint; the rows written
-- Note how far running jobs have come, under their fence, and tell those who wait for them.
-- Called by  store.Store.progress_jobs
with noted as (
    update procrastinate_jobs j
    set qt_meta = coalesce(j.qt_meta, '{}'::jsonb) || jsonb_build_object('progress', p.progress::jsonb)
    from unnest(%(ids)s::bigint[], %(leases)s::bigint[], %(progress)s::text[]) p (id, lease, progress)
    where j.id = p.id and j.status = 'doing' and j.worker_id = %(worker_id)s::bigint and j.qt_lease = p.lease
    returning j.id
)
select n.id, pg_notify('queue_tasks_progress', n.id::text) from noted n
