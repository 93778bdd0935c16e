-- describe_job(id) -> 0 or 1 row: what list_jobs leaves out, as overview.JobStory has it
-- Called by  overview.describe_job
select
    j.queueing_lock,
    j.qt_ephemeral,
    j.qt_result::text,
    j.qt_errors::text,
    j.qt_meta::text,
    case when isfinite(j.qt_expires_at) then j.qt_expires_at end,
    w.qt_name,
    w.qt_host,
    w.qt_pid
from procrastinate_jobs j
left join procrastinate_workers w on w.id = j.worker_id
where j.id = %(id)s::bigint
