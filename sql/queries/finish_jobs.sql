-- finish_jobs(...) -> id bigint, status text; the rows written, in any order
-- Write the outcomes of many attempts under their fence.
-- Called by  store.JobStore.finish_jobs
select id, status
from queue_tasks_finish_jobs_v1(
    %(worker_id)s::bigint,
    %(ids)s::bigint[],
    %(leases)s::bigint[],
    %(outcomes)s::text[],
    %(results)s::text[],
    %(errors)s::text[],
    %(started_ago)s::double precision[],
    %(ended_ago)s::double precision[],
    %(waits)s::double precision[],
    %(untils)s::timestamp with time zone[],
    %(keeps)s::double precision[],
    %(priorities)s::integer[],
    %(queue_names)s::text[],
    %(locks)s::text[]
)
