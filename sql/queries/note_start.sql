-- note_start(worker_id, id, lease) -> 0 or 1 row: id bigint; no row: the job is no longer ours
-- Note that the body of a job with crashes is about to run, so that one more death of its worker counts against it.
-- Called by  store.JobStore.note_start
update procrastinate_jobs
set qt_started_lease = qt_lease
where id = %(id)s::bigint and status = 'doing' and worker_id = %(worker_id)s::bigint and qt_lease = %(lease)s::bigint
returning id
