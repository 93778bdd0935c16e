-- rescue_jobs(dead_after, silent_after, max_crashes, keep, max_jobs) -> id bigint, status text, worker_id bigint, crashes integer
-- Take back the running jobs of dead workers.
-- Called by  store.MaintenanceStore.rescue_jobs
select id, status, worker_id, crashes
from queue_tasks_rescue_jobs_v1(
    %(dead_after)s::double precision,
    %(silent_after)s::double precision,
    %(max_crashes)s::integer,
    %(keep)s::double precision,
    %(max_jobs)s::integer
)
