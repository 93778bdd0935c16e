-- aborting_jobs(worker_id) -> id bigint, lease bigint; this worker's running jobs whose abort was asked for
-- Called by  store.MaintenanceStore.aborting_jobs
select id, qt_lease as lease
from procrastinate_jobs
where worker_id = %(worker_id)s::bigint and status = 'doing' and abort_requested
