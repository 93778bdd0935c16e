-- reclaim_jobs(worker_id, in_hand, older_than, keep) -> id bigint; the jobs taken back
-- Take back jobs that are running under this worker but that it does not have in hand.
-- Called by  store.MaintenanceStore.reclaim_jobs
select id
from queue_tasks_reclaim_jobs_v1(
    %(worker_id)s::bigint,
    %(in_hand)s::bigint[],
    %(older_than)s::double precision,
    %(keep)s::double precision
)
