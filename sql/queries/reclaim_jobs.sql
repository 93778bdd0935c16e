-- reclaim_jobs(worker_id, in_hand, older_than) -> id bigint; the jobs made ready again
-- Take back jobs that are running under this worker but that it does not have in hand: the answer to the fetch that took them
-- was lost. older_than: seconds since the fetch; longer than a fetch can still be under way.
-- Called by  store.Store.reclaim_jobs
-- Locks      the rows changed, until commit
update procrastinate_jobs
set status = case when abort_requested then 'aborted' else 'todo' end::procrastinate_job_status,
    abort_requested = false,
    worker_id = null,
    qt_started_at = case when attempts = 0 and not abort_requested then null else qt_started_at end,
    qt_finished_at = case when abort_requested then clock_timestamp() end
where worker_id = %(worker_id)s::bigint
    and status = 'doing'
    and id <> all (%(in_hand)s::bigint[])
    and qt_attempted_at < clock_timestamp() - make_interval(secs => %(older_than)s::double precision)
returning id
